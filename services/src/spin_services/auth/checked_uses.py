"""What a run may do with connections, as secrets says at this moment: nobody else is believed. docs/protocol.md, sections 5 and 6.

Rules: every use gets its connection's version; guarded is what secrets calls so; the caller, and all whose code the kernel was given, must be
able to run cells here and to use each of the connections. Runs without connections ask nobody. Of a use that is judged at its time the grant says
who may, and nobody is refused for it here.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from spin_services.auth.places import Places
from spin_services.auth.principals import Principal, Standing, named, standings
from spin_services.auth.store import Members
from spin_services.rpc.errors import ErrorReason, ServiceError, invalid
from spin_services.rpc.peers import Peers
from spinapis.auth.v1.trust_pb2 import ListSharedConnectionsRequest, ListSharedConnectionsResponse, SharedConnection
from spinapis.envelope.v1 import run_pb2
from spinapis.envelope.v1.run_pb2 import ConnectionUse
from spinapis.secrets.v1.secrets_pb2 import CheckedConnection, CheckUsesRequest, ListConnectionsRequest, UsingPerson
from spinapis.secrets.v1.secrets_pb2_grpc import ConnectionServiceStub

CONNECTION_ID_BYTES = 16
MOST_USERS = PAGE = 100


@dataclass(frozen=True)
class Checked:
    # As asked for, with the connections' versions.
    uses: Sequence[ConnectionUse]
    # The workspaces of the connections that want an approval of these uses.
    guarding: frozenset[str] = frozenset()
    # Everyone who may use each of the connections that are not judged at their use, as far as they were looked at.
    principals: Sequence[run_pb2.Principal] = ()
    # For those that are: everyone who was looked at, and who of them may, in the order of the uses.
    candidates: Sequence[run_pb2.Principal] = ()
    able: Sequence[Sequence[int]] = ()

    def granted(self) -> list[ConnectionUse]:
        """The uses as a grant says them."""
        return [_with_able(use, able) for use, able in zip(self.uses, self.able, strict=True)]


class CheckedUses:
    def __init__(self, members: Members, places: Places, peers: Peers, clock: Callable[[], int]) -> None:
        self._members, self._places, self._clock = members, places, clock
        self._connections = peers.stub(ConnectionServiceStub)

    async def check(self, workspace_id: str, caller: Principal, uses: Sequence[ConnectionUse], present: Sequence[Principal] = ()) -> Checked:
        """`present` are those whose code the kernel was given. Raises CONNECTION_UNUSABLE, and KERNEL_TAINTED."""
        ids = list(dict.fromkeys(use.connection_id for use in uses if use.connection_id))
        if not ids:
            return Checked([_with_version(use, 0) for use in uses], able=[()] * len(uses))
        if any(len(connection_id) != CONNECTION_ID_BYTES for connection_id in ids):
            raise invalid("connections", "A connection's id has 16 bytes.")
        line = await self._places.line(workspace_id)
        members, keys = await self._members.who_may_run(line)
        known = list(dict.fromkeys([caller, *present]))
        people = standings(line, members, keys, known, self._clock())
        answer = await self._ask(workspace_id, line, [connection_id.hex() for connection_id in ids], people)
        found = {bytes.fromhex(one.id): one for one in answer}
        for connection_id in dict.fromkeys(use.connection_id for use in uses if use.connection_id and not use.at_use):
            await self._check_known(workspace_id, found.get(connection_id), connection_id, people[: len(known)])
        late = any(use.at_use for use in uses)
        return checked(uses, found, people, await self._members.names(workspace_id, [one.user_id for one in known]) if late else None)

    async def shared(self, request: ListSharedConnectionsRequest, caller: Principal) -> ListSharedConnectionsResponse:
        """A page of the connections that the caller may use, with those of the users who may not."""
        if len(request.user_ids) > MOST_USERS:
            raise invalid("user_ids", f"At most {MOST_USERS} users.")
        size = min(request.page_size, PAGE) if request.page_size > 0 else PAGE
        listing = ListConnectionsRequest(workspace_id=request.workspace_id, page_size=size, page_token=request.page_token)
        page = await self._connections.ListConnections(listing)
        line = await self._places.line(request.workspace_id)
        members, keys = await self._members.who_may_run(line)
        known = list(dict.fromkeys([caller, *map(Principal, request.user_ids)]))
        people = standings(line, members, keys, known, self._clock())[: len(known)]
        found = await self._ask(request.workspace_id, line, [one.id for one in page.connections], people)
        kinds = {one.id: one.kind for one in page.connections}
        usable = [one for one in found if _may_use(one, 0, people[0])]
        return ListSharedConnectionsResponse(
            connections=[SharedConnection(id=one.id, name=one.name, kind=kinds[one.id], refused_user_ids=_refused(one, people)) for one in usable],
            next_page_token=page.next_page_token,
        )

    async def _ask(self, workspace_id: str, line: Sequence[str], ids: Sequence[str], people: Sequence[Standing]) -> Sequence[CheckedConnection]:
        persons = [UsingPerson(user_id=one.principal.user_id, roles=one.roles) for one in people]
        request = CheckUsesRequest(workspace_id=workspace_id, line=line, connection_ids=ids, persons=persons)
        return (await self._connections.CheckUses(request)).connections

    async def _check_known(self, workspace_id: str, connection: CheckedConnection | None, connection_id: bytes, known: Sequence[Standing]) -> None:
        if connection is None or not _may_use(connection, 0, known[0]):
            raise ServiceError(ErrorReason.ERROR_REASON_CONNECTION_UNUSABLE, connection=connection_id.hex())
        refused = [one.principal for place, one in enumerate(known) if not _may_use(connection, place, one)]
        if refused:
            raise tainted(connection.name, refused, await self._members.names(workspace_id, [one.user_id for one in refused]))


def checked(
    uses: Sequence[ConnectionUse], found: dict[bytes, CheckedConnection], people: Sequence[Standing], names: Mapping[str, str] | None = None
) -> Checked:
    """`names` are given where some uses are judged at their time, of those who are known to be in the kernel. Pure."""
    whole = {use.connection_id: found[use.connection_id] for use in uses if use.connection_id and not use.at_use}
    guarding = {
        whole[use.connection_id].workspace_id
        for use in uses
        if use.connection_id in whole and not set(use.operations).isdisjoint(whole[use.connection_id].approval_operations)
    }
    able = [one for place, one in enumerate(people) if whole and all(_may_use(connection, place, one) for connection in whole.values())]
    versions = {connection_id: connection.version for connection_id, connection in found.items()}
    return Checked(
        [_with_version(use, versions.get(use.connection_id, 0)) for use in uses],
        frozenset(guarding),
        [_principal(one) for one in able],
        [] if names is None else [_principal(one, names.get(one.principal.user_id, "")) for one in people],
        [_able(found.get(use.connection_id), people) if use.at_use else () for use in uses],
    )


def _able(connection: CheckedConnection | None, people: Sequence[Standing]) -> Sequence[int]:
    return () if connection is None else [place for place, one in enumerate(people) if _may_use(connection, place, one)]


def _principal(one: Standing, name: str = "") -> run_pb2.Principal:
    return run_pb2.Principal(user_id=one.principal.user_id, actor_chain=one.principal.actor_chain, name=name)


def tainted(connection: str, refused: Sequence[Principal], names: dict[str, str]) -> ServiceError:
    who = named(refused, names)
    text = (
        f"The connection {connection!r} cannot be used in this kernel: code of {who} ran in it and may still be there, and they may not use the "
        f"connection. Restart the kernel, or ask whoever manages {connection!r} to let them use it."
    )
    ids = ",".join(dict.fromkeys(one.user_id for one in refused))
    return ServiceError(ErrorReason.ERROR_REASON_KERNEL_TAINTED, text, connection=connection, user_ids=ids)


def _refused(connection: CheckedConnection, people: Sequence[Standing]) -> list[str]:
    return [one.principal.user_id for place, one in enumerate(people) if not _may_use(connection, place, one)]


def _may_use(connection: CheckedConnection, place: int, one: Standing) -> bool:
    return one.may_run and place not in connection.refused


def _with_version(use: ConnectionUse, version: int) -> ConnectionUse:
    return ConnectionUse(
        connection_id=use.connection_id,
        operations=use.operations,
        params_digest=use.params_digest,
        connection_version=version,
        at_use=use.at_use,
    )


def _with_able(use: ConnectionUse, able: Sequence[int]) -> ConnectionUse:
    granted = ConnectionUse(able=able)
    granted.MergeFrom(use)
    return granted
