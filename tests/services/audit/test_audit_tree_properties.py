"""Properties of the pure parts: the tree grows from its right edge alone, and receipts mean the same in whatever order they come."""

from dataclasses import dataclass, field
from hashlib import sha256

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from spin_envelope import merkle
from spin_services.audit.receipts import Chain, Outputs, SignedReceipt, judge_outputs, plan_upload
from spin_services.audit.tiles import WIDTH, Edge, TileKey, edge_tiles, node_reader, root_of, tiles_for
from spinapis.envelope.v1.receipt_pb2 import Receipt


def leaf(number: int) -> bytes:
    return merkle.leaf_hash(number.to_bytes(8))


class Tree(RuleBasedStateMachine):
    """A tree in tiles beside RFC 9162's own, over appends and restarts."""

    def __init__(self) -> None:
        super().__init__()
        self.tiles: dict[TileKey, bytes] = {}
        self.edge = Edge(0, {})
        self.reference = merkle.Frontier()
        self.roots = {0: merkle.EMPTY_ROOT}

    @rule(count=st.one_of(st.integers(1, 3), st.sampled_from([WIDTH - 1, WIDTH, WIDTH + 1, 200])))
    def append(self, count: int) -> None:
        leaves = [leaf(self.reference.size + place) for place in range(count)]
        for one in leaves:
            self.reference.append(one)
        changed = self.edge.extend(leaves)
        full = {key for key, hashes in self.tiles.items() if len(hashes) == WIDTH * 32}
        assert full.isdisjoint(changed), "a full tile never changes"
        assert all(hashes.startswith(self.tiles.get(key, b"")) for key, hashes in changed.items())
        self.tiles |= changed
        self.roots[self.reference.size] = self.reference.root()

    @rule()
    def restart(self) -> None:
        size = self.edge.size
        self.edge = Edge(size, {key: self.tiles[key] for key in edge_tiles(size)})

    @rule()
    def abort(self) -> None:
        """A transaction that was rolled back leaves nothing behind."""
        Edge(self.edge.size, {key: self.tiles[key] for key in edge_tiles(self.edge.size)}).extend([leaf(0)] * 40)

    @rule(data=st.data())
    def prove(self, data: st.DataObject) -> None:
        size = data.draw(st.sampled_from(sorted(self.roots)))
        old = data.draw(st.sampled_from([known for known in sorted(self.roots) if known <= size]))
        merkle.verify_consistency(old, self.roots[old], size, self.roots[size], self._make(lambda node: merkle.consistency_proof(node, old, size)))
        if size:
            index = data.draw(st.integers(0, size - 1))
            proof = self._make(lambda node: merkle.inclusion_proof(node, index, size))
            merkle.verify_inclusion(leaf(index), index, size, proof, self.roots[size])

    def _make(self, make):  # type: ignore[no-untyped-def]
        return make(node_reader({key: self.tiles[key] for key in tiles_for(make)}))

    @invariant()
    def roots_agree(self) -> None:
        if self.edge.size:
            assert self._make(lambda node: root_of(node, self.edge.size)) == self.reference.root()
        assert sum(len(hashes) for (level, _), hashes in self.tiles.items() if level == 0) == self.edge.size * 32


TestTree = Tree.TestCase
TestTree.settings = settings(max_examples=40, stateful_step_count=15, deadline=None)


def chain_of(count: int, salt: bytes = b"", start: int = 1, prev: bytes = bytes(32)) -> list[SignedReceipt]:
    receipts = []
    for seq in range(start, start + count):
        digest = sha256(salt + seq.to_bytes(4) + prev).digest()
        receipts.append(SignedReceipt(Receipt(receipt_seq=seq, prev_digest=prev, boot_id=bytes(16)), digest, b""))
        prev = digest
    return receipts


@dataclass
class Memory:
    """What the store keeps between uploads."""

    chain: Chain = field(default_factory=Chain)
    known: dict[int, bytes] = field(default_factory=dict)
    held: list[SignedReceipt] = field(default_factory=list)
    accepted: list[SignedReceipt] = field(default_factory=list)
    forks: list[int] = field(default_factory=list)

    def take(self, uploaded: list[SignedReceipt]) -> None:
        plan = plan_upload(self.chain, self.known, self.held, uploaded)
        self.chain, self.held = plan.chain, plan.held
        self.accepted += plan.accepted
        self.forks += [one.seq for one in plan.forks]
        self.known = {one.seq: one.digest for one in self.accepted + self.held}


@given(st.integers(1, 30), st.data())
def test_receipts_in_any_order_and_any_number_of_times_make_the_same_log(count: int, data: st.DataObject) -> None:
    receipts, memory = chain_of(count), Memory()
    order = data.draw(st.permutations(receipts)) + data.draw(st.lists(st.sampled_from(receipts)))
    while order:
        size = data.draw(st.integers(1, len(order)))
        memory.take(order[:size])
        order = order[size:]
        assert [one.seq for one in memory.accepted] == list(range(1, memory.chain.last_seq + 1)), "what is acknowledged has no gap"
    assert memory.accepted == receipts and memory.forks == [] and memory.held == []
    assert memory.chain.last_digest == receipts[-1].digest


@given(st.integers(2, 20), st.integers(1, 20), st.data())
def test_a_second_history_is_found_whatever_comes_first(count: int, fork_at: int, data: st.DataObject) -> None:
    receipts = chain_of(count)
    fork_at = min(fork_at, count)
    prev = receipts[fork_at - 2].digest if fork_at > 1 else bytes(32)
    other = chain_of(count - fork_at + 1, b"other", fork_at, prev)
    memory = Memory()
    for one in data.draw(st.permutations(receipts + other)):
        memory.take([one])
    assert memory.forks
    assert memory.accepted[: fork_at - 1] == receipts[: fork_at - 1]
    digests = [one.digest for one in memory.accepted]
    assert all(one.receipt.prev_digest == before for one, before in zip(memory.accepted[1:], digests, strict=False))


@given(st.integers(0, 9), st.integers(0, 9), st.booleans())
def test_outputs_are_verified_only_when_all_of_them_hash_to_the_end(stored: int, frames: int, equal: bool) -> None:
    verdict = judge_outputs(stored, b"h", frames, b"h" if equal else b"x")
    assert (verdict is Outputs.VERIFIED) == (stored == frames and equal)
    assert (verdict is Outputs.AWAITED) == (stored < frames)
