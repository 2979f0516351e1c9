"""Roles and revocations for auth's own calls, and so for everybody who asks auth.

Rules: what was read is believed for a moment (a role 5 s, a sign-in 2 s); a change here or on another replica ends that at once by
notification; a revoked sign-in has no role anywhere.
"""

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from spin_services.auth import domain
from spin_services.auth.principals import key_lives
from spin_services.auth.store import Accounts, Members
from spin_services.database import Notifier
from spin_services.rpc.errors import ErrorReason, ServiceError
from spin_services.rpc.identity import Caller
from spin_services.rpc.policy import RoleValue
from spinapis.auth.v1.members_pb2 import MemberRole

ROLE_KEPT_MS = 5_000
SIGN_IN_KEPT_MS = 2_000
CHANNEL = "access"
K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Kept(Generic[K, V]):
    """Values that are believed for a while."""

    SIZE = 20_000

    def __init__(self, life_ms: int, clock: Callable[[], int]) -> None:
        self._life_ms = life_ms
        self._clock = clock
        self._values: dict[K, tuple[int, V]] = {}

    def get(self, key: K) -> V | None:
        known = self._values.get(key)
        return known[1] if known and known[0] > self._clock() else None

    def put(self, key: K, value: V) -> None:
        if len(self._values) >= self.SIZE:
            self._values.clear()
        self._values[key] = (self._clock() + self._life_ms, value)

    def clear(self) -> None:
        self._values.clear()


class LocalAccess:
    """AccessLookup over auth's own tables."""

    def __init__(self, accounts: Accounts, members: Members, notifier: Notifier, clock: Callable[[], int]) -> None:
        self._accounts = accounts
        self._members = members
        self._notifier = notifier
        self._clock = clock
        self._roles: Kept[tuple[str, str, str], RoleValue] = Kept(ROLE_KEPT_MS, clock)
        self._lives: Kept[str, bool] = Kept(SIGN_IN_KEPT_MS, clock)

    async def admit(self, caller: Caller) -> None:
        """Refuses a caller whose sign-in or key was revoked."""
        lives = self._lives.get(caller.session_id)
        if lives is None:
            lives = await self._lives_now(caller)
            self._lives.put(caller.session_id, lives)
        if not lives:
            raise ServiceError(ErrorReason.ERROR_REASON_UNAUTHENTICATED, "This sign-in was ended: sign in again.")

    async def role(self, caller: Caller, workspace_id: str) -> RoleValue | None:
        if caller.bound_workspace_id not in ("", workspace_id):
            return None
        key = (caller.user_id, caller.session_id if caller.kind == "api_key" else "", workspace_id)
        role = self._roles.get(key)
        if role is None:
            role = await self._role_now(caller, workspace_id)
            if role is not None:
                self._roles.put(key, role)
            elif caller.is_admin and caller.kind == "person" and await self._members.anyone(workspace_id):
                role = MemberRole.MEMBER_ROLE_UNSPECIFIED
        return role

    async def changed(self) -> None:
        """Roles, keys or sign-ins changed: nobody goes on believing what was read before."""
        self._clear()
        await self._notifier.publish(CHANNEL, "changed")

    async def follow(self) -> None:
        """Listens to the other replicas."""
        async with self._notifier.subscribe(CHANNEL) as messages:
            async for _ in messages:
                self._clear()

    def _clear(self) -> None:
        self._roles.clear()
        self._lives.clear()

    async def _lives_now(self, caller: Caller) -> bool:
        now = self._clock()
        if caller.kind == "person":
            return await self._accounts.sign_in_lives(caller.session_id, now)
        key = await self._members.api_key(caller.session_id)
        return key is not None and key_lives(key, now)

    async def _role_now(self, caller: Caller, workspace_id: str) -> RoleValue | None:
        role = await self._members.role(workspace_id, caller.user_id)
        if caller.kind == "person":
            return role
        key = await self._members.api_key(caller.session_id)
        return domain.lower_role(MemberRole.ValueType(key.role), role) if key is not None else None
