"""How a command runs: settings, a connected platform, names resolved to ids, and one place where errors become exit codes.

Exit status: 0 done, 1 a cell failed or an export does not verify, 2 wrong usage, 3 nobody answers, 4 refused, 130 interrupted.
"""

import asyncio
import secrets
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

import typer

from spin_client.cli.printing import Printer
from spin_client.cli.settings import Settings
from spin_client.sdk.errors import SpinError
from spin_client.sdk.identifiers import looks_like_id
from spin_client.sdk.platform import Platform, every_page
from spinapis.secrets.v1 import secrets_pb2
from spinapis.workspace.v1 import notebooks_pb2, workspaces_pb2


class Identified(Protocol):
    @property
    def id(self) -> str: ...


T = TypeVar("T", bound=Identified)

OK, FAILED, USAGE, UNREACHABLE, REFUSED, INTERRUPTED = 0, 1, 2, 3, 4, 130


class Command:
    """What a command's body gets."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.out = Printer(as_json=settings.json)

    @asynccontextmanager
    async def platform(self) -> AsyncIterator[Platform]:
        s = self.settings
        async with await Platform.connect(
            s.url, api_key=s.api_key, ca_file=s.ca_file, client_certificate=s.client_cert, client_key=s.client_key
        ) as platform:
            yield platform

    async def workspace(self, platform: Platform) -> workspaces_pb2.Workspace:
        """The workspace that the settings name, or the only one."""
        wanted = self.settings.workspace
        if looks_like_id(wanted):
            return (await platform.workspaces.GetWorkspace(workspaces_pb2.GetWorkspaceRequest(workspace_id=wanted))).workspace
        found = await all_of(platform.workspaces.ListWorkspaces, workspaces_pb2.ListWorkspacesRequest(), "workspaces")
        matching: list[workspaces_pb2.Workspace] = [w for w in found if not wanted or w.name == wanted]
        if len(matching) > 1 and not wanted:
            names = ", ".join(w.name for w in matching[:8])
            raise SpinError("INVALID_ARGUMENT", f"you are in {len(matching)} workspaces: choose one with --workspace ({names})")
        if not matching and not wanted:
            raise SpinError("NOT_FOUND", "you are in no workspace yet: make one with `spinctl workspace create NAME`, or ask to be added to one")
        return only(matching, "workspace", wanted, "name")

    async def runtime(self, platform: Platform, workspace_id: str, wanted: str) -> workspaces_pb2.Runtime:
        request = workspaces_pb2.ListRuntimesRequest(workspace_id=workspace_id)
        found = await all_of(platform.runtimes.ListRuntimes, request, "runtimes")
        matching: list[workspaces_pb2.Runtime] = [r for r in found if wanted in (r.id, r.name)]
        return only(matching, "runtime", wanted, "name")

    async def notebook(self, platform: Platform, workspace_id: str, wanted: str) -> notebooks_pb2.Notebook:
        """With its cells."""
        if not looks_like_id(wanted):
            request = notebooks_pb2.ListNotebooksRequest(workspace_id=workspace_id)
            found = await all_of(platform.notebooks.ListNotebooks, request, "notebooks")
            wanted = only([n for n in found if n.title == wanted], "notebook", wanted, "title").id
        get = notebooks_pb2.GetNotebookRequest(workspace_id=workspace_id, notebook_id=wanted)
        return (await platform.notebooks.GetNotebook(get)).notebook

    async def connection(self, platform: Platform, workspace_id: str, wanted: str) -> secrets_pb2.Connection:
        request = secrets_pb2.ListConnectionsRequest(workspace_id=workspace_id)
        found = await all_of(platform.connections.ListConnections, request, "connections")
        matching: list[secrets_pb2.Connection] = [c for c in found if wanted in (c.id, c.name)]
        return only(matching, "connection", wanted, "name")

    def confirmed(self, question: str, *, yes: bool) -> None:
        """Asks before something is removed; without a terminal, `--yes` must say so."""
        if yes:
            return
        if not sys.stdin.isatty():
            raise SpinError("INVALID_ARGUMENT", f"{question} Nobody can be asked here: say --yes")
        if not typer.confirm(question, err=True):
            raise typer.Exit(FAILED)


def run(context: typer.Context, body: Callable[[Command], Coroutine[Any, Any, int | None]]) -> None:
    """Runs a command's body and exits with its status."""
    raise typer.Exit(asyncio.run(body(Command(context.find_object(Settings) or Settings()))) or OK)


async def all_of(method: Callable[..., Any], request: Any, items: str, *, limit: int = 0) -> list[Any]:
    return [item async for item in every_page(method, request, items, limit=limit)]


def only(matching: Sequence[T], kind: str, wanted: str, by: str) -> T:
    """The one that matches. Two of a name are told apart by their ids."""
    if len(matching) == 1:
        return matching[0]
    if not matching:
        raise SpinError("NOT_FOUND", f"there is no {kind} {wanted!r}: see `spinctl {kind} list`", {"resource": kind})
    ids = ", ".join(item.id for item in matching[:5])
    raise SpinError("INVALID_ARGUMENT", f"{len(matching)} {kind}s have the {by} {wanted!r}: choose one by its id ({ids})")


def secret_text(source: Path | None, prompt: str) -> str:
    """A secret from a file, from standard input ("-", or when it is a pipe) or from a hidden prompt; never from the command line."""
    if source is not None and str(source) != "-":
        try:
            return source.read_text().strip()
        except (OSError, UnicodeDecodeError) as fault:
            raise SpinError("INVALID_ARGUMENT", f"cannot read {source}: {fault}") from None
    if source is not None or not sys.stdin.isatty():
        text = sys.stdin.read().strip()
        if not text:
            raise SpinError("INVALID_ARGUMENT", f"{prompt}: standard input is empty")
        return text
    return str(typer.prompt(prompt, hide_input=True, err=True)).strip()


def idempotency_key() -> str:
    return secrets.token_hex(16)
