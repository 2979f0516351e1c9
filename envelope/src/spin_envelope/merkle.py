"""Merkle tree hashing and proofs. RFC 9162, sections 2.1.1 to 2.1.4.

- A leaf is hashed as SHA-256(0x00 || leaf), a node as SHA-256(0x01 || left || right); the empty tree's hash is SHA-256("").
- Whoever makes proofs gives access to *perfect subtrees*: `node(level, index)` is the hash over the leaves from index * 2^level to
  (index + 1) * 2^level - 1. `Frontier.append` hands out each one as it is completed, so a store has them all, and a proof
  takes a logarithmic number of look-ups.
- Whoever verifies gets an exception, not a boolean that can be forgotten.
"""

from collections.abc import Callable, Sequence
from hashlib import sha256

from spin_envelope.errors import Refused

Node = Callable[[int, int], bytes]

EMPTY_ROOT = sha256(b"").digest()
HASH_BYTES = 32


def leaf_hash(leaf: bytes) -> bytes:
    return sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


class Frontier:
    """An append-only tree that remembers no more than its perfect subtrees' roots, largest (leftmost) first."""

    def __init__(self, size: int = 0, hashes: Sequence[bytes] = ()) -> None:
        """An empty tree, or one as it was stored. Raises Refused when the hashes do not fit the size."""
        if size < 0 or len(hashes) != size.bit_count():
            raise Refused(f"{len(hashes)} hashes for a tree of {size} leaves")
        self.size = size
        self._hashes = list(hashes)

    @property
    def hashes(self) -> tuple[bytes, ...]:
        return tuple(self._hashes)

    def append(self, leaf: bytes) -> list[tuple[int, int, bytes]]:
        """Adds a leaf's hash; gives the perfect subtrees completed by it, as (level, index, hash), the leaf itself first."""
        level, index, digest = 0, self.size, leaf
        completed = [(level, index, digest)]
        while index & 1:
            level, index, digest = level + 1, index >> 1, node_hash(self._hashes.pop(), digest)
            completed.append((level, index, digest))
        self._hashes.append(digest)
        self.size += 1
        return completed

    def root(self) -> bytes:
        if not self._hashes:
            return EMPTY_ROOT
        *rest, digest = self._hashes
        for left in reversed(rest):
            digest = node_hash(left, digest)
        return digest


def nodes_of(leaf_hashes: Sequence[bytes]) -> Node:
    """Access to the perfect subtrees over leaf hashes that are all at hand."""
    frontier, nodes = Frontier(), dict[tuple[int, int], bytes]()
    for leaf in leaf_hashes:
        nodes |= {(level, index): digest for level, index, digest in frontier.append(leaf)}
    return lambda level, index: nodes[level, index]


def inclusion_proof(node: Node, index: int, size: int) -> list[bytes]:
    """PATH(index, D[size]), section 2.1.3.1. Raises Refused when the tree has no such leaf."""
    if not 0 <= index < size:
        raise Refused(f"no leaf {index} in a tree of {size}")
    proof: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            proof.append(_root(node, middle, end))
            end = middle
        else:
            proof.append(_root(node, start, middle))
            start = middle
    return proof[::-1]


def consistency_proof(node: Node, old: int, new: int) -> list[bytes]:
    """PROOF(old, D[new]), section 2.1.4.1; empty when either tree is empty or both are the same. Raises Refused when old is not in new."""
    if not 0 <= old <= new:
        raise Refused(f"a tree of {old} leaves is not within one of {new}")
    if old in (0, new):
        return []
    proof: list[bytes] = []
    start, end = 0, new
    while end != old:
        middle = start + _split(end - start)
        if old <= middle:
            proof.append(_root(node, middle, end))
            end = middle
        else:
            proof.append(_root(node, start, middle))
            start = middle
    if start:
        proof.append(_root(node, start, end))
    return proof[::-1]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Section 2.1.3.2. Raises Refused."""
    if not 0 <= index < size:
        raise Refused(f"no leaf {index} in a tree of {size}")
    digest, place, last = leaf, index, size - 1
    for sibling in _hashes(proof):
        if last == 0:
            raise Refused("an inclusion proof that is too long")
        if place & 1 or place == last:
            digest = node_hash(sibling, digest)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            digest = node_hash(digest, sibling)
        place, last = place >> 1, last >> 1
    if last or digest != root:
        raise Refused("an inclusion proof that does not lead to the root")


def verify_consistency(old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Section 2.1.4.2: the tree of `new` leaves starts with the whole tree of `old`. Raises Refused."""
    if not 0 <= old <= new:
        raise Refused(f"a tree of {old} leaves is not within one of {new}")
    if old in (0, new):
        if proof or old_root != (new_root if old else EMPTY_ROOT):
            raise Refused("trees that are not consistent")
        return
    hashes = list(_hashes(proof))
    if old & (old - 1) == 0:
        hashes.insert(0, old_root)
    if not hashes or _consistent(old, new, hashes) != (old_root, new_root):
        raise Refused("trees that are not consistent")


def _consistent(old: int, new: int, hashes: list[bytes]) -> tuple[bytes, bytes]:
    """The two roots that a consistency proof leads to."""
    place, last = old - 1, new - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    first = second = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            raise Refused("a consistency proof that is too long")
        if place & 1 or place == last:
            first, second = node_hash(sibling, first), node_hash(sibling, second)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            second = node_hash(second, sibling)
        place, last = place >> 1, last >> 1
    if last:
        raise Refused("a consistency proof that is too short")
    return first, second


def _root(node: Node, start: int, end: int) -> bytes:
    """MTH of the leaves from `start` to before `end`, which RFC 9162's way of splitting aligns."""
    size = end - start
    if size & (size - 1) == 0:
        return node(size.bit_length() - 1, start // size)
    middle = start + _split(size)
    return node_hash(_root(node, start, middle), _root(node, middle, end))


def _split(size: int) -> int:
    """The largest power of two below `size`."""
    return 1 << (size - 1).bit_length() - 1


def _hashes(proof: Sequence[bytes]) -> Sequence[bytes]:
    if any(len(digest) != HASH_BYTES for digest in proof):
        raise Refused("a proof with something that is no hash")
    return proof
