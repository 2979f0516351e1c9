"""A workspace's log in memory: leaves, their tree, signed notes and proofs, as audit keeps them."""

from collections.abc import Iterable

from spin_envelope.keys import SigningKey
from spin_envelope.merkle import Frontier, consistency_proof, leaf_hash, nodes_of
from spin_envelope.note import Checkpoint, origin_of, sign_note


class MerkleLog:
    def __init__(self, leaves: Iterable[bytes] = ()) -> None:
        self.leaves = list(leaves)

    @classmethod
    def of(cls, size: int, kind: str = "entry") -> "MerkleLog":
        return cls(f"{kind} {index}".encode() for index in range(size))

    def root(self, size: int) -> bytes:
        frontier = Frontier()
        for leaf in self.leaves[:size]:
            frontier.append(leaf_hash(leaf))
        return frontier.root()

    def note(self, workspace_id: bytes, size: int, key: SigningKey) -> bytes:
        return sign_note(Checkpoint(origin_of(workspace_id), size, self.root(size)), key).encode()

    def proof(self, old: int, new: int) -> tuple[bytes, ...]:
        return tuple(consistency_proof(nodes_of([leaf_hash(leaf) for leaf in self.leaves[:new]]), old, new))
