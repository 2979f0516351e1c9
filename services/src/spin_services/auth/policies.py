"""What counts in a workspace: its own policy and those of all above it."""

from spin_services.auth import policy_rules, wire
from spin_services.auth.places import Places
from spin_services.auth.store import Policies
from spin_services.auth.tables import WorkspacePolicyRow
from spinapis.envelope.v1.attach_pb2 import EgressPolicy


class WorkspacePolicies:
    """What counts in a workspace."""

    def __init__(self, policies: Policies, places: Places) -> None:
        self._policies = policies
        self._places = places

    async def effective_egress(self, workspace_id: str, changed: WorkspacePolicyRow | None = None) -> EgressPolicy:
        """With one row as it is about to be."""
        line = await self._places.line(workspace_id)
        rows = await self._policies.policies(line) | ({changed.workspace_id: changed} if changed is not None else {})
        return policy_rules.effective(line, {name: wire.egress(row) for name, row in rows.items()})

    async def own(self, workspace_id: str) -> WorkspacePolicyRow:
        """A new one where there is none."""
        return (await self._policies.policies([workspace_id])).get(workspace_id) or WorkspacePolicyRow(workspace_id=workspace_id)

    async def capability_egress(self, workspace_id: str) -> EgressPolicy:
        """Raises INVALID_ARGUMENT for more than a capability holds."""
        policy = await self.effective_egress(workspace_id)
        policy_rules.check_fits(policy)
        return policy
