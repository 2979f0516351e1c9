"""How long a runtime is trusted: what the owner's policy adds, and what is told of it."""

from typing import Any

from spinapis.auth.v1 import policy_pb2
from spinapis.auth.v1 import trust_pb2 as pb
from spinapis.envelope.v1.trust_pb2 import TrustState
from tests.fakes.paired_runtime import PairedRuntime

DAY_MS = 24 * 3600 * 1000
HOUR_MS = 3600 * 1000


async def trust_state(auth: Any, workspace: str, runtime: PairedRuntime, by: Any) -> TrustState:
    request = pb.GetTrustStateRequest(workspace_id=workspace, runtime_id=runtime.runtime_id)
    data = (await auth.enrolment.GetTrustState(request, metadata=by.metadata)).trust_state
    return auth.installation.keys.root().verify(data, TrustState, auth.installation.clock()).message


async def allow_grace(auth: Any, workspace: str, by: Any, grace_ms: int) -> None:
    known = await auth.policies.GetWorkspacePolicy(policy_pb2.GetWorkspacePolicyRequest(workspace_id=workspace), metadata=by.metadata)
    request = policy_pb2.UpdateWorkspacePolicyRequest(workspace_id=workspace, trust_grace_ms=grace_ms, etag=known.policy.etag)
    await auth.policies.UpdateWorkspacePolicy(request, metadata=by.metadata)


async def test_a_trust_state_gives_the_grace_of_the_runtimes_home(auth_on: Any) -> None:
    """None where nobody chose one; a child that the runtime serves as well cannot lengthen it."""
    owner = await auth_on.owner()
    home, child = await auth_on.found(owner), await auth_on.found(owner)
    auth_on.workspaces.parents[child] = home
    runtime = await auth_on.confirmed(home, owner)
    assert (await trust_state(auth_on, home, runtime, owner)).grace_ms == 0
    await allow_grace(auth_on, home, owner, 2 * HOUR_MS)
    await allow_grace(auth_on, child, owner, 72 * HOUR_MS)
    assert (await trust_state(auth_on, home, runtime, owner)).grace_ms == 2 * HOUR_MS
    assert (await trust_state(auth_on, child, runtime, owner)).grace_ms == 2 * HOUR_MS


async def test_until_when_the_newest_trust_state_lasts_is_told(auth_on: Any) -> None:
    owner = await auth_on.owner()
    workspace = await auth_on.found(owner)
    runtime = await auth_on.confirmed(workspace, owner)
    assert (await auth_on.trust(workspace, runtime.runtime_id, owner)).trust_expires_at_ms == 0
    await allow_grace(auth_on, workspace, owner, HOUR_MS)
    state = await trust_state(auth_on, workspace, runtime, owner)
    told = await auth_on.trust(workspace, runtime.runtime_id, owner)
    assert (told.trust_expires_at_ms, told.runs_until_ms) == (state.expires_at_ms, state.expires_at_ms + HOUR_MS)
    assert state.expires_at_ms - state.issued_at_ms == DAY_MS
