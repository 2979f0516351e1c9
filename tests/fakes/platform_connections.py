"""The fake platform's secrets service: connections, without their credentials."""

import json
from typing import Any

from spinapis.secrets.v1 import secrets_pb2, secrets_pb2_grpc
from tests.fakes.platform_servicers import Context, Servicer, found, new_id, paged


class Connections(Servicer, secrets_pb2_grpc.ConnectionServiceServicer):
    async def CreateConnection(self, request: Any, context: Context) -> Any:
        credential = json.loads(request.credential_json or "{}")
        shared = [field.name for field in request.DESCRIPTOR.fields if field.name in secrets_pb2.Connection.DESCRIPTOR.fields_by_name]
        said = {name: getattr(request, name) for name in shared}
        connection = secrets_pb2.Connection(id=new_id(), version=1, etag="1", credential_fields=sorted(credential), **said)
        self.p.connections[connection.id] = connection
        self.p.credentials[connection.id] = credential
        return secrets_pb2.CreateConnectionResponse(connection=connection)

    async def ImportConnections(self, request: Any, context: Context) -> Any:
        """Knows one fault: a kind other than rest."""
        answer = secrets_pb2.ImportConnectionsResponse()
        for place, entry in enumerate(request.entries):
            if entry.kind != "rest":
                field = f"entries[{place}].kind"
                answer.outcomes.add(faults=[secrets_pb2.EntryFault(field=field, description=f"No such kind, as in entries[{place}].")])
                continue
            said = {name.name: getattr(entry, name.name) for name in entry.DESCRIPTOR.fields}
            wanted = secrets_pb2.CreateConnectionRequest(workspace_id=request.workspace_id, **said)
            if request.validate_only:
                answer.outcomes.add(connection=secrets_pb2.Connection(name=entry.name, kind=entry.kind, allowed_hosts=entry.allowed_hosts))
            else:
                answer.outcomes.add(connection=(await self.CreateConnection(wanted, context)).connection)
        return answer

    async def UpdateConnection(self, request: Any, context: Context) -> Any:
        connection = await found(context, self.p.connections, request.connection_id, "connection")
        if request.replace_grants:
            del connection.grants[:]
            connection.grants.extend(request.grants)
        for name in ("name", "config_json", "exposable", "references_json", "is_default", "expires_at_ms"):
            if request.HasField(name):
                setattr(connection, name, getattr(request, name))
        if request.HasField("credential_json"):
            self.p.credentials[connection.id] = json.loads(request.credential_json)
            connection.credential_fields[:] = sorted(self.p.credentials[connection.id])
        if request.replace_allowed:
            connection.allowed_hosts[:], connection.allowed_operations[:] = request.allowed_hosts, request.allowed_operations
        return secrets_pb2.UpdateConnectionResponse(connection=connection)

    async def GetConnection(self, request: Any, context: Context) -> Any:
        return secrets_pb2.GetConnectionResponse(connection=await found(context, self.p.connections, request.connection_id, "connection"))

    async def ListConnections(self, request: Any, context: Context) -> Any:
        return paged(request, secrets_pb2.ListConnectionsResponse, "connections", list(self.p.connections.values()))

    async def DeleteConnection(self, request: Any, context: Context) -> Any:
        await found(context, self.p.connections, request.connection_id, "connection")
        del self.p.connections[request.connection_id]
        return secrets_pb2.DeleteConnectionResponse()

    async def SyncCredentials(self, request: Any, context: Context) -> Any:
        await self.p.credentials_may_come.wait()
        return secrets_pb2.SyncCredentialsResponse()
