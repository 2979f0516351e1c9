"""What is trusted: signing, sealing, roles, the output chain, Merkle proofs. Pure: no I/O and no clock."""
