"""What every `api.Broker` does: the same suite in one process, and over the socket between two."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from spin_envelope.digests import signed_digest
from spin_envelope.signing import sign, unverified
from spin_runtime.broker.api import Broker, BrokerError, BundleStored, LiveKernel, LogProof, Rejected, Run, RunEnd
from spin_runtime.broker.boundary import Boundary
from spin_runtime.broker.remote import RemoteBroker
from spinapis.envelope.v1 import attach_pb2, receipt_pb2, run_pb2, trust_pb2
from spinapis.errors.v1 import reasons_pb2
from tests.fakes.control_plane import ORIGIN, Client, ControlPlane
from tests.fakes.merkle_log import MerkleLog


async def refusal(call: Any) -> BrokerError:
    with pytest.raises(BrokerError) as caught:
        await call
    return caught.value


class BrokerContract:
    """`broker` is of a runtime that is not paired yet; `make_seat` pairs it and gives an attached client with a kernel."""

    async def test_pairs_once(self, broker: Broker, plane: ControlPlane) -> None:
        assert not (await broker.status()).paired
        request = await broker.pairing_start()
        paired = await broker.pairing_finish(plane.enrol(request), plane.root_documents[:1])
        assert paired == await broker.status()
        assert (paired.paired, paired.workspace_id, tuple(paired.allowed_origins)) == (True, plane.workspace_id, (ORIGIN,))
        again = await refusal(broker.pairing_start())
        assert (again.reason, again.metadata["resource"]) == (reasons_pb2.ERROR_REASON_ALREADY_EXISTS, "runtime")
        assert "paired already" in again.text

    async def test_does_nothing_else_before(self, broker: Broker) -> None:
        assert list(await broker.receipts_after(0, 10)) == []
        for call in (broker.kernel_started(b"h" * 16, "python3"), broker.accept_trust([], b"x"), broker.wait_receipts(0)):
            assert (await refusal(call)).reason == reasons_pb2.ERROR_REASON_NOT_PAIRED

    async def test_attaches_the_client_that_the_capability_names(self, make_seat, broker: Broker, plane: ControlPlane) -> None:
        await make_seat()
        client = Client()
        data, pending = await broker.hello(plane.capability(client), plane.challenge(client), client.nonce, client.key.public, ORIGIN, [], b"")
        auth = attach_pb2.ClientAuth(hello_digest=signed_digest(data), origin=ORIGIN)
        attachment = await broker.attach(pending, sign(auth, client.key))
        assert attachment.session_id == client.session_id
        assert attachment.scopes == {attach_pb2.SCOPE_VIEW, attach_pb2.SCOPE_RUN}
        again = await refusal(broker.attach(pending, sign(auth, client.key)))
        assert again.reason == reasons_pb2.ERROR_REASON_CAPABILITY_INVALID

    async def test_a_client_that_is_gone_starts_and_hands_in_nothing(self, make_seat, broker: Broker) -> None:
        seat = await make_seat()
        await broker.detach(seat.handle)
        await broker.detach(seat.handle)
        for call in (broker.open_sealed(seat.sealed(), seat.handle), broker.kernel_started(seat.handle, "python3")):
            assert (await refusal(call)).reason == reasons_pb2.ERROR_REASON_HELLO_STALE

    async def test_takes_trust_and_no_older_one(self, make_seat, broker: Broker, plane: ControlPlane) -> None:
        await make_seat()
        old = plane.trust_state()
        newer = plane.trust_state(version=9)
        stored = await broker.accept_trust(plane.root_documents, newer)
        assert (stored.root_version, stored.trust_version, stored.expires_at_ms) == (1, 9, (await broker.status()).trust_expires_at_ms)
        assert (stored.trust_phase, stored.runs_until_ms) == (trust_pb2.TRUST_PHASE_FRESH, stored.expires_at_ms)
        rollback = await refusal(broker.accept_trust([], old))
        assert (rollback.reason, rollback.metadata) == (reasons_pb2.ERROR_REASON_ROLLBACK_REFUSED, {"document": "trust-state"})

    async def test_tells_of_another_phase_of_trust_when_it_comes(self, make_seat, broker: Broker, plane: ControlPlane) -> None:
        await make_seat()
        assert (await broker.wait_trust(trust_pb2.TRUST_PHASE_GRACE)).trust_phase == trust_pb2.TRUST_PHASE_FRESH
        waiting = asyncio.create_task(broker.wait_trust(trust_pb2.TRUST_PHASE_FRESH))
        await broker.accept_trust([], plane.trust_state(runtime_status=trust_pb2.RUNTIME_STATUS_REVOKED))
        assert (await waiting).trust_phase == trust_pb2.TRUST_PHASE_REVOKED

    async def test_takes_a_proof_of_the_log_and_demands_one(self, make_seat, broker: Broker, plane: ControlPlane) -> None:
        seat = await make_seat()
        log = MerkleLog.of(9)
        notes = {size: log.note(plane.workspace_id, size, plane.keys[trust_pb2.ROLE_AUDIT]) for size in (4, 9)}
        assert (await broker.accept_trust([], b"", LogProof(0, notes[4], ()))).log_size == 4
        seat.hello, demanding = await seat.runtime.attach(seat.client, plane.trust_state(checkpoint=notes[9]))
        refused = await broker.open_sealed(seat.sealed(), demanding.handle)
        assert isinstance(refused, Rejected)
        assert (await broker.accept_trust([], b"", LogProof(4, notes[9], log.proof(4, 9)))).log_size == 9
        assert isinstance(await broker.open_sealed(seat.sealed(), demanding.handle), Run)

    async def test_a_run_from_its_program_to_its_end(self, make_seat, broker: Broker) -> None:
        seat = await make_seat()
        run = await seat.open(seat.sealed(seat.grant(), user_expressions={"a": "1 + 1"}, limits=run_pb2.Limits(wall_ms=7), allow_stdin=True))
        assert isinstance(run, Run)
        assert (run.code, run.user_expressions, run.limits.wall_ms, run.allow_stdin, run.silent) == ("x = 1", {"a": "1 + 1"}, 7, True, False)
        assert (run.nonce.kernel_epoch, run.session_id, run.user_id) == (1, seat.client.session_id, seat.client.user_id)
        assert len(run.ticket) == 32
        assert run.socket_path.endswith(".sock")
        await broker.run_started(run.nonce)
        await broker.run_progress(run.nonce, 256, b"p" * 32)
        await broker.run_ended(RunEnd(run.nonce, receipt_pb2.RUN_STATUS_ERROR, 300, b"e" * 32, True, "ValueError"))
        carried = [unverified(receipt, receipt_pb2.Receipt) for _, receipt in await broker.receipts_after(2, 100)]
        assert [receipt.type for receipt in carried] == [
            receipt_pb2.RECEIPT_TYPE_START,
            receipt_pb2.RECEIPT_TYPE_PROGRESS,
            receipt_pb2.RECEIPT_TYPE_END,
        ]
        end = carried[-1]
        assert (end.frames, end.output_digest, end.truncated, end.reason) == (300, b"e" * 32, True, "ValueError")
        over = await refusal(broker.run_started(run.nonce))
        assert over.reason == reasons_pb2.ERROR_REASON_INTERNAL

    async def test_a_replay_is_rejected_with_a_receipt(self, make_seat, broker: Broker) -> None:
        seat = await make_seat()
        sealed = seat.sealed()
        first, second = await seat.open(sealed), await seat.open(sealed)
        assert isinstance(first, Run)
        assert isinstance(second, Rejected)
        assert (second.nonce, second.reason, second.ciphertext_digest) == (
            first.nonce,
            reasons_pb2.ERROR_REASON_REPLAY_REFUSED,
            first.ciphertext_digest,
        )
        assert (second.cell_id, second.user_id, bool(second.text)) == (first.cell_id, first.user_id, True)

    async def test_a_bundle_is_stored(self, make_seat) -> None:
        seat = await make_seat()
        stored = await seat.give_bundle(3)
        assert isinstance(stored, BundleStored)
        assert stored.bundle_version == 3
        assert stored.expires_at_ms > seat.runtime.plane.clock()

    async def test_what_cannot_be_opened_says_no_more(self, make_seat) -> None:
        seat = await make_seat()
        refused = await refusal(seat.open(b"x" * (4 << 20)))
        assert refused.reason == reasons_pb2.ERROR_REASON_OPEN_FAILED

    async def test_programs_for_a_kernel_that_ended_are_rejected(self, make_seat, broker: Broker) -> None:
        seat = await make_seat()
        live = await broker.kernel_started(seat.handle, "python3")
        assert live == LiveKernel(2, seat.client.session_id)
        await broker.kernel_ended(1, "stopped")
        rejected = await seat.open(seat.sealed())
        assert isinstance(rejected, Rejected)
        assert rejected.reason == reasons_pb2.ERROR_REASON_KERNEL_EPOCH_STALE

    async def test_receipts_come_in_order_until_they_are_acknowledged(self, make_seat, broker: Broker, plane: ControlPlane) -> None:
        await make_seat()
        carried = await broker.receipts_after(0, 100)
        assert [seq for seq, _ in carried] == [1, 2]
        assert list(await broker.receipts_after(0, 1)) == [carried[0]]
        await broker.acknowledge(plane.ack(*carried[0]))
        assert list(await broker.receipts_after(0, 100)) == [carried[1]]
        conflict = await refusal(broker.acknowledge(plane.ack(carried[1][0], carried[0][1])))
        assert (conflict.reason, conflict.metadata) == (reasons_pb2.ERROR_REASON_RECEIPT_CONFLICT, {"receipt_seq": "2"})

    async def test_whoever_waits_for_a_receipt_wakes_and_calls_pass_each_other(self, make_seat, broker: Broker) -> None:
        seat = await make_seat()
        waiting, other = asyncio.create_task(broker.wait_receipts(2)), asyncio.create_task(broker.wait_receipts(2))
        await broker.status()
        assert not waiting.done()
        other.cancel()
        await broker.kernel_started(seat.handle, "python3")
        await asyncio.wait_for(waiting, 5)
        assert other.cancelled()

    async def test_many_calls_at_once(self, make_seat, broker: Broker) -> None:
        seat = await make_seat()
        runs = [await seat.open(seat.sealed()) for _ in range(20)]
        await asyncio.gather(*(broker.run_started(run.nonce) for run in runs))
        ends = [RunEnd(run.nonce, receipt_pb2.RUN_STATUS_OK, 0, b"", False) for run in runs]
        await asyncio.gather(*(broker.run_ended(end) for end in ends))
        assert [seq for seq, _ in await broker.receipts_after(0, 100)] == list(range(1, 43))

    async def test_closing_ends_what_waits(self, make_seat, broker: Broker) -> None:
        await make_seat()
        waiting = asyncio.create_task(broker.wait_receipts(2))
        await broker.status()
        await broker.close()
        assert (await refusal(waiting)).reason in (reasons_pb2.ERROR_REASON_DRAINING, reasons_pb2.ERROR_REASON_UNAVAILABLE)


@pytest.fixture
def unpaired(plane: ControlPlane, make_runtime: Callable[..., Any]) -> Any:
    return make_runtime(plane)


@pytest.fixture
def make_seat(unpaired: Any, broker: Broker, plane: ControlPlane, take_seat: Callable[..., Any]) -> Callable[[], Any]:
    async def make() -> Any:
        unpaired.broker = broker
        await unpaired.pair()
        await broker.accept_trust([], plane.trust_state())
        return await take_seat(unpaired)

    return make


class TestLocalBroker(BrokerContract):
    @pytest.fixture
    def broker(self, unpaired: Any) -> Broker:
        made: Broker = unpaired.broker
        return made


class TestRemoteBroker(BrokerContract):
    @pytest.fixture
    async def broker(self, unpaired: Any) -> AsyncIterator[Broker]:
        local, (brokers, servers) = unpaired.broker, socket.socketpair()
        boundary = await Boundary.serve(local, brokers)
        remote = await RemoteBroker.connect(servers)
        yield remote
        await remote.close()
        await asyncio.wait_for(boundary.ended.wait(), 5)
        await local.close()
