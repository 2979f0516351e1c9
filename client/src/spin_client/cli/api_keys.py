"""api-key: create, list, revoke. The secret is printed once, when the key is made."""

import time
from typing import Annotated

import typer

from spin_client.cli.command_context import Command, all_of, idempotency_key, only, run
from spin_client.cli.members import RoleName
from spin_client.cli.messages import moment, plain
from spinapis.auth.v1 import members_pb2

group = typer.Typer(help="API keys for machines.", no_args_is_help=True)


@group.command("create")
def create(
    context: typer.Context,
    name: str,
    role: Annotated[RoleName, typer.Option(help="What it may do; never more than you.")] = RoleName.agent,
    days: Annotated[int, typer.Option(help="Valid for so many days; 0: until it is revoked.", min=0, max=3650)] = 90,
) -> None:
    """Make a key. Keep its secret: nobody can show it again."""

    async def body(command: Command) -> None:
        async with command.platform() as platform:
            workspace = await command.workspace(platform)
            expires = int(time.time() * 1000) + days * 86_400_000 if days else 0
            request = members_pb2.CreateApiKeyRequest(
                workspace_id=workspace.id, idempotency_key=idempotency_key(), name=name, role=role.value_in_proto, expires_at_ms=expires
            )
            answer = await platform.members.CreateApiKey(request)
            command.out.note("This secret is shown once. Give it to programs as SPIN_API_KEY.")
            command.out.done(answer.secret, {**plain(answer.api_key), "secret": answer.secret})

    run(context, body)


@group.command("list")
def list_keys(context: typer.Context) -> None:
    """The workspace's keys, without their secrets."""

    async def body(command: Command) -> None:
        async with command.platform() as platform:
            workspace = await command.workspace(platform)
            request = members_pb2.ListApiKeysRequest(workspace_id=workspace.id)
            items = [
                {**plain(k), "expires": moment(k.expires_at_ms) or "never", "last_used": moment(k.last_used_at_ms)}
                for k in await all_of(platform.members.ListApiKeys, request, "api_keys")
            ]
            command.out.rows(["id", "name", "role", "expires", "last_used", "revoked"], items)

    run(context, body)


@group.command("revoke")
def revoke(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Name or id.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """End a key for good."""

    async def body(command: Command) -> None:
        async with command.platform() as platform:
            workspace = await command.workspace(platform)
            found = await all_of(platform.members.ListApiKeys, members_pb2.ListApiKeysRequest(workspace_id=workspace.id), "api_keys")
            key = only([k for k in found if name == k.id or (name == k.name and not k.revoked)], "api-key", name, "name")
            command.confirmed(f"Revoke the API key {key.name}?", yes=yes)
            await platform.members.RevokeApiKey(members_pb2.RevokeApiKeyRequest(workspace_id=workspace.id, api_key_id=key.id))
            command.out.done(f"Revoked the API key {key.name}.", {"id": key.id, "revoked": True})

    run(context, body)
