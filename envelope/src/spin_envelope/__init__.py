"""What is trusted: signing, sealing, roles, pairing, the output chain, the log's proofs. docs/protocol.md is the contract.

- Pure: no I/O and no clock; the time is an argument wherever it counts.
- Whatever comes from outside is refused by one exception, `Refused`; no other one leaves a decoder or a verification.
- Signatures are checked over the bytes as carried. Sizes are checked before anything is decoded.
- Every primitive is from the `cryptography` package; what is written here is formats and decisions alone.
"""
