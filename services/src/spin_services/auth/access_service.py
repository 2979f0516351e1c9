"""AccessService: roles, for the other services."""

import json
from collections.abc import Callable
from typing import Any

from spin_services.auth import domain
from spin_services.auth.access import LocalAccess
from spin_services.auth.store import Members
from spin_services.auth.tables import MemberRow
from spin_services.database import pages
from spin_services.rpc.audit_log import AuditLog
from spin_services.rpc.errors import ErrorReason, ServiceError, already_exists, not_found
from spin_services.rpc.identity import current_caller
from spinapis.audit.v1.audit_pb2 import NewEntry
from spinapis.auth.v1 import members_pb2 as pb
from spinapis.auth.v1.members_pb2_grpc import AccessServiceServicer


class AccessService(AccessServiceServicer):
    def __init__(self, members: Members, access: LocalAccess, log: AuditLog, clock: Callable[[], int]) -> None:
        self._members = members
        self._access = access
        self._log = log
        self._clock = clock

    async def GetAccess(self, request: pb.GetAccessRequest, context: Any) -> pb.GetAccessResponse:
        role = await self._access.role(current_caller(), request.workspace_id)
        if role is None:
            raise not_found("workspace", request.workspace_id)
        return pb.GetAccessResponse(role=role)

    async def ListAccess(self, request: pb.ListAccessRequest, context: Any) -> pb.ListAccessResponse:
        caller = current_caller()
        if caller.kind == "api_key":
            role = await self._access.role(caller, caller.bound_workspace_id)
            only = [pb.Access(workspace_id=caller.bound_workspace_id, role=role)] if role is not None else []
            return pb.ListAccessResponse(access=only)
        listing, size = f"access:{caller.user_id}", pages.clamp(request.page_size)
        position = pages.decode(listing, request.page_token, str)
        found = await self._members.access(caller.user_id, str(position[0]) if position else "", size + 1)
        token = pages.encode(listing, found[size - 1].workspace_id) if len(found) > size else ""
        access = [pb.Access(workspace_id=row.workspace_id, role=pb.MemberRole.ValueType(row.role)) for row in found[:size]]
        return pb.ListAccessResponse(access=access, next_page_token=token)

    async def FoundWorkspace(self, request: pb.FoundWorkspaceRequest, context: Any) -> pb.FoundWorkspaceResponse:
        caller, workspace_id = current_caller(), domain.check_id("workspace_id", request.workspace_id)
        if caller.kind != "person":
            raise ServiceError(ErrorReason.ERROR_REASON_PERMISSION_DENIED, "An API key belongs to one workspace: a person makes new ones.")
        async with self._members.changing() as change:
            if caller.user_id in await change.owners(workspace_id):
                return pb.FoundWorkspaceResponse()
            if await change.anyone(workspace_id):
                raise already_exists("workspace", workspace_id)
            await change.add(MemberRow(workspace_id=workspace_id, user_id=caller.user_id, role=domain.OWNER, added_at_ms=self._clock()))
            entry = NewEntry(idempotency_key=f"founded:{workspace_id}", type="member.added", user_id=caller.user_id)
            entry.subjects.append(f"user:{caller.user_id}")
            entry.body_json = json.dumps({"role": pb.MemberRole.Name(domain.OWNER)})
            await self._log.append(workspace_id, entry)
        await self._access.changed()
        return pb.FoundWorkspaceResponse()
