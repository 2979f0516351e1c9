"""Connections to be, as requests say them: all that is wrong with one, and with many at once.

Rules: each field is checked, whatever is wrong with the others; a fault names its field by the path in the request and never repeats a value; the
names of one import differ, and at most one entry of a kind is its default.
"""

import re
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from spin_services.rpc.errors import ErrorReason, ServiceError, invalid
from spin_services.secrets import domain
from spin_services.secrets.domain import FieldInvalid, NewConnection
from spin_services.secrets.grant_wire import grants_of
from spin_services.secrets.kinds import Kinds
from spin_services.secrets.references import check_references
from spinapis.secrets.v1 import secrets_pb2 as pb

T = TypeVar("T")
Said: TypeAlias = pb.CreateConnectionRequest | pb.ConnectionEntry

MOST_ENTRIES = 1000
# The answer shows all but the credentials again, and a message is 4 MiB at most.
MOST_BYTES = 3 * 1024 * 1024
# Of one entry.
MOST_FAULTS = 10
# Of an error's violations, which travel in a header.
MOST_TOLD_BYTES = 3 * 1024
NAME_TAKEN = "A connection of the workspace has this name already."


@dataclass(frozen=True, slots=True)
class Read:
    """An entry: what it would make, and why it may not."""

    new: NewConnection
    faults: tuple[FieldInvalid, ...] = ()


def new_connection(request: pb.CreateConnectionRequest, kinds: Kinds) -> NewConnection:
    """Raises INVALID_ARGUMENT."""
    read = _read(request, kinds)
    if read.faults:
        first, violations = read.faults[0], [(fault.field, str(fault)) for fault in read.faults]
        raise ServiceError(ErrorReason.ERROR_REASON_INVALID_ARGUMENT, str(first), violations=violations, field=first.field)
    return read.new


def read_entries(request: pb.ImportConnectionsRequest, kinds: Kinds) -> list[Read]:
    """Raises INVALID_ARGUMENT, TOO_LARGE."""
    if not 1 <= len(request.entries) <= MOST_ENTRIES:
        raise invalid("entries", f"Import between 1 and {MOST_ENTRIES} connections at a time.")
    if request.ByteSize() > MOST_BYTES:
        raise ServiceError(ErrorReason.ERROR_REASON_TOO_LARGE, limit=f"{MOST_BYTES >> 20} MiB of connections")
    read = [_read(entry, kinds) for entry in request.entries]
    read = _refused(read, "name", _repeated([entry.name for entry in request.entries]), "has this name too")
    defaults = [entry.kind if entry.is_default else "" for entry in request.entries]
    return _refused(read, "is_default", _repeated(defaults), "is the default of this kind")


def with_taken(read: Sequence[Read], names: Set[str]) -> list[Read]:
    """What cannot be made because the workspace has the name is said of each entry."""
    return [_and(one, FieldInvalid("name", NAME_TAKEN)) if one.new.name in names else one for one in read]


def refusal(read: Sequence[Read]) -> ServiceError:
    """Tells of as many faults as fit."""
    faults = [(path(place, fault), str(fault)) for place, one in enumerate(read) for fault in one.faults]
    told, room = faults[:1], MOST_TOLD_BYTES
    for field, text in faults[1:]:
        room -= len(field.encode()) + len(text.encode()) + 8
        if room < 0:
            break
        told.append((field, text))
    text = f"Nothing was imported: {len(faults)} faults. A dry run lists them all."
    return ServiceError(ErrorReason.ERROR_REASON_INVALID_ARGUMENT, text, violations=told, field=told[0][0])


def path(place: int, fault: FieldInvalid) -> str:
    return f"entries[{place}].{fault.field}"


def _read(said: Said, kinds: Kinds) -> Read:
    faults: list[FieldInvalid] = []

    def checked(check: Callable[..., T], otherwise: T, *values: Any) -> T:
        try:
            return check(*values)
        except FieldInvalid as fault:
            faults.append(fault)
            return otherwise

    new = NewConnection(
        name=checked(domain.check_name, "", said.name),
        kind=said.kind,
        config_json=checked(domain.check_config, "{}", said.config_json),
        allowed_hosts=checked(domain.check_hosts, (), said.allowed_hosts),
        allowed_operations=checked(domain.check_operations, (), said.allowed_operations),
        approval_operations=checked(domain.check_operations, (), said.approval_operations, "approval_operations"),
        is_default=said.is_default,
        expires_at_ms=checked(domain.check_expiry, 0, said.expires_at_ms),
        grants=checked(domain.check_grants, (), grants_of(said.grants)),
        exposable=said.exposable,
        references_json=checked(check_references, "", said.references_json),
        credential=checked(domain.read_object, {}, "credential_json", said.credential_json),
    )
    malformed = {fault.field for fault in faults}
    faults += [fault for fault in kinds.faults(new) if re.split(r"[.\[]", fault.field)[0] not in malformed]
    return Read(new, tuple(faults[:MOST_FAULTS])) if faults else Read(kinds.completed(new))


def _repeated(values: Sequence[str]) -> Mapping[int, int]:
    """For each place whose value was there before, the first place that has it."""
    first: dict[str, int] = {}
    return {place: first[value] for place, value in enumerate(values) if value and first.setdefault(value, place) != place}


def _refused(read: Sequence[Read], field: str, places: Mapping[int, int], text: str) -> list[Read]:
    return [_and(one, FieldInvalid(field, f"entries[{places[place]}] {text}.")) if place in places else one for place, one in enumerate(read)]


def _and(one: Read, fault: FieldInvalid) -> Read:
    return Read(one.new, (*one.faults, fault))
