"""A kernel remembers whose code ran in it: a run that names a connection is granted when each of them may use it today."""

import secrets
from typing import Any

import pytest

from spinapis.auth.v1 import members_pb2 as members
from spinapis.auth.v1 import trust_pb2 as pb
from spinapis.auth.v1.sign_in_pb2 import ExchangeApiKeyRequest
from spinapis.envelope.v1.run_pb2 import ConnectionUse, Principal, RunGrant
from tests.fakes.installation import refused
from tests.fakes.peer_services import FakeConnection
from tests.services.auth.test_grants import Attached, attached_to

USE = ConnectionUse(connection_id=b"c" * 16, operations=["rest.request"])
OTHER = ConnectionUse(connection_id=b"d" * 16, operations=["rest.request"])


class Room:
    """A session in which several people run cells in one kernel. The owner may use the connection "tickets"; whoever else, a test says."""

    def __init__(self, attached: Attached) -> None:
        self.attached, self.auth, self.owner, self.workspace = attached, attached.auth, attached.owner, attached.workspace
        self.tickets = self.auth.secrets.connections[USE.connection_id.hex()] = FakeConnection(self.workspace, only={self.owner.id})

    async def run(self, by: Any, *uses: ConnectionUse, **fields: Any) -> RunGrant:
        await self.attached.attach(by)
        return await self.attached.grant(by, connections=uses, **fields)

    async def person(self, role: str = "editor") -> Any:
        return await self.auth.invite(self.workspace, self.owner, role, f"{role}-{secrets.token_hex(4)}@example.org")

    async def remove(self, person: Any) -> None:
        request = members.RemoveMemberRequest(workspace_id=self.workspace, user_id=person.id)
        listed = await self.auth.members.ListMembers(members.ListMembersRequest(workspace_id=self.workspace), metadata=self.owner.metadata)
        request.etag = next(one.etag for one in listed.members if one.user_id == person.id)
        await self.auth.members.RemoveMember(request, metadata=self.owner.metadata)

    async def agent(self, of: Any) -> tuple[Any, str]:
        """A machine that acts for somebody, and its key's id."""
        request = members.CreateApiKeyRequest(workspace_id=self.workspace, name="agent", role=members.MEMBER_ROLE_AGENT)
        made = await self.auth.members.CreateApiKey(request, metadata=of.metadata)
        tokens = (await self.auth.sign_in.ExchangeApiKey(ExchangeApiKeyRequest(api_key=made.secret))).tokens
        return type(self.owner)(of.user, tokens), made.api_key.id


@pytest.fixture
async def room(auth: Any) -> Room:
    return Room(await attached_to(auth))


async def tainted(room: Room, by: Any, *uses: ConnectionUse, **fields: Any) -> Any:
    with refused() as refusal:
        await room.run(by, *uses, **fields)
    assert refusal.reason == "KERNEL_TAINTED", refusal.text
    return refusal


async def test_code_of_somebody_who_may_not_use_the_connection_shuts_the_kernel_to_it_until_a_restart(auth_on: Any) -> None:
    room = Room(await attached_to(auth_on))
    ben = await room.person()
    assert list((await room.run(room.owner, USE)).principals) == [Principal(user_id=room.owner.id)]
    assert list((await room.run(ben)).principals) == []
    refusal = await tainted(room, room.owner, USE)
    assert "'tickets'" in refusal.text and ben.user.email in refusal.text and "Restart the kernel" in refusal.text
    assert (refusal.metadata["connection"], refusal.metadata["user_ids"]) == ("tickets", ben.id)
    assert (await room.run(room.owner, USE, kernel_epoch=2)).nonce.seq == 1
    # Who may not use it was told nothing, and is refused as ever.
    with refused() as refusal:
        await room.run(ben, USE, kernel_epoch=2)
    assert refusal.reason == "CONNECTION_UNUSABLE"
    assert room.auth.secrets.asked and (await room.run(room.owner, USE, kernel_epoch=2)).nonce.seq == 2


async def test_a_grant_for_the_person_mends_it_without_a_restart(room: Room) -> None:
    ben = await room.person()
    await room.run(ben)
    await tainted(room, room.owner, USE)
    room.tickets.only = {room.owner.id, ben.id}
    found = {one.user_id for one in (await room.run(room.owner, USE)).principals}
    assert found == {room.owner.id, ben.id}


async def test_whoever_may_use_all_of_the_connections_is_named_so_that_their_cells_disturb_nobody(room: Room) -> None:
    both, one = await room.person(), await room.person()
    viewer = await room.person("viewer")
    room.tickets.only = {room.owner.id, both.id, one.id, viewer.id}
    room.auth.secrets.connections[OTHER.connection_id.hex()] = FakeConnection(room.workspace, "queue", only={room.owner.id, both.id, viewer.id})
    found = {principal.user_id for principal in (await room.run(room.owner, USE, OTHER)).principals}
    assert found == {room.owner.id, both.id}


async def test_one_of_several_connections_is_enough(room: Room) -> None:
    ben = await room.person()
    room.auth.secrets.connections[OTHER.connection_id.hex()] = FakeConnection(room.workspace, "queue")
    await room.run(ben)
    await room.run(room.owner, OTHER)
    assert "'tickets'" in (await tainted(room, room.owner, OTHER, USE)).text


async def test_cells_without_connections_ask_nobody(room: Room) -> None:
    room.auth.secrets.broken = True
    grant = await room.run(room.owner, ConnectionUse(operations=["runtime_env.get"], params_digest=bytes(32)))
    assert grant.nonce.seq == 1 and not room.auth.secrets.asked
    with refused() as refusal:
        await room.run(room.owner, USE)
    assert refusal.reason == "UNAVAILABLE"


async def test_who_left_or_may_run_nothing_any_more_may_use_nothing_either(room: Room) -> None:
    """Their code may still be there, and the connection is open to all who run cells."""
    room.tickets.only = None
    ben = await room.person()
    await room.run(ben)
    await room.run(room.owner, USE)
    await room.remove(ben)
    refusal = await tainted(room, room.owner, USE)
    assert "somebody who left the workspace" in refusal.text and ben.user.email not in refusal.text


async def test_an_agent_is_a_principal_of_its_own(room: Room) -> None:
    agent, key_id = await room.agent(room.owner)
    await room.run(agent)
    grant = await room.run(room.owner, USE)
    assert Principal(user_id=room.owner.id, actor_chain=[f"api_key:{key_id}"]) in list(grant.principals)
    revoke = members.RevokeApiKeyRequest(workspace_id=room.workspace, api_key_id=key_id)
    await room.auth.members.RevokeApiKey(revoke, metadata=room.owner.metadata)
    assert "an API key of" in (await tainted(room, room.owner, USE)).text
    assert (await room.run(room.owner, USE, kernel_epoch=2)).nonce.seq == 1


async def test_an_agent_meets_what_its_owner_left(room: Room) -> None:
    ben = await room.person()
    room.tickets.only = {room.owner.id}
    agent, _ = await room.agent(room.owner)
    await room.run(ben)
    await tainted(room, agent, USE)


async def test_a_connection_is_judged_in_its_own_workspace(room: Room) -> None:
    """Who owns the child alone is nobody in the parent, and secrets is told so."""
    parent = await room.auth.found(room.owner)
    room.auth.workspaces.parents[room.workspace] = parent
    # What auth was told of the line before is believed for a minute.
    room.auth.installation.clock.advance(61)
    room.tickets.workspace_id, room.tickets.only = parent, None
    ben = await room.person()
    await room.run(ben)
    await room.run(room.owner, USE)
    (asked,) = room.auth.secrets.asked
    roles = {one.user_id: list(one.roles) for one in asked.persons}
    assert list(asked.line) == [room.workspace, parent]
    assert roles[room.owner.id] == [members.MEMBER_ROLE_OWNER] * 2
    assert roles[ben.id] == [members.MEMBER_ROLE_EDITOR, members.MEMBER_ROLE_UNSPECIFIED]


async def test_a_connection_that_is_not_there_is_refused_whatever_the_compiler_says(room: Room) -> None:
    for use in (OTHER, ConnectionUse(connection_id=b"short", operations=["rest.request"])):
        with refused() as refusal:
            await room.run(room.owner, use)
        assert refusal.reason in ("CONNECTION_UNUSABLE", "INVALID_ARGUMENT")


async def test_a_version_that_the_compiler_sends_counts_for_nothing(room: Room) -> None:
    room.tickets.version = 4
    lie = ConnectionUse(connection_id=USE.connection_id, operations=USE.operations, connection_version=9)
    assert (await room.run(room.owner, lie)).connections[0].connection_version == 4


async def shared(room: Room, by: Any, *user_ids: str) -> dict[str, list[str]]:
    request = pb.ListSharedConnectionsRequest(workspace_id=room.workspace, user_ids=user_ids)
    answer = await room.auth.grants.ListSharedConnections(request, metadata=by.metadata)
    return {one.name: list(one.refused_user_ids) for one in answer.connections}


async def test_what_is_left_with_somebodys_code_is_told_to_who_may_use_it(room: Room) -> None:
    ben, ann = await room.person(), await room.person()
    room.auth.secrets.connections[OTHER.connection_id.hex()] = FakeConnection(room.workspace, "queue")
    assert await shared(room, room.owner) == {"tickets": [], "queue": []}
    assert await shared(room, room.owner, ben.id, ann.id, room.owner.id) == {"tickets": [ben.id, ann.id], "queue": []}
    # Who may not use it does not learn that it is there.
    assert await shared(room, ben, room.owner.id) == {"queue": []}
    with refused() as refusal:
        await shared(room, await room.person("viewer"))
    assert refusal.reason == "PERMISSION_DENIED"
    with refused() as refusal:
        await shared(room, room.owner, *(["x"] * 101))
    assert refusal.reason == "INVALID_ARGUMENT"


AT_USE = ConnectionUse(connection_id=USE.connection_id, operations=["secret.read"], params_digest=bytes(32), at_use=True)


def able(grant: RunGrant, place: int = 0) -> set[str]:
    return {grant.candidates[number].user_id for number in grant.connections[place].able}


async def test_a_use_that_is_judged_at_its_time_is_granted_with_who_may_make_it(auth_on: Any) -> None:
    room = Room(await attached_to(auth_on))
    ben = await room.person()
    await room.run(ben)
    grant = await room.run(room.owner, AT_USE)
    assert able(grant) == {room.owner.id} and not list(grant.principals)
    names = {one.user_id: one.name for one in grant.candidates if one.name}
    assert set(names) == {room.owner.id, ben.id} and names[ben.id] == ben.user.email
    # And to whoever may not use it.
    assert able(await room.run(ben, AT_USE)) == {room.owner.id}
    room.tickets.only = None
    assert able(await room.run(room.owner, AT_USE)) == {room.owner.id, ben.id}


async def test_other_connections_of_the_run_are_judged_as_ever(room: Room) -> None:
    ben = await room.person()
    room.auth.secrets.connections[OTHER.connection_id.hex()] = FakeConnection(room.workspace, "queue")
    await room.run(ben)
    grant = await room.run(room.owner, AT_USE, OTHER)
    assert {one.user_id for one in grant.principals} == {room.owner.id, ben.id} and able(grant) == {room.owner.id}
    assert "'tickets'" in (await tainted(room, room.owner, AT_USE, USE)).text


async def test_one_that_is_gone_is_nobodys(room: Room) -> None:
    gone = ConnectionUse(connection_id=b"g" * 16, operations=["secret.read"], params_digest=bytes(32), at_use=True)
    grant = await room.run(room.owner, gone, AT_USE)
    assert (able(grant, 0), able(grant, 1)) == (set(), {room.owner.id})


async def test_one_that_is_guarded_meanwhile_asks_for_no_approval_of_the_run(room: Room) -> None:
    """The runtime refuses to read it."""
    room.tickets.approval_operations = ("secret.read",)
    assert not list((await room.run(room.owner, AT_USE)).approvals)
