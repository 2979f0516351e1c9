"""Workspaces' policies, over real gRPC."""

import asyncio
import json
from typing import Any

import pytest

from spinapis.auth.v1 import members_pb2, sign_in_pb2
from spinapis.auth.v1 import policy_pb2 as pb
from spinapis.envelope.v1.attach_pb2 import EgressMode, EgressPolicy
from tests.fakes.installation import refused

NONE, ALLOW_LIST, OPEN = (EgressMode.Value(f"EGRESS_MODE_{name}") for name in ("NONE", "ALLOW_LIST", "OPEN"))
HOUR_MS = 3600 * 1000


async def place(auth: Any, owner: Any, parent: str = "") -> str:
    """A workspace that the workspace service knows too."""
    workspace: str = await auth.found(owner)
    auth.workspaces.parents[workspace] = parent
    return workspace


async def policy(auth: Any, workspace: str, by: Any) -> pb.WorkspacePolicy:
    answer = await auth.policies.GetWorkspacePolicy(pb.GetWorkspacePolicyRequest(workspace_id=workspace), metadata=by.metadata)
    found: pb.WorkspacePolicy = answer.policy
    return found


async def update(auth: Any, workspace: str, by: Any, **fields: Any) -> pb.WorkspacePolicy:
    """By whoever has just read it, where nothing else is said."""
    fields.setdefault("etag", (await policy(auth, workspace, by)).etag)
    request = pb.UpdateWorkspacePolicyRequest(workspace_id=workspace, **fields)
    changed: pb.WorkspacePolicy = (await auth.policies.UpdateWorkspacePolicy(request, metadata=by.metadata)).policy
    return changed


def listed(*hosts: str) -> EgressPolicy:
    return EgressPolicy(mode=ALLOW_LIST, hosts=hosts)


async def test_without_a_choice_everything_is_open_and_there_is_no_grace(auth_on: Any) -> None:
    owner = await auth_on.owner()
    workspace = await place(auth_on, owner)
    viewer = await auth_on.invite(workspace, owner, "viewer")
    found = await policy(auth_on, workspace, viewer)
    assert (found.egress.mode, found.effective_egress, found.trust_grace_ms) == (0, EgressPolicy(mode=OPEN), 0)
    assert (found.updated_at_ms, found.updated_by) == (0, "")


async def test_an_owner_chooses_and_the_rest_stays(auth_on: Any) -> None:
    owner = await auth_on.owner()
    workspace = await place(auth_on, owner)
    changed = await update(auth_on, workspace, owner, egress=listed("PyPI.org:443", "*.example.org:80", "pypi.org.:443"))
    assert list(changed.egress.hosts) == ["pypi.org:443", "*.example.org:80"]
    assert list(changed.effective_egress.workspace_ids) == [bytes.fromhex(workspace)]
    changed = await update(auth_on, workspace, owner, trust_grace_ms=72 * HOUR_MS)
    assert changed == await policy(auth_on, workspace, owner)
    assert (changed.egress.mode, changed.trust_grace_ms, changed.updated_by) == (ALLOW_LIST, 72 * HOUR_MS, owner.id)
    given_up = await update(auth_on, workspace, owner, egress=EgressPolicy(), trust_grace_ms=0)
    assert (given_up.egress, given_up.effective_egress.mode, given_up.trust_grace_ms) == (EgressPolicy(), OPEN, 0)


async def test_a_child_is_never_laxer_than_those_above(auth_on: Any) -> None:
    owner = await auth_on.owner()
    top = await place(auth_on, owner)
    middle = await place(auth_on, owner, top)
    bottom = await place(auth_on, owner, middle)
    await update(auth_on, top, owner, egress=listed("*.example.org:443", "pypi.org:443"))
    assert list((await policy(auth_on, bottom, owner)).effective_egress.hosts) == ["*.example.org:443", "pypi.org:443"]
    changed = await update(auth_on, bottom, owner, egress=listed("git.example.org:443", "evil.net:443"))
    assert list(changed.effective_egress.hosts) == ["git.example.org:443"]
    assert list(changed.effective_egress.workspace_ids) == [bytes.fromhex(bottom), bytes.fromhex(top)]
    assert (await update(auth_on, bottom, owner, egress=EgressPolicy(mode=OPEN))).effective_egress.mode == ALLOW_LIST
    await update(auth_on, middle, owner, egress=EgressPolicy(mode=NONE))
    stopped = (await policy(auth_on, bottom, owner)).effective_egress
    assert stopped == EgressPolicy(mode=NONE, workspace_ids=[bytes.fromhex(middle)])
    assert (await policy(auth_on, top, owner)).effective_egress.mode == ALLOW_LIST


@pytest.mark.parametrize(
    ("fields", "field", "says"),
    [
        ({"egress": listed("pypi.org:443", "pypi.org")}, "egress.hosts[1]", "pypi.org:443"),
        ({"egress": listed("https://pypi.org")}, "egress.hosts[0]", "name:port"),
        ({"egress": listed("*:443")}, "egress.hosts[0]", "name"),
        ({"egress": listed("169.254.169.254:80")}, "egress.hosts[0]", "metadata"),
        ({"egress": listed("[::ffff:169.254.169.254]:80")}, "egress.hosts[0]", "metadata"),
        ({"egress": listed("localhost:80")}, "egress.hosts[0]", "own"),
        ({"egress": listed("127.0.0.1:80")}, "egress.hosts[0]", "own"),
        ({"egress": listed("[::1]:80")}, "egress.hosts[0]", "own"),
        ({"egress": listed(*(f"h{n}.example.org:443" for n in range(101)))}, "egress.hosts", "100"),
        ({"egress": listed()}, "egress.hosts", "none"),
        ({"egress": EgressPolicy(mode=OPEN, hosts=["pypi.org:443"])}, "egress.hosts", "allow_list"),
        ({"egress": EgressPolicy(mode=17)}, "egress.mode", "none, allow_list or open"),  # type: ignore[arg-type]
        ({"trust_grace_ms": -1}, "trust_grace_ms", "72 hours"),
        ({"trust_grace_ms": 72 * HOUR_MS + 1}, "trust_grace_ms", "72 hours"),
    ],
)
async def test_what_makes_no_sense_is_told_by_its_field(auth: Any, fields: dict[str, Any], field: str, says: str) -> None:
    owner = await auth.owner()
    workspace = await place(auth, owner)
    with refused() as refusal:
        await update(auth, workspace, owner, **fields)
    assert refusal.reason == "INVALID_ARGUMENT"
    assert refusal.metadata["field"] == field and says in refusal.text
    assert auth.log.types(workspace) == ["member.added"]


async def test_more_hosts_than_a_capability_holds(auth: Any) -> None:
    owner = await auth.owner()
    top = await place(auth, owner)
    middle = await place(auth, owner, top)
    bottom = await place(auth, owner, middle)
    many = {letter: [f"h{n}.{letter}.org:443" for n in range(98)] for letter in "abc"}
    await update(auth, top, owner, egress=listed("*.a.org:443", "*.b.org:443", *many["c"]))
    await update(auth, middle, owner, egress=listed("*.c.org:443", "*.b.org:443", *many["a"]))
    with refused() as refusal:
        await update(auth, bottom, owner, egress=listed("*.a.org:443", "*.c.org:443", *many["b"]))
    assert refusal.metadata["field"] == "egress.hosts" and "294" in refusal.text
    assert len((await policy(auth, bottom, owner)).effective_egress.hosts) == 197


async def test_owners_alone_and_in_person(auth: Any) -> None:
    owner = await auth.owner()
    workspace = await place(auth, owner)
    for role in ("editor", "agent", "viewer", "auditor"):
        member = await auth.invite(workspace, owner, role)
        assert (await policy(auth, workspace, member)).effective_egress.mode == OPEN
        with refused() as refusal:
            await update(auth, workspace, member, egress=EgressPolicy(mode=NONE))
        assert refusal.reason == "PERMISSION_DENIED"
    request = members_pb2.CreateApiKeyRequest(workspace_id=workspace, name="ci", role=members_pb2.MEMBER_ROLE_OWNER)
    key = (await auth.members.CreateApiKey(request, metadata=owner.metadata)).secret
    tokens = (await auth.sign_in.ExchangeApiKey(sign_in_pb2.ExchangeApiKeyRequest(api_key=key))).tokens
    with refused() as refusal:
        machine = (("authorization", f"Bearer {tokens.access_token}"),)
        request = pb.UpdateWorkspacePolicyRequest(workspace_id=workspace, egress=EgressPolicy(mode=OPEN))
        await auth.policies.UpdateWorkspacePolicy(request, metadata=machine)
    assert refusal.reason == "PERMISSION_DENIED"


async def test_a_parents_owner_is_nobody_in_the_child(auth: Any) -> None:
    owner = await auth.owner()
    top = await place(auth, owner)
    other = await auth.invite(top, owner, "owner")
    child = await place(auth, owner, top)
    with refused() as refusal:
        await policy(auth, child, other)
    assert refusal.reason == "NOT_FOUND"


async def test_two_owners_at_once(auth_on: Any) -> None:
    owner = await auth_on.owner()
    workspace = await place(auth_on, owner)
    etag = (await policy(auth_on, workspace, owner)).etag
    both = [
        update(auth_on, workspace, owner, egress=EgressPolicy(mode=NONE), etag=etag),
        update(auth_on, workspace, owner, trust_grace_ms=HOUR_MS, etag=etag),
    ]
    outcomes = await asyncio.gather(*both, return_exceptions=True)
    assert sum(isinstance(outcome, pb.WorkspacePolicy) for outcome in outcomes) == 1
    for stale in (etag, ""):
        with refused() as refusal:
            await update(auth_on, workspace, owner, trust_grace_ms=2 * HOUR_MS, etag=stale)
        assert refusal.reason == "ETAG_MISMATCH"


async def test_every_change_is_in_the_log_and_none_without_it(auth_on: Any) -> None:
    owner = await auth_on.owner()
    workspace = await place(auth_on, owner)
    await update(auth_on, workspace, owner, egress=listed("pypi.org:443"))
    await update(auth_on, workspace, owner, egress=listed("pypi.org:443"))
    entries = [entry for entry in auth_on.log.entries[workspace] if entry.type == "workspace.policy_changed"]
    assert len(entries) == 1 and entries[0].user_id == owner.id
    assert json.loads(entries[0].body_json) == {
        "egress": "EGRESS_MODE_ALLOW_LIST",
        "hosts": ["pypi.org:443"],
        "trust_grace_ms": 0,
        "before": {"egress": "EGRESS_MODE_UNSPECIFIED", "hosts": [], "trust_grace_ms": 0},
    }
    auth_on.log.broken = True
    with refused() as refusal:
        await update(auth_on, workspace, owner, egress=EgressPolicy(mode=OPEN))
    assert refusal.reason == "UNAVAILABLE"
    assert (await policy(auth_on, workspace, owner)).egress.mode == ALLOW_LIST
