"""The whole path as a person's program walks it: the sample notebook, following and resuming a session, parameters, proofs, REST and gRPC."""

import asyncio
import json
import subprocess
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from scripts.platform import sample
from scripts.platform.apart import RunningPlatform
from scripts.platform.settings import ROOT
from spin_client.sdk import NotebookRun, Output, Platform, RunState, RuntimeSession
from spin_envelope.export import verify_export
from spinapis.audit.v1 import audit_pb2
from spinapis.runtime.v1 import frames_pb2
from spinapis.secrets.v1 import secrets_pb2
from spinapis.workspace.v1 import notebooks_pb2, workspaces_pb2
from tests.fakes.hand_client import FINAL, HandClient, new_session
from tests.fakes.history import proved, runs_of

LINES, WIDTH = 9000, 1000
# 9 MB in 9,000 messages, at more than 1,000 of them in a second.
PRINTING = f"""
import sys, time
for i in range({LINES}):
    print(f"{{i:08d}} " + "x" * {WIDTH - 10})
    sys.stdout.flush()
    time.sleep(0.0002)
"""
EVERY_LINE = "".join(f"{i:08d} " + "x" * (WIDTH - 10) + "\n" for i in range(LINES))


def python(source: str, cell_id: str = "cell", **fields: Any) -> notebooks_pb2.Cell:
    return notebooks_pb2.Cell(id=cell_id, cell_type="python", source=source, **fields)


async def test_the_sample_notebook(owner: Platform, workspace: workspaces_pb2.Workspace, session: notebooks_pb2.Session) -> None:
    book = await sample.notebook(owner, workspace.id)
    verdict = await sample.run(owner, book, session.runtime_id, lambda _: None)
    assert verdict.cells >= 7 and verdict.outputs > verdict.cells
    assert (verdict.failed, verdict.unverified) == ((), ())
    saved = await sample.notebook(owner, workspace.id)
    assert [cell for cell in saved.cells if cell.outputs_json and b"image/png" in _bytes(cell.outputs_json)]


def _bytes(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text


# -- resume


class Stream:
    """The frames of a session with positions, as one client got them over however many connections."""

    def __init__(self) -> None:
        self.frames: dict[int, bytes] = {}
        self.end = 0
        self.parts: list[str] = []
        self.size = 0

    def take(self, frame: frames_pb2.RuntimeFrame) -> None:
        if frame.position:
            assert frame.position not in self.frames, "a position came twice"
            self.frames[frame.position] = frame.SerializeToString()
            self.end = frame.position if frame.run_state.phase in FINAL else self.end
            for output in frame.outputs.outputs:
                if output.kind == frames_pb2.OUTPUT_KIND_STREAM:
                    self.parts.append(json.loads(frames_pb2.OutputBody.FromString(output.body).content)["text"])
                    self.size += len(self.parts[-1])

    @property
    def last(self) -> int:
        return max(self.frames, default=0)

    def run(self) -> list[bytes]:
        """Every frame up to the run's end, byte for byte; none is missing."""
        assert sorted(self.frames) == list(range(1, self.last + 1))
        return [self.frames[position] for position in range(1, self.end + 1)]


async def read(client: HandClient, stream: Stream, *, until: int = 0) -> bool:
    """Reads to the end of a run, or until so much text is there; True at the end."""
    ended = False
    for frame in client.seen:
        stream.take(frame)
        ended = ended or frame.run_state.phase in FINAL
    client.seen.clear()
    async with asyncio.timeout(60):
        while not ended and not (until and stream.size >= until):
            frame = await client.wire.receive(30)
            stream.take(frame)
            ended = frame.run_state.phase in FINAL
    return ended


async def torn_and_resumed(client: HandClient, stream: Stream) -> int:
    """Reads a run over a socket that is cut again and again; how often it was cut before the run's end."""
    cuts = 0
    while not await read(client, stream, until=(cuts + 1) << 20):
        cuts += 1
        # As a cable is pulled: no goodbye.
        client.wire._ws._writer.transport.abort()
        await client.close()
        client = await HandClient.attach(client.platform, client.session, position=stream.last)
    await client.close()
    return cuts


async def test_resume_in_the_middle_of_9_mb_is_byte_identical(owner: Platform, workspace: workspaces_pb2.Workspace) -> None:
    """One client's socket is cut after every megabyte, another one watches undisturbed, a third one comes when all is over."""
    opened = await new_session(owner, workspace.id, title="Resume")
    torn, watching, replayed = Stream(), Stream(), Stream()
    client = await HandClient.attach(owner, opened, position=0)
    await client.start_kernel()
    async with await HandClient.attach(owner, opened, position=0) as other:
        sealed = (await client.compile(PRINTING)).sealed
        follower = asyncio.create_task(read(other, watching))
        await client.send(sealed=sealed)
        assert await torn_and_resumed(client, torn) > 1
        assert await follower
    async with await HandClient.attach(owner, opened, position=0) as late:
        assert await read(late, replayed)
        await late.stop_kernel()
    assert "".join(torn.parts) == EVERY_LINE
    assert watching.run() == torn.run()
    assert replayed.run() == torn.run()


async def test_two_clients_follow_one_session(owner: Platform, workspace: workspaces_pb2.Workspace) -> None:
    opened = await new_session(owner, workspace.id, title="Together")
    heard: list[str] = []
    async with await RuntimeSession.of(owner, opened) as first, await RuntimeSession.attach(owner, workspace.id, opened.id) as second:
        second.watch(lambda _, event: heard.append(str(event.content.get("text", ""))) if isinstance(event, Output) else None)
        async for _ in first.run(python("shared = 21\nprint('from the first')")):
            pass
        said = [event.content.get("text") async for event in second.run(python("print(shared * 2)")) if isinstance(event, Output)]
        assert "42\n" in said
        await second.settle()
        assert "from the first\n" in heard
        await first.stop_kernel()


async def test_parameters_take_the_place_of_defaults(owner: Platform, workspace: workspaces_pb2.Workspace) -> None:
    defaults = python("city = 'Bern'\ndays = 1", "defaults", metadata_json='{"tags": ["parameters"]}')
    cells = [defaults, python("print(city, days)", "show")]
    request = notebooks_pb2.CreateNotebookRequest(workspace_id=workspace.id, title="Parameters", cells=cells)
    book = (await owner.notebooks.CreateNotebook(request)).notebook
    async with await RuntimeSession.open(owner, workspace.id, book.id) as session:
        running = NotebookRun(session, book, parameters={"city": "Zürich", "days": 3})
        texts = [event.content.get("text") async for event in running.events() if isinstance(event, Output)]
        await session.stop_kernel()
    assert "Zürich 3\n" in texts


async def test_a_sessions_history_is_proved_by_itself(owner: Platform, session: notebooks_pb2.Session) -> None:
    async with await RuntimeSession.of(owner, session) as opened:
        events = [event async for event in opened.run(python("print('to be proved')"))]
        assert isinstance(events[-1], RunState) and events[-1].ok
        assert await opened.settle()
    whole = await proved(owner, session.workspace_id)
    request = audit_pb2.ExportLogRequest(workspace_id=session.workspace_id, session_id=session.id)
    part = b"".join([chunk.lines async for chunk in owner.log.ExportLog(request)])
    summary = verify_export(part.splitlines(keepends=True))
    assert not summary.full and 0 < summary.entries < whole.entries
    assert summary.receipts >= 2
    assert [run for run in await runs_of(owner, session) if run.outputs_verified]


async def test_spinctl_verifies_an_export_with_no_server(owner: Platform, session: notebooks_pb2.Session, tmp_path: Path) -> None:
    request = audit_pb2.ExportLogRequest(workspace_id=session.workspace_id)
    export = b"".join([chunk.lines async for chunk in owner.log.ExportLog(request)])
    good, bad = tmp_path / "good.jsonl", tmp_path / "bad.jsonl"
    good.write_bytes(export)
    lines = export.splitlines(keepends=True)
    entry = json.loads(lines[5])
    lines[5] = json.dumps(entry | {"salt": "A" * len(entry["salt"])}).encode() + b"\n"
    bad.write_bytes(b"".join(lines))
    for path, status, said in ((good, 0, "entries"), (bad, 1, "entry 4")):
        command = [str(ROOT / ".venv" / "bin" / "spinctl"), "audit", "verify", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == status, done.stderr
        assert said in done.stdout + done.stderr


# -- REST, gRPC and gRPC-Web, as docs/debugging.md says


async def test_rest_through_the_gateway(running: RunningPlatform, owner: Platform, workspace: workspaces_pb2.Workspace) -> None:
    url, headers = running.settings.public_url, {"authorization": f"Bearer {await owner.tokens.access_token()}"}
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{url}/v1/workspaces", headers=headers) as reply:
            assert workspace.id in {found["id"] for found in (await reply.json())["workspaces"]}
            assert reply.headers["cache-control"] == "no-store"
        async with http.get(f"{url}/v1/sign-in/methods") as reply:
            assert (reply.status, (await reply.json())["password"]) == (200, True)
        async with http.get(f"{url}/v1/workspaces") as reply:
            assert reply.status == 401
        async with http.get(f"{url}/") as reply:
            # The page is asked for again each time, and its files may be kept.
            assert (reply.status, reply.headers["cache-control"]) == (200, "no-cache")
        async with http.get(f"{url}/v1/workspaces/{workspace.id}/notebooks/{'0' * 32}", headers=headers) as reply:
            assert (reply.status, (await reply.json())["details"][0]["reason"]) == (404, "ERROR_REASON_NOT_FOUND")
        created = {"title": "By REST", "cells": [{"id": "a", "cellType": "python", "source": "1"}]}
        async with http.post(f"{url}/v1/workspaces/{workspace.id}/notebooks", headers=headers, json=created) as reply:
            assert (await reply.json())["notebook"]["cells"][0]["source"] == "1"


BUF = str(ROOT / "web" / "node_modules" / ".bin" / "buf")
DESCRIPTORS = "protos/gen/descriptors.binpb"


async def buf_curl(*arguments: str) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(BUF, "curl", *arguments, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, err.decode()
    answer: dict[str, Any] = json.loads(out)
    return answer


@pytest.mark.parametrize("protocol", [["--protocol", "grpc", "--http2-prior-knowledge"], ["--protocol", "grpcweb"]], ids=["grpc", "grpcweb"])
async def test_buf_curl_through_the_gateway(
    running: RunningPlatform, owner: Platform, workspace: workspaces_pb2.Workspace, protocol: list[str]
) -> None:
    header = f"authorization: Bearer {await owner.tokens.access_token()}"
    base, common = running.settings.public_url, ["--schema", DESCRIPTORS, *protocol, "-H", header]
    members = await buf_curl(*common, "-d", json.dumps({"workspace_id": workspace.id}), f"{base}/spinapis.auth.v1.MemberService/ListMembers")
    assert members["members"]
    for name, answer in {
        "workspace.v1.WorkspaceService/ListWorkspaces": "workspaces",
        "compiler.v1.CompilerService/ListCellTypes": "cellTypes",
    }.items():
        assert (await buf_curl(*common, f"{base}/spinapis.{name}"))[answer]
    for name in ("secrets.v1.ConnectionService/ListConnections", "audit.v1.LogService/GetCheckpoint"):
        await buf_curl(*common, "-d", json.dumps({"workspace_id": workspace.id}), f"{base}/spinapis.{name}")


async def test_buf_curl_at_a_service_by_reflection(running: RunningPlatform, owner: Platform) -> None:
    header = f"authorization: Bearer {await owner.tokens.access_token()}"
    base = f"http://{running.settings.service_address('auth')}"
    answer = await buf_curl("--protocol", "grpc", "--http2-prior-knowledge", "-H", header, f"{base}/spinapis.auth.v1.SignInService/GetCurrentUser")
    assert answer["user"]["id"]


# -- credentials


async def test_a_session_brings_the_runtime_the_credentials_of_now(
    owner: Platform, workspace: workspaces_pb2.Workspace, session: notebooks_pb2.Session
) -> None:
    entry = {"name": "synchronised", "kind": "rest", "config_json": '{"base_url": "https://api.example.org"}'}
    async with await RuntimeSession.of(owner, session) as attached:
        before = await attached.synchronise()
        made = await owner.connections.CreateConnection(
            secrets_pb2.CreateConnectionRequest(workspace_id=workspace.id, idempotency_key="synchronised", **entry)
        )
        assert await attached.synchronise() > before
        gone = secrets_pb2.DeleteConnectionRequest(workspace_id=workspace.id, connection_id=made.connection.id, etag=made.connection.etag)
        await owner.connections.DeleteConnection(gone)
