"""session show, session take: whose code is in a session's kernel, and how one goes on with it.

A kernel remembers whose code ran in it, and a connection is used there only while each of them may use it. So whoever takes a session over
either begins with a new kernel, or keeps this one with the connections that all may use; the command says which of the two happened.
"""

import sys
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from spin_client.cli.command_context import Command, all_of, run
from spin_client.cli.terminal_text import visible
from spin_client.sdk.errors import SpinError
from spin_client.sdk.platform import Platform
from spin_client.sdk.session import RuntimeSession
from spinapis.auth.v1 import members_pb2, trust_pb2
from spinapis.runtime.v1 import frames_pb2

SessionId = Annotated[str, typer.Argument(metavar="SESSION", help="Id.")]


@dataclass(frozen=True)
class Kernel:
    """A session's kernel as one person finds it."""

    state: frames_pb2.KernelState
    # Others whose code is in it, and which connections are left with them: all by name.
    others: list[str]
    shared: list[str]
    shut: list[str]

    def fields(self) -> dict[str, Any]:
        phase = frames_pb2.KernelPhase.Name(self.state.phase).removeprefix("KERNEL_PHASE_").lower()
        return {
            "kernel": self.state.kernel_name,
            "phase": phase,
            "epoch": self.state.kernel_epoch,
            "code_of_others": self.others,
            "connections": self.shared,
            "connections_shut": self.shut,
        }

    def said(self) -> str:
        if not self.others:
            return "Nobody else's code is in this kernel: all of your connections can be used."
        left = ", ".join(self.shared) or "none"
        shut = f" Not until the kernel is restarted: {', '.join(self.shut)}." if self.shut else ""
        return visible(f"Code of {' and '.join(self.others)} is in this kernel. Connections that all of you may use: {left}.{shut}")


async def look(platform: Platform, session: RuntimeSession) -> Kernel:
    state, workspace_id = session.kernel, session.session.workspace_id
    me = (await platform.current_user()).id
    others = [user_id for user_id in state.user_ids if user_id != me]
    request = trust_pb2.ListSharedConnectionsRequest(workspace_id=workspace_id, user_ids=others)
    found = await all_of(platform.grants.ListSharedConnections, request, "connections")
    members = await all_of(platform.members.ListMembers, members_pb2.ListMembersRequest(workspace_id=workspace_id), "members") if others else []
    names = {member.user_id: member.display_name or member.email for member in members}
    return Kernel(
        state,
        [names.get(user_id, "somebody who left") for user_id in others],
        [one.name for one in found if not one.refused_user_ids],
        [one.name for one in found if one.refused_user_ids],
    )


def show(context: typer.Context, session: SessionId) -> None:
    """A session's kernel: whose code ran in it, and which connections are left."""

    async def body(command: Command) -> None:
        async with command.platform() as platform:
            workspace = await command.workspace(platform)
            async with await RuntimeSession.attach(platform, workspace.id, session, from_start=False) as opened:
                command.out.item((await look(platform, opened)).fields())

    run(context, body)


def take(
    context: typer.Context,
    session: SessionId,
    restart: Annotated[bool, typer.Option("--restart", help="Begin with a new kernel: its variables are lost, for everyone.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the kernel, with the connections that all may use whose code is in it.")] = False,
) -> None:
    """Go on with somebody else's session."""
    if restart and keep:
        raise typer.BadParameter("choose one of --restart and --keep")

    async def body(command: Command) -> None:
        async with command.platform() as platform:
            workspace = await command.workspace(platform)
            async with await RuntimeSession.attach(platform, workspace.id, session, from_start=False) as opened:
                found = await look(platform, opened)
                anew = restart or (not keep and bool(found.others) and _asked(command, found))
                if anew:
                    await opened.restart()
                    found = await look(platform, opened)
                happened = "Restarted the kernel." if anew else "Kept the kernel."
                command.out.done(f"{happened} {found.said()}", {**found.fields(), "restarted": anew})

    run(context, body)


def _asked(command: Command, found: Kernel) -> bool:
    """Whether to restart. Raises where nobody can be asked."""
    if not sys.stdin.isatty():
        raise SpinError("INVALID_ARGUMENT", f"{found.said()} Say --restart to begin with a new kernel, or --keep to go on with this one.")
    command.out.note(found.said())
    return typer.confirm("Restart the kernel? Its variables are lost, for everyone", err=True)
