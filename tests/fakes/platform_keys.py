"""The key versions of a workspace, in memory, for clients' tests."""

from typing import Any

import grpc

from spinapis.secrets.v1 import keys_pb2, keys_pb2_grpc
from tests.fakes.platform_servicers import Context
from tests.fakes.rpc import refuse


class Keys(keys_pb2_grpc.KeyServiceServicer):
    def __init__(self) -> None:
        self.versions = [keys_pb2.KeyVersion(version=1, created_at_ms=1_700_000_000_000, current=True, credentials=2)]

    async def ListKeyVersions(self, request: Any, context: Context) -> Any:
        return keys_pb2.ListKeyVersionsResponse(versions=reversed(self.versions))

    async def RotateKey(self, request: Any, context: Context) -> Any:
        self.versions[-1].current = False
        self.versions.append(keys_pb2.KeyVersion(version=len(self.versions) + 1, created_at_ms=1_700_000_000_001, current=True))
        return keys_pb2.RotateKeyResponse(version=self.versions[-1])

    async def SetMinimumKeyVersion(self, request: Any, context: Context) -> Any:
        for version in self.versions:
            version.refused = version.version < request.minimum_version
        return keys_pb2.SetMinimumKeyVersionResponse()

    async def DestroyKeyVersion(self, request: Any, context: Context) -> Any:
        version = self.versions[request.version - 1]
        if version.credentials and not request.erase_credentials:
            await refuse(context, grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT", f"{version.credentials} credentials are under this version")
        version.destroyed_at_ms = 1_700_000_000_002
        return keys_pb2.DestroyKeyVersionResponse(erased_credentials=version.credentials)
