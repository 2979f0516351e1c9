"""One runtime, several workspaces: its bundle holds what all of them share with it, and none of them makes another's programs wait."""

import orjson
import pytest

from spinapis.auth.v1.members_pb2 import MemberRole
from spinapis.secrets.v1 import secrets_pb2 as pb
from tests.fakes.installation import refused
from tests.fakes.runtimes import FakeRuntime
from tests.fakes.secrets_bench import OTHER, SECRET, WORKSPACE, SecretsBench

CHILD, SIBLING = "c1" * 16, "51" * 16
DAY_S = 86_400


@pytest.fixture
def family(bench: SecretsBench) -> SecretsBench:
    """Two workspaces below the one that enrolled the runtime."""
    bench.workspaces.parents |= {CHILD: WORKSPACE, SIBLING: WORKSPACE}
    for workspace_id in (CHILD, SIBLING):
        for user, role in (("owner", "OWNER"), ("agent", "AGENT")):
            bench.access.roles[user, workspace_id] = MemberRole.Value(f"MEMBER_ROLE_{role}")
    return bench


def held_by(bench: SecretsBench, runtime: FakeRuntime, answer: pb.SyncCredentialsResponse) -> set[str]:
    return {entry.connection_id.hex() for entry in bench.open(runtime, answer.sealed).message.entries}


async def test_a_child_uses_its_parents_and_its_own_connections_on_its_parents_runtime(family: SecretsBench) -> None:
    runtime = family.enrolment.add()
    parents, own = await family.create("parents"), await family.create("own", workspace_id=CHILD)
    resolved = await family.resolve("parents", "own", workspace_id=CHILD, runtime=runtime)
    assert [connection.id for connection in resolved.connections] == [parents.id, own.id]
    answer = await family.sync(runtime, workspace_id=CHILD)
    assert held_by(family, runtime, answer) == {parents.id, own.id}
    bundle = family.open(runtime, answer.sealed).message
    assert bundle.workspace_id.hex() == WORKSPACE and answer.bundle_version >= resolved.bundle_version
    again = await family.sync(runtime, workspace_id=CHILD, held=answer.bundle_version)
    assert (again.sealed, again.bundle_version) == (b"", answer.bundle_version)


async def test_workspaces_that_share_a_runtime_do_not_push_each_other_out(family: SecretsBench) -> None:
    runtime = family.enrolment.add()
    one, other = await family.create("one", workspace_id=CHILD), await family.create("other", workspace_id=SIBLING)
    first = await family.sync(runtime, workspace_id=CHILD)
    assert held_by(family, runtime, first) == {one.id}
    second = await family.sync(runtime, workspace_id=SIBLING, held=first.bundle_version)
    assert held_by(family, runtime, second) == {one.id, other.id}
    assert (await family.sync(runtime, workspace_id=CHILD, held=second.bundle_version)).sealed == b""


async def test_a_siblings_change_makes_no_other_program_wait(family: SecretsBench) -> None:
    runtime = family.enrolment.add()
    await family.create("one", workspace_id=CHILD)
    other = await family.create("other", workspace_id=SIBLING)
    held = (await family.sync(runtime, workspace_id=CHILD)).bundle_version
    await family.sync(runtime, workspace_id=SIBLING, held=held)
    await family.update(other, credential_json='{"password":"new"}')
    assert (await family.resolve("one", workspace_id=CHILD, runtime=runtime)).bundle_version == held
    assert (await family.resolve("other", workspace_id=SIBLING, runtime=runtime)).bundle_version > held


async def test_a_child_cannot_name_a_siblings_connection_nor_a_parent_its_childs(family: SecretsBench) -> None:
    runtime = family.enrolment.add()
    own = await family.create("own", workspace_id=CHILD)
    await family.sync(runtime, workspace_id=CHILD)
    for place in (SIBLING, WORKSPACE, OTHER):
        for reference in ("own", own.id):
            with refused() as refusal:
                await family.resolve(reference, workspace_id=place, runtime=runtime)
            assert refusal.reason == "CONNECTION_UNUSABLE"


async def test_a_workspace_beside_the_runtimes_line_gets_and_adds_nothing(family: SecretsBench) -> None:
    """The fake auth here tells anyone of any runtime, as a careless one might."""
    runtime = family.enrolment.add()
    mine = await family.create("mine")
    await family.create("foreign", workspace_id=OTHER)
    with refused() as refusal:
        await family.sync(runtime, workspace_id=OTHER)
    assert refusal.reason == "NOT_FOUND"
    assert held_by(family, runtime, await family.sync(runtime)) == {mine.id}


async def test_the_same_runtime_id_enrolled_elsewhere_gets_no_share(family: SecretsBench) -> None:
    runtime, thief = family.enrolment.add(), FakeRuntime(family.installation.keys, OTHER)
    await family.create("mine")
    await family.create("childs", workspace_id=CHILD)
    held = (await family.sync(runtime, workspace_id=CHILD)).bundle_version
    foreign = await family.create("foreign", workspace_id=OTHER)
    thief.runtime_id = runtime.runtime_id
    thief.enrol_grant, thief.confirmation = thief._enrol()
    family.enrolment.runtimes[thief.runtime_id] = thief
    assert held_by(family, thief, await family.sync(thief, workspace_id=OTHER, held=held)) == {foreign.id}
    family.enrolment.runtimes[runtime.runtime_id] = runtime
    await family.create("later")
    assert foreign.id not in held_by(family, runtime, await family.sync(runtime, held=held))


async def test_a_workspace_that_left_the_runtime_leaves_its_bundle(family: SecretsBench) -> None:
    runtime = family.enrolment.add()
    mine = await family.create("mine")
    await family.create("own", workspace_id=CHILD)
    first = await family.sync(runtime, workspace_id=CHILD)
    family.installation.clock.advance(7 * DAY_S + 1)
    later = await family.sync(runtime, held=first.bundle_version)
    assert held_by(family, runtime, later) == {mine.id}
    assert (await family.resolve("own", workspace_id=CHILD, runtime=runtime)).bundle_version > later.bundle_version
    assert held_by(family, runtime, await family.sync(runtime, workspace_id=CHILD, held=later.bundle_version)) > {mine.id}


async def test_each_log_tells_of_its_own_credentials_alone(family: SecretsBench) -> None:
    runtime = family.enrolment.add()
    parents = await family.create("parents")
    one, other = await family.create("one", workspace_id=CHILD), await family.create("other", workspace_id=SIBLING)
    await family.sync(runtime, workspace_id=SIBLING)
    await family.sync(runtime, workspace_id=CHILD)
    told = {}
    for place in (WORKSPACE, CHILD, SIBLING):
        entry = [entry for entry in family.log.entries[place] if entry.type == "connection.sealed"][-1]
        told[place] = (orjson.loads(entry.body_json)["connections"], entry.user_id)
        assert SECRET not in entry.body_json
    assert told == {WORKSPACE: ([parents.id], ""), CHILD: ([one.id], "owner"), SIBLING: ([other.id], "")}


async def test_a_childs_own_runtime_is_sent_what_the_child_inherits(family: SecretsBench) -> None:
    """Which is why auth lets nobody confirm one who may not confirm above as well."""
    own = FakeRuntime(family.installation.keys, CHILD)
    family.enrolment.runtimes[own.runtime_id] = own
    parents, childs = await family.create("parents"), await family.create("childs", workspace_id=CHILD)
    await family.create("siblings", workspace_id=SIBLING)
    assert held_by(family, own, await family.sync(own, workspace_id=CHILD)) == {parents.id, childs.id}
