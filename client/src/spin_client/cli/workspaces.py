"""workspace: list, create, delete, use, policy."""

from typing import Annotated

import typer

from spin_client.cli import policies
from spin_client.cli.command_context import Command, all_of, idempotency_key, only, run
from spin_client.cli.messages import moment, plain
from spin_client.cli.settings import remember
from spin_client.sdk.platform import Platform
from spinapis.workspace.v1 import workspaces_pb2

group = typer.Typer(help="Workspaces.", no_args_is_help=True)
group.add_typer(policies.group, name="policy")
Name = Annotated[str, typer.Argument(help="Name or id.")]


@group.command("list")
def list_workspaces(context: typer.Context) -> None:
    """The workspaces that you are a member of."""

    async def body(command: Command) -> None:
        async with command.platform() as platform:
            found = await all_of(platform.workspaces.ListWorkspaces, workspaces_pb2.ListWorkspacesRequest(), "workspaces")
            items = [{**plain(w), "changed": moment(w.updated_at_ms)} for w in found]
            command.out.rows(["id", "name", "changed"], items, empty="You are in no workspace yet: spinctl workspace create NAME")

    run(context, body)


@group.command("create")
def create(context: typer.Context, name: str, parent: Annotated[str, typer.Option(help="Parent workspace, by name or id.")] = "") -> None:
    """Make a workspace; you become its owner."""

    async def body(command: Command) -> None:
        async with command.platform() as platform:
            parent_id = (await _named(platform, parent)).id if parent else ""
            request = workspaces_pb2.CreateWorkspaceRequest(idempotency_key=idempotency_key(), name=name, parent_id=parent_id)
            workspace = (await platform.workspaces.CreateWorkspace(request)).workspace
            command.out.done(f"Made the workspace {workspace.name} ({workspace.id}).", plain(workspace))

    run(context, body)


@group.command("delete")
def delete(context: typer.Context, name: Name, yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False) -> None:
    """Delete an empty workspace."""

    async def body(command: Command) -> None:
        async with command.platform() as platform:
            workspace = await _named(platform, name)
            command.confirmed(f"Delete the workspace {workspace.name}?", yes=yes)
            await platform.workspaces.DeleteWorkspace(workspaces_pb2.DeleteWorkspaceRequest(workspace_id=workspace.id, etag=workspace.etag))
            command.out.done(f"Deleted the workspace {workspace.name}.", {"id": workspace.id, "deleted": True})

    run(context, body)


@group.command("use")
def use(context: typer.Context, name: Name) -> None:
    """Make a workspace the one that commands use when none is named."""

    async def body(command: Command) -> None:
        async with command.platform() as platform:
            workspace = await _named(platform, name)
            remember(url=command.settings.url, workspace=workspace.id)
            command.out.done(f"Commands use the workspace {workspace.name} now.", plain(workspace))

    run(context, body)


async def _named(platform: Platform, wanted: str) -> workspaces_pb2.Workspace:
    found = await all_of(platform.workspaces.ListWorkspaces, workspaces_pb2.ListWorkspacesRequest(), "workspaces")
    named: list[workspaces_pb2.Workspace] = [w for w in found if wanted in (w.id, w.name)]
    return only(named, "workspace", wanted, "name")
