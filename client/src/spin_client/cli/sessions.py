"""session: list, show, take, history, end."""

from typing import Annotated

import typer

from spin_client.cli import hand_over
from spin_client.cli.command_context import Command, all_of, run
from spin_client.cli.messages import moment, plain
from spinapis.audit.v1 import audit_pb2
from spinapis.workspace.v1 import notebooks_pb2

group = typer.Typer(help="Sessions: notebooks on runtimes.", no_args_is_help=True)
SessionId = Annotated[str, typer.Argument(metavar="SESSION", help="Id.")]


@group.command("list")
def list_sessions(
    context: typer.Context,
    everything: Annotated[bool, typer.Option("--all", help="Ended ones too.")] = False,
    notebook: Annotated[str, typer.Option(help="Only this notebook's, by title or id.")] = "",
) -> None:
    """Open sessions, or all."""

    async def body(command: Command) -> None:
        async with command.platform() as platform:
            workspace = await command.workspace(platform)
            notebook_id = (await command.notebook(platform, workspace.id, notebook)).id if notebook else ""
            request = notebooks_pb2.ListSessionsRequest(workspace_id=workspace.id, notebook_id=notebook_id, open_only=not everything)
            found = await all_of(platform.sessions.ListSessions, request, "sessions")
            items = [{**plain(s), "opened": moment(s.opened_at_ms), "ended": moment(s.ended_at_ms)} for s in found]
            command.out.rows(["id", "notebook_id", "runtime_id", "kernel_name", "opened", "ended"], items)

    run(context, body)


group.command("show")(hand_over.show)
group.command("take")(hand_over.take)


@group.command("history")
def history(context: typer.Context, session: SessionId) -> None:
    """What ran in a session, and whether its outputs are proved."""

    async def body(command: Command) -> None:
        async with command.platform() as platform:
            workspace = await command.workspace(platform)
            request = audit_pb2.ListRunsRequest(workspace_id=workspace.id, session_id=session)
            found = await all_of(platform.history.ListRuns, request, "runs")
            items = [{**plain(r), "started": moment(r.started_at_ms), "ended": moment(r.ended_at_ms)} for r in found]
            command.out.rows(["cell_id", "cell_type", "status", "started", "ended", "frames", "outputs_verified", "id"], items)

    run(context, body)


@group.command("end")
def end(context: typer.Context, session: SessionId) -> None:
    """Close a session. Its history stays."""

    async def body(command: Command) -> None:
        async with command.platform() as platform:
            workspace = await command.workspace(platform)
            request = notebooks_pb2.EndSessionRequest(workspace_id=workspace.id, session_id=session)
            ended = (await platform.sessions.EndSession(request)).session
            command.out.done(f"Ended the session {ended.id}.", plain(ended))

    run(context, body)
