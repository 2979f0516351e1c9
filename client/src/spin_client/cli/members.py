"""member: list, add, set-role, remove."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from spin_client.cli.command_context import Command, all_of, idempotency_key, run
from spin_client.cli.messages import moment, plain
from spin_client.sdk.errors import SpinError
from spin_client.sdk.platform import Platform
from spinapis.auth.v1 import members_pb2

group = typer.Typer(help="Members of a workspace and their roles.", no_args_is_help=True)
Who = Annotated[str, typer.Argument(help="E-mail address or user id.")]


class RoleName(StrEnum):
    owner = "owner"
    editor = "editor"
    agent = "agent"
    viewer = "viewer"
    auditor = "auditor"

    @property
    def value_in_proto(self) -> members_pb2.MemberRole.ValueType:
        return members_pb2.MemberRole.Value(f"MEMBER_ROLE_{self.name.upper()}")


@group.command("list")
def list_members(context: typer.Context) -> None:
    """Everybody in the workspace."""

    async def body(command: Command) -> None:
        async with command.platform() as platform:
            workspace = await command.workspace(platform)
            items = [{**plain(m), "added": moment(m.added_at_ms)} for m in await _members(platform, workspace.id)]
            command.out.rows(["user_id", "email", "display_name", "role", "added"], items)

    run(context, body)


@group.command("add")
def add(context: typer.Context, email: str, role: Annotated[RoleName, typer.Option(help="What they may do.")] = RoleName.viewer) -> None:
    """Add a person; one who has never signed in gets a link for you to hand over."""

    async def body(command: Command) -> None:
        async with command.platform() as platform:
            workspace = await command.workspace(platform)
            request = members_pb2.AddMemberRequest(
                workspace_id=workspace.id, idempotency_key=idempotency_key(), email=email, role=role.value_in_proto
            )
            answer = await platform.members.AddMember(request)
            fields = plain(answer.member)
            text = f"{email} is {_article(role)} of {workspace.name} now."
            if answer.sign_in_token:
                fields["sign_in_link"] = f"{platform.endpoint.origin}/sign-in#token={answer.sign_in_token}"
                text += f"\nHand this one-time sign-in link over: {fields['sign_in_link']}"
            command.out.done(text, fields)

    run(context, body)


@group.command("set-role")
def set_role(context: typer.Context, who: Who, role: RoleName) -> None:
    """Change what a member may do."""

    async def body(command: Command) -> None:
        async with command.platform() as platform:
            workspace = await command.workspace(platform)
            member = await _named(platform, workspace.id, who)
            request = members_pb2.UpdateMemberRequest(workspace_id=workspace.id, user_id=member.user_id, role=role.value_in_proto, etag=member.etag)
            changed = (await platform.members.UpdateMember(request)).member
            command.out.done(f"{who} is {_article(role)} of {workspace.name} now.", plain(changed))

    run(context, body)


@group.command("remove")
def remove(context: typer.Context, who: Who, yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False) -> None:
    """Take a member out of the workspace."""

    async def body(command: Command) -> None:
        async with command.platform() as platform:
            workspace = await command.workspace(platform)
            member = await _named(platform, workspace.id, who)
            command.confirmed(f"Remove {who} from {workspace.name}?", yes=yes)
            request = members_pb2.RemoveMemberRequest(workspace_id=workspace.id, user_id=member.user_id, etag=member.etag)
            await platform.members.RemoveMember(request)
            command.out.done(f"{who} is no member of {workspace.name} any more.", {"user_id": member.user_id, "removed": True})

    run(context, body)


async def _members(platform: Platform, workspace_id: str) -> list[Any]:
    return await all_of(platform.members.ListMembers, members_pb2.ListMembersRequest(workspace_id=workspace_id), "members")


async def _named(platform: Platform, workspace_id: str, who: str) -> members_pb2.Member:
    matching: list[members_pb2.Member] = [m for m in await _members(platform, workspace_id) if who in (m.user_id, m.email)]
    if len(matching) != 1:
        raise SpinError("NOT_FOUND", f"there is no member {who!r}: see `spinctl member list`", {"resource": "member"})
    return matching[0]


def _article(role: RoleName) -> str:
    return f"an {role}" if role[0] in "aeo" else f"a {role}"
