"""connection create and update. A credential goes in by a file, standard input or a hidden prompt; never by the command line."""

import json
from pathlib import Path
from typing import Annotated

import typer

from spin_client.cli.command_context import Command, idempotency_key, run, secret_text
from spin_client.cli.connection_options import (
    ConfigFile,
    Expires,
    Host,
    Manage,
    Name,
    Operation,
    References,
    SetField,
    Use,
    config_of,
    day_ms,
    grants_of,
    object_of,
    references_of,
)
from spin_client.cli.messages import plain
from spin_client.sdk.errors import SpinError
from spinapis.secrets.v1 import secrets_pb2

PROMPT = "Credential (a JSON object)"
PLACE = ("workspace_id", "connection_id", "etag")


def create(
    context: typer.Context,
    name: str,
    kind: Annotated[str, typer.Option(help="What it connects to, such as rest.")],
    set_field: SetField = None,
    config_file: ConfigFile = None,
    credential: Annotated[
        Path | None, typer.Option("--credential-from", help="The credential as a JSON object; - is standard input. Without it: a hidden prompt.")
    ] = None,
    no_credential: Annotated[bool, typer.Option("--no-credential", help="It needs none, or references hold all of it.")] = False,
    references: References = None,
    exposable: Annotated[bool, typer.Option("--exposable", help="Programs that may use it may read the credential's value.")] = False,
    host: Host = None,
    operation: Operation = None,
    expires: Expires = None,
    guarded: Annotated[
        list[str] | None, typer.Option("--approve", metavar="OPERATION", help="Needs a second person's approval for each run; repeat for more.")
    ] = None,
    use: Use = None,
    manage: Manage = None,
    default: Annotated[bool, typer.Option("--default", help="The first choice of its kind.")] = False,
) -> None:
    """Make a connection. Its credential is encrypted at once and can be replaced, but not read."""

    async def body(command: Command) -> None:
        named = references_of(references, credential)
        secret = {} if no_credential else object_of(secret_text(credential, PROMPT), "the credential")
        async with command.platform() as platform:
            workspace = await command.workspace(platform)
            request = secrets_pb2.CreateConnectionRequest(
                workspace_id=workspace.id,
                idempotency_key=idempotency_key(),
                name=name,
                kind=kind,
                config_json=config_of("{}", config_file, set_field) or "{}",
                credential_json=json.dumps(secret) if secret else "",
                references_json=named or "",
                exposable=exposable,
                allowed_hosts=host or [],
                allowed_operations=operation or [],
                approval_operations=guarded or [],
                grants=grants_of(use, manage),
                is_default=default,
                expires_at_ms=day_ms(expires) if expires else 0,
            )
            made = (await platform.connections.CreateConnection(request)).connection
            command.out.done(f"Made the connection {made.name} ({made.id}).", plain(made))

    run(context, body)


def update(
    context: typer.Context,
    connection: Name,
    name: Annotated[str | None, typer.Option(help="Another name.")] = None,
    set_field: SetField = None,
    config_file: ConfigFile = None,
    credential: Annotated[
        Path | None, typer.Option("--credential-from", help="Replaces the whole credential: a JSON object; - is standard input.")
    ] = None,
    ask: Annotated[bool, typer.Option("--ask-credential", help="Replaces the whole credential, by a hidden prompt.")] = False,
    references: References = None,
    no_references: Annotated[bool, typer.Option("--no-references", help="No secret manager holds any of it any more.")] = False,
    exposable: Annotated[
        bool | None, typer.Option("--exposable/--not-exposable", help="Whether programs that may use it may read the credential's value.")
    ] = None,
    host: Host = None,
    any_host: Annotated[bool, typer.Option("--any-host", help="Wherever the configuration leads: no list of hosts.")] = False,
    operation: Operation = None,
    default: Annotated[bool | None, typer.Option("--default/--not-default", help="Whether it is the first choice of its kind.")] = None,
    expires: Expires = None,
    never_expires: Annotated[bool, typer.Option("--never-expires", help="The credential has no date.")] = False,
) -> None:
    """Change a connection; what no option names stays. To lead it elsewhere, or to make it exposable, send its credential along."""

    async def body(command: Command) -> None:
        _one_of(references, no_references, "--references-from or --no-references")
        _one_of(host, any_host, "--host or --any-host")
        _one_of(expires, never_expires, "--expires or --never-expires")
        _one_of(credential, ask, "--credential-from or --ask-credential")
        named = "" if no_references else references_of(references, credential)
        secret = object_of(secret_text(credential, PROMPT), "the credential") if credential is not None or ask else None
        async with command.platform() as platform:
            workspace = await command.workspace(platform)
            known = await command.connection(platform, workspace.id, connection)
            allowed = {} if not (host or any_host or operation) else {
                "allowed_hosts": host or ([] if any_host else known.allowed_hosts),
                "allowed_operations": operation or known.allowed_operations,
                "replace_allowed": True,
            }  # fmt: skip
            request = secrets_pb2.UpdateConnectionRequest(
                workspace_id=workspace.id,
                connection_id=known.id,
                etag=known.etag,
                name=name,
                config_json=config_of(known.config_json, config_file, set_field),
                credential_json=None if secret is None else json.dumps(secret),
                references_json=named,
                exposable=exposable,
                is_default=default,
                expires_at_ms=0 if never_expires else day_ms(expires) if expires else None,
                **allowed,  # type: ignore[arg-type]  # Each of its own type.
            )
            if not any(field.name not in PLACE for field, _ in request.ListFields()):
                raise SpinError("INVALID_ARGUMENT", "say what to change: `spinctl connection update --help` lists it")
            changed = (await platform.connections.UpdateConnection(request)).connection
            command.out.done(f"Changed the connection {changed.name}.", plain(changed))

    run(context, body)


def _one_of(first: object, second: object, options: str) -> None:
    if first and second:
        raise SpinError("INVALID_ARGUMENT", f"say {options}, not both")
