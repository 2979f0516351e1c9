"""auth's rules: who may give which role, when an account is blocked, what a pairing may contain.

Rules: pure; time is an argument; a broken rule raises ServiceError with the reason that the caller is told.
"""

import hashlib
import re
import secrets
from collections.abc import Sequence

from spin_services.rpc.errors import ErrorReason, ServiceError, invalid
from spin_services.rpc.identity import Caller
from spin_services.rpc.policy import ROLE_PERMISSIONS, RoleValue
from spinapis.auth.v1.members_pb2 import MemberRole

OWNER, EDITOR = MemberRole.MEMBER_ROLE_OWNER, MemberRole.MEMBER_ROLE_EDITOR
_BY_EDITORS = (MemberRole.MEMBER_ROLE_AGENT, MemberRole.MEMBER_ROLE_VIEWER)
_EMAIL = re.compile(r"[^@\s\x00-\x1f\x7f]{1,64}@[^@\s\x00-\x1f\x7f]{1,255}")
_ID = re.compile(r"[0-9a-f]{32}")
_HOST = re.compile(r"(?:[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?|\[[0-9a-f:]{2,45}\])(?::[0-9]{1,5})?")

FREE_ATTEMPTS = 5
ATTEMPT_WINDOW_MS = 15 * 60 * 1000
FIRST_BLOCK_MS = 30 * 1000
LONGEST_BLOCK_MS = 15 * 60 * 1000
PASSWORD_MINIMUM, PASSWORD_MAXIMUM = 12, 1024
# Of the product and of what it is used for: no help in a password.
EXPECTED_WORDS = ("spin", "spinctl", "notebook", "runtime", "workspace", "incident", "runbook", "oncall")
NAME_MAXIMUM = 100
LIST_MAXIMUM = 20


def new_id() -> str:
    return secrets.token_hex(16)


def digest(secret: str) -> str:
    """What is kept of a secret that was chosen at random: guessing it is hopeless, so no slow hash is needed."""
    return hashlib.sha256(b"spin/secret/v1\0" + secret.encode()).hexdigest()


def normal_email(text: str) -> str:
    email = text.strip().lower()
    if not _EMAIL.fullmatch(email):
        raise invalid("email", "This is not an e-mail address.")
    return email


def check_password(text: str) -> None:
    if len(text) < PASSWORD_MINIMUM:
        raise invalid("new_password", f"A password has at least {PASSWORD_MINIMUM} characters.")
    if len(text.encode()) > PASSWORD_MAXIMUM:
        raise invalid("new_password", f"A password has at most {PASSWORD_MAXIMUM} bytes.")


def account_of(email: str) -> str:
    """Names an account in the table of attempts, existing or not."""
    return hashlib.sha256(b"spin/attempts/v1\0" + email.strip().lower().encode()).hexdigest()


def block_ms(failures: int) -> int:
    """How long an account rests after so many failures in a row: nothing at first, then twice as long each time."""
    if failures < FREE_ATTEMPTS:
        return 0
    return min(FIRST_BLOCK_MS << min(failures - FREE_ATTEMPTS, 10), LONGEST_BLOCK_MS)


def acting_role(caller: Caller) -> RoleValue:
    """An organisation admin manages members everywhere, as an owner does."""
    return OWNER if caller.is_admin else caller.role


def check_role(value: int) -> RoleValue:
    if value not in ROLE_PERMISSIONS:
        raise invalid("role", "Choose owner, editor, agent, viewer or auditor.")
    return MemberRole.ValueType(value)


def check_may_give(actor: RoleValue, role: RoleValue, before: RoleValue | None = None) -> None:
    """Owners give and take any role; editors deal with agents and viewers alone."""
    if actor == OWNER:
        return
    touched = [role] if before is None else [role, before]
    if actor != EDITOR or any(one not in _BY_EDITORS for one in touched):
        raise ServiceError(
            ErrorReason.ERROR_REASON_PERMISSION_DENIED,
            "Editors may add, change and remove agents and viewers alone.",
            permission="member.manage",
            role=MemberRole.Name(actor),
        )


def check_owner_stays(owners: Sequence[str], leaving: str) -> None:
    if set(owners) <= {leaving}:
        raise ServiceError(ErrorReason.ERROR_REASON_LAST_OWNER)


def not_above(role: RoleValue, other: RoleValue) -> bool:
    """Whether `role` may do nothing that `other` may not."""
    return ROLE_PERMISSIONS[role] <= ROLE_PERMISSIONS[other]


def lower_role(key: RoleValue, creator: RoleValue | None) -> RoleValue | None:
    """What an API key may do today: never more than its creator may today."""
    if creator is None:
        return None
    if not_above(key, creator):
        return key
    return creator if not_above(creator, key) else None


def check_key_role(role: RoleValue, creator: RoleValue) -> None:
    if not not_above(role, creator):
        raise ServiceError(
            ErrorReason.ERROR_REASON_PERMISSION_DENIED,
            "An API key may not do more than you may.",
            permission="apikey.manage",
            role=MemberRole.Name(creator),
        )


def check_name(text: str) -> str:
    name = text.strip()
    if not 1 <= len(name) <= NAME_MAXIMUM or not name.isprintable():
        raise invalid("name", f"A name has 1 to {NAME_MAXIMUM} printable characters.")
    return name


def check_origins(origins: Sequence[str], served: Sequence[str]) -> list[str]:
    """The origins for an EnrolGrant; all that the platform serves when none are named."""
    for origin in origins:
        if origin not in served:
            raise invalid("allowed_origins", "An origin must be one that this platform serves.")
    return list(dict.fromkeys(origins or served))


def check_hosts(hosts: Sequence[str]) -> list[str]:
    if not 1 <= len(hosts) <= LIST_MAXIMUM:
        raise invalid("allowed_hosts", f"Name 1 to {LIST_MAXIMUM} hosts, each as the browser will send it, with its port.")
    for host in hosts:
        if not _HOST.fullmatch(host):
            raise invalid("allowed_hosts", "A host looks like runtime.example.org:8888, in lower case.")
    return list(dict.fromkeys(hosts))


def check_id(field: str, value: str) -> str:
    if not _ID.fullmatch(value):
        raise invalid(field, "An id is 32 hexadecimal digits in lower case.")
    return value


def chosen_suite(offered: Sequence[int], minimum: int) -> int:
    known = [suite for suite in offered if suite in (1, 2) and suite >= minimum]
    if not known:
        raise ServiceError(ErrorReason.ERROR_REASON_SUITE_REFUSED, suite=str(minimum))
    return max(known)
