"""workspace policy: show, set."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from spin_client.cli.command_context import Command, run
from spin_client.cli.messages import moment, plain
from spin_client.sdk.errors import SpinError
from spinapis.auth.v1 import policy_pb2
from spinapis.envelope.v1.attach_pb2 import EgressMode, EgressPolicy

group = typer.Typer(help="What a workspace's owner decides for everyone in it.", no_args_is_help=True)
HOUR_MS = 3_600_000
# A kernel gets the policy of its session's newest attachment, and attachments end after an hour.
COUNTS_FROM = (
    "Sessions that attach from now on start kernels with the new egress; one attached already may start kernels with the old one for up to an hour; "
    "what runs keeps what it was started with."
)


class Egress(StrEnum):
    none = "none"
    allow_list = "allow_list"
    open = "open"
    inherit = "inherit"

    @property
    def value_in_proto(self) -> EgressMode.ValueType:
        return EgressMode.Value("EGRESS_MODE_UNSPECIFIED" if self == Egress.inherit else f"EGRESS_MODE_{self.name.upper()}")


@group.command("show")
def show(context: typer.Context) -> None:
    """What the workspace chose, and what counts for its kernels with what the workspaces above chose."""

    async def body(command: Command) -> None:
        async with command.platform() as platform:
            workspace = await command.workspace(platform)
            request = policy_pb2.GetWorkspacePolicyRequest(workspace_id=workspace.id)
            found = (await platform.policies.GetWorkspacePolicy(request)).policy
            command.out.item(plain(found) if command.settings.json else _shown(found))

    run(context, body)


@group.command("set", help=f"Change the policy, as an owner. {COUNTS_FROM}")
def set_policy(
    context: typer.Context,
    egress: Annotated[Egress | None, typer.Option(help="Where kernels may connect to; inherit gives the own choice up.")] = None,
    host: Annotated[
        list[str] | None, typer.Option(metavar="NAME:PORT", help="On the allow-list, instead of what is there: pypi.org:443, *.pypi.org:443; repeat.")
    ] = None,
    trust_grace: Annotated[
        int | None, typer.Option(metavar="HOURS", help="How long runtimes go on when nobody renews their trust: 0 to 72.", min=0, max=72)
    ] = None,
) -> None:
    async def body(command: Command) -> None:
        if egress is None and not host and trust_grace is None:
            raise SpinError("INVALID_ARGUMENT", "say what to change: --egress, --host or --trust-grace")
        async with command.platform() as platform:
            workspace = await command.workspace(platform)
            known = (await platform.policies.GetWorkspacePolicy(policy_pb2.GetWorkspacePolicyRequest(workspace_id=workspace.id))).policy
            request = policy_pb2.UpdateWorkspacePolicyRequest(workspace_id=workspace.id, etag=known.etag)
            if egress is not None or host:
                request.egress.CopyFrom(EgressPolicy(mode=(egress or Egress.allow_list).value_in_proto, hosts=host or []))
            if trust_grace is not None:
                request.trust_grace_ms = trust_grace * HOUR_MS
            changed = (await platform.policies.UpdateWorkspacePolicy(request)).policy
            grace = changed.trust_grace_ms / HOUR_MS
            text = f"Egress in {workspace.name}: {_egress(changed.effective_egress)}. {COUNTS_FROM} Trust grace: {grace:g} h."
            command.out.done(text, plain(changed))

    run(context, body)


def _shown(policy: policy_pb2.WorkspacePolicy) -> dict[str, Any]:
    return {
        "workspace_id": policy.workspace_id,
        "egress": _egress(policy.egress),
        "effective_egress": _egress(policy.effective_egress),
        "decided_by": ", ".join(one.hex() for one in policy.effective_egress.workspace_ids),
        "trust_grace_hours": f"{policy.trust_grace_ms / HOUR_MS:g}",
        "updated": moment(policy.updated_at_ms),
        "updated_by": policy.updated_by,
    }


def _egress(policy: EgressPolicy) -> str:
    match policy.mode:
        case EgressMode.EGRESS_MODE_ALLOW_LIST:
            return ", ".join(policy.hosts) or "no host (the lists have none in common)"
        case EgressMode.EGRESS_MODE_NONE:
            return "none"
        case EgressMode.EGRESS_MODE_OPEN:
            return "open"
        case _:
            return "as the parent's"
