"""Who may call what, as data: one rule for each RPC of each service, and the permissions of each role.

Rules: a method without a rule is refused; a rule names permissions, never roles; a member of a parent workspace is not a member of its
children. A method for services wants the calling service's own token and, unless it says otherwise, the user's too.
"""

import re
from collections.abc import Set
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from spin_services.rpc.errors import ErrorReason, ServiceError, invalid, not_found
from spin_services.rpc.identity import Caller
from spinapis.auth.v1.members_pb2 import MemberRole

RoleValue: TypeAlias = MemberRole.ValueType


@dataclass(frozen=True)
class Public:
    """No token needed."""


@dataclass(frozen=True)
class SignedIn:
    """Any signed-in caller."""


@dataclass(frozen=True, init=False)
class InWorkspace:
    """A member of the request's workspace whose role has any of the permissions."""

    permissions: tuple[str, ...]

    def __init__(self, *permissions: str) -> None:
        object.__setattr__(self, "permissions", permissions)


@dataclass(frozen=True)
class ForService:
    """One of the named services; with a permission, the user it calls for must have that in the request's workspace."""

    services: frozenset[str]
    permission: str | None = None
    user: bool = True

    def __init__(self, services: Set[str], permission: str | None = None, *, user: bool = True) -> None:
        object.__setattr__(self, "services", frozenset(services))
        object.__setattr__(self, "permission", permission)
        object.__setattr__(self, "user", user)


Rule: TypeAlias = Public | SignedIn | InWorkspace | ForService

_ID = re.compile(r"[0-9a-f]{32}")
_VIEW = {"notebook.read", "session.view", "runtime.read", "connection.names", "member.read", "workspace.read", "receipts.upload"}
_RUN = _VIEW | {"approval.request", "run", "session.open", "outputs.save"}
_EDIT = _RUN | {
    "approval.decide",
    "notebook.edit",
    "runtime.add",
    "connection.read",
    "connection.manage",
    "member.manage",
    "apikey.manage",
    "log.read",
}
_OWN = _EDIT | {"runtime.confirm", "runtime.manage", "workspace.manage"}

ROLE_PERMISSIONS: dict[RoleValue, frozenset[str]] = {
    MemberRole.MEMBER_ROLE_OWNER: frozenset(_OWN),
    MemberRole.MEMBER_ROLE_EDITOR: frozenset(_EDIT),
    MemberRole.MEMBER_ROLE_AGENT: frozenset(_RUN),
    MemberRole.MEMBER_ROLE_VIEWER: frozenset(_VIEW),
    MemberRole.MEMBER_ROLE_AUDITOR: frozenset({"log.read", "workspace.read", "member.read", "runtime.read"}),
}

# What an organisation admin may do in every workspace, member or not.
ADMIN_PERMISSIONS = frozenset(
    {"member.read", "member.manage", "workspace.read", "runtime.read", "runtime.add", "runtime.confirm", "runtime.manage"}
    | {"connection.names", "connection.read", "connection.manage"}
)

# What a machine may not do, whatever its role: hand out access, be the second pair of eyes, or say that it compared fingerprints.
PERSON_ONLY = frozenset({"approval.decide", "member.manage", "apikey.manage", "runtime.confirm", "workspace.manage"})

_ALL_SERVICES = {"workspace", "compiler", "secrets", "audit"}

_BY_SERVICE: dict[str, dict[str, Rule]] = {
    "auth.v1.SignInService": {
        "ListSignInMethods": Public(),
        "RedeemSignInLink": Public(),
        "SignInWithPassword": Public(),
        "SetPassword": SignedIn(),
        "StartOidcSignIn": Public(),
        "FinishOidcSignIn": Public(),
        "RefreshTokens": Public(),
        # The refresh token is the proof: whoever has it may end its sign-in.
        "SignOut": Public(),
        "GetCurrentUser": SignedIn(),
        "GetJwks": Public(),
        "ExchangeApiKey": Public(),
    },
    "auth.v1.MemberService": {
        "ListMembers": InWorkspace("member.read"),
        "AddMember": InWorkspace("member.manage"),
        "UpdateMember": InWorkspace("member.manage"),
        "RemoveMember": InWorkspace("member.manage"),
        "CreateApiKey": InWorkspace("apikey.manage"),
        "ListApiKeys": InWorkspace("apikey.manage"),
        "RevokeApiKey": InWorkspace("apikey.manage"),
    },
    "auth.v1.AccessService": {
        "GetAccess": ForService(_ALL_SERVICES),
        "ListAccess": ForService(_ALL_SERVICES),
        "FoundWorkspace": ForService({"workspace"}),
    },
    "auth.v1.EnrolmentService": {
        "RegisterPairing": InWorkspace("runtime.add"),
        "EnrolRuntime": InWorkspace("runtime.add"),
        "ConfirmRuntime": InWorkspace("runtime.confirm"),
        "RevokeRuntime": InWorkspace("runtime.manage"),
        "GetRuntimeTrust": InWorkspace("runtime.read"),
        "ListRootDocuments": Public(),
        "GetTrustState": InWorkspace("runtime.read"),
    },
    "auth.v1.GrantService": {
        "IssueCapability": InWorkspace("session.view"),
        "ListSharedConnections": InWorkspace("run"),
        "GrantRun": ForService({"compiler"}, "run"),
    },
    "auth.v1.ApprovalService": {
        "RequestApproval": ForService({"compiler"}, "approval.request"),
        "GetApproval": InWorkspace("session.view", "log.read"),
        "ListApprovals": InWorkspace("session.view", "log.read"),
        "DecideApproval": InWorkspace("approval.decide"),
        "CancelApproval": InWorkspace("approval.request"),
    },
    "auth.v1.PolicyService": {
        "GetWorkspacePolicy": InWorkspace("workspace.read"),
        "UpdateWorkspacePolicy": InWorkspace("workspace.manage"),
    },
    "workspace.v1.WorkspaceService": {
        "CreateWorkspace": SignedIn(),
        "GetWorkspace": InWorkspace("workspace.read"),
        "ListWorkspaces": SignedIn(),
        "UpdateWorkspace": InWorkspace("workspace.manage"),
        "DeleteWorkspace": InWorkspace("workspace.manage"),
        "ListAncestors": ForService({"auth", "compiler", "secrets", "audit"}),
        "WatchWorkspace": InWorkspace("workspace.read"),
    },
    "workspace.v1.RuntimeService": {
        "CreateRuntime": InWorkspace("runtime.add"),
        "GetRuntime": InWorkspace("runtime.read"),
        "ListRuntimes": InWorkspace("runtime.read"),
        "UpdateRuntime": InWorkspace("runtime.manage"),
        "DeleteRuntime": InWorkspace("runtime.manage"),
    },
    "workspace.v1.NotebookService": {
        "CreateNotebook": InWorkspace("notebook.edit"),
        "GetNotebook": InWorkspace("notebook.read"),
        "ListNotebooks": InWorkspace("notebook.read"),
        "UpdateNotebook": InWorkspace("notebook.edit"),
        "DeleteNotebook": InWorkspace("notebook.edit"),
        "SaveCellOutputs": InWorkspace("outputs.save"),
        "ListNotebookVersions": InWorkspace("notebook.read"),
        "GetNotebookVersion": InWorkspace("notebook.read"),
        "RestoreNotebookVersion": InWorkspace("notebook.edit"),
        "ImportNotebook": InWorkspace("notebook.edit"),
        "ExportNotebook": InWorkspace("notebook.read"),
    },
    "workspace.v1.SessionService": {
        "OpenSession": InWorkspace("session.open"),
        "GetSession": InWorkspace("session.view"),
        "ListSessions": InWorkspace("session.view"),
        "EndSession": InWorkspace("session.open"),
    },
    "compiler.v1.CompilerService": {
        "ListCellTypes": SignedIn(),
        "ValidateCell": InWorkspace("notebook.read"),
        "CompileCell": InWorkspace("run"),
        "RequestApproval": InWorkspace("approval.request"),
    },
    "secrets.v1.ConnectionService": {
        "ListConnectionKinds": SignedIn(),
        "CreateConnection": InWorkspace("connection.manage"),
        "ImportConnections": InWorkspace("connection.manage"),
        "GetConnection": InWorkspace("connection.names"),
        "ListConnections": InWorkspace("connection.names"),
        "ListSecretNames": InWorkspace("run"),
        "UpdateConnection": InWorkspace("connection.manage"),
        "DeleteConnection": InWorkspace("connection.manage"),
        "ResolveConnections": ForService({"compiler"}, "run"),
        "CheckUses": ForService({"auth"}),
        "GetLeastBundleVersion": ForService({"auth"}),
        "SyncCredentials": InWorkspace("run"),
    },
    "secrets.v1.KeyService": {
        "ListKeyVersions": InWorkspace("connection.manage"),
        "RotateKey": InWorkspace("workspace.manage"),
        "SetMinimumKeyVersion": InWorkspace("workspace.manage"),
        "DestroyKeyVersion": InWorkspace("workspace.manage"),
        # Of a workspace that is gone: nobody has a role in it any more.
        "EraseWorkspace": ForService({"workspace"}, user=False),
    },
    "audit.v1.LogService": {
        "AppendEntries": ForService({"auth", "workspace", "compiler", "secrets"}, user=False),
        "ListEntries": InWorkspace("log.read"),
        "WatchEntries": InWorkspace("log.read"),
        # Runtimes keep checkpoints and demand consistency: whoever attaches carries both. They hold hashes alone.
        "GetCheckpoint": InWorkspace("workspace.read"),
        "GetInclusionProof": InWorkspace("log.read"),
        "GetConsistencyProof": InWorkspace("workspace.read"),
        "ExportLog": InWorkspace("log.read"),
    },
    "audit.v1.HistoryService": {
        "UploadReceipts": InWorkspace("receipts.upload"),
        "UploadOutputs": InWorkspace("receipts.upload"),
        "ListRuns": InWorkspace("session.view", "log.read"),
        "ListRunOutputs": InWorkspace("session.view", "log.read"),
        "ListAlarms": InWorkspace("log.read"),
        "GetLastUses": ForService({"secrets"}, "connection.read"),
    },
}

# What gRPC itself offers; served as it is.
INFRASTRUCTURE: dict[str, Rule] = {
    "/grpc.health.v1.Health/Check": Public(),
    "/grpc.health.v1.Health/Watch": Public(),
    "/grpc.health.v1.Health/List": Public(),
    # Which messages exist is public: the protos are.
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": Public(),
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo": Public(),
}

RULES: dict[str, Rule] = INFRASTRUCTURE | {
    f"/spinapis.{service}/{method}": rule for service, methods in _BY_SERVICE.items() for method, rule in methods.items()
}


class AccessLookup(Protocol):
    """Where roles come from: auth's own tables in auth, AccessService elsewhere."""

    async def role(self, caller: Caller, workspace_id: str) -> RoleValue | None:
        """The caller's role in the workspace; None where the caller may not know that there is such a workspace.

        An organisation admin who is no member has the role UNSPECIFIED where there is one.
        """


def permissions_of(caller: Caller, role: RoleValue) -> frozenset[str]:
    granted = ROLE_PERMISSIONS.get(role, frozenset())
    if caller.kind == "api_key":
        return granted - PERSON_ONLY
    return granted | ADMIN_PERMISSIONS if caller.is_admin else granted


def has_permission(caller: Caller, permission: str) -> bool:
    """For a servicer that answers more to some roles than to others; the caller's workspace role was found by the rule."""
    return permission in permissions_of(caller, caller.role)


def check_kind(rule: Rule, caller: Caller) -> None:
    """What can be said before the workspace is looked at. Raises SERVICE_ONLY or UNAUTHENTICATED."""
    if isinstance(rule, Public):
        return
    if isinstance(rule, ForService):
        if caller.service not in rule.services:
            raise ServiceError(ErrorReason.ERROR_REASON_SERVICE_ONLY)
        if not rule.user:
            return
    if not caller.user_id:
        raise ServiceError(ErrorReason.ERROR_REASON_UNAUTHENTICATED)


def needed_permissions(rule: Rule) -> tuple[str, ...]:
    """The permissions of which the caller must have one in the request's workspace; none when the rule asks for no workspace."""
    match rule:
        case InWorkspace():
            return rule.permissions
        case ForService() if rule.permission is not None:
            return (rule.permission,)
        case _:
            return ()


async def enforce(rule: Rule, caller: Caller, workspace_id: str, access: AccessLookup) -> Caller:
    """The caller with its role in the workspace. Raises what the caller lacks."""
    check_kind(rule, caller)
    needed = needed_permissions(rule)
    if not needed:
        return caller
    check_workspace_id(workspace_id)
    if caller.bound_workspace_id not in ("", workspace_id):
        raise not_found("workspace", workspace_id)
    role = await access.role(caller, workspace_id)
    granted = permissions_of(caller, role) if role is not None else frozenset()
    if role is None or not granted:
        raise not_found("workspace", workspace_id)
    if granted.isdisjoint(needed):
        raise ServiceError(ErrorReason.ERROR_REASON_PERMISSION_DENIED, permission=" or ".join(needed), role=MemberRole.Name(role))
    return caller.at(workspace_id, role)


def check_workspace_id(value: str) -> None:
    if not _ID.fullmatch(value):
        raise invalid("workspace_id", "A workspace id is 32 hexadecimal digits in lower case.")
