"""run NOTEBOOK: runs a notebook and streams what it prints.

NOTEBOOK is an id, a title, or an .ipynb file, which is imported first (the same file again is the same notebook). The first failure stops the run,
unless --keep-going. Ctrl-C interrupts the running cell; a second one leaves it to itself.
"""

import asyncio
import contextlib
import hashlib
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from spin_client.cli.command_context import FAILED, INTERRUPTED, Command, run
from spin_client.cli.notebooks import read_notebook_file, write_file
from spin_client.cli.run_output import JsonOutput, LiveOutput
from spin_client.sdk.errors import SpinError
from spin_client.sdk.events import InputRequest
from spin_client.sdk.notebook import NotebookFinished, NotebookRun
from spin_client.sdk.parameters import parse_parameter
from spin_client.sdk.platform import Platform
from spin_client.sdk.session import RuntimeSession
from spinapis.workspace.v1 import notebooks_pb2

_SETTLED_IN_S = 15.0


def register(app: typer.Typer) -> None:
    app.command("run")(run_command)


def run_command(
    context: typer.Context,
    notebook: Annotated[str, typer.Argument(help="Title, id, or an .ipynb file.")],
    parameter: Annotated[list[str] | None, typer.Option("--parameter", "-p", metavar="NAME=VALUE", help="JSON or text; repeat for more.")] = None,
    runtime: Annotated[str, typer.Option(help="Name or id; by default the workspace's default runtime.")] = "",
    save: Annotated[bool, typer.Option("--save", help="Write the outputs back to the notebook (and to the file it came from).")] = False,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the notebook with its outputs to this .ipynb file.")] = None,
    keep_going: Annotated[bool, typer.Option("--keep-going", help="After a failure, go on with the next cell that is not linked.")] = False,
    restart: Annotated[bool, typer.Option("--restart", help="Begin with a new kernel, if one is running already.")] = False,
    keep_kernel: Annotated[bool, typer.Option("--keep-kernel", help="Leave the kernel running afterwards.")] = False,
) -> None:
    """Run a notebook. Exit status: 0 all cells ok, 1 a cell failed, 3 nobody answers, 4 refused, 130 interrupted."""

    async def body(command: Command) -> int:
        values = dict(parse_parameter(text) for text in parameter or [])
        async with command.platform() as platform:
            workspace = await command.workspace(platform)
            runtime_id = (await command.runtime(platform, workspace.id, runtime)).id if runtime else ""
            found, file = await _found(command, platform, workspace.id, notebook)
            async with kernel_session(command, platform, found, runtime_id, restart=restart, keep_kernel=keep_kernel) as session:
                status = await run_and_show(command, session, found, values, keep_going=keep_going, save=save or output is not None)
            await _write_back(platform, found, [path for path in (file if save else None, output) if path is not None])
            return status

    run(context, body)


async def _found(command: Command, platform: Platform, workspace_id: str, name: str) -> tuple[notebooks_pb2.Notebook, Path | None]:
    path = Path(name)
    if path.suffix != ".ipynb":
        return await command.notebook(platform, workspace_id, name), None
    data = read_notebook_file(path)
    # The same bytes give the same notebook, so that running a file often does not fill the workspace.
    key = hashlib.sha256(b"spinctl run\0" + data).hexdigest()[:32]
    request = notebooks_pb2.ImportNotebookRequest(workspace_id=workspace_id, idempotency_key=key, title=path.stem, ipynb=data)
    return (await platform.notebooks.ImportNotebook(request)).notebook, path


@contextlib.asynccontextmanager
async def kernel_session(
    command: Command, platform: Platform, notebook: notebooks_pb2.Notebook, runtime_id: str, *, restart: bool, keep_kernel: bool
) -> AsyncIterator[RuntimeSession]:
    """A session with a kernel; a kernel that was started here is stopped here."""
    async with await RuntimeSession.open(platform, notebook.workspace_id, notebook.id, runtime_id=runtime_id) as session:
        for warning in session.warnings:
            command.out.note(f"The runtime warns: {warning}")
        running = session.has_kernel
        if running and restart:
            await session.restart()
        elif running:
            command.out.note("A kernel runs already in this notebook's session and is used as it is; --restart begins with a new one.")
        yield session
        if not await session.settle(_SETTLED_IN_S):
            command.out.note("The audit log has not received everything yet; it gets the rest when someone opens this runtime again.")
        if not running and not keep_kernel:
            await session.end()


async def run_and_show(
    command: Command, session: RuntimeSession, notebook: notebooks_pb2.Notebook, values: dict[str, Any], *, keep_going: bool, save: bool
) -> int:
    shown = JsonOutput(command.out) if command.out.as_json else LiveOutput(command.out)
    asks = sys.stdin.isatty() and not command.out.as_json
    notebook_run = NotebookRun(session, notebook, parameters=values, keep_going=keep_going, allow_stdin=asks)
    status = FAILED
    with _interrupts(command, session, notebook_run) as interrupted:
        async for event in notebook_run.events():
            shown.show(event)
            if isinstance(event, InputRequest):
                await session.reply(event, await _asked(event))
            elif isinstance(event, NotebookFinished):
                status = 0 if event.ok else FAILED
    if save:
        await notebook_run.save()
    return INTERRUPTED if interrupted else status


async def _asked(request: InputRequest) -> str:
    try:
        return str(
            await asyncio.to_thread(typer.prompt, request.prompt or "input", "", request.password, prompt_suffix="", show_default=False, err=True)
        )
    except typer.Abort:
        raise SpinError("INVALID_ARGUMENT", "the cell asked for input and none was given") from None


@contextlib.contextmanager
def _interrupts(command: Command, session: RuntimeSession, notebook_run: NotebookRun) -> Iterator[list[bool]]:
    """Ctrl-C once: interrupt the cell and start no other. Twice: leave. The list is not empty once it happened."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    happened: list[bool] = []
    pending: set[asyncio.Task[None]] = set()

    def on_interrupt() -> None:
        if happened and task is not None:
            command.out.note("Leaving. The cell may still run; see it with `spinctl session list`.")
            task.cancel()
            return
        happened.append(True)
        notebook_run.stop()
        command.out.note("Interrupting the cell … (Ctrl-C again leaves it to itself)")
        pending.add(asyncio.ensure_future(session.interrupt(clear_queue=True)))

    try:
        loop.add_signal_handler(signal.SIGINT, on_interrupt)
    except (NotImplementedError, RuntimeError, ValueError):
        # Not the main thread, or Windows: Ctrl-C then ends the program, and the runtime finishes the cell.
        yield happened
        return
    try:
        yield happened
    finally:
        loop.remove_signal_handler(signal.SIGINT)


async def _write_back(platform: Platform, notebook: notebooks_pb2.Notebook, paths: list[Path]) -> None:
    if not paths:
        return
    request = notebooks_pb2.ExportNotebookRequest(workspace_id=notebook.workspace_id, notebook_id=notebook.id)
    data = (await platform.notebooks.ExportNotebook(request)).ipynb
    for path in paths:
        write_file(path, data)
