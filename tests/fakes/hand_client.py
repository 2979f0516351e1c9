"""A client that speaks the protocol by hand, one step at a time, so that a test can depart from it at any of them.

What it does right it does as the SDK does; nothing in it is weaker than a real client, only more obedient.
"""

import asyncio
import hashlib
import json
from collections.abc import Callable
from typing import Any

from spin_client.sdk.handshake import ClientKey, answer_hello, check_hello, open_with
from spin_client.sdk.identifiers import id_bytes
from spin_client.sdk.platform import Platform
from spin_client.sdk.trust import verify_runtime
from spin_client.sdk.wire import Wire, dial
from spin_client.sdk.witness import log_proof
from spinapis.auth.v1 import trust_pb2
from spinapis.compiler.v1 import compiler_pb2
from spinapis.envelope.v1 import receipt_pb2
from spinapis.errors.v1 import reasons_pb2
from spinapis.runtime.v1 import frames_pb2
from spinapis.workspace.v1 import notebooks_pb2, workspaces_pb2

ANSWER_S = 20.0
FINAL = (frames_pb2.RUN_PHASE_ENDED, frames_pb2.RUN_PHASE_REJECTED)
READY = (frames_pb2.KERNEL_PHASE_IDLE, frames_pb2.KERNEL_PHASE_BUSY)


class HandClient:
    """One attached socket. Frames are read in order, and kept in `seen`."""

    def __init__(self, platform: Platform, session: notebooks_pb2.Session, wire: Wire, hello: bytes, challenge: bytes) -> None:
        self.platform, self.session, self.wire = platform, session, wire
        self.hello, self.challenge = hello, challenge
        self.attached = frames_pb2.Attached()
        self.seen: list[frames_pb2.RuntimeFrame] = []
        self.epoch = 0

    @classmethod
    async def attach(
        cls, platform: Platform, session: notebooks_pb2.Session, *, runtime_url: str = "", position: int | None = None, prove: bool = True
    ) -> "HandClient":
        """Does the whole handshake; resumes after `position`, by default after all that was said before. `prove` False keeps the log's proof back."""
        workspace_id, runtime_id = session.workspace_id, session.runtime_id
        key = ClientKey()
        granted = await platform.grants.IssueCapability(
            trust_pb2.IssueCapabilityRequest(
                workspace_id=workspace_id, session_id=session.id, notebook_id=session.notebook_id, runtime_id=runtime_id, cnf=key.cnf
            )
        )
        where = {"workspace_id": workspace_id, "runtime_id": runtime_id}
        state = (await platform.enrolment.GetTrustState(trust_pb2.GetTrustStateRequest(**where))).trust_state
        enrolled = await platform.enrolment.GetRuntimeTrust(trust_pb2.GetRuntimeTrustRequest(**where))
        registered = (await platform.runtimes.GetRuntime(workspaces_pb2.GetRuntimeRequest(**where))).runtime
        runtime = verify_runtime(await platform.trust.root(), enrolled, runtime_id, (workspace_id, registered.workspace_id))
        url = runtime_url or registered.url
        opening = open_with(key, granted, await platform.trust.documents(), state, id_bytes(session.id))
        wire = await dial(url)
        await wire.send(opening.frame)
        attachment = check_hello((await wire.receive(ANSWER_S)).hello, opening, runtime)
        self = cls(platform, session, wire, attachment.hello, granted.challenge)
        await wire.send(answer_hello(key, attachment.hello))
        self.attached = (await self.next("attached")).attached
        self.epoch = self.attached.kernel.kernel_epoch
        resume = self.attached.last_position if position is None else position
        await self.send(resume=frames_pb2.Resume(position=resume))
        await self.next("resumed")
        if prove and (proof := await log_proof(platform, workspace_id, runtime_id, attachment)):
            await self.send(trust_documents=frames_pb2.TrustDocuments(log_proof=proof))
            answer = await self.next_of("trust_accepted", "error")
            assert not answer.HasField("error"), answer.error
        return self

    @property
    def boot_id(self) -> bytes:
        return self.attached.boot_id

    async def send(self, **frame: Any) -> None:
        await self.wire.send(frames_pb2.ClientFrame(**frame))

    async def next(self, kind: str, test: Callable[[Any], bool] = lambda _: True) -> frames_pb2.RuntimeFrame:
        """The next frame of that kind that passes the test."""
        async with asyncio.timeout(ANSWER_S):
            while True:
                frame = await self.wire.receive(ANSWER_S)
                self.seen.append(frame)
                if frame.WhichOneof("body") == kind and test(getattr(frame, kind)):
                    return frame

    async def next_of(self, *kinds: str) -> frames_pb2.RuntimeFrame:
        """The next frame of one of these kinds."""
        async with asyncio.timeout(ANSWER_S):
            while True:
                self.seen.append(await self.wire.receive(ANSWER_S))
                if self.seen[-1].WhichOneof("body") in kinds:
                    return self.seen[-1]

    async def start_kernel(self) -> int:
        """The epoch of the session's kernel, once it is ready."""
        if self.attached.kernel.phase not in READY:
            await self.send(start_kernel=frames_pb2.StartKernel())
            state = (await self.next("kernel_state", lambda kernel: kernel.phase in READY)).kernel_state
            self.attached.kernel.CopyFrom(state)
            self.epoch = state.kernel_epoch
        return self.epoch

    async def stop_kernel(self) -> None:
        await self.send(stop_kernel=frames_pb2.StopKernel())
        await self.next("kernel_state", lambda kernel: kernel.phase not in READY)

    async def compile(self, source: str, cell_id: str = "cell", **change: Any) -> compiler_pb2.CompileCellResponse:
        request = compiler_pb2.CompileCellRequest(
            workspace_id=self.session.workspace_id,
            notebook_id=self.session.notebook_id,
            cell_id=cell_id,
            cell=compiler_pb2.CellDefinition(cell_type="python", source=source),
            session_id=self.session.id,
            hello=self.hello,
            challenge=self.challenge,
            kernel_epoch=self.epoch,
            kernel_language="python",
        )
        for name, value in change.items():
            setattr(request, name, value)
        return await self.platform.compiler.CompileCell(request)

    async def outcome(self, sealed: bytes) -> str:
        """Sends the sealed bytes and tells what became of them: "OK", "ERROR", … for a run that ended, else the reason of the refusal."""
        await self.send(sealed=sealed)
        digest = hashlib.sha256(sealed).digest()
        async with asyncio.timeout(ANSWER_S):
            while True:
                frame = await self.wire.receive(ANSWER_S)
                self.seen.append(frame)
                error, run = frame.error, frame.run_state
                if error.ciphertext_digest == digest or error.fatal:
                    return _reason(error.reason)
                if run.ciphertext_digest == digest and run.phase in FINAL:
                    return _reason(run.reason) if run.phase == frames_pb2.RUN_PHASE_REJECTED else _status(run.status)

    def printed(self) -> str:
        """All text that the frames seen so far carried."""
        texts = []
        for frame in self.seen:
            for output in frame.outputs.outputs:
                if output.kind == frames_pb2.OUTPUT_KIND_STREAM:
                    texts.append(json.loads(frames_pb2.OutputBody.FromString(output.body).content)["text"])
        return "".join(texts)

    async def close(self) -> None:
        await self.wire.close()

    async def __aenter__(self) -> "HandClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


async def new_session(platform: Platform, workspace_id: str, runtime_id: str = "", title: str = "Attack") -> notebooks_pb2.Session:
    """A notebook of its own and its session."""
    book = await platform.notebooks.CreateNotebook(notebooks_pb2.CreateNotebookRequest(workspace_id=workspace_id, title=title))
    request = notebooks_pb2.OpenSessionRequest(workspace_id=workspace_id, notebook_id=book.notebook.id, runtime_id=runtime_id)
    return (await platform.sessions.OpenSession(request)).session


def _reason(reason: "reasons_pb2.ErrorReason.ValueType") -> str:
    return reasons_pb2.ErrorReason.Name(reason).removeprefix("ERROR_REASON_")


def _status(status: int) -> str:
    return receipt_pb2.RunStatus.Name(status).removeprefix("RUN_STATUS_")
