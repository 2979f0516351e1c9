"""Grants of one connection: who may have programs use it, who may change it, and that nobody gains by one."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spin_services.secrets.grants import ROLES, Grant, Person, may_manage, may_use
from spinapis.auth.v1.members_pb2 import MemberRole
from spinapis.secrets.v1 import secrets_pb2 as pb
from tests.fakes.installation import refused
from tests.fakes.secrets_bench import OTHER, PARENT, WORKSPACE, SecretsBench

USE, MANAGE = pb.CONNECTION_LEVEL_USE, pb.CONNECTION_LEVEL_MANAGE
EDITOR, AGENT = MemberRole.MEMBER_ROLE_EDITOR, MemberRole.MEMBER_ROLE_AGENT


async def granted(bench: SecretsBench, connection: pb.Connection, *grants: pb.ConnectionGrant, user: str = "owner") -> pb.Connection:
    place = {"workspace_id": connection.workspace_id, "connection_id": connection.id, "etag": connection.etag}
    request = pb.UpdateConnectionRequest(**place, grants=grants, replace_grants=True)
    return (await bench.stub.UpdateConnection(request, metadata=bench.by(user))).connection


async def reason_of_use(bench: SecretsBench, user: str, reference: str = "warehouse", workspace_id: str = WORKSPACE) -> str:
    request = pb.ResolveConnectionsRequest(workspace_id=workspace_id, references=[reference])
    metadata: Any = bench.installation.as_service("compiler", "secrets", user)
    try:
        with refused() as refusal:
            await bench.stub.ResolveConnections(request, metadata=metadata)
    except AssertionError:
        return "OK"
    return refusal.reason


async def test_without_grants_everyone_who_runs_cells_may_use_it(bench: SecretsBench) -> None:
    await bench.create()
    assert [await reason_of_use(bench, user) for user in ("owner", "editor", "agent")] == ["OK"] * 3
    assert await reason_of_use(bench, "viewer") == "PERMISSION_DENIED"


async def test_a_grant_to_use_closes_it_to_everyone_else(bench: SecretsBench) -> None:
    made = await bench.create()
    changed = await granted(bench, made, pb.ConnectionGrant(level=USE, role=EDITOR))
    assert [grant.role for grant in changed.grants] == [EDITOR]
    assert [await reason_of_use(bench, user) for user in ("owner", "editor", "agent")] == ["OK", "OK", "CONNECTION_UNUSABLE"]
    changed = await granted(bench, changed, pb.ConnectionGrant(level=USE, user_id="agent"))
    assert [await reason_of_use(bench, user) for user in ("owner", "editor", "agent")] == ["OK", "CONNECTION_UNUSABLE", "OK"]
    await granted(bench, changed)
    assert await reason_of_use(bench, "editor") == "OK"
    assert bench.log.entries[WORKSPACE][-1].body_json.count('"grants"') == 1


async def test_a_connection_is_never_open_to_more_than_it_was_made_for(bench: SecretsBench) -> None:
    made = await bench.create(grants=[pb.ConnectionGrant(level=USE, role=EDITOR)])
    assert [grant.role for grant in made.grants] == [EDITOR]
    assert [await reason_of_use(bench, user) for user in ("editor", "agent")] == ["OK", "CONNECTION_UNUSABLE"]
    with refused() as refusal:
        await bench.create("other", grants=[pb.ConnectionGrant(level=USE)])
    assert refusal.metadata["field"] == "grants[0]"


async def test_a_refused_connection_reads_like_one_that_is_not_there(bench: SecretsBench) -> None:
    made = await bench.create()
    await granted(bench, made, pb.ConnectionGrant(level=USE, role=EDITOR))
    assert await reason_of_use(bench, "agent", made.id) == await reason_of_use(bench, "agent", "no such thing") == "CONNECTION_UNUSABLE"


async def test_a_role_is_the_one_in_the_connections_own_workspace(bench: SecretsBench) -> None:
    """Who owns a child is nobody in the parent, and passes for nobody."""
    made = await bench.create(workspace_id=PARENT)
    await granted(bench, made, pb.ConnectionGrant(level=USE, role=EDITOR), pb.ConnectionGrant(level=USE, user_id="guest"))
    bench.access.roles["founder", WORKSPACE] = bench.access.roles["guest", WORKSPACE] = MemberRole.MEMBER_ROLE_OWNER
    assert await reason_of_use(bench, "founder") == "CONNECTION_UNUSABLE"
    assert await reason_of_use(bench, "guest") == "OK"
    assert await reason_of_use(bench, "editor") == "OK"
    bench.access.roles["both", WORKSPACE], bench.access.roles["both", PARENT] = MemberRole.MEMBER_ROLE_EDITOR, MemberRole.MEMBER_ROLE_AGENT
    assert await reason_of_use(bench, "both") == "CONNECTION_UNUSABLE"


async def test_a_grant_gives_no_role_what_it_lacks(bench: SecretsBench) -> None:
    made = await bench.create()
    await granted(bench, made, pb.ConnectionGrant(level=MANAGE, user_id="viewer"), pb.ConnectionGrant(level=USE, user_id="viewer"))
    assert await reason_of_use(bench, "viewer") == "PERMISSION_DENIED"
    with refused() as refusal:
        await granted(bench, made, user="viewer")
    assert refusal.reason == "PERMISSION_DENIED"
    assert await reason_of_use(bench, "owner", workspace_id=OTHER) == "CONNECTION_UNUSABLE"


async def test_only_its_managers_and_owners_change_it(bench: SecretsBench) -> None:
    bench.access.roles["chosen", WORKSPACE] = MemberRole.MEMBER_ROLE_EDITOR
    made = await granted(bench, await bench.create(), pb.ConnectionGrant(level=MANAGE, user_id="chosen"))
    delete = pb.DeleteConnectionRequest(workspace_id=WORKSPACE, connection_id=made.id, etag=made.etag)
    for attempt in (granted(bench, made, user="editor"), bench.stub.DeleteConnection(delete, metadata=bench.by("editor"))):
        with refused() as refusal:
            await attempt
        assert refusal.reason == "PERMISSION_DENIED"
    changed = await granted(bench, made, *made.grants, pb.ConnectionGrant(level=USE, role=AGENT), user="chosen")
    assert await reason_of_use(bench, "chosen") == "OK"
    await granted(bench, changed)


async def test_grants_are_shown_only_where_the_configuration_is(bench: SecretsBench) -> None:
    await granted(bench, await bench.create(), pb.ConnectionGrant(level=USE, role=EDITOR))
    (seen,) = await bench.list("viewer")
    assert not seen.grants
    (seen,) = await bench.list("editor")
    assert len(seen.grants) == 1


@pytest.mark.parametrize(
    ("grants", "field"),
    [
        ([pb.ConnectionGrant(role=EDITOR)], "grants[0].level"),
        ([pb.ConnectionGrant(level=USE, role=EDITOR), pb.ConnectionGrant(level=USE)], "grants[1]"),
        ([pb.ConnectionGrant(level=USE, role=EDITOR, user_id="ann")], "grants[0]"),
        ([pb.ConnectionGrant(level=USE, user_id="u" * 101)], "grants[0]"),
        ([pb.ConnectionGrant(level=USE, user_id=f"u{place}") for place in range(101)], "grants"),
    ],
)
async def test_a_wrong_grant_is_named(bench: SecretsBench, grants: list[pb.ConnectionGrant], field: str) -> None:
    made = await bench.create()
    with refused() as refusal:
        await granted(bench, made, *grants)
    assert refusal.reason == "INVALID_ARGUMENT" and refusal.error is not None and refusal.error.metadata["field"] == field


PEOPLE = st.builds(Person, user_id=st.sampled_from(["ann", "bob"]), role=st.sampled_from(["", *ROLES]))
GRANTS = st.lists(
    st.builds(Grant, level=st.sampled_from(["use", "manage"]), role=st.sampled_from(["", *ROLES]), user_id=st.sampled_from(["", "ann"]))
)


@given(PEOPLE, GRANTS)
def test_owners_are_never_locked_out_and_managers_may_use(person: Person, grants: list[Grant]) -> None:
    if person.role == "owner":
        assert may_use(grants, person) and may_manage(grants, person)
    if any(grant.level == "manage" for grant in grants) and may_manage(grants, person):
        assert may_use(grants, person)


@given(GRANTS)
def test_a_closed_list_never_lets_nobody_in(grants: list[Grant]) -> None:
    """A grant with an empty half does not match a person without a role, nor a call without a user."""
    if any(grant.level == "use" for grant in grants):
        assert not may_use(grants, Person("", ""))
