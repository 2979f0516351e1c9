"""The sample workspace, driven as a person's browser would drive it: through Envoy and the runtime's socket, with the SDK."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from scripts.platform.settings import Settings
from spin_client.sdk import CellFinished, CellStarted, Kind, NotebookFinished, NotebookRun, Output, Platform, RuntimeSession, every_page, pairing
from spin_envelope.digests import signed_digest
from spin_envelope.export import Summary, verify_export
from spinapis.audit.v1 import audit_pb2
from spinapis.workspace.v1 import notebooks_pb2, workspaces_pb2

NOTEBOOK = Path(__file__).with_name("sample.ipynb")
WORKSPACE = "Sample"
PAIR_TIMEOUT_S = 60.0
# Of a cell's text, shown on a terminal; the page has all of it.
SHOWN_LINES = 12


@dataclass(frozen=True)
class Verdict:
    """What the run left behind, as the log proves it."""

    cells: int
    outputs: int
    receipts: int
    entries: int
    failed: tuple[str, ...]
    unverified: tuple[str, ...]


async def workspace(platform: Platform) -> workspaces_pb2.Workspace:
    """The sample workspace, made when it is missing."""
    found: workspaces_pb2.Workspace
    async for found in every_page(platform.workspaces.ListWorkspaces, workspaces_pb2.ListWorkspacesRequest(), "workspaces"):
        if found.name == WORKSPACE:
            return found
    request = workspaces_pb2.CreateWorkspaceRequest(idempotency_key="sample-workspace", name=WORKSPACE)
    return (await platform.workspaces.CreateWorkspace(request)).workspace


async def runtime(platform: Platform, workspace_id: str, settings: Settings) -> workspaces_pb2.Runtime:
    """The sample runtime's record, made when it is missing."""
    request = workspaces_pb2.ListRuntimesRequest(workspace_id=workspace_id)
    found: workspaces_pb2.Runtime
    async for found in every_page(platform.runtimes.ListRuntimes, request, "runtimes"):
        if found.name == settings.runtime_name:
            return found
    create = workspaces_pb2.CreateRuntimeRequest(
        workspace_id=workspace_id, idempotency_key=settings.runtime_name, name=settings.runtime_name, url=settings.runtime_url, is_default=True
    )
    return (await platform.runtimes.CreateRuntime(create)).runtime


async def pair(platform: Platform, pending: pairing.Pairing) -> str:
    """Enrols and confirms the runtime; returns its fingerprint. Both logs are ours here, so the comparison is made for the person."""
    fingerprint = await pairing.enrol(platform, pending, wait_s=PAIR_TIMEOUT_S)
    await pairing.confirm(platform, pending.runtime.workspace_id, pending.runtime.id, fingerprint)
    return fingerprint.hex(" ", 4)


async def notebook(platform: Platform, workspace_id: str) -> notebooks_pb2.Notebook:
    """The sample notebook, imported when it is missing."""
    title = json.loads(NOTEBOOK.read_text())["metadata"]["title"]
    request = notebooks_pb2.ListNotebooksRequest(workspace_id=workspace_id)
    async for found in every_page(platform.notebooks.ListNotebooks, request, "notebooks"):
        if found.title == title:
            get = notebooks_pb2.GetNotebookRequest(workspace_id=workspace_id, notebook_id=found.id)
            return (await platform.notebooks.GetNotebook(get)).notebook
    create = notebooks_pb2.ImportNotebookRequest(
        workspace_id=workspace_id, idempotency_key="sample-notebook", title=title, ipynb=NOTEBOOK.read_bytes()
    )
    return (await platform.notebooks.ImportNotebook(create)).notebook


async def run(platform: Platform, book: notebooks_pb2.Notebook, runtime_id: str, say: Callable[[str], None]) -> Verdict:
    """Runs every cell, shows what came out, and verifies the history that it left."""
    async with await RuntimeSession.open(platform, book.workspace_id, book.id, runtime_id=runtime_id) as session:
        running = NotebookRun(session, book)
        cells, outputs, failed = 0, 0, []
        async for event in running.events():
            match event:
                case CellStarted():
                    say(f"\n[{event.number}/{event.total}] {event.cell.cell_type}: {event.cell.id}")
                case Output():
                    outputs += 1
                    _show(event, say)
                case CellFinished():
                    cells += 1
                    if not event.ok:
                        failed.append(f"{event.cell.id}: {event.state.message or event.state.status.name}")
                case NotebookFinished():
                    break
        await running.save()
        await session.settle()
        unverified = await _unverified(platform, session)
    summary = await verified_log(platform, book.workspace_id)
    return Verdict(cells, outputs, summary.receipts, summary.entries, tuple(failed), unverified)


async def verified_log(platform: Platform, workspace_id: str) -> Summary:
    """Exports the workspace's log and verifies it as `spinctl audit verify` does; raises ExportInvalid."""
    chunks = [part.lines async for part in platform.log.ExportLog(audit_pb2.ExportLogRequest(workspace_id=workspace_id))]
    return verify_export(b"".join(chunks).splitlines(keepends=True), signed_digest((await platform.trust.documents())[0]))


async def _unverified(platform: Platform, session: RuntimeSession) -> tuple[str, ...]:
    """Runs of the session whose stored outputs do not hash to what the runtime signed."""
    request = audit_pb2.ListRunsRequest(workspace_id=session.session.workspace_id, session_id=session.session.id)
    return tuple([run.cell_id async for run in every_page(platform.history.ListRuns, request, "runs") if not run.outputs_verified])


def _show(output: Output, say: Callable[[str], None]) -> None:
    for text in _texts(output):
        lines = text.rstrip("\n").splitlines()
        for line in lines[:SHOWN_LINES]:
            say(f"    {line}")
        if len(lines) > SHOWN_LINES:
            say(f"    … {len(lines) - SHOWN_LINES} more lines")


def _texts(output: Output) -> list[str]:
    content = output.content
    match output.kind:
        case Kind.STREAM:
            return [str(content["text"])]
        case Kind.DISPLAY_DATA | Kind.EXECUTE_RESULT:
            data = content.get("data", {})
            image = next((kind for kind in data if kind.startswith("image/")), "")
            return [f"<{image}, {len(str(data[image])):,} characters>"] if image else [str(data.get("text/plain", ""))]
        case Kind.ERROR:
            return [f"{content.get('ename')}: {content.get('evalue')}"]
        case _:
            return []
