"""What of a connection needs more than the right to manage connections. docs/security.md, Connections.

- Nobody reads a credential back: so nobody leads one that others entered to a place of their own, or has programs show it, without entering it again.
- A reference proves nothing when it is sent again, since editors read it, and what it names is read with the runtime's identity, not the editor's. So
  an owner alone names one, and leads a connection elsewhere, or exposes it, that has one. Taking references away needs nobody's leave.
- Whoever may edit connections may guard operations; an owner alone takes a guard away, or leads what was approved to another place.
"""

from collections.abc import Sequence

import orjson

from spin_services.rpc.errors import ErrorReason, ServiceError, invalid
from spin_services.rpc.identity import current_caller
from spin_services.rpc.policy import has_permission
from spin_services.secrets.domain import Changes, Connection, NewConnection

OWNER = "workspace.manage"


def check_new(new: Sequence[NewConnection]) -> None:
    """Raises PERMISSION_DENIED."""
    if any(one.references_json for one in new):
        _need_owner("Only an owner may name references to a secret manager: the runtime would read there for whoever uses the connection.")


def check_changes(known: Connection, changes: Changes) -> None:
    """Raises INVALID_ARGUMENT, PERMISSION_DENIED."""
    _check_guard(known, changes)
    _check_references(known, changes)
    _check_credential(known, changes)


def _check_guard(known: Connection, changes: Changes) -> None:
    lifted = set(known.approval_operations) - set(known.approval_operations if changes.approval_operations is None else changes.approval_operations)
    if lifted:
        _need_owner(f"Only an owner may let {', '.join(sorted(lifted))} run without an approval.")
    if known.approval_operations and changes.lead_elsewhere(known):
        _need_owner(
            "Only an owner may change the configuration or the hosts of a connection with guarded operations: what was approved would run elsewhere."
        )


def _check_references(known: Connection, changes: Changes) -> None:
    before, after = (
        _references(known.references_json),
        _references(known.references_json if changes.references_json is None else changes.references_json),
    )
    if not after.items() <= before.items():
        _need_owner("Only an owner may name references to a secret manager: the runtime would read there for whoever uses the connection.")
    if after and changes.lead_elsewhere(known):
        _need_owner(
            "Only an owner may change the configuration or the hosts of a connection with references: what they name would be sent elsewhere."
        )
    if after and changes.expose(known):
        _need_owner("Only an owner may make a connection with references exposable: programs could read what they name.")


def _check_credential(known: Connection, changes: Changes) -> None:
    if not known.credential_fields or changes.credential is not None:
        return
    if changes.lead_elsewhere(known):
        text = (
            "The connection would lead elsewhere with a credential that somebody else may have entered: send it with the change, or make a new one."
        )
        raise invalid("credential_json", text)
    if changes.expose(known):
        raise invalid("credential_json", "Programs could read a credential that somebody else may have entered: send it with the change.")


def _references(text: str) -> dict[str, object]:
    return dict(orjson.loads(text or "{}"))


def _need_owner(text: str) -> None:
    if not has_permission(current_caller(), OWNER):
        raise ServiceError(ErrorReason.ERROR_REASON_PERMISSION_DENIED, text, permission=OWNER)
