"""What secrets tells auth before a run is granted: who may use a connection, its version, its guards; and that nobody else is told."""

from typing import Any

import pytest

from spinapis.auth.v1.members_pb2 import MemberRole
from spinapis.secrets.v1 import secrets_pb2 as pb
from tests.fakes.installation import refused
from tests.fakes.secrets_bench import OTHER, PARENT, WORKSPACE, SecretsBench

OWNER, EDITOR, AGENT = MemberRole.MEMBER_ROLE_OWNER, MemberRole.MEMBER_ROLE_EDITOR, MemberRole.MEMBER_ROLE_AGENT
NONE = MemberRole.MEMBER_ROLE_UNSPECIFIED
GRANT = pb.ConnectionGrant(level=pb.CONNECTION_LEVEL_USE, role=EDITOR)


async def check(bench: SecretsBench, connections: list[str], *persons: tuple[str, int, int], **fields: Any) -> list[pb.CheckedConnection]:
    """`persons` have an id and their roles in the workspace and its parent."""
    asked = [pb.UsingPerson(user_id=user_id, roles=[own, parents]) for user_id, own, parents in persons]
    values = {"workspace_id": WORKSPACE, "line": [WORKSPACE, PARENT], "connection_ids": connections, "persons": asked} | fields
    metadata: Any = bench.installation.as_service("auth", "secrets", "agent")
    return list((await bench.stub.CheckUses(pb.CheckUsesRequest(**values), metadata=metadata)).connections)


async def test_each_connection_is_told_with_its_version_its_guards_and_who_may_not_use_it(bench: SecretsBench) -> None:
    open_to_all = await bench.create("open", approval_operations=["rest.request"])
    closed = await bench.update(await bench.create("closed"), grants=[GRANT], replace_grants=True)
    both = await check(bench, [open_to_all.id, closed.id], ("ann", EDITOR, NONE), ("ben", AGENT, NONE), ("gone", NONE, NONE))
    assert [(one.name, one.version, list(one.approval_operations), list(one.refused)) for one in both] == [
        ("open", 1, ["rest.request"], []),
        ("closed", 2, [], [1, 2]),
    ]


async def test_an_inherited_connection_counts_the_roles_in_its_own_workspace(bench: SecretsBench) -> None:
    parents = await bench.update(await bench.create(workspace_id=PARENT), grants=[GRANT], replace_grants=True)
    (checked,) = await check(bench, [parents.id], ("founder", OWNER, NONE), ("ann", AGENT, EDITOR), ("boss", NONE, OWNER))
    assert (checked.workspace_id, list(checked.refused)) == (PARENT, [0])


async def test_connections_beside_the_line_are_not_found(bench: SecretsBench) -> None:
    others = await bench.create(workspace_id=OTHER)
    assert await check(bench, [others.id, "0" * 32], ("ann", OWNER, OWNER)) == []


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"line": [PARENT]}, "line"),
        ({"connection_ids": ["tickets"]}, "connection_ids"),
        ({"connection_ids": ["0" * 32] * 101}, "connection_ids"),
        ({"persons": [pb.UsingPerson(user_id="ann", roles=[OWNER])]}, "persons[0].roles"),
        ({"persons": [pb.UsingPerson(roles=[OWNER, OWNER])] * 1001}, "persons"),
    ],
)
async def test_a_malformed_question_is_told_what_is_wrong(bench: SecretsBench, fields: dict[str, Any], field: str) -> None:
    with refused() as refusal:
        await check(bench, [], **fields)
    assert (refusal.reason, refusal.metadata["field"]) == ("INVALID_ARGUMENT", field)


@pytest.mark.parametrize("service", ["compiler", "audit", ""])
async def test_nobody_but_auth_is_told(bench: SecretsBench, service: str) -> None:
    made = await bench.create()
    metadata: Any = bench.installation.as_service(service, "secrets", "owner") if service else bench.by("owner")
    request = pb.CheckUsesRequest(workspace_id=WORKSPACE, line=[WORKSPACE], connection_ids=[made.id])
    with refused() as refusal:
        await bench.stub.CheckUses(request, metadata=metadata)
    assert refusal.reason == "SERVICE_ONLY"
