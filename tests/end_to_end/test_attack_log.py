"""Attacks on the log by whoever can write audit's database and has audit itself sign what comes of it: nothing inside the log shows them.

A runtime that has seen the log before is a witness. The log is that of a workspace of its own, so nothing is put back.
"""

import asyncio
import contextlib
import secrets
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from scripts.platform.apart import RunningPlatform
from spin_client.sdk import Platform, RunState, RuntimeSession, SpinError
from spin_envelope.merkle import leaf_hash
from spin_envelope.note import origin_of, unverified_checkpoint
from spin_envelope.signing import unverified
from spin_services.audit.tiles import Edge
from spinapis.audit.v1 import audit_pb2
from spinapis.envelope.v1 import attach_pb2, receipt_pb2
from spinapis.errors.v1 import reasons_pb2
from spinapis.runtime.v1 import frames_pb2
from spinapis.workspace.v1 import notebooks_pb2
from tests.fakes.extra_runtime import ExtraRuntime
from tests.fakes.hand_client import HandClient, new_session
from tests.fakes.history import deliver_receipts, proved
from tests.fakes.key_rotation import rotate

# A running service looks for new keys once in a second.
NOTICED_S = 1.5
CELL = notebooks_pb2.Cell(id="cell", cell_type="python", source="print('fine')")


@pytest.fixture
async def witness(running: RunningPlatform, owner: Platform, tmp_path: Path) -> AsyncIterator[ExtraRuntime]:
    """A runtime with a workspace of its own."""
    runtime = ExtraRuntime(tmp_path, running.settings.service_port_base + 16)
    await runtime.pair(owner, f"Witnessed {secrets.token_hex(4)}")
    yield runtime
    runtime.stop()


@pytest.fixture
async def session(owner: Platform, witness: ExtraRuntime) -> notebooks_pb2.Session:
    """In which a cell has run, with all that it left behind in the log."""
    opened = await new_session(owner, witness.record.workspace_id, witness.record.id)
    assert await ran(owner, opened) == "OK"
    await deliver_receipts(owner, opened)
    assert await seen(owner, opened) > 5
    return opened


async def ran(owner: Platform, session: notebooks_pb2.Session) -> str:
    async with await HandClient.attach(owner, session) as client:
        await client.start_kernel()
        return await client.outcome((await client.compile("print('fine')")).sealed)


async def seen(owner: Platform, session: notebooks_pb2.Session) -> int:
    """The size of the log that the runtime holds, once a client has brought a proof."""
    async with await HandClient.attach(owner, session):
        pass
    async with await HandClient.attach(owner, session, prove=False) as client:
        hello = unverified(client.hello, attach_pb2.Hello)
        return unverified_checkpoint(hello.checkpoint, origin_of(hello.workspace_id)).size


async def told(owner: Platform, session: notebooks_pb2.Session) -> SpinError:
    """What a person is told who attaches and runs a cell."""
    with pytest.raises(SpinError) as refused:
        async with await RuntimeSession.of(owner, session) as opened:
            states = [event async for event in opened.run(CELL) if isinstance(event, RunState)]
            raise SpinError(states[-1].reason, states[-1].message)
    return refused.value


def rebuilt(running: RunningPlatform, workspace_id: str, *, keep: int | None = None, forge: int = 0) -> None:
    """Every entry a second earlier than it was, only the first `keep` of them, `forge` copies of one behind; and the tree that fits that.

    One transaction: audit keeps nothing beside its database, so it makes no difference whether it was stopped for it.
    """
    with contextlib.closing(sqlite3.connect(running.settings.data / "db" / "audit.sqlite", timeout=10)) as db, db:
        db.execute("BEGIN IMMEDIATE")
        ((log_id,),) = db.execute("SELECT id FROM logs WHERE workspace_id = ?", (workspace_id,)).fetchall()
        if keep is not None:
            db.execute("DELETE FROM entries WHERE log_id = ? AND entry_index >= ?", (log_id, keep))
            db.execute("DELETE FROM subjects WHERE log_id = ? AND entry_index >= ?", (log_id, keep))
        for copy in range(forge):
            db.execute(
                "INSERT INTO entries (log_id, entry_index, idempotency_key, type, time_ms, pseudonym, leaf, salt, body) "
                "SELECT log_id, (SELECT max(entry_index) + 1 FROM entries WHERE log_id = ?1), ?2, type, time_ms, pseudonym, leaf, salt, body "
                "FROM entries WHERE log_id = ?1 AND type = 'program.compiled' LIMIT 1",
                (log_id, f"forged {copy}"),
            )
        rows = db.execute("SELECT entry_index, leaf FROM entries WHERE log_id = ? ORDER BY entry_index", (log_id,)).fetchall()
        leaves = [_earlier(leaf) for _, leaf in rows]
        for (index, _), leaf in zip(rows, leaves, strict=True):
            db.execute("UPDATE entries SET leaf = ?, time_ms = time_ms - 1000 WHERE log_id = ? AND entry_index = ?", (leaf, log_id, index))
        db.execute("DELETE FROM tiles WHERE log_id = ?", (log_id,))
        for (level, index), hashes in Edge(0, {}).extend(map(leaf_hash, leaves)).items():
            db.execute("INSERT INTO tiles (log_id, level, tile_index, hashes) VALUES (?, ?, ?, ?)", (log_id, level, index, hashes))
        db.execute("UPDATE logs SET size = ? WHERE id = ?", (len(leaves), log_id))


def _earlier(leaf: bytes) -> bytes:
    said = receipt_pb2.LogLeaf.FromString(leaf)
    said.time_ms -= 1000
    return said.SerializeToString()


async def test_a_log_rewritten_whole(running: RunningPlatform, owner: Platform, witness: ExtraRuntime, session: notebooks_pb2.Session) -> None:
    before = await seen(owner, session)
    rebuilt(running, session.workspace_id, forge=3)
    # The log itself shows nothing: every entry, every proof, every signature is as it should be.
    await proved(owner, session.workspace_id)

    error = await told(owner, session)
    assert error.reason == "LOG_REFUSED"
    assert f"spin/{session.workspace_id}" in error.text and f"{before} entries then" in error.text and "rewritten, forked or set back" in error.text

    # A client that is in league with the platform hands the platform's own proof on without a look at it.
    async with await HandClient.attach(owner, session, prove=False) as client:
        await client.start_kernel()
        request = audit_pb2.GetConsistencyProofRequest(workspace_id=session.workspace_id, runtime_id=session.runtime_id, from_size=before)
        answer = await owner.log.GetConsistencyProof(request)
        proof = frames_pb2.LogProof(from_size=before, note=answer.note.encode(), hashes=answer.hashes)
        await client.send(trust_documents=frames_pb2.TrustDocuments(log_proof=proof))
        refused = (await client.next("error")).error
        assert refused.reason == reasons_pb2.ERROR_REASON_ROLLBACK_REFUSED
        assert f"{before} entries then, {answer.to_size} now" in refused.message
        assert await client.outcome((await client.compile("print('pwned')")).sealed) == "LOG_UNPROVEN"
    assert "audit_log_contradicts" in witness.log.read_text()

    # A restart forgets nothing.
    witness.stop()
    witness.start(witness.token)
    assert (await told(owner, session)).reason == "LOG_REFUSED"


async def test_a_log_cut_short(running: RunningPlatform, owner: Platform, witness: ExtraRuntime, session: notebooks_pb2.Session) -> None:
    before = await seen(owner, session)
    rebuilt(running, session.workspace_id, keep=2)
    error = await told(owner, session)
    assert error.reason == "ROLLBACK_REFUSED"
    assert f"{before} entries then" in error.text and "which is fewer" in error.text
    assert "audit_log_contradicts" in witness.log.read_text()


async def test_a_proof_that_is_withheld(owner: Platform, session: notebooks_pb2.Session) -> None:
    """Stream and receipts go on; nothing new runs until somebody brings the proof."""
    async with await HandClient.attach(owner, session, prove=False, position=0) as client:
        assert "fine" in client.printed()
        await client.start_kernel()
        await deliver_receipts(owner, session)
    async with await HandClient.attach(owner, session, prove=False) as client:
        assert await client.outcome((await client.compile("print('pwned')")).sealed) == "LOG_UNPROVEN"
        async with await HandClient.attach(owner, session):
            pass
        assert await client.outcome((await client.compile("print('fine')")).sealed) == "OK"


async def test_honest_growth_across_restarts_and_rotations(
    running: RunningPlatform, owner: Platform, witness: ExtraRuntime, session: notebooks_pb2.Session
) -> None:
    sizes = [await seen(owner, session)]
    for _ in range(2):
        # After two rotations the key that signed the held note has left the root document.
        rotate(running.settings, "audit")
        rotate(running.settings, "audit")
        await asyncio.sleep(NOTICED_S)
        witness.stop()
        witness.start(witness.token)
        async with await RuntimeSession.of(owner, session) as opened:
            states = [event async for event in opened.run(CELL) if isinstance(event, RunState)]
            assert states[-1].ok, states[-1]
            assert await opened.settle()
        sizes.append(await seen(owner, session))
    assert sizes == sorted(set(sizes))
    await proved(owner, session.workspace_id)
