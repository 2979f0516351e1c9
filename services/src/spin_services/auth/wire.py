"""Between auth's rows and its messages."""

import json

from spin_services.auth.store.members import Member
from spin_services.auth.tables import ApiKeyRow, UserRow, WorkspacePolicyRow
from spinapis.auth.v1 import members_pb2, policy_pb2, sign_in_pb2
from spinapis.envelope.v1.attach_pb2 import EgressMode, EgressPolicy


def user(row: UserRow) -> sign_in_pb2.User:
    return sign_in_pb2.User(id=row.id, email=row.email, display_name=row.display_name, has_password=bool(row.password_hash), is_admin=row.is_admin)


def member(found: Member) -> members_pb2.Member:
    return members_pb2.Member(
        user_id=found.user.id,
        email=found.user.email,
        display_name=found.user.display_name,
        role=found.role,
        etag=etag(found),
        added_at_ms=found.row.added_at_ms,
    )


def etag(found: Member) -> str:
    # The time tells a member who was removed and added again from the one before.
    return f"{found.row.added_at_ms:x}-{found.row.version}"


def api_key(row: ApiKeyRow) -> members_pb2.ApiKey:
    return members_pb2.ApiKey(
        id=row.id,
        name=row.name,
        role=members_pb2.MemberRole.ValueType(row.role),
        created_at_ms=row.created_at_ms,
        expires_at_ms=row.expires_at_ms,
        last_used_at_ms=row.last_used_at_ms,
        created_by=row.created_by,
        revoked=row.revoked_at_ms > 0,
    )


def egress(row: WorkspacePolicyRow) -> EgressPolicy:
    return EgressPolicy(mode=EgressMode.ValueType(row.egress_mode), hosts=json.loads(row.egress_hosts))


def policy(row: WorkspacePolicyRow, effective: EgressPolicy) -> policy_pb2.WorkspacePolicy:
    return policy_pb2.WorkspacePolicy(
        workspace_id=row.workspace_id,
        egress=egress(row),
        effective_egress=effective,
        trust_grace_ms=row.trust_grace_ms,
        etag=policy_etag(row),
        updated_at_ms=row.updated_at_ms,
        updated_by=row.updated_by,
    )


def policy_etag(row: WorkspacePolicyRow) -> str:
    return f"{row.version:x}"
