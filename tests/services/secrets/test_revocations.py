"""Which bundles a runtime may not use any more, once something in them was revoked."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spin_services.secrets.domain import Issued, least_version
from spinapis.auth.v1.members_pb2 import MemberRole
from spinapis.secrets.v1 import keys_pb2, secrets_pb2
from spinapis.secrets.v1.keys_pb2_grpc import KeyServiceStub
from tests.fakes.installation import refused
from tests.fakes.secrets_bench import WORKSPACE, SecretsBench

CHILD, SIBLING = "c1" * 16, "51" * 16
REFERENCES = '{"token":{"manager":"vault","path":"kv/app"}}'
REVOKING: list[dict[str, Any]] = [
    {"credential_json": '{"password":"new"}'},
    {"config_json": '{"base_url":"https://elsewhere.example.org"}'},
    {"replace_allowed": True, "allowed_hosts": ["other.example.org"], "allowed_operations": ["rest.request"]},
    {"replace_approval": True, "approval_operations": ["rest.request"]},
    {"references_json": '{"token":{"manager":"vault","path":"kv/new"}}'},
    {"references_json": ""},
    {"exposable": False},
]
HARMLESS: list[dict[str, Any]] = [
    {"name": "another name"},
    {"is_default": True},
    {"exposable": True},
    {"references_json": '{"token": {"path": "kv/app", "manager": "vault"}}'},
    {"expires_at_ms": 2_000_000_000_000},
    {"replace_allowed": True, "allowed_hosts": ["db.example.org:5432", "more.example.org"], "allowed_operations": ["rest.request"]},
]


@pytest.fixture
def family(bench: SecretsBench) -> SecretsBench:
    bench.workspaces.parents |= {CHILD: WORKSPACE, SIBLING: WORKSPACE}
    for workspace_id in (CHILD, SIBLING):
        bench.access.roles["owner", workspace_id] = MemberRole.MEMBER_ROLE_OWNER
    return bench


async def test_nothing_is_asked_of_a_runtime_that_never_had_a_bundle(bench: SecretsBench) -> None:
    runtime = bench.enrolment.add()
    await bench.delete(await bench.create())
    assert await bench.least(runtime) == 0


async def test_a_deleted_connection_outdates_every_bundle_that_holds_it(bench: SecretsBench) -> None:
    runtime, gone = bench.enrolment.add(), await bench.create()
    held = (await bench.sync(runtime)).bundle_version
    assert await bench.least(runtime) == held
    await bench.delete(gone)
    least = await bench.least(runtime)
    assert least == held + 1
    after = await bench.sync(runtime, held=held)
    assert after.bundle_version >= least and await bench.least(runtime) == after.bundle_version
    assert not bench.open(runtime, after.sealed).message.entries
    assert (await bench.sync(runtime, held=after.bundle_version)).sealed == b""


@pytest.mark.parametrize("change", REVOKING)
async def test_what_takes_something_away_outdates_the_bundle(bench: SecretsBench, change: dict[str, Any]) -> None:
    # Without a stored credential: with one, what leads elsewhere brings another, which is a revocation by itself.
    runtime, connection = bench.enrolment.add(), await bench.create(credential_json="", references_json=REFERENCES, exposable=True)
    held = (await bench.sync(runtime)).bundle_version
    await bench.update(connection, **change)
    assert await bench.least(runtime) == held + 1


@pytest.mark.parametrize("change", HARMLESS)
async def test_what_takes_nothing_away_cuts_nothing_off(bench: SecretsBench, change: dict[str, Any]) -> None:
    runtime, connection = bench.enrolment.add(), await bench.create(credential_json="", references_json=REFERENCES)
    held = (await bench.sync(runtime)).bundle_version
    await bench.update(connection, **change)
    await bench.create("one more")
    assert await bench.least(runtime) == held


async def test_a_workspace_that_is_erased_outdates_its_bundles(bench: SecretsBench) -> None:
    runtime, _ = bench.enrolment.add(), await bench.create()
    held = (await bench.sync(runtime)).bundle_version
    keys, metadata = KeyServiceStub(bench.installation.channel("secrets")), bench.installation.as_service("workspace", "secrets", "owner")
    await keys.EraseWorkspace(keys_pb2.EraseWorkspaceRequest(workspace_id=WORKSPACE), metadata=metadata)
    assert await bench.least(runtime) == held + 1


async def test_a_destroyed_key_outdates_the_credentials_under_it(bench: SecretsBench) -> None:
    runtime, _ = bench.enrolment.add(), await bench.create()
    held = (await bench.sync(runtime)).bundle_version
    keys = KeyServiceStub(bench.installation.channel("secrets"))
    request = keys_pb2.DestroyKeyVersionRequest(workspace_id=WORKSPACE, version=1, erase_credentials=True)
    await keys.DestroyKeyVersion(request, metadata=bench.by("owner"))
    assert await bench.least(runtime) == held + 1


async def test_a_siblings_revocation_is_mended_by_whoever_synchronises(family: SecretsBench) -> None:
    runtime = family.enrolment.add()
    await family.create("one", workspace_id=CHILD)
    other = await family.create("other", workspace_id=SIBLING)
    held = (await family.sync(runtime, workspace_id=CHILD)).bundle_version
    assert await family.least(runtime) == held
    held = (await family.sync(runtime, workspace_id=SIBLING, held=held)).bundle_version
    await family.delete(other)
    least = await family.least(runtime)
    assert least > held
    mended = await family.sync(runtime, workspace_id=CHILD, held=held)
    assert mended.bundle_version >= least
    assert [entry.name for entry in family.open(runtime, mended.sealed).message.entries] == ["one"]


async def test_another_workspaces_revocation_is_nothing_to_the_runtime(family: SecretsBench) -> None:
    runtime = family.enrolment.add()
    await family.create("one", workspace_id=CHILD)
    held = (await family.sync(runtime, workspace_id=CHILD)).bundle_version
    await family.delete(await family.create("unshared", workspace_id=SIBLING))
    assert await family.least(runtime) == held


async def test_nobody_but_auth_asks(bench: SecretsBench) -> None:
    runtime = bench.enrolment.add()
    request = secrets_pb2.GetLeastBundleVersionRequest(workspace_id=WORKSPACE, runtime_id=runtime.runtime_id)
    for metadata in (bench.by("owner"), bench.installation.as_service("compiler", "secrets", "owner")):
        with refused() as refusal:
            await bench.stub.GetLeastBundleVersion(request, metadata=metadata)
        assert refusal.reason == "SERVICE_ONLY"


@pytest.mark.parametrize("field", ["workspace_id", "runtime_id"])
async def test_an_id_that_is_none_is_refused(bench: SecretsBench, field: str) -> None:
    ids = {"workspace_id": WORKSPACE, "runtime_id": "aa" * 16} | {field: "../etc"}
    with refused() as refusal:
        await bench.stub.GetLeastBundleVersion(
            secrets_pb2.GetLeastBundleVersionRequest(**ids), metadata=bench.installation.as_service("auth", "secrets", "owner")
        )
    assert refusal.reason == "INVALID_ARGUMENT"


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), st.lists(st.sampled_from("abc"), unique=True)), max_size=30))
def test_no_bundle_from_the_least_version_on_holds_what_was_revoked(steps: list[tuple[str, bool, list[str]]]) -> None:
    """Revocations of a workspace, and bundles for some of them, in any order: the least version is good enough, and never falls."""
    revocations = dict.fromkeys("abc", 0)
    issued: list[Issued] = []
    least = 0
    for place, revoked, workspaces in steps:
        if revoked:
            revocations[place] += 1
        else:
            issued.insert(0, Issued(len(issued) + 1, tuple(workspaces), dict(revocations)))
        found = least_version(len(issued), issued, revocations)
        good = [all(b.revocations[p] == revocations[p] for p in b.workspaces) for b in issued if b.version >= found]
        assert all(good)
        assert max(found, least) <= len(issued) + 1
        least = max(least, found)
