"""key: list, rotate, minimum, destroy. The keys that a workspace's credentials are encrypted under; they never leave the platform."""

from typing import Annotated

import typer

from spin_client.cli.command_context import Command, all_of, run
from spin_client.cli.messages import plain
from spinapis.secrets.v1 import keys_pb2

group = typer.Typer(help="Keys of the workspace's credentials.", no_args_is_help=True)
Version = Annotated[int, typer.Argument(metavar="VERSION", min=1)]


@group.command("list")
def list_versions(context: typer.Context) -> None:
    """The versions, newest first, and how many credentials are under each."""

    async def body(command: Command) -> None:
        async with command.platform() as platform:
            workspace = await command.workspace(platform)
            found = await all_of(platform.keys.ListKeyVersions, keys_pb2.ListKeyVersionsRequest(workspace_id=workspace.id), "versions")
            columns = ["version", "current", "refused", "credentials", "created_at_ms", "destroyed_at_ms"]
            command.out.rows(columns, [plain(version) for version in found], empty="No keys yet: the first connection makes one.")

    run(context, body)


@group.command("rotate")
def rotate(context: typer.Context) -> None:
    """Make a new version. Credentials are encrypted anew in the background; nothing stops meanwhile."""

    async def body(command: Command) -> None:
        async with command.platform() as platform:
            workspace = await command.workspace(platform)
            made = (await platform.keys.RotateKey(keys_pb2.RotateKeyRequest(workspace_id=workspace.id))).version
            command.out.done(f"Version {made.version} is current.", plain(made))

    run(context, body)


@group.command("minimum")
def minimum(context: typer.Context, version: Version) -> None:
    """Refuse all versions below this one, once nothing is under them any more."""

    async def body(command: Command) -> None:
        async with command.platform() as platform:
            workspace = await command.workspace(platform)
            await platform.keys.SetMinimumKeyVersion(keys_pb2.SetMinimumKeyVersionRequest(workspace_id=workspace.id, minimum_version=version))
            command.out.done(f"Versions below {version} open nothing any more.", {"minimum_version": version})

    run(context, body)


@group.command("destroy")
def destroy(
    context: typer.Context,
    version: Version,
    erase: Annotated[bool, typer.Option("--erase-credentials", help="Together with the credentials under it.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Destroy a version for ever; what is under it can never be read again."""

    async def body(command: Command) -> None:
        async with command.platform() as platform:
            workspace = await command.workspace(platform)
            command.confirmed(f"Destroy version {version} of the key of {workspace.name}? Nobody can bring it back.", yes=yes)
            request = keys_pb2.DestroyKeyVersionRequest(workspace_id=workspace.id, version=version, erase_credentials=erase)
            erased = (await platform.keys.DestroyKeyVersion(request)).erased_credentials
            command.out.done(f"Destroyed version {version}; {erased} credentials went with it.", {"version": version, "erased_credentials": erased})

    run(context, body)
