"""What a member of a child workspace may try with runtimes: to stand in a parent's runtime's place, or to have the parent's credentials sent to
a runtime of their own.
"""

import hashlib
from typing import Any

import pytest

from spinapis.auth.v1 import trust_pb2 as pb
from spinapis.envelope.v1.trust_pb2 import RuntimeStatus
from tests.fakes.installation import refused
from tests.fakes.paired_runtime import PairedRuntime


async def family(auth: Any) -> tuple[Any, str, str]:
    """The parents' owner, their workspace, and a child of it that they own too."""
    owner = await auth.owner()
    parent, child = await auth.found(owner), await auth.found(owner)
    auth.workspaces.parents[child] = parent
    return owner, parent, child


async def confirm(auth: Any, workspace_id: str, runtime: PairedRuntime, by: Any) -> None:
    compared = hashlib.sha256(runtime.identity.public).digest()
    request = pb.ConfirmRuntimeRequest(workspace_id=workspace_id, runtime_id=runtime.runtime_id, fingerprint=compared)
    await auth.enrolment.ConfirmRuntime(request, metadata=by.metadata)


@pytest.mark.parametrize("role", ["editor", "owner"])
async def test_nobody_pairs_a_runtime_of_theirs_under_the_id_of_an_inherited_one(auth_on: Any, role: str) -> None:
    owner, parent, child = await family(auth_on)
    shared = await auth_on.confirmed(parent, owner)
    auth_on.workspaces.runtimes[shared.runtime_id] = parent
    mallory = await auth_on.invite(child, owner, role)
    rogue = PairedRuntime(child, mallory.id, runtime_id=shared.runtime_id)
    request = pb.RegisterPairingRequest(workspace_id=child, registration=rogue.registration(), allowed_hosts=["127.0.0.1:8888"])
    with refused() as refusal:
        await auth_on.enrolment.RegisterPairing(request, metadata=mallory.metadata)
    assert refusal.reason == "NOT_FOUND"
    seen = await auth_on.trust(child, shared.runtime_id, mallory)
    assert seen.status == RuntimeStatus.RUNTIME_STATUS_CONFIRMED
    assert seen.fingerprint == hashlib.sha256(shared.identity.public).digest()


async def test_owning_a_child_confirms_no_runtime_that_would_get_the_parents_credentials(auth_on: Any) -> None:
    """A confirmed runtime of the child is sent what the child inherits: whoever runs it holds it."""
    owner, _, child = await family(auth_on)
    mallory = await auth_on.invite(child, owner, "owner")
    own = await auth_on.enrolled(child, mallory)
    with refused() as refusal:
        await confirm(auth_on, child, own, mallory)
    assert refusal.reason == "PERMISSION_DENIED" and "connections of the workspaces above" in refusal.text
    assert (await auth_on.trust(child, own.runtime_id, mallory)).status == RuntimeStatus.RUNTIME_STATUS_PAIRED
    await confirm(auth_on, child, own, owner)
    assert (await auth_on.trust(child, own.runtime_id, mallory)).status == RuntimeStatus.RUNTIME_STATUS_CONFIRMED
