"""MemberService: members of a workspace and its API keys.

Rules: a change is written to the log inside its transaction, before the commit; when the log does not answer, nothing changes.
"""

import json
from collections.abc import Callable
from typing import Any

from spin_services.auth import domain, wire
from spin_services.auth.access import LocalAccess
from spin_services.auth.issuer import API_KEY_PREFIX, Issuer, new_secret
from spin_services.auth.store import Members
from spin_services.auth.store.members import Member, MemberChange
from spin_services.auth.tables import ApiKeyRow, MemberRow, UserRow
from spin_services.database import pages
from spin_services.rpc.audit_log import AuditLog
from spin_services.rpc.errors import already_exists, etag_mismatch, invalid, not_found
from spin_services.rpc.identity import current_caller
from spinapis.audit.v1.audit_pb2 import NewEntry
from spinapis.auth.v1 import members_pb2 as pb
from spinapis.auth.v1.members_pb2_grpc import MemberServiceServicer

INVITATION_MS = 7 * 24 * 3600 * 1000


class MemberService(MemberServiceServicer):
    def __init__(self, members: Members, issuer: Issuer, access: LocalAccess, log: AuditLog, clock: Callable[[], int]) -> None:
        self._members = members
        self._issuer = issuer
        self._access = access
        self._log = log
        self._clock = clock

    async def ListMembers(self, request: pb.ListMembersRequest, context: Any) -> pb.ListMembersResponse:
        listing, size = f"members:{request.workspace_id}", pages.clamp(request.page_size)
        found = await self._members.members(request.workspace_id, _place(pages.decode(listing, request.page_token, int, str)), size + 1)
        token = pages.encode(listing, found[size - 1].row.added_at_ms, found[size - 1].user.id) if len(found) > size else ""
        return pb.ListMembersResponse(members=[wire.member(one) for one in found[:size]], next_page_token=token)

    async def AddMember(self, request: pb.AddMemberRequest, context: Any) -> pb.AddMemberResponse:
        caller, email, role = current_caller(), domain.normal_email(request.email), domain.check_role(request.role)
        domain.check_may_give(domain.acting_role(caller), role)
        now = self._clock()
        async with self._members.changing() as change:
            user = await change.user_by_email(email)
            if user is not None and (there := await change.member(request.workspace_id, user.id)) is not None:
                return _repeated(there, request)
            is_new = user is None
            if user is None:
                user = UserRow(id=domain.new_id(), email=email, created_at_ms=now)
                await change.add(user)
            row = MemberRow(workspace_id=request.workspace_id, user_id=user.id, role=role, added_at_ms=now, idempotency_key=request.idempotency_key)
            await change.add(row)
            await self._logged(request.workspace_id, "member.added", [f"user:{user.id}"], role=pb.MemberRole.Name(role))
        await self._access.changed()
        # Only whoever was unknown until now gets a link: one for an account that exists would be a way into it.
        token = await self._issuer.link(user.id, INVITATION_MS) if is_new else ""
        return pb.AddMemberResponse(member=wire.member(Member(row, user)), sign_in_token=token)

    async def UpdateMember(self, request: pb.UpdateMemberRequest, context: Any) -> pb.UpdateMemberResponse:
        role = domain.check_role(request.role)
        async with self._members.changing() as change:
            member = await self._changeable(change, request.workspace_id, request.user_id, request.etag)
            before = member.role
            domain.check_may_give(domain.acting_role(current_caller()), role, before)
            if before == domain.OWNER and role != domain.OWNER:
                domain.check_owner_stays(await change.owners(request.workspace_id), request.user_id)
            await change.set_role(member, role)
            names = {"role": pb.MemberRole.Name(role), "before": pb.MemberRole.Name(before)}
            await self._logged(request.workspace_id, "member.role_changed", [f"user:{request.user_id}"], **names)
        await self._access.changed()
        return pb.UpdateMemberResponse(member=wire.member(member))

    async def RemoveMember(self, request: pb.RemoveMemberRequest, context: Any) -> pb.RemoveMemberResponse:
        async with self._members.changing() as change:
            member = await self._changeable(change, request.workspace_id, request.user_id, request.etag)
            domain.check_may_give(domain.acting_role(current_caller()), member.role)
            if member.role == domain.OWNER:
                domain.check_owner_stays(await change.owners(request.workspace_id), request.user_id)
            role = pb.MemberRole.Name(member.role)
            await change.remove(member)
            await self._logged(request.workspace_id, "member.removed", [f"user:{request.user_id}"], role=role)
        await self._access.changed()
        return pb.RemoveMemberResponse()

    async def CreateApiKey(self, request: pb.CreateApiKeyRequest, context: Any) -> pb.CreateApiKeyResponse:
        caller, role, now = current_caller(), domain.check_role(request.role), self._clock()
        domain.check_key_role(role, caller.role)
        if request.expires_at_ms and request.expires_at_ms <= now:
            raise invalid("expires_at_ms", "This time is over: choose one to come, or 0 for none.")
        if request.idempotency_key:
            repeated = await self._members.repeated_api_key(request.workspace_id, caller.user_id, request.idempotency_key)
            if repeated is not None:
                return pb.CreateApiKeyResponse(api_key=wire.api_key(repeated))
        secret = new_secret(API_KEY_PREFIX)
        row = ApiKeyRow(
            id=domain.new_id(),
            workspace_id=request.workspace_id,
            name=domain.check_name(request.name),
            role=role,
            secret_digest=domain.digest(secret),
            created_by=caller.user_id,
            idempotency_key=request.idempotency_key or None,
            created_at_ms=now,
            expires_at_ms=request.expires_at_ms,
        )
        async with self._members.changing() as change:
            await change.add(row)
            await self._logged(request.workspace_id, "api_key.created", [f"api_key:{row.id}"], role=pb.MemberRole.Name(role), name=row.name)
        return pb.CreateApiKeyResponse(api_key=wire.api_key(row), secret=secret)

    async def ListApiKeys(self, request: pb.ListApiKeysRequest, context: Any) -> pb.ListApiKeysResponse:
        listing, size = f"api-keys:{request.workspace_id}", pages.clamp(request.page_size)
        found = await self._members.api_keys(request.workspace_id, _place(pages.decode(listing, request.page_token, int, str)), size + 1)
        token = pages.encode(listing, found[size - 1].created_at_ms, found[size - 1].id) if len(found) > size else ""
        return pb.ListApiKeysResponse(api_keys=[wire.api_key(one) for one in found[:size]], next_page_token=token)

    async def RevokeApiKey(self, request: pb.RevokeApiKeyRequest, context: Any) -> pb.RevokeApiKeyResponse:
        """Of one's own, or of a role that one might have given."""
        async with self._members.changing() as change:
            row = await change.api_key(request.workspace_id, request.api_key_id)
            if row is None:
                raise not_found("api_key", request.api_key_id)
            domain.check_key_role(domain.check_role(row.role), current_caller().role)
            if not row.revoked_at_ms:
                row.revoked_at_ms = self._clock()
                await self._logged(request.workspace_id, "api_key.revoked", [f"api_key:{row.id}"], name=row.name)
        await self._access.changed()
        return pb.RevokeApiKeyResponse()

    async def _changeable(self, change: MemberChange, workspace_id: str, user_id: str, etag: str) -> Member:
        member = await change.member(workspace_id, user_id)
        if member is None:
            raise not_found("member", user_id)
        if etag and etag != wire.etag(member):
            raise etag_mismatch("member")
        return member

    async def _logged(self, workspace_id: str, kind: str, subjects: list[str], **body: str) -> None:
        entry = NewEntry(idempotency_key=domain.new_id(), type=kind, user_id=current_caller().user_id, subjects=subjects)
        entry.body_json = json.dumps(body | {"actors": list(current_caller().actor_chain)} if current_caller().actor_chain else body)
        await self._log.append(workspace_id, entry)


def _place(position: pages.Position | None) -> tuple[int, str] | None:
    return (int(position[0]), str(position[1])) if position is not None else None


def _repeated(there: Member, request: pb.AddMemberRequest) -> pb.AddMemberResponse:
    if request.idempotency_key and there.row.idempotency_key == request.idempotency_key:
        return pb.AddMemberResponse(member=wire.member(there))
    raise already_exists("member", there.user.email)
