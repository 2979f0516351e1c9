"""approval: list, show, request, approve, refuse, cancel. A second person looks at exactly what will run, and decides."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from spin_client.cli.command_context import Command, all_of, run
from spin_client.cli.messages import moment, plain
from spin_client.cli.terminal_text import visible
from spin_client.sdk.errors import SpinError
from spin_client.sdk.platform import Platform
from spinapis.auth.v1 import approvals_pb2, members_pb2
from spinapis.compiler.v1 import compiler_pb2
from spinapis.workspace.v1 import notebooks_pb2

group = typer.Typer(help="Approvals of runs that use guarded operations.", no_args_is_help=True)
Id = Annotated[str, typer.Argument(metavar="APPROVAL", help="Id of the request.")]
Note = Annotated[str, typer.Option(help="Why; the other side and the log see it.")]


class StateName(StrEnum):
    pending = "pending"
    approved = "approved"
    refused = "refused"
    cancelled = "cancelled"
    expired = "expired"
    used = "used"
    all = "all"


@group.command("list")
def list_approvals(context: typer.Context, state: Annotated[StateName, typer.Option(help="Only those in this state.")] = StateName.pending) -> None:
    """Requests for approval, newest first."""

    async def body(command: Command) -> None:
        async with command.platform() as platform:
            workspace = await command.workspace(platform)
            wanted = "UNSPECIFIED" if state is StateName.all else state.name.upper()
            request = approvals_pb2.ListApprovalsRequest(
                workspace_id=workspace.id, state=approvals_pb2.ApprovalState.Value(f"APPROVAL_STATE_{wanted}")
            )
            names = await _names(platform, workspace.id)
            found = [_fields(one, names) for one in await all_of(platform.approvals.ListApprovals, request, "approvals")]
            command.out.rows(["id", "state", "requested_by", "cell_type", "note", "expires"], found, empty="No such requests.")

    run(context, body)


@group.command("show")
def show(context: typer.Context, approval: Id) -> None:
    """One request, with the cell as it will run."""

    async def body(command: Command) -> None:
        async with command.platform() as platform:
            workspace = await command.workspace(platform)
            command.out.item(_fields(await _get(platform, workspace.id, approval), await _names(platform, workspace.id)))

    run(context, body)


@group.command("request")
def request_approval(
    context: typer.Context,
    notebook: Annotated[str, typer.Argument(help="Title or id.")],
    cell: Annotated[str, typer.Argument(help="Id of the cell, as it is saved.")],
    note: Note = "",
) -> None:
    """Ask for the approval of one run of a cell."""

    async def body(command: Command) -> None:
        async with command.platform() as platform:
            workspace = await command.workspace(platform)
            book = await command.notebook(platform, workspace.id, notebook)
            saved = next((one for one in book.cells if one.id == cell), None)
            if saved is None:
                raise SpinError("NOT_FOUND", f"the notebook {book.title!r} has no cell {cell!r}: see `spinctl notebook show`", {"resource": "cell"})
            session = await platform.sessions.OpenSession(notebooks_pb2.OpenSessionRequest(workspace_id=workspace.id, notebook_id=book.id))
            asked = compiler_pb2.RequestApprovalRequest(
                workspace_id=workspace.id,
                notebook_id=book.id,
                cell_id=saved.id,
                cell=compiler_pb2.CellDefinition(cell_type=saved.cell_type, source=saved.source, fields_json=saved.fields_json),
                session_id=session.session.id,
                note=note,
            )
            made = (await platform.compiler.RequestApproval(asked)).approval
            names = await _names(platform, workspace.id)
            whom = ", ".join(names.get(user_id, user_id) for user_id in made.approver_ids) or "nobody yet: add an owner or editor"
            command.out.done(f"Asked for approval {made.id}. May decide: {whom}.", _fields(made, names))

    run(context, body)


@group.command("approve")
def approve(
    context: typer.Context,
    approval: Id,
    note: Note = "",
    minutes: Annotated[int, typer.Option(help="How long it may be used.", min=1, max=1440)] = 15,
    yes: Annotated[bool, typer.Option("--yes", help="Do not show and ask.")] = False,
) -> None:
    """Show what will run, ask, and approve one run of it."""
    _decide(context, approval, note, approve=True, valid_ms=minutes * 60_000, yes=yes)


@group.command("refuse")
def refuse(context: typer.Context, approval: Id, note: Note = "") -> None:
    """Refuse a request."""
    _decide(context, approval, note, approve=False, valid_ms=0, yes=True)


@group.command("cancel")
def cancel(context: typer.Context, approval: Id) -> None:
    """Take back a request of yours, or its approval."""

    async def body(command: Command) -> None:
        async with command.platform() as platform:
            workspace = await command.workspace(platform)
            request = approvals_pb2.CancelApprovalRequest(workspace_id=workspace.id, approval_id=approval)
            gone = (await platform.approvals.CancelApproval(request)).approval
            command.out.done(f"Cancelled {gone.id}.", plain(gone))

    run(context, body)


def _decide(context: typer.Context, approval_id: str, note: str, *, approve: bool, valid_ms: int, yes: bool) -> None:
    async def body(command: Command) -> None:
        async with command.platform() as platform:
            workspace = await command.workspace(platform)
            asked, names = await _get(platform, workspace.id, approval_id), await _names(platform, workspace.id)
            if not yes:
                command.out.note(_summary(asked, names))
            command.confirmed("Approve one run of this?", yes=yes)
            request = approvals_pb2.DecideApprovalRequest(
                workspace_id=workspace.id,
                approval_id=approval_id,
                approve=approve,
                note=note,
                # Of what was shown: a request never changes, and this says so.
                source_digest=asked.source_digest,
                valid_ms=valid_ms,
            )
            decided = (await platform.approvals.DecideApproval(request)).approval
            until = f", for one run until {moment(decided.expires_at_ms)}" if approve else ""
            command.out.done(f"{'Approved' if approve else 'Refused'} {decided.id}{until}.", _fields(decided, names))

    run(context, body)


async def _get(platform: Platform, workspace_id: str, approval_id: str) -> approvals_pb2.Approval:
    request = approvals_pb2.GetApprovalRequest(workspace_id=workspace_id, approval_id=approval_id)
    found: approvals_pb2.Approval = (await platform.approvals.GetApproval(request)).approval
    return found


async def _names(platform: Platform, workspace_id: str) -> dict[str, str]:
    members = await all_of(platform.members.ListMembers, members_pb2.ListMembersRequest(workspace_id=workspace_id), "members")
    return {member.user_id: member.email for member in members}


def _summary(asked: approvals_pb2.Approval, names: dict[str, str]) -> str:
    by = names.get(asked.requested_by, asked.requested_by) + "".join(f" through {actor}" for actor in asked.actor_chain)
    uses = ", ".join(f"{', '.join(use.operations)} with {use.connection_id.hex()}" for use in asked.uses if use.connection_id)
    fields = f"\n{asked.fields_json}" if asked.fields_json not in ("", "{}") else ""
    return visible(f"{by} asks to run this {asked.cell_type} cell ({uses}): {asked.note}\n\n{asked.source}{fields}\n")


def _fields(one: approvals_pb2.Approval, names: dict[str, str]) -> dict[str, Any]:
    people = {key: names.get(value, value) for key, value in (("requested_by", one.requested_by), ("decided_by", one.decided_by))}
    deciders = [names.get(user_id, user_id) for user_id in one.approver_ids]
    return {**plain(one), **people, "may_decide": deciders, "expires": moment(one.expires_at_ms)}
