"""The runtime as a witness of the log: what it holds grows by proof alone, and a session runs nothing before the log is proved to it."""

from dataclasses import replace
from typing import Any

import pytest

from spin_envelope.keys import SigningKey
from spin_runtime.broker.api import BrokerError, LogProof, Rejected, Run
from spinapis.envelope.v1 import receipt_pb2, trust_pb2
from spinapis.errors.v1 import reasons_pb2
from tests.fakes.control_plane import Client, ControlPlane
from tests.fakes.merkle_log import MerkleLog

LOG, REWRITTEN = MerkleLog.of(20), MerkleLog.of(20, "rewritten")
AUDIT = trust_pb2.ROLE_AUDIT


def note(plane: ControlPlane, size: int, log: MerkleLog = LOG, key: SigningKey | None = None) -> bytes:
    return log.note(plane.workspace_id, size, key or plane.keys[AUDIT])


def proof(plane: ControlPlane, old: int, new: int, log: MerkleLog = LOG) -> LogProof:
    return LogProof(old, note(plane, new, log), log.proof(old, new) if old <= new else ())


def shows(plane: ControlPlane, size: int, log: MerkleLog = LOG) -> bytes:
    return plane.trust_state(checkpoint=note(plane, size, log))


async def held(runtime: Any) -> bytes:
    checkpoint: bytes = (await runtime.hello(Client())).checkpoint
    return checkpoint


async def denied(call: Any, reason: int) -> BrokerError:
    with pytest.raises(BrokerError) as caught:
        await call
    assert caught.value.reason == reason, caught.value
    return caught.value


@pytest.fixture
async def witness(runtime: Any, plane: ControlPlane) -> Any:
    """A runtime that holds the checkpoint of 8 entries."""
    await runtime.broker.accept_trust([], shows(plane, 8))
    return runtime


async def test_the_first_checkpoint_is_taken_on_first_use(runtime: Any, plane: ControlPlane) -> None:
    assert await held(runtime) == b""
    await runtime.broker.accept_trust([], shows(plane, 3))
    assert await held(runtime) == note(plane, 3)


async def test_a_first_proof_is_taken_on_first_use(runtime: Any, plane: ControlPlane) -> None:
    assert (await runtime.broker.accept_trust([], b"", proof(plane, 0, 5))).log_size == 5
    assert await held(runtime) == note(plane, 5)


async def test_a_log_grows_from_nothing(runtime: Any, plane: ControlPlane) -> None:
    await runtime.broker.accept_trust([], shows(plane, 0))
    assert (await runtime.broker.accept_trust([], b"", proof(plane, 0, 5))).log_size == 5


async def test_a_larger_checkpoint_without_proof_changes_nothing(witness: Any, plane: ControlPlane) -> None:
    assert (await witness.broker.accept_trust([], shows(plane, 12))).log_size == 8
    assert await held(witness) == note(plane, 8)


async def test_a_proved_checkpoint_is_held_across_restarts(witness: Any, plane: ControlPlane) -> None:
    assert (await witness.broker.accept_trust([], b"", proof(plane, 8, 12))).log_size == 12
    await witness.restart()
    assert await held(witness) == note(plane, 12)
    assert (await witness.broker.accept_trust([], b"", proof(plane, 12, 13))).log_size == 13


async def test_the_same_checkpoint_again_is_taken(witness: Any, plane: ControlPlane) -> None:
    await witness.broker.accept_trust([], shows(plane, 8))
    assert (await witness.broker.accept_trust([], b"", proof(plane, 8, 8))).log_size == 8


@pytest.mark.parametrize(("size", "log"), [(7, LOG), (0, LOG), (8, REWRITTEN)], ids=["shorter", "emptied", "another of the same size"])
async def test_a_trust_state_that_contradicts_what_is_held(witness: Any, plane: ControlPlane, size: int, log: MerkleLog) -> None:
    await witness.restart()
    error = await denied(witness.broker.accept_trust([], shows(plane, size, log)), reasons_pb2.ERROR_REASON_ROLLBACK_REFUSED)
    assert "rewritten, forked or set back" in error.text
    assert (error.metadata["known_size"], error.metadata["shown_size"]) == ("8", str(size))
    # An attachment ends there; an older version of a document would only be passed over.
    await denied(witness.hello(Client(), shows(plane, size, log)), reasons_pb2.ERROR_REASON_ROLLBACK_REFUSED)
    assert await held(witness) == note(plane, 8)


@pytest.mark.parametrize("size", [0, 7, 8, 9, 15, 16, 20])
async def test_a_log_rewritten_whole(witness: Any, plane: ControlPlane, size: int) -> None:
    """A consistent tree of audit's own making, with proofs of itself."""
    error = await denied(witness.broker.accept_trust([], b"", proof(plane, 8, size, REWRITTEN)), reasons_pb2.ERROR_REASON_ROLLBACK_REFUSED)
    assert "8 entries then" in error.text and f"{size} now" in error.text
    assert await held(witness) == note(plane, 8)


async def test_a_proof_of_nothing(witness: Any, plane: ControlPlane) -> None:
    right = proof(plane, 8, 12)
    for hashes in ((), right.hashes[:-1], (*right.hashes, bytes(32)), (b"short", *right.hashes[1:])):
        await denied(witness.broker.accept_trust([], b"", replace(right, hashes=hashes)), reasons_pb2.ERROR_REASON_ROLLBACK_REFUSED)
    assert await held(witness) == note(plane, 8)


async def test_a_note_that_audit_did_not_sign(witness: Any, plane: ControlPlane) -> None:
    other_workspace = LOG.note(bytes(16), 12, plane.keys[AUDIT])
    for forged in (note(plane, 12, key=plane.keys[trust_pb2.ROLE_AUTH]), other_workspace, b"", b"\xff"):
        await denied(witness.broker.accept_trust([], b"", replace(proof(plane, 8, 12), note=forged)), reasons_pb2.ERROR_REASON_OPEN_FAILED)
    assert await held(witness) == note(plane, 8)


async def test_a_note_signed_by_a_revoked_key(witness: Any, plane: ControlPlane) -> None:
    await witness.broker.accept_trust([], plane.trust_state(revoked_key_ids=[plane.keys[AUDIT].key_id]))
    await denied(witness.broker.accept_trust([], b"", proof(plane, 8, 12)), reasons_pb2.ERROR_REASON_OPEN_FAILED)


async def test_honest_growth_across_a_rotation_of_audits_key(witness: Any, plane: ControlPlane) -> None:
    before = await held(witness)
    document = plane.rotate(audit=SigningKey.generate())
    await witness.restart()
    # The key that signed the held note is gone from the root document.
    assert (await witness.broker.accept_trust([document], shows(plane, 12))).log_size == 8
    assert await held(witness) == before
    assert (await witness.broker.accept_trust([], b"", proof(plane, 8, 12))).log_size == 12


async def test_two_clients_with_proofs_at_once(witness: Any, plane: ControlPlane) -> None:
    """The one that comes second brings a proof from a checkpoint that is no longer the held one."""
    await witness.broker.accept_trust([], b"", proof(plane, 8, 12))
    assert (await witness.broker.accept_trust([], b"", proof(plane, 8, 11))).log_size == 12
    assert (await witness.broker.accept_trust([], b"", proof(plane, 8, 12))).log_size == 12
    error = await denied(witness.broker.accept_trust([], b"", proof(plane, 8, 13)), reasons_pb2.ERROR_REASON_LOG_UNPROVEN)
    assert "attach again" in error.text
    await denied(witness.broker.accept_trust([], b"", proof(plane, 15, 16)), reasons_pb2.ERROR_REASON_LOG_UNPROVEN)


# What a session may do before the proof


async def test_a_session_that_withholds_the_proof_runs_nothing(witness: Any, plane: ControlPlane, take_seat: Any) -> None:
    seat = await take_seat(witness)
    seat.hello, attachment = await witness.attach(seat.client, shows(plane, 12))
    refused = await witness.broker.open_sealed(seat.sealed(), attachment.handle)
    assert isinstance(refused, Rejected) and refused.reason == reasons_pb2.ERROR_REASON_LOG_UNPROVEN
    assert "12 entries" in refused.text and "attach again" in refused.text
    assert (await witness.receipts())[-1].reason == "ERROR_REASON_LOG_UNPROVEN"
    await witness.broker.accept_trust([], b"", proof(plane, 8, 12))
    assert isinstance(await witness.broker.open_sealed(seat.sealed(), attachment.handle), Run)


async def test_what_an_attachment_is_shown_is_what_it_must_prove(witness: Any, plane: ControlPlane) -> None:
    async def shown(trust_state: bytes = b"") -> int:
        _, attachment = await witness.attach(Client(), trust_state)
        size: int = witness.broker._clients.attached(attachment.handle, plane.clock()).log_size
        return size

    assert await shown() == 8
    assert await shown(shows(plane, 12)) == 12
    await witness.restart()
    assert await shown() == 12, "a restart forgives nothing"


async def test_one_session_without_proof_stops_no_other(witness: Any, plane: ControlPlane, take_seat: Any) -> None:
    seat = await take_seat(witness)
    running = await seat.open(seat.sealed())
    assert isinstance(running, Run)
    await witness.hello(Client(), shows(plane, 12))
    await witness.broker.run_started(running.nonce)
    receipts = await witness.broker.receipts_after(0, 10_000)
    await witness.broker.acknowledge(plane.ack(*receipts[0]))
    assert isinstance(await seat.open(seat.sealed()), Run)
    assert (await witness.receipts())[-1].type == receipt_pb2.RECEIPT_TYPE_START
