"""What tests of the audit service do all the time: log, upload, export, verify."""

import asyncio
import base64
from collections.abc import Sequence
from typing import Any

import orjson

from spin_envelope.digests import signed_digest
from spin_envelope.export import Summary, verify_export
from spinapis.audit.v1 import audit_pb2 as pb
from spinapis.audit.v1.audit_pb2_grpc import HistoryServiceStub, LogServiceStub
from spinapis.auth.v1.members_pb2 import MemberRole
from spinapis.auth.v1.members_pb2_grpc import add_AccessServiceServicer_to_server
from spinapis.auth.v1.trust_pb2_grpc import add_EnrolmentServiceServicer_to_server
from spinapis.runtime.v1.frames_pb2 import Output
from tests.fakes.installation import Installation, Metadata
from tests.fakes.peer_services import FakeAccess, FakeWorkspaces, add_workspaces
from tests.fakes.runtimes import FakeEnrolment, FakeRun, FakeRuntime

WORKSPACE = "ab" * 16
OWNER, VIEWER, AUDITOR = "owner", "viewer", "auditor"


class AuditBench:
    def __init__(self, installation: Installation, access: FakeAccess, enrolment: FakeEnrolment) -> None:
        self.installation = installation
        self.access = access
        self.enrolment = enrolment
        self.workspaces = FakeWorkspaces()
        self.log = LogServiceStub(installation.channel("audit"))
        self.history = HistoryServiceStub(installation.channel("audit"))

    async def start_peers(self) -> None:
        for user, role in ((OWNER, "OWNER"), (VIEWER, "VIEWER"), (AUDITOR, "AUDITOR")):
            self.access.roles[user, WORKSPACE] = MemberRole.Value(f"MEMBER_ROLE_{role}")
        servicers = ((add_AccessServiceServicer_to_server, self.access), (add_EnrolmentServiceServicer_to_server, self.enrolment))
        await self.installation.start_fake("auth", *servicers)
        await self.installation.start_fake("workspace", *add_workspaces(self.workspaces))

    @property
    def owner(self) -> Metadata:
        """A fresh token: tests move the clock."""
        return self.installation.as_user(OWNER)

    def service(self, name: str) -> Metadata:
        return self.installation.as_service(name, "audit", OWNER)

    async def append(self, *entries: pb.NewEntry, service: str = "auth", workspace_id: str = WORKSPACE) -> list[int]:
        request = pb.AppendEntriesRequest(workspace_id=workspace_id, entries=entries)
        return list((await self.log.AppendEntries(request, metadata=self.service(service))).indexes)

    async def enrol(self) -> FakeRuntime:
        """A runtime whose enrolment is in the log, as auth puts it there."""
        runtime = self.enrolment.add()
        body = {"enrol_grant": base64.b64encode(runtime.enrol_grant).decode(), "runtime_id": runtime.runtime_id}
        subjects = [f"runtime:{runtime.runtime_id}"]
        await self.append(
            pb.NewEntry(type="runtime.enrolled", user_id=OWNER, subjects=subjects, body_json=orjson.dumps(body).decode()), service="auth"
        )
        return runtime

    async def compile(self, run: FakeRun, user_id: str = OWNER, **fields: str) -> int:
        """What the compiler logs before a program leaves it."""
        runtime_id, session_id = run.runtime.runtime_id, run.session_id.hex()
        body = {
            "run_id": run.id,
            "program_digest": run.program_digest.hex(),
            "grant_digest": "00" * 32,
            "source_digest": "00" * 32,
            "session_id": session_id,
            "notebook_id": "0b" * 16,
            "cell_id": "c1",
            "cell_type": "python",
            "runtime_id": runtime_id,
            "user_id": user_id,
            "connections": [],
            **fields,
        }
        entry = pb.NewEntry(
            idempotency_key=f"program:{run.program_digest.hex()}",
            type="program.compiled",
            user_id=user_id,
            subjects=[f"session:{session_id}", "notebook:" + "0b" * 16, "cell:c1", f"runtime:{runtime_id}", f"run:{run.id}"],
            body_json=orjson.dumps(body).decode(),
        )
        return (await self.append(entry, service="compiler"))[0]

    async def upload(self, runtime: FakeRuntime, *receipts: bytes) -> bytes:
        """The signed ReceiptAck."""
        request = pb.UploadReceiptsRequest(workspace_id=WORKSPACE, runtime_id=runtime.runtime_id, receipts=receipts)
        return (await self.history.UploadReceipts(request, metadata=self.owner)).receipt_ack

    async def upload_outputs(self, run: FakeRun, bodies: Sequence[bytes] | None = None, first: int = 1) -> int:
        found = run.outputs if bodies is None else bodies
        outputs = [Output(index=first + place, kind=1, body=body) for place, body in enumerate(found)]
        request = pb.UploadOutputsRequest(workspace_id=WORKSPACE, runtime_id=run.runtime.runtime_id, nonce=run.nonce, outputs=outputs)
        return (await self.history.UploadOutputs(request, metadata=self.owner)).stored

    async def runs(self, session_id: bytes = b"\x5e" * 16) -> list[pb.Run]:
        request = pb.ListRunsRequest(workspace_id=WORKSPACE, session_id=session_id.hex())
        return list((await self.history.ListRuns(request, metadata=self.owner)).runs)

    async def alarms(self, open_only: bool = True) -> list[str]:
        request = pb.ListAlarmsRequest(workspace_id=WORKSPACE, open_only=open_only)
        return [alarm.type for alarm in (await self.history.ListAlarms(request, metadata=self.owner)).alarms]

    async def alarms_become(self, *wanted: str) -> None:
        """Waits for the background sweep to raise or clear them."""
        async with asyncio.timeout(20):
            while await self.alarms() != list(wanted):
                await asyncio.sleep(0.05)

    async def export(self, session_id: str = "") -> list[bytes]:
        request = pb.ExportLogRequest(workspace_id=WORKSPACE, session_id=session_id)
        data = b"".join([part.lines async for part in self.log.ExportLog(request, metadata=self.owner)])
        return data.splitlines(keepends=True)

    async def verified_export(self, session_id: str = "") -> Summary:
        return verify_export(await self.export(session_id), signed_digest(self.installation.keys.root_documents()[0]))

    async def entries(self, **wanted: Any) -> list[pb.Entry]:
        request = pb.ListEntriesRequest(workspace_id=WORKSPACE, **wanted)
        return list((await self.log.ListEntries(request, metadata=self.owner)).entries)
