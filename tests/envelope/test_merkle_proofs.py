"""Merkle trees: RFC 6962's own roots, every proof up to eight leaves, and forged ones."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spin_envelope.errors import Refused
from spin_envelope.merkle import (
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    nodes_of,
    verify_consistency,
    verify_inclusion,
)

# What certificate-transparency's tests, from which the leaves come, expect for 1, 2, 3 and 8 of them.
PUBLISHED = {
    0: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}


def test_roots_are_the_published_ones(vectors_of: Callable[..., Any]) -> None:
    log, frontier, roots = vectors_of("logs"), Frontier(), [Frontier().root().hex()]
    for leaf in log["leaves"]:
        frontier.append(leaf_hash(bytes.fromhex(leaf)))
        roots.append(frontier.root().hex())
    assert roots == log["roots"]
    assert {size: roots[size] for size in PUBLISHED} == PUBLISHED


def inclusion(case: Any) -> None:
    proof = [bytes.fromhex(digest) for digest in case["proof"]]
    verify_inclusion(bytes.fromhex(case["leaf_hash"]), case["index"], case["size"], proof, bytes.fromhex(case["root"]))


def consistency(case: Any) -> None:
    proof = [bytes.fromhex(digest) for digest in case["proof"]]
    verify_consistency(case["old"], bytes.fromhex(case["old_root"]), case["new"], bytes.fromhex(case["new_root"]), proof)


@pytest.mark.vectors("logs", "inclusion", "accepted")
def test_inclusion_accepted(case: Any) -> None:
    inclusion(case)


@pytest.mark.vectors("logs", "inclusion", "refused")
def test_inclusion_refused(case: Any) -> None:
    with pytest.raises(Refused):
        inclusion(case)


@pytest.mark.vectors("logs", "consistency", "accepted")
def test_consistency_accepted(case: Any) -> None:
    consistency(case)


@pytest.mark.vectors("logs", "consistency", "refused")
def test_consistency_refused(case: Any) -> None:
    with pytest.raises(Refused):
        consistency(case)


def grown(size: int) -> tuple[list[bytes], list[bytes]]:
    """Leaf hashes, and the root at each size."""
    leaves, frontier = [leaf_hash(b"%d" % i) for i in range(size)], Frontier()
    roots = [frontier.root()]
    for leaf in leaves:
        frontier.append(leaf)
        roots.append(frontier.root())
    return leaves, roots


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 200), st.data())
def test_every_proof_verifies_and_proves_nothing_else(size: int, data: st.DataObject) -> None:
    leaves, roots = grown(size)
    node, index, old = nodes_of(leaves), data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, size))
    proof = inclusion_proof(node, index, size)
    verify_inclusion(leaves[index], index, size, proof, roots[size])
    verify_consistency(old, roots[old], size, roots[size], consistency_proof(node, old, size))
    other = data.draw(st.integers(0, size - 1))
    if other != index:
        with pytest.raises(Refused):
            verify_inclusion(leaves[index], other, size, proof, roots[size])


@settings(deadline=None, max_examples=200)
@given(st.integers(-2, 40), st.integers(-2, 40), st.lists(st.binary(min_size=32, max_size=32), max_size=8), st.binary(max_size=33))
def test_a_made_up_proof_never_verifies(first: int, second: int, proof: list[bytes], root: bytes) -> None:
    with pytest.raises(Refused):
        verify_inclusion(leaf_hash(b"made up"), first, second, proof, root)
    with pytest.raises(Refused):
        verify_consistency(first, root, second, leaf_hash(root), proof)


def test_a_stored_frontier_goes_on_where_it_was() -> None:
    leaves, roots = grown(11)
    frontier = Frontier()
    for leaf in leaves[:7]:
        frontier.append(leaf)
    stored = Frontier(frontier.size, frontier.hashes)
    for leaf in leaves[7:]:
        stored.append(leaf)
    assert (stored.size, stored.root()) == (11, roots[11])


def test_a_frontier_that_does_not_fit_its_size_is_refused() -> None:
    for size, hashes in ((3, [bytes(32)]), (0, [bytes(32)]), (-1, [bytes(32)])):
        with pytest.raises(Refused):
            Frontier(size, hashes)


def test_appending_hands_out_each_perfect_subtree_once() -> None:
    leaves, _ = grown(8)
    frontier = Frontier()
    completed = [(level, index) for leaf in leaves for level, index, _ in frontier.append(leaf)]
    assert sorted(completed) == [(level, index) for level in range(4) for index in range(8 >> level)]


def test_proofs_of_what_is_not_there_are_not_made() -> None:
    node = nodes_of(grown(3)[0])
    for index, size in ((3, 3), (-1, 3), (0, 0)):
        with pytest.raises(Refused):
            inclusion_proof(node, index, size)
    for old, new in ((4, 3), (-1, 3)):
        with pytest.raises(Refused):
            consistency_proof(node, old, new)
