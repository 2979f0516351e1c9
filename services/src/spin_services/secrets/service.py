"""ConnectionService: convert, ask the store, convert. Every change is in the log before it is committed; without the log nothing changes."""

import asyncio
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson
from sqlalchemy.ext.asyncio import AsyncSession

from spin_envelope.errors import Refused
from spin_services.database import pages
from spin_services.keys import KeyStore
from spin_services.rpc.audit_log import AuditLog
from spin_services.rpc.errors import ErrorReason, ServiceError, already_exists, etag_mismatch, invalid, not_found
from spin_services.rpc.identity import current_caller
from spin_services.rpc.peers import Peers
from spin_services.rpc.policy import has_permission
from spin_services.runtime_trust import VerifiedHello, VerifiedRuntime, verified_runtime, verify_hello
from spin_services.secrets import allowed, entries, uses, wire
from spin_services.secrets.bundle_store import BundleStore, Issue
from spin_services.secrets.bundles import sealed_bundle
from spin_services.secrets.domain import Connection, NewConnection, holds_all, nearest
from spin_services.secrets.exposed import exposed, readable_names
from spin_services.secrets.grant_wire import role_name
from spin_services.secrets.grants import Person, may_manage
from spin_services.secrets.kinds import Kinds
from spin_services.secrets.last_uses import LastUses
from spin_services.secrets.people import People
from spin_services.secrets.places import Places
from spin_services.secrets.settings import Settings
from spin_services.secrets.store import BeforeCommit, ConnectionStore, ConnectionUnknown, Creation, EtagMismatch, KeyReused, NameTaken
from spin_services.secrets.tables import BundleRow
from spinapis.auth.v1.members_pb2_grpc import AccessServiceStub
from spinapis.auth.v1.trust_pb2 import GetRuntimeTrustRequest
from spinapis.auth.v1.trust_pb2_grpc import EnrolmentServiceStub
from spinapis.envelope.v1.trust_pb2 import Role
from spinapis.secrets.v1 import secrets_pb2 as pb
from spinapis.secrets.v1.secrets_pb2_grpc import ConnectionServiceServicer

MAX_REFERENCES = 100


class ConnectionService(ConnectionServiceServicer):
    def __init__(
        self, store: ConnectionStore, bundles: BundleStore, kinds: Kinds, peers: Peers, keys: KeyStore, settings: Settings, clock: Callable[[], int]
    ) -> None:
        self._store = store
        self._kinds = kinds
        self._log = AuditLog(peers)
        self._last_uses = LastUses(peers)
        self._bundles = bundles
        self._places = Places(peers, bundles, settings.bundle_life_ms)
        self._auth = peers.stub(EnrolmentServiceStub)
        self._access = peers.stub(AccessServiceStub)
        self._keys = keys
        self._settings = settings
        self._clock = clock

    async def ListConnectionKinds(self, request: pb.ListConnectionKindsRequest, context: Any) -> pb.ListConnectionKindsResponse:
        size, position = pages.clamp(request.page_size), pages.decode("connection-kinds", request.page_token, int)
        kinds, start = self._kinds.all(), int(position[0]) if position else 0
        token = pages.encode("connection-kinds", start + size) if start + size < len(kinds) else ""
        return pb.ListConnectionKindsResponse(kinds=[wire.to_kind(kind) for kind in kinds[start : start + size]], next_page_token=token)

    async def CreateConnection(self, request: pb.CreateConnectionRequest, context: Any) -> pb.CreateConnectionResponse:
        new, key = entries.new_connection(request, self._kinds), wire.check_key(request.idempotency_key)
        allowed.check_new([new])
        try:
            (made,) = await self._create(request.workspace_id, [new], [key])
        except NameTaken:
            raise already_exists("connection", new.name) from None
        except KeyReused:
            raise already_exists("idempotency_key", key) from None
        return pb.CreateConnectionResponse(connection=wire.to_connection(made, request.workspace_id, whole=True))

    async def ImportConnections(self, request: pb.ImportConnectionsRequest, context: Any) -> pb.ImportConnectionsResponse:
        place, key = request.workspace_id, wire.check_key(request.idempotency_key)
        # A thousand schemas take a while: other calls go on.
        read = await asyncio.to_thread(entries.read_entries, request, self._kinds)
        allowed.check_new([one.new for one in read])
        refused = any(one.faults for one in read)
        if request.validate_only or refused:
            read = entries.with_taken(read, await self._store.taken(place, [one.new.name for one in read]))
        if request.validate_only:
            return pb.ImportConnectionsResponse(outcomes=[wire.to_outcome(at, one, place) for at, one in enumerate(read)])
        if refused:
            raise entries.refusal(read)
        try:
            made = await self._create(place, [one.new for one in read], wire.import_keys(key, len(read)))
        except NameTaken as taken:
            raise entries.refusal(entries.with_taken(read, taken.names)) from None
        except KeyReused:
            raise already_exists("idempotency_key", key) from None
        return pb.ImportConnectionsResponse(outcomes=[pb.ImportOutcome(connection=wire.to_connection(one, place, whole=True)) for one in made])

    async def _create(self, workspace_id: str, new: Sequence[NewConnection], keys: Sequence[str]) -> list[Connection]:
        creations = [Creation(secrets.token_hex(16), key, one) for key, one in zip(keys, new, strict=True)]
        logged = self._logged("connection.created", wire.parts)
        return await self._store.create(workspace_id, creations, self._clock(), logged)

    async def GetConnection(self, request: pb.GetConnectionRequest, context: Any) -> pb.GetConnectionResponse:
        try:
            found = await self._store.get(await self._places.line(request.workspace_id), request.connection_id)
        except ConnectionUnknown:
            raise not_found("connection", request.connection_id) from None
        whole = has_permission(current_caller(), "connection.read")
        shown = wire.to_connection(found, request.workspace_id, whole=whole)
        if whole:
            await self._last_uses.fill_in(request.workspace_id, [shown])
        return pb.GetConnectionResponse(connection=shown)

    async def ListConnections(self, request: pb.ListConnectionsRequest, context: Any) -> pb.ListConnectionsResponse:
        listing = f"connections:{request.workspace_id}:{request.kind}:{request.expires_before_ms}"
        position = pages.decode(listing, request.page_token, str, str)
        after = (str(position[0]), str(position[1])) if position else ("", "")
        limit = pages.clamp(request.page_size)
        line = await self._places.line(request.workspace_id)
        found = await self._store.page(line, request.kind, request.expires_before_ms, after, limit + 1)
        token = pages.encode(listing, found[limit - 1].name, found[limit - 1].id) if len(found) > limit else ""
        whole = has_permission(current_caller(), "connection.read")
        shown = [wire.to_connection(one, request.workspace_id, whole=whole) for one in found[:limit]]
        if whole:
            await self._last_uses.fill_in(request.workspace_id, shown)
        return pb.ListConnectionsResponse(connections=shown, next_page_token=token)

    async def ListSecretNames(self, request: pb.ListSecretNamesRequest, context: Any) -> pb.ListSecretNamesResponse:
        listing = f"secret-names:{request.workspace_id}"
        size, position = pages.clamp(request.page_size), pages.decode(listing, request.page_token, str)
        chain, people = await self._places.line(request.workspace_id), People(self._access, request.workspace_id)
        names = await readable_names((await self._store.usable(chain)).connections, chain, people.may_use)
        left = [name for name in names if not position or name > str(position[0])]
        token = pages.encode(listing, left[size - 1]) if len(left) > size else ""
        return pb.ListSecretNamesResponse(names=left[:size], next_page_token=token)

    async def UpdateConnection(self, request: pb.UpdateConnectionRequest, context: Any) -> pb.UpdateConnectionResponse:
        known = await self._managed(request.workspace_id, request.connection_id)
        if known.etag != request.etag:
            raise etag_mismatch("connection")
        changes = wire.changes(request, known, self._kinds)
        allowed.check_changes(known, changes)
        logged = self._logged("connection.updated", lambda _: changes.names())
        try:
            updated = await self._store.update(request.workspace_id, request.connection_id, request.etag, changes, self._clock(), logged)
        except ConnectionUnknown:
            raise not_found("connection", request.connection_id) from None
        except EtagMismatch:
            raise etag_mismatch("connection") from None
        except NameTaken:
            raise already_exists("connection", request.name) from None
        return pb.UpdateConnectionResponse(connection=wire.to_connection(updated, request.workspace_id, whole=True))

    async def _managed(self, workspace_id: str, connection_id: str) -> Connection:
        """The connection, if its grants let the caller change it; the etag tells when they are others by then."""
        try:
            found = await self._store.get([workspace_id], connection_id)
        except ConnectionUnknown:
            raise not_found("connection", connection_id) from None
        caller = current_caller()
        if not caller.is_admin and not may_manage(found.grants, Person(caller.user_id, role_name(caller.role))):
            raise ServiceError(ErrorReason.ERROR_REASON_PERMISSION_DENIED, permission="manage this connection", role=role_name(caller.role))
        return found

    async def DeleteConnection(self, request: pb.DeleteConnectionRequest, context: Any) -> pb.DeleteConnectionResponse:
        await self._managed(request.workspace_id, request.connection_id)
        logged = self._logged("connection.deleted", lambda _: [])
        try:
            await self._store.delete(request.workspace_id, request.connection_id, request.etag, self._clock(), logged)
        except ConnectionUnknown:
            raise not_found("connection", request.connection_id) from None
        except EtagMismatch:
            raise etag_mismatch("connection") from None
        return pb.DeleteConnectionResponse()

    async def ResolveConnections(self, request: pb.ResolveConnectionsRequest, context: Any) -> pb.ResolveConnectionsResponse:
        if len(request.references) > MAX_REFERENCES:
            raise invalid("references", f"At most {MAX_REFERENCES} references.")
        if len(request.secrets) > MAX_REFERENCES:
            raise invalid("secrets", f"At most {MAX_REFERENCES} secrets.")
        chain = await self._places.line(request.workspace_id)
        usable = await self._store.usable(chain)
        resolved, people = [], People(self._access, request.workspace_id)
        for reference, found in zip(request.references, nearest(request.references, usable.connections, chain), strict=True):
            if found is None or not await people.may_use(found):
                raise ServiceError(ErrorReason.ERROR_REASON_CONNECTION_UNUSABLE, connection=reference)
            resolved.append(wire.to_resolved(found, request.workspace_id))
        secrets = [wire.to_resolved(found, request.workspace_id) for found in await exposed(request, usable.connections, chain, people.may_use)]
        version = 0
        if request.runtime_id:
            version = await self._bundles.needed(chain, wire.check_id("runtime_id", request.runtime_id), usable.counts, self._clock())
        return pb.ResolveConnectionsResponse(connections=resolved, bundle_version=version, secrets=secrets)

    async def SyncCredentials(self, request: pb.SyncCredentialsRequest, context: Any) -> pb.SyncCredentialsResponse:
        runtime_id, now_ms = wire.check_id("runtime_id", request.runtime_id), self._clock()
        root, revoked, user_id = self._keys.root(), self._keys.revoked_key_ids(), current_caller().user_id
        trust = await self._auth.GetRuntimeTrust(GetRuntimeTrustRequest(workspace_id=request.workspace_id, runtime_id=runtime_id))
        runtime = verified_runtime(root, trust, runtime_id, now_ms, revoked)
        hello = verify_hello(root, runtime, request.hello, request.challenge, session_id=None, user_id=user_id, now_ms=now_ms, revoked=revoked)
        home = runtime.workspace_id.hex()
        line, sharing = await self._places.sharing(request.workspace_id, home, runtime_id, now_ms)
        held = hello.hello.bundle_version
        wanted = (await self._store.usable(line)).counts
        if await self._is_current(home, runtime_id, held, wanted, now_ms):
            return pb.SyncCredentialsResponse(bundle_version=held)
        return await self._issued(request.workspace_id, runtime, hello, sharing, now_ms)

    async def CheckUses(self, request: pb.CheckUsesRequest, context: Any) -> pb.CheckUsesResponse:
        uses.check_request(request)
        found = await self._store.named(request.line, request.connection_ids)
        return pb.CheckUsesResponse(connections=uses.checked(request, found))

    async def GetLeastBundleVersion(self, request: pb.GetLeastBundleVersionRequest, context: Any) -> pb.GetLeastBundleVersionResponse:
        home, runtime_id = wire.check_id("workspace_id", request.workspace_id), wire.check_id("runtime_id", request.runtime_id)
        return pb.GetLeastBundleVersionResponse(bundle_version=await self._bundles.least(home, runtime_id, self._clock()))

    async def _is_current(self, home: str, runtime_id: str, held: int, wanted: Mapping[str, int], now_ms: int) -> bool:
        """Whether the asking workspace needs no bundle: the runtime holds its connections for a good while yet, or there never was one.

        A bundle that is refused because of another workspace's connection is replaced all the same.
        """
        if held < await self._bundles.least(home, runtime_id, now_ms):
            return False
        if not wanted:
            return True
        bundle = await self._bundles.held(home, runtime_id, held)
        lasts = bundle is not None and bundle.expires_at_ms - now_ms > self._settings.renew_before_ms
        return bundle is not None and lasts and holds_all(orjson.loads(bundle.holds), wanted)

    async def _issued(
        self, workspace_id: str, runtime: VerifiedRuntime, hello: VerifiedHello, sharing: Sequence[str], now_ms: int
    ) -> pb.SyncCredentialsResponse:
        key, life_ms, answer = self._keys.role_key(Role.ROLE_SECRETS), self._settings.bundle_life_ms, pb.SyncCredentialsResponse()
        runtime_id = runtime.runtime_id.hex()

        async def make(issue: Issue, session: AsyncSession) -> BundleRow:
            usable = await self._store.usable_within(session, sharing)
            try:
                answer.sealed, digest = sealed_bundle(runtime, hello, usable, issue, key, now_ms, life_ms)
            except Refused:
                raise ServiceError(ErrorReason.ERROR_REASON_TOO_LARGE, limit="4 MiB of credentials") from None
            answer.bundle_version = issue.version
            await self._log_sealed(workspace_id, runtime_id, issue.version, usable.connections)
            return BundleRow(
                runtime_id=runtime_id,
                version=issue.version,
                digest=digest,
                expires_at_ms=now_ms + life_ms,
                home=runtime.workspace_id.hex(),
                holds=orjson.dumps(usable.counts).decode(),
                revocations=orjson.dumps(usable.revocations).decode(),
            )

        await self._bundles.issue(runtime_id, hello.hello.bundle_version, make)
        return answer

    async def _log_sealed(self, asking: str, runtime_id: str, version: int, connections: Sequence[Connection]) -> None:
        """Tells each workspace's log that its own credentials were sealed; who asked is told where they work, and nowhere else."""
        attempt, user_id = secrets.token_hex(4), current_caller().user_id
        by_workspace: dict[str, list[str]] = {asking: []}
        for connection in connections:
            by_workspace.setdefault(connection.workspace_id, []).append(connection.id)
        for place, ids in by_workspace.items():
            await self._log.append(place, wire.sync_entry(user_id if place == asking else "", runtime_id, version, ids, attempt))

    def _logged(self, kind: str, changed: Callable[[Connection], list[str]]) -> BeforeCommit:
        user_id, attempt = current_caller().user_id, secrets.token_hex(4)

        async def log(connections: Sequence[Connection]) -> None:
            told = [wire.log_entry(kind, user_id, one, attempt, changed(one)) for one in connections]
            await self._log.append(connections[0].workspace_id, *told)

        return log
