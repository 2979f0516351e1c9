"""connection: list, import, show, guard, grant, delete; create and update are in connection_writing. No credential ever comes out."""

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from spin_client.cli import connection_files
from spin_client.cli.command_context import OK, REFUSED, Command, all_of, idempotency_key, run, secret_text
from spin_client.cli.connection_options import Manage, Name, Use, grants_of, last_used
from spin_client.cli.connection_test import test
from spin_client.cli.connection_writing import create, update
from spin_client.cli.messages import plain
from spinapis.secrets.v1 import secrets_pb2

group = typer.Typer(help="Connections to other systems.", no_args_is_help=True)
DAY_MS = 86_400_000
group.command("create")(create)
group.command("update")(update)
group.command("test")(test)


@group.command("list")
def list_connections(
    context: typer.Context,
    kind: Annotated[str, typer.Option(help="Only this kind.")] = "",
    expiring: Annotated[int | None, typer.Option(metavar="DAYS", help="Only those whose credential expires within so many days.", min=0)] = None,
) -> None:
    """The connections that you may know of."""

    async def body(command: Command) -> None:
        async with command.platform() as platform:
            workspace = await command.workspace(platform)
            before = 0 if expiring is None else int(time.time() * 1000) + expiring * DAY_MS
            request = secrets_pb2.ListConnectionsRequest(workspace_id=workspace.id, kind=kind, expires_before_ms=before)
            found = await all_of(platform.connections.ListConnections, request, "connections")
            columns = ["id", "name", "kind", "allowed_hosts", "credential_fields", "is_default", "last_used"]
            shown = [plain(connection) | {"last_used": last_used(connection, time.time_ns() // 1_000_000)} for connection in found]
            command.out.rows(columns, shown, empty="No connections yet: spinctl connection create NAME --kind KIND")

    run(context, body)


@group.command("import")
def import_connections(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A list of objects in JSON, JSON Lines, or CSV with a heading; - is standard input.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, make nothing.")] = False,
) -> None:
    """Make all connections of a file, or none. An object or a heading has: name, kind, config, credential, references, hosts, operations, approve,
    use, manage, exposable, default, expires; in CSV config.NAME, credential.NAME and references.NAME for each field, and spaces between several
    hosts, operations or people."""

    async def body(command: Command) -> int:
        read = connection_files.read(secret_text(file, "Connections"))
        if read.faults:
            return _refused(command, read.faults)
        async with command.platform() as platform:
            workspace = await command.workspace(platform)
            request = connection_files.request(workspace.id, idempotency_key(), read.rows)
            # A dry run comes first always: it tells of every fault, where an error holds a few.
            outcomes = (await platform.connections.ImportConnections(request)).outcomes
            if faults := connection_files.faults(read.rows, outcomes):
                return _refused(command, faults)
            if not dry_run:
                request.validate_only = False
                outcomes = (await platform.connections.ImportConnections(request)).outcomes
        columns = ["name", "kind", "allowed_hosts", "allowed_operations", "credential_fields", *([] if dry_run else ["id"])]
        command.out.rows(columns, [plain(outcome.connection) for outcome in outcomes])
        command.out.note(f"{len(outcomes)} connections {'would be made; this was a dry run' if dry_run else 'made'}.")
        return OK

    run(context, body)


def _refused(command: Command, faults: Sequence[connection_files.Fault]) -> int:
    command.out.rows(["row", "name", "field", "fault"], [asdict(fault) for fault in faults])
    command.out.note(f"Nothing was made: {len(faults)} faults.")
    return REFUSED


@group.command("show")
def show(context: typer.Context, name: Name) -> None:
    """A connection, without its credential."""

    async def body(command: Command) -> None:
        async with command.platform() as platform:
            workspace = await command.workspace(platform)
            command.out.item(plain(await command.connection(platform, workspace.id, name)))

    run(context, body)


@group.command("guard")
def guard(
    context: typer.Context,
    name: Name,
    operation: Annotated[list[str] | None, typer.Argument(help="Those that need a second person's approval; none: nothing does.")] = None,
) -> None:
    """Say which operations need an approval."""

    async def body(command: Command) -> None:
        async with command.platform() as platform:
            workspace = await command.workspace(platform)
            known = await command.connection(platform, workspace.id, name)
            request = secrets_pb2.UpdateConnectionRequest(
                workspace_id=workspace.id, connection_id=known.id, etag=known.etag, approval_operations=operation or [], replace_approval=True
            )
            changed = (await platform.connections.UpdateConnection(request)).connection
            guarded = ", ".join(changed.approval_operations) or "nothing"
            command.out.done(f"With {changed.name}, {guarded} needs an approval.", plain(changed))

    run(context, body)


@group.command("grant")
def grant(
    context: typer.Context,
    name: Name,
    use: Use = None,
    manage: Manage = None,
) -> None:
    """Say who may use and who may manage a connection, instead of who may now. Without options: everyone whose role may."""

    async def body(command: Command) -> None:
        async with command.platform() as platform:
            workspace = await command.workspace(platform)
            connection = await command.connection(platform, workspace.id, name)
            request = secrets_pb2.UpdateConnectionRequest(
                workspace_id=workspace.id,
                connection_id=connection.id,
                etag=connection.etag,
                grants=grants_of(use, manage),
                replace_grants=True,
            )
            changed = (await platform.connections.UpdateConnection(request)).connection
            command.out.done(f"The connection {changed.name} has {len(changed.grants)} grants.", plain(changed))

    run(context, body)


@group.command("delete")
def delete(context: typer.Context, name: Name, yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False) -> None:
    """Delete a connection; runtimes forget its credential at their next synchronisation."""

    async def body(command: Command) -> None:
        async with command.platform() as platform:
            workspace = await command.workspace(platform)
            connection = await command.connection(platform, workspace.id, name)
            command.confirmed(f"Delete the connection {connection.name}?", yes=yes)
            request = secrets_pb2.DeleteConnectionRequest(workspace_id=workspace.id, connection_id=connection.id, etag=connection.etag)
            await platform.connections.DeleteConnection(request)
            command.out.done(f"Deleted the connection {connection.name}.", {"id": connection.id, "deleted": True})

    run(context, body)
