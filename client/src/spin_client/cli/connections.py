"""connection: list, create, import, show, grant, delete. Credentials go in by a file, standard input or a hidden prompt, and never come out."""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from spin_client.cli import connection_files
from spin_client.cli.command_context import OK, REFUSED, Command, all_of, idempotency_key, run, secret_text
from spin_client.cli.members import RoleName
from spin_client.cli.messages import plain
from spin_client.sdk.errors import SpinError
from spinapis.secrets.v1 import secrets_pb2

group = typer.Typer(help="Connections to other systems.", no_args_is_help=True)
DAY_MS = 86_400_000
Name = Annotated[str, typer.Argument(metavar="CONNECTION", help="Name or id.")]


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
            columns = ["id", "name", "kind", "allowed_hosts", "credential_fields", "is_default"]
            command.out.rows(columns, [plain(c) for c in found], empty="No connections yet: spinctl connection create NAME --kind KIND")

    run(context, body)


@group.command("create")
def create(
    context: typer.Context,
    name: str,
    kind: Annotated[str, typer.Option(help="What it connects to, such as rest.")],
    set_field: Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Public configuration; repeat for more.")] = None,
    config_file: Annotated[Path | None, typer.Option(help="Public configuration as a JSON object.")] = None,
    credential: Annotated[
        Path | None, typer.Option("--credential-from", help="The credential as a JSON object; - is standard input. Without it: a hidden prompt.")
    ] = None,
    no_credential: Annotated[bool, typer.Option("--no-credential", help="It needs none.")] = False,
    host: Annotated[list[str] | None, typer.Option(help="Host that the credential may be sent to; repeat for more.")] = None,
    operation: Annotated[list[str] | None, typer.Option(help="Operation that cells may use; repeat for more. None: all of its kind.")] = None,
    expires: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The day that the credential expires; the log reminds.")] = None,
    guarded: Annotated[
        list[str] | None, typer.Option("--approve", metavar="OPERATION", help="Needs a second person's approval for each run; repeat for more.")
    ] = None,
    default: Annotated[bool, typer.Option("--default", help="The first choice of its kind.")] = False,
) -> None:
    """Make a connection. Its credential is encrypted at once and can be replaced, but not read."""

    async def body(command: Command) -> None:
        config = {**(_object(config_file.read_text(), str(config_file)) if config_file else {}), **_pairs(set_field or [])}
        secret = {} if no_credential else _object(secret_text(credential, "Credential (a JSON object)"), "the credential")
        async with command.platform() as platform:
            workspace = await command.workspace(platform)
            request = secrets_pb2.CreateConnectionRequest(
                workspace_id=workspace.id,
                idempotency_key=idempotency_key(),
                name=name,
                kind=kind,
                config_json=json.dumps(config),
                credential_json=json.dumps(secret) if secret else "",
                allowed_hosts=host or [],
                allowed_operations=operation or [],
                approval_operations=guarded or [],
                is_default=default,
                expires_at_ms=int(expires.replace(tzinfo=UTC).timestamp() * 1000) if expires else 0,
            )
            made = (await platform.connections.CreateConnection(request)).connection
            command.out.done(f"Made the connection {made.name} ({made.id}).", plain(made))

    run(context, body)


@group.command("import")
def import_connections(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A list of objects in JSON, JSON Lines, or CSV with a heading; - is standard input.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, make nothing.")] = False,
) -> None:
    """Make all connections of a file, or none. An object or a heading has: name, kind, config, credential, hosts, operations, approve, default,
    expires; in CSV config.NAME and credential.NAME for each field, and spaces between several hosts or operations."""

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
    use: Annotated[list[str] | None, typer.Option(metavar="WHO", help="May use it: a role, or a person's id; repeat for more.")] = None,
    manage: Annotated[list[str] | None, typer.Option(metavar="WHO", help="May change it, and use it; repeat for more.")] = None,
) -> None:
    """Say who may use and who may manage a connection, instead of who may now. Without options: everyone whose role may."""

    async def body(command: Command) -> None:
        async with command.platform() as platform:
            workspace = await command.workspace(platform)
            connection = await command.connection(platform, workspace.id, name)
            levels = ((secrets_pb2.CONNECTION_LEVEL_USE, use), (secrets_pb2.CONNECTION_LEVEL_MANAGE, manage))
            request = secrets_pb2.UpdateConnectionRequest(
                workspace_id=workspace.id,
                connection_id=connection.id,
                etag=connection.etag,
                grants=[_grant(level, who) for level, named in levels for who in named or []],
                replace_grants=True,
            )
            changed = (await platform.connections.UpdateConnection(request)).connection
            command.out.done(f"The connection {changed.name} has {len(changed.grants)} grants.", plain(changed))

    run(context, body)


def _grant(level: secrets_pb2.ConnectionLevel.ValueType, who: str) -> secrets_pb2.ConnectionGrant:
    if who in list(RoleName):
        return secrets_pb2.ConnectionGrant(level=level, role=RoleName(who).value_in_proto)
    return secrets_pb2.ConnectionGrant(level=level, user_id=who)


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


def _object(text: str, where: str) -> dict[str, Any]:
    """The error never repeats the text: it may be a credential."""
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise SpinError("INVALID_ARGUMENT", f'{where} must be a JSON object, such as {{"token": "…"}}')
    return value


def _pairs(texts: list[str]) -> dict[str, Any]:
    pairs: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise SpinError("INVALID_ARGUMENT", f"{text!r} must have the form name=value")
        try:
            pairs[name] = json.loads(value)
        except ValueError:
            pairs[name] = value
    return pairs
