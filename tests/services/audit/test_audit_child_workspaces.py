"""A child workspace on its parent's runtime: its members read and prove their own runs, and nobody else's; neither do the others read theirs."""

import base64
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import pytest

from spin_envelope.digests import signed_digest
from spin_envelope.export import Summary, verify_export
from spin_envelope.merkle import leaf_hash, verify_inclusion
from spin_envelope.note import open_note, origin_of
from spin_envelope.signing import unverified
from spinapis.audit.v1 import audit_pb2 as pb
from spinapis.auth.v1.members_pb2 import MemberRole
from spinapis.envelope.v1.receipt_pb2 import ReceiptAck, ReceiptType
from spinapis.envelope.v1.trust_pb2 import Role
from spinapis.runtime.v1.frames_pb2 import Output
from tests.fakes.audit_bench import WORKSPACE as PARENT
from tests.fakes.audit_bench import AuditBench
from tests.fakes.installation import refused
from tests.fakes.runtimes import FakeRun, FakeRuntime

CHILD, SIBLING, STRANGER = "c1" * 16, "51" * 16, "7e" * 16
CHILD_SESSION, SIBLING_SESSION, PARENT_SESSION = b"\xc1" * 16, b"\x51" * 16, b"\xab" * 16
MEMBERS = {"kid": CHILD, "sis": SIBLING, "who": STRANGER}


class Family:
    """One runtime of the parent's, with a run in a session of each workspace; each member belongs to one workspace alone."""

    def __init__(self, bench: AuditBench, runtime: FakeRuntime) -> None:
        self.bench, self.runtime = bench, runtime
        self.runs: dict[str, FakeRun] = {}

    def by(self, user: str) -> Any:
        return self.bench.installation.as_user(user)

    async def ran(self, workspace_id: str, session_id: bytes, seq: int, user: str) -> FakeRun:
        run = FakeRun(self.runtime, seq, [b"output of " + user.encode()], session_id=session_id)
        await self.bench.compile(run, user_id=user, workspace_id=workspace_id)
        await self.upload(workspace_id, user, self.runtime.start(run), self.runtime.end(run))
        await self.upload_outputs(workspace_id, user, run)
        self.runs[user] = run
        return run

    async def upload(self, workspace_id: str, user: str, *receipts: bytes) -> bytes:
        request = pb.UploadReceiptsRequest(workspace_id=workspace_id, runtime_id=self.runtime.runtime_id, receipts=receipts)
        return (await self.bench.history.UploadReceipts(request, metadata=self.by(user))).receipt_ack

    async def upload_outputs(self, workspace_id: str, user: str, run: FakeRun) -> int:
        outputs = [Output(index=place + 1, kind=1, body=body) for place, body in enumerate(run.outputs)]
        request = pb.UploadOutputsRequest(workspace_id=workspace_id, runtime_id=self.runtime.runtime_id, nonce=run.nonce, outputs=outputs)
        return (await self.bench.history.UploadOutputs(request, metadata=self.by(user))).stored

    async def told(self, workspace_id: str, session_id: bytes, user: str) -> list[pb.Run]:
        request = pb.ListRunsRequest(workspace_id=workspace_id, session_id=session_id.hex())
        return list((await self.bench.history.ListRuns(request, metadata=self.by(user))).runs)

    async def outputs(self, workspace_id: str, run: FakeRun, user: str) -> list[bytes]:
        request = pb.ListRunOutputsRequest(workspace_id=workspace_id, run_id=run.id)
        return [output.body for output in (await self.bench.history.ListRunOutputs(request, metadata=self.by(user))).outputs]

    async def entries(self, workspace_id: str, user: str, **wanted: Any) -> list[pb.Entry]:
        request = pb.ListEntriesRequest(workspace_id=workspace_id, **wanted)
        return list((await self.bench.log.ListEntries(request, metadata=self.by(user))).entries)

    async def export(self, workspace_id: str, session_id: bytes, user: str) -> tuple[str, Summary]:
        request = pb.ExportLogRequest(workspace_id=workspace_id, session_id=session_id.hex())
        data = b"".join([part.lines async for part in self.bench.log.ExportLog(request, metadata=self.by(user))])
        root = signed_digest(self.bench.installation.keys.root_documents()[0])
        return data.decode(), verify_export(data.splitlines(keepends=True), root)


@pytest.fixture
async def family(bench: AuditBench) -> Family:
    bench.workspaces.parents |= {CHILD: PARENT, SIBLING: PARENT}
    for user, workspace_id in MEMBERS.items():
        bench.access.roles[user, workspace_id] = MemberRole.MEMBER_ROLE_EDITOR
    other = await bench.enrol()
    made = Family(bench, await bench.enrol())
    await bench.upload(other, other.boot())
    await bench.upload(made.runtime, made.runtime.boot())
    await made.ran(PARENT, PARENT_SESSION, 1, "owner")
    await made.ran(CHILD, CHILD_SESSION, 2, "kid")
    await made.ran(SIBLING, SIBLING_SESSION, 3, "sis")
    return made


async def test_a_child_members_receipts_join_the_one_chain_of_the_parents_runtime(family: Family) -> None:
    ack = unverified(await family.upload(CHILD, "kid", family.runtime.receipt(ReceiptType.RECEIPT_TYPE_KERNEL)), ReceiptAck)
    assert (ack.workspace_id.hex(), ack.up_to_seq) == (PARENT, 8)
    whole = await family.bench.verified_export()
    assert (whole.receipts, whole.receipt_breaks, whole.receipts_unproved) == (9, 0, 0)
    assert await family.bench.alarms(open_only=False) == []


async def test_the_childs_session_has_its_history_with_verified_outputs(family: Family) -> None:
    (told,) = await family.told(CHILD, CHILD_SESSION, "kid")
    assert (told.id, told.user_id, told.outputs_verified, told.log_workspace_id) == (family.runs["kid"].id, "kid", True, PARENT)
    assert await family.outputs(CHILD, family.runs["kid"], "kid") == [b"output of kid"]


async def test_the_childs_runs_are_proved_against_the_parents_checkpoint(family: Family) -> None:
    (told,) = await family.told(CHILD, CHILD_SESSION, "kid")
    log, keys = family.bench.log, family.bench.installation.keys.root().keys(Role.ROLE_AUDIT)
    request = pb.GetCheckpointRequest(workspace_id=CHILD, runtime_id=family.runtime.runtime_id)
    checkpoint = open_note((await log.GetCheckpoint(request, metadata=family.by("kid"))).note, keys, origin_of(bytes.fromhex(PARENT)))
    entries = {entry.index: entry for entry in await family.entries(CHILD, "kid", session_id=CHILD_SESSION.hex(), subject=f"run:{told.id}")}
    assert sorted(entries) == list(told.entry_indexes)
    for index, entry in entries.items():
        wanted = pb.GetInclusionProofRequest(workspace_id=CHILD, session_id=CHILD_SESSION.hex(), index=index, tree_size=checkpoint.size)
        proof = await log.GetInclusionProof(wanted, metadata=family.by("kid"))
        verify_inclusion(leaf_hash(entry.leaf), index, checkpoint.size, proof.hashes, checkpoint.root_hash)
    older = pb.GetConsistencyProofRequest(workspace_id=CHILD, runtime_id=family.runtime.runtime_id, from_size=3, to_size=checkpoint.size)
    assert (await log.GetConsistencyProof(older, metadata=family.by("kid"))).hashes


async def test_the_childs_export_verifies_and_holds_nothing_of_the_others(family: Family) -> None:
    text, summary = await family.export(CHILD, CHILD_SESSION, "kid")
    assert (summary.workspace_id.hex(), summary.receipts, summary.receipts_unproved, summary.entries) == (PARENT, 2, 0, 4)
    bodies = [base64.b64decode(orjson.loads(line)["body"]) for line in text.splitlines()[1:]]
    enrolled = [body for body in bodies if b"enrol_grant" in body]
    assert len(enrolled) == 1 and family.runtime.runtime_id.encode() in enrolled[0], "the parent's other runtimes are not the child's business"
    assert not any(user in body for user in (b"owner", b"sis") for body in bodies)


async def test_an_alarm_about_the_childs_run_is_listed_in_both(family: Family) -> None:
    run = FakeRun(family.runtime, 9, [b"the truth"], session_id=CHILD_SESSION)
    await family.bench.compile(run, user_id="kid", workspace_id=CHILD)
    await family.upload(CHILD, "kid", family.runtime.receipt(ReceiptType.RECEIPT_TYPE_START, run, program_digest=b"\x66" * 32))

    async def alarms(workspace_id: str, user: str) -> list[str]:
        request = pb.ListAlarmsRequest(workspace_id=workspace_id, open_only=True)
        return [alarm.type for alarm in (await family.bench.history.ListAlarms(request, metadata=family.by(user))).alarms]

    assert await alarms(CHILD, "kid") == await alarms(PARENT, "owner") == ["receipt.unknown_program"]
    assert await alarms(SIBLING, "sis") == []


async def test_a_run_that_nobody_compiled_shows_up_in_the_session_that_it_names(family: Family) -> None:
    run = FakeRun(family.runtime, 12, session_id=CHILD_SESSION)
    await family.upload(PARENT, "owner", family.runtime.start(run))
    assert run.id in [told.id for told in await family.told(CHILD, CHILD_SESSION, "kid")]


async def test_neither_parent_nor_sibling_reads_the_childs_runs(family: Family) -> None:
    run = family.runs["kid"]
    for workspace_id, user in ((PARENT, "owner"), (SIBLING, "sis"), (STRANGER, "who")):
        assert await family.told(workspace_id, CHILD_SESSION, user) == []
        with refused() as refusal:
            await family.outputs(workspace_id, run, user)
        assert refusal.reason == "NOT_FOUND"
    for workspace_id, user in ((SIBLING, "sis"), (STRANGER, "who")):
        assert await family.entries(workspace_id, user, session_id=CHILD_SESSION.hex()) == []
        assert (await family.export(workspace_id, CHILD_SESSION, user))[1].entries == 0


async def test_the_child_reads_nothing_of_the_parents_and_the_siblings(family: Family) -> None:
    for session_id, user in ((PARENT_SESSION, "owner"), (SIBLING_SESSION, "sis")):
        assert await family.told(CHILD, session_id, "kid") == []
        assert await family.entries(CHILD, "kid", session_id=session_id.hex()) == []
        assert (await family.export(CHILD, session_id, "kid"))[1].entries == 0
        with refused() as refusal:
            await family.outputs(CHILD, family.runs[user], "kid")
        assert refusal.reason == "NOT_FOUND"
    assert await family.entries(CHILD, "kid") == []


async def test_a_session_opens_no_other_entry_of_the_parents_log(family: Family) -> None:
    mine = {entry.index for entry in await family.entries(CHILD, "kid", session_id=CHILD_SESSION.hex())}
    size = len(await family.entries(PARENT, "owner"))
    for index in set(range(size + 1)) - mine:
        request = pb.GetInclusionProofRequest(workspace_id=CHILD, session_id=CHILD_SESSION.hex(), index=index)
        with refused() as refusal:
            await family.bench.log.GetInclusionProof(request, metadata=family.by("kid"))
        assert refusal.reason == "NOT_FOUND"
    assert mine and await family.entries(CHILD, "kid", session_id=CHILD_SESSION.hex(), type="runtime.") == []
    assert await family.entries(CHILD, "kid", session_id=CHILD_SESSION.hex(), subject=f"run:{family.runs['sis'].id}") == []


Call = Callable[[Family], Awaitable[Any]]


def _in_parent(call: Callable[[Family, Any], Awaitable[Any]]) -> Call:
    return lambda family: call(family, family.by("kid"))


@pytest.mark.parametrize(
    "call",
    [
        _in_parent(lambda f, m: f.bench.log.ListEntries(pb.ListEntriesRequest(workspace_id=PARENT), metadata=m)),
        _in_parent(lambda f, m: f.bench.log.GetCheckpoint(pb.GetCheckpointRequest(workspace_id=PARENT), metadata=m)),
        _in_parent(lambda f, m: f.bench.log.GetInclusionProof(pb.GetInclusionProofRequest(workspace_id=PARENT, index=0), metadata=m)),
        _in_parent(lambda f, m: f.bench.history.ListAlarms(pb.ListAlarmsRequest(workspace_id=PARENT), metadata=m)),
        lambda f: f.told(PARENT, CHILD_SESSION, "kid"),
        lambda f: f.export(PARENT, CHILD_SESSION, "kid"),
        lambda f: f.upload(PARENT, "kid", f.runtime.receipt(ReceiptType.RECEIPT_TYPE_KERNEL)),
    ],
    ids=["entries", "checkpoint", "proof", "alarms", "runs", "export", "receipts"],
)
async def test_a_member_of_the_child_may_do_nothing_in_the_parent(family: Family, call: Call) -> None:
    with refused() as refusal:
        await call(family)
    assert refusal.reason == "NOT_FOUND"


async def test_a_run_takes_outputs_from_its_own_workspace_alone(family: Family) -> None:
    run = FakeRun(family.runtime, 20, [b"mine"], session_id=CHILD_SESSION)
    await family.bench.compile(run, user_id="kid", workspace_id=CHILD)
    for workspace_id, user in ((SIBLING, "sis"), (PARENT, "owner"), (STRANGER, "who")):
        with refused() as refusal:
            await family.upload_outputs(workspace_id, user, run)
        assert refusal.reason == "NOT_FOUND"
    assert await family.upload_outputs(CHILD, "kid", run) == 1


async def test_a_runtime_serves_no_workspace_beside_its_home(family: Family) -> None:
    """The fake auth here tells anyone of any runtime, as a careless one might: the line of ancestors decides as well."""
    runtime_id = family.runtime.runtime_id
    with refused() as refusal:
        await family.upload(STRANGER, "who", *family.runtime.receipts)
    assert refusal.reason == "NOT_FOUND"
    for request, call in (
        (pb.GetCheckpointRequest(workspace_id=STRANGER, runtime_id=runtime_id), family.bench.log.GetCheckpoint),
        (pb.GetConsistencyProofRequest(workspace_id=STRANGER, runtime_id=runtime_id), family.bench.log.GetConsistencyProof),
    ):
        with refused() as refusal:
            await call(request, metadata=family.by("who"))  # type: ignore[operator]
        assert refusal.reason == "NOT_FOUND"


async def test_a_line_of_ancestors_lends_no_runtime_that_auth_does_not_know_there(family: Family) -> None:
    family.bench.workspaces.parents[STRANGER] = PARENT
    family.bench.enrolment.runtimes.clear()
    with refused() as refusal:
        await family.upload(STRANGER, "who", *family.runtime.receipts)
    assert refusal.reason == "NOT_FOUND"
