"""KeyService: convert, ask the keys, convert. Every change is in the log before it is committed; without the log nothing changes."""

import secrets
from typing import Any

import orjson

from spin_services.database import pages
from spin_services.rpc.audit_log import AuditLog
from spin_services.rpc.errors import invalid, not_found
from spin_services.rpc.identity import current_caller
from spin_services.rpc.peers import Peers
from spin_services.secrets import wire
from spin_services.secrets.credentials import Credentials
from spin_services.secrets.key_store import KeyVersions, StillUsed, Version, VersionUnknown
from spinapis.audit.v1.audit_pb2 import NewEntry
from spinapis.secrets.v1 import keys_pb2 as pb
from spinapis.secrets.v1.keys_pb2_grpc import KeyServiceServicer

MOST = 2**32


class KeyService(KeyServiceServicer):
    def __init__(self, versions: KeyVersions, credentials: Credentials, peers: Peers) -> None:
        self._versions = versions
        self._credentials = credentials
        self._log = AuditLog(peers)

    async def ListKeyVersions(self, request: pb.ListKeyVersionsRequest, context: Any) -> pb.ListKeyVersionsResponse:
        listing = f"keys:{request.workspace_id}"
        position = pages.decode(listing, request.page_token, int)
        limit, before = pages.clamp(request.page_size), int(position[0]) if position else MOST
        found = [version for version in await self._versions.list(request.workspace_id) if version.version < before]
        token = pages.encode(listing, found[limit - 1].version) if len(found) > limit else ""
        return pb.ListKeyVersionsResponse(versions=[_shown(version) for version in found[:limit]], next_page_token=token)

    async def RotateKey(self, request: pb.RotateKeyRequest, context: Any) -> pb.RotateKeyResponse:
        workspace_id = request.workspace_id

        async def log(version: int) -> None:
            await self._logged("rotated", workspace_id, version=version)

        try:
            made = await self._versions.rotate(workspace_id, request.from_version, log)
        except VersionUnknown:
            raise invalid("from_version", "There is no such version yet: list the versions.") from None
        self._credentials.wake()
        return pb.RotateKeyResponse(version=next(_shown(found) for found in await self._versions.list(workspace_id) if found.version == made))

    async def SetMinimumKeyVersion(self, request: pb.SetMinimumKeyVersionRequest, context: Any) -> pb.SetMinimumKeyVersionResponse:
        workspace_id, minimum = request.workspace_id, wire.check_version("minimum_version", request.minimum_version)
        await self._credentials.renew(workspace_id)
        try:
            await self._versions.set_minimum(workspace_id, minimum, lambda: self._logged("minimum_set", workspace_id, version=minimum))
        except VersionUnknown:
            raise invalid("minimum_version", "The minimum never falls, and is at most the current version: list the versions.") from None
        except StillUsed as used:
            text = f"{used.credentials} credentials under older versions cannot be read: replace or delete them first; the service's log names them."
            raise invalid("minimum_version", text) from None
        return pb.SetMinimumKeyVersionResponse()

    async def DestroyKeyVersion(self, request: pb.DestroyKeyVersionRequest, context: Any) -> pb.DestroyKeyVersionResponse:
        workspace_id, version = request.workspace_id, wire.check_version("version", request.version)

        async def log(erased: int) -> None:
            await self._logged("destroyed", workspace_id, version=version, erased_credentials=erased)

        try:
            erased = await self._versions.destroy(workspace_id, version, request.erase_credentials, log)
        except VersionUnknown:
            raise not_found("key version", str(version)) from None
        except StillUsed as used:
            text = f"{used.credentials} credentials are under this version: rotate and set the minimum first, or erase them with erase_credentials."
            raise invalid("erase_credentials", text) from None
        return pb.DestroyKeyVersionResponse(erased_credentials=erased)

    async def EraseWorkspace(self, request: pb.EraseWorkspaceRequest, context: Any) -> pb.EraseWorkspaceResponse:
        await self._versions.erase(request.workspace_id, lambda: self._logged("erased", request.workspace_id))
        return pb.EraseWorkspaceResponse()

    async def _logged(self, what: str, workspace_id: str, **body: int) -> None:
        entry = NewEntry(
            idempotency_key=f"workspace_key.{what}:{body.get('version', 0)}:{secrets.token_hex(8)}",
            type=f"workspace_key.{what}",
            user_id=current_caller().user_id,
            subjects=[f"workspace:{workspace_id}"],
            body_json=orjson.dumps(body).decode(),
        )
        await self._log.append(workspace_id, entry)


def _shown(version: Version) -> pb.KeyVersion:
    return pb.KeyVersion(
        version=version.version,
        created_at_ms=version.created_at_ms,
        destroyed_at_ms=version.destroyed_at_ms,
        current=version.current,
        refused=version.refused,
        credentials=version.credentials,
    )
