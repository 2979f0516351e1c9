"""What a trust state says of credentials: from which bundle on none holds what was revoked."""

from typing import Any

from spinapis.auth.v1 import trust_pb2 as pb
from spinapis.envelope.v1.trust_pb2 import TrustState
from tests.fakes.paired_runtime import PairedRuntime


async def trust_state(auth: Any, workspace: str, runtime: PairedRuntime, by: Any) -> TrustState:
    request = pb.GetTrustStateRequest(workspace_id=workspace, runtime_id=runtime.runtime_id)
    data = (await auth.enrolment.GetTrustState(request, metadata=by.metadata)).trust_state
    return auth.installation.keys.root().verify(data, TrustState, auth.installation.clock()).message


async def test_a_trust_state_says_which_bundles_will_do_and_never_fewer_than_before(auth_on: Any) -> None:
    owner = await auth_on.owner()
    workspace = await auth_on.found(owner)
    runtime = await auth_on.confirmed(workspace, owner)
    said = []
    for least in (0, 4, 3, 0, 9):
        auth_on.secrets.least[workspace, runtime.runtime_id] = least
        said.append((await trust_state(auth_on, workspace, runtime, owner)).min_bundle_version)
    assert said == [0, 4, 4, 4, 9]


async def test_trust_does_not_wait_for_secrets_and_keeps_what_was_said(auth: Any) -> None:
    owner = await auth.owner()
    workspace = await auth.found(owner)
    runtime = await auth.confirmed(workspace, owner)
    auth.secrets.least[workspace, runtime.runtime_id] = 6
    assert (await trust_state(auth, workspace, runtime, owner)).min_bundle_version == 6
    auth.secrets.broken = True
    assert (await trust_state(auth, workspace, runtime, owner)).min_bundle_version == 6


async def test_a_child_workspace_learns_of_its_parents_runtime(auth: Any) -> None:
    owner = await auth.owner()
    parent, child = await auth.found(owner), await auth.found(owner)
    auth.workspaces.parents[child] = parent
    runtime = await auth.confirmed(parent, owner)
    auth.secrets.least[parent, runtime.runtime_id] = 5
    assert (await trust_state(auth, child, runtime, owner)).min_bundle_version == 5
