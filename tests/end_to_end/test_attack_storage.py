"""Attacks by whoever can write the control plane's databases. Each edit is put back, because the platform is shared."""

import contextlib
import sqlite3
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import pytest

from scripts.platform.apart import RunningPlatform
from spin_client.sdk import Platform, SpinError
from spin_envelope.chain import OutputChain
from spin_envelope.export import ExportInvalid
from spin_envelope.keys import SigningKey, VerifyKey
from spin_envelope.signing import sign, unverified, verify
from spinapis.audit.v1 import audit_pb2
from spinapis.auth.v1 import trust_pb2
from spinapis.envelope.v1 import enrol_pb2, receipt_pb2
from spinapis.envelope.v1.trust_pb2 import RUNTIME_STATUS_CONFIRMED
from spinapis.workspace.v1 import workspaces_pb2
from tests.fakes.extra_runtime import ExtraRuntime
from tests.fakes.hand_client import HandClient, new_session
from tests.fakes.history import deliver_receipts, proved
from tests.fakes.stolen_keys import now_ms

RUNTIME = "SELECT status, enrol_grant, grant_digest, confirmation FROM runtimes WHERE runtime_id = ?"
SET_RUNTIME = "UPDATE runtimes SET status = ?, enrol_grant = ?, grant_digest = ?, confirmation = ? WHERE runtime_id = ?"
ADD_RUNTIME = (
    "INSERT INTO runtimes (workspace_id, runtime_id, status, enrol_grant, grant_digest, confirmation, trust_version, enrolled_at_ms) "
    "VALUES (?, ?, ?, ?, ?, ?, 0, ?)"
)


def execute(running: RunningPlatform, service: str, statement: str, *values: Any) -> list[Any]:
    """One statement in a service's database, while the service runs."""
    with contextlib.closing(sqlite3.connect(running.settings.data / "db" / f"{service}.sqlite", timeout=10)) as connection, connection:
        return connection.execute(statement, values).fetchall()


async def refused(owner: Platform, workspace_id: str, runtime_id: str) -> str:
    """Why nobody gets as far as sealing anything to that runtime: auth, which compiler and secrets ask as well, and the client itself."""
    session = await new_session(owner, workspace_id, runtime_id)
    with pytest.raises(SpinError) as of_the_client:
        await HandClient.attach(owner, session)
    with pytest.raises(SpinError) as of_auth:
        await owner.enrolment.GetRuntimeTrust(trust_pb2.GetRuntimeTrustRequest(workspace_id=workspace_id, runtime_id=runtime_id))
    assert of_the_client.value.reason == of_auth.value.reason
    return of_auth.value.reason


async def recorded(owner: Platform, workspace_id: str) -> str:
    """The id of a runtime that was registered and never paired."""
    request = workspaces_pb2.CreateRuntimeRequest(workspace_id=workspace_id, name=f"Rogue {now_ms()}", url="http://evil.example:8888")
    return (await owner.runtimes.CreateRuntime(request)).runtime.id


async def test_a_rogue_runtime_written_into_the_database(running: RunningPlatform, owner: Platform, workspace: workspaces_pb2.Workspace) -> None:
    """Grant and confirmation are perfect but for the key that signed them."""
    runtime_id, thief, identity = await recorded(owner, workspace.id), SigningKey.generate(), SigningKey.generate()
    ids = {"workspace_id": bytes.fromhex(workspace.id), "runtime_id": bytes.fromhex(runtime_id), "identity_key": identity.public}
    grant = sign(enrol_pb2.EnrolGrant(**ids, suite=2, issued_at_ms=now_ms(), allowed_hosts=["evil.example:8888"]), thief)
    digest = verify(grant, enrol_pb2.EnrolGrant, [VerifyKey(thief.public)]).digest
    confirmation = sign(enrol_pb2.RuntimeConfirmation(**ids, grant_digest=digest, confirmed_at_ms=now_ms()), thief)
    execute(running, "auth", ADD_RUNTIME, workspace.id, runtime_id, RUNTIME_STATUS_CONFIRMED, grant, digest.hex(), confirmation, now_ms())
    assert await refused(owner, workspace.id, runtime_id) == "SIGNATURE_INVALID"


async def test_another_workspaces_runtime_copied_into_this_one(
    running: RunningPlatform, owner: Platform, workspace: workspaces_pb2.Workspace, foreign_runtime: ExtraRuntime
) -> None:
    """Every signature in the row is genuine; they speak of another runtime."""
    ((status, grant, digest, confirmation),) = execute(running, "auth", RUNTIME, foreign_runtime.record.id)
    runtime_id = await recorded(owner, workspace.id)
    execute(running, "auth", ADD_RUNTIME, workspace.id, runtime_id, status, grant, digest, confirmation, now_ms())
    session = await new_session(owner, workspace.id, runtime_id)
    with pytest.raises(SpinError) as stopped:
        await HandClient.attach(owner, session)
    assert stopped.value.reason in ("SIGNATURE_INVALID", "TRUST_REFUSED")


async def test_an_unconfirmed_runtime_marked_as_confirmed(running: RunningPlatform, owner: Platform, second_runtime: ExtraRuntime) -> None:
    """The row says CONFIRMED, and nobody's signature does; nor does a confirmation of another runtime help."""
    record = second_runtime.record
    (kept,) = execute(running, "auth", RUNTIME, record.id)
    ((_, _, _, others),) = execute(running, "auth", RUNTIME + " LIMIT 1", _platforms_own(running, record.id))
    session = await new_session(owner, record.workspace_id, record.id)
    try:
        for confirmation in (b"", others):
            execute(running, "auth", SET_RUNTIME, RUNTIME_STATUS_CONFIRMED, kept[1], kept[2], confirmation, record.id)
            with contextlib.suppress(SpinError):
                # What auth remembered for a moment still counts for it; the compiler looks for itself.
                async with await HandClient.attach(owner, session) as client:
                    await client.start_kernel()
                    with pytest.raises(SpinError) as stopped:
                        await client.compile("print('pwned')")
                    assert stopped.value.reason in ("RUNTIME_NOT_CONFIRMED", "SIGNATURE_INVALID")
    finally:
        execute(running, "auth", SET_RUNTIME, *kept, record.id)


def _platforms_own(running: RunningPlatform, but: str) -> str:
    rows = execute(running, "auth", "SELECT runtime_id FROM runtimes WHERE status = 2 AND runtime_id != ? ORDER BY enrolled_at_ms", but)
    return str(rows[0][0])


async def test_a_run_counter_set_back(running: RunningPlatform, client: HandClient) -> None:
    """auth then gives the same number twice, and the runtime takes none twice."""
    assert await client.outcome((await client.compile("print(1)")).sealed) == "OK"
    where = "boot_id = ? AND kernel_epoch = ?"
    boot, epoch = client.boot_id.hex(), client.epoch
    ((last,),) = execute(running, "auth", f"SELECT last_seq FROM run_counters WHERE {where}", boot, epoch)
    execute(running, "auth", f"UPDATE run_counters SET last_seq = 0 WHERE {where}", boot, epoch)
    try:
        again = await client.compile("print('pwned')")
        assert again.nonce.seq == 1
        assert await client.outcome(again.sealed) == "REPLAY_REFUSED"
    finally:
        execute(running, "auth", f"UPDATE run_counters SET last_seq = ? WHERE {where}", last, boot, epoch)


# -- the log


@pytest.fixture
async def log_id(running: RunningPlatform, owner: Platform, client: HandClient) -> AsyncIterator[int]:
    """The log of the client's workspace, which verifies before the attack and after the edit was put back."""
    await deliver_receipts(owner, client.session)
    await proved(owner, client.session.workspace_id)
    ((found,),) = execute(running, "audit", "SELECT id FROM logs WHERE workspace_id = ?", client.session.workspace_id)
    yield found
    await proved(owner, client.session.workspace_id)


def picked(running: RunningPlatform, log_id: int, of_type: str) -> Sequence[Any]:
    """The second entry of that type: its index, leaf, salt, body and receipt."""
    query = "SELECT entry_index, leaf, salt, body, receipt FROM entries WHERE log_id = ? AND type = ? ORDER BY entry_index LIMIT 1 OFFSET 1"
    found: Sequence[Any] = execute(running, "audit", query, log_id, of_type)[0]
    return found


@contextlib.contextmanager
def edited(running: RunningPlatform, log_id: int, index: int, **columns: Any) -> Iterator[None]:
    """An entry's row with these columns changed, until the end of the block."""
    names = list(columns)
    where = "WHERE log_id = ? AND entry_index = ?"
    (kept,) = execute(running, "audit", f"SELECT {', '.join(names)} FROM entries {where}", log_id, index)
    assignments = ", ".join(f"{name} = ?" for name in names)
    execute(running, "audit", f"UPDATE entries SET {assignments} {where}", *columns.values(), log_id, index)
    try:
        yield
    finally:
        execute(running, "audit", f"UPDATE entries SET {assignments} {where}", *kept, log_id, index)


async def failure(owner: Platform, client: HandClient) -> ExportInvalid:
    with pytest.raises(ExportInvalid) as invalid:
        await proved(owner, client.session.workspace_id)
    return invalid.value


async def test_an_edited_body_in_the_log(running: RunningPlatform, owner: Platform, client: HandClient, log_id: int) -> None:
    index, _, _, body, _ = picked(running, log_id, "program.compiled")
    with edited(running, log_id, index, body=body.replace("cell", "call")):
        assert (await failure(owner, client)).index == index


async def test_an_edited_salt_in_the_log(running: RunningPlatform, owner: Platform, client: HandClient, log_id: int) -> None:
    index = picked(running, log_id, "program.compiled")[0]
    with edited(running, log_id, index, salt=bytes(32)):
        assert (await failure(owner, client)).index == index


async def test_a_receipt_in_the_log_replaced_by_another(running: RunningPlatform, owner: Platform, client: HandClient, log_id: int) -> None:
    index = picked(running, log_id, "receipt.end")[0]
    another = picked(running, log_id, "receipt.start")[4]
    with edited(running, log_id, index, receipt=another):
        assert (await failure(owner, client)).index == index


async def test_a_receipt_in_the_log_with_another_status(running: RunningPlatform, owner: Platform, client: HandClient, log_id: int) -> None:
    """A failure turned into a success, leaf and all: the runtime did not sign that."""
    index, leaf, _, _, receipt = picked(running, log_id, "receipt.end")
    said = unverified(receipt, receipt_pb2.Receipt)
    said.status = receipt_pb2.RUN_STATUS_ERROR
    thief = SigningKey.generate()
    forged = sign(said, thief)
    changed = receipt_pb2.LogLeaf.FromString(leaf)
    changed.receipt_digest = verify(forged, receipt_pb2.Receipt, [VerifyKey(thief.public)]).digest
    with edited(running, log_id, index, receipt=forged, leaf=changed.SerializeToString()):
        assert (await failure(owner, client)).index == index


async def test_an_edited_leaf_in_the_log(running: RunningPlatform, owner: Platform, client: HandClient, log_id: int) -> None:
    index, leaf, _, _, _ = picked(running, log_id, "program.compiled")
    changed = receipt_pb2.LogLeaf.FromString(leaf)
    changed.time_ms += 1
    with edited(running, log_id, index, leaf=changed.SerializeToString()):
        assert "checkpoint" in (await failure(owner, client)).text


async def test_an_entry_taken_out_of_the_log(running: RunningPlatform, owner: Platform, client: HandClient, log_id: int) -> None:
    index = picked(running, log_id, "receipt.end")[0]
    where, away = "WHERE log_id = ? AND entry_index = ?", -1 - log_id
    execute(running, "audit", f"UPDATE entries SET log_id = ? {where}", away, log_id, index)
    try:
        assert (await failure(owner, client)).index == index + 1
    finally:
        execute(running, "audit", f"UPDATE entries SET log_id = ? {where}", log_id, away, index)


async def test_stored_outputs_that_were_edited(running: RunningPlatform, owner: Platform, client: HandClient, log_id: int) -> None:
    """What a history shows as an output is what the runtime signed, or it is not shown as verified."""
    request = audit_pb2.ListRunsRequest(workspace_id=client.session.workspace_id, session_id=client.session.id, page_size=100)
    run = next(run for run in (await owner.history.ListRuns(request)).runs if run.outputs_verified and run.frames_stored)
    where = "WHERE log_id = ? AND run_id = ? AND output_index = 1"
    ((body,),) = execute(running, "audit", f"SELECT body FROM outputs {where}", log_id, run.id)
    execute(running, "audit", f"UPDATE outputs SET body = ? {where}", b"\x0a\x02{}", log_id, run.id)
    try:
        stored = await owner.history.ListRunOutputs(audit_pb2.ListRunOutputsRequest(workspace_id=client.session.workspace_id, run_id=run.id))
        chain = OutputChain()
        for output in stored.outputs:
            chain.append(output.kind, output.body)
        ((signed,),) = execute(running, "audit", "SELECT output_digest FROM runs WHERE log_id = ? AND run_id = ?", log_id, run.id)
        assert chain.digest != signed
    finally:
        execute(running, "audit", f"UPDATE outputs SET body = ? {where}", body, log_id, run.id)
