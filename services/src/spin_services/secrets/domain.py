"""The rules of connections.

- A credential goes in and never comes out again but sealed: its fields' names are public, its values have no repr.
- A change of any connection raises its workspace's count. Bundles are numbered as they are issued, and each is remembered with the counts that it
  was made at: a runtime that holds a bundle of the present counts holds the connections as they are.
- A change that takes something away raises the count of revocations too. No runtime goes on with a bundle that was made before it.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import orjson

from spin_services.secrets.grants import MOST as MOST_GRANTS
from spin_services.secrets.grants import Grant

MAX_JSON = 64 * 1024
MAX_LIST = 100
# The year 10000.
LATEST_MS = 253_402_300_800_000
OPERATION = re.compile(r"[a-z0-9_]{1,60}(\.[a-z0-9_*]{1,60}){0,4}")
HOST = re.compile(r"(?:\*|(?:https?://)?(?:[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?|\[[0-9a-f:.]{2,45}\]))(:[1-9][0-9]{0,4})?")


class FieldInvalid(ValueError):
    """One field of a connection is wrong; the text never repeats a credential."""

    def __init__(self, field_name: str, text: str) -> None:
        super().__init__(text)
        self.field = field_name


@dataclass(frozen=True, slots=True)
class Connection:
    id: str
    workspace_id: str
    name: str
    kind: str
    config_json: str
    allowed_hosts: tuple[str, ...]
    allowed_operations: tuple[str, ...]
    # Those of them that a second person must approve for each run.
    approval_operations: tuple[str, ...]
    credential_fields: tuple[str, ...]
    version: int
    created_at_ms: int
    updated_at_ms: int
    is_default: bool
    grants: tuple[Grant, ...]
    # 0 for never.
    expires_at_ms: int
    # Programs that may use it may read the credential's value.
    exposable: bool
    # JSON object of the credential's fields that a manager of the runtime holds, in one form for one meaning; empty for none.
    references_json: str

    @property
    def etag(self) -> str:
        return f"v{self.version}"


@dataclass(frozen=True, slots=True)
class NewConnection:
    name: str
    kind: str
    config_json: str
    allowed_hosts: tuple[str, ...]
    allowed_operations: tuple[str, ...]
    approval_operations: tuple[str, ...]
    is_default: bool
    expires_at_ms: int
    grants: tuple[Grant, ...]
    exposable: bool
    references_json: str
    credential: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Changes:
    """What an update changes; None leaves a part as it is."""

    name: str | None = None
    config_json: str | None = None
    allowed_hosts: tuple[str, ...] | None = None
    allowed_operations: tuple[str, ...] | None = None
    approval_operations: tuple[str, ...] | None = None
    is_default: bool | None = None
    grants: tuple[Grant, ...] | None = None
    expires_at_ms: int | None = None
    exposable: bool | None = None
    references_json: str | None = None
    credential: Mapping[str, Any] | None = field(default=None, repr=False)

    def names(self) -> list[str]:
        """The parts that change, for the log."""
        return [part.name for part in fields(self) if getattr(self, part.name) is not None]

    def lead_elsewhere(self, known: Connection) -> bool:
        """Whether operations, with the same parameters, would reach something else."""
        configured = self.config_json is not None and orjson.loads(self.config_json) != orjson.loads(known.config_json)
        # Without a list the credential goes where the configuration says: fewer hosts, and still some, is all that leads nowhere else.
        hosts = set(known.allowed_hosts if self.allowed_hosts is None else self.allowed_hosts)
        return configured or not (hosts == set(known.allowed_hosts) or (hosts and hosts < set(known.allowed_hosts)))

    def expose(self, known: Connection) -> bool:
        """Whether programs could read what they could not."""
        return bool(self.exposable) and not known.exposable


def check_name(name: str) -> str:
    if not name.strip() or name != name.strip() or len(name) > 100 or not name.isprintable():
        raise FieldInvalid("name", "A name has 1 to 100 printable characters and no space at its ends.")
    return name


def check_config(text: str) -> str:
    read_object("config_json", text)
    return text or "{}"


def read_object(field_name: str, text: str) -> dict[str, Any]:
    """A JSON object. The refusal says nothing of the text, which may be a credential."""
    if len(text) > MAX_JSON:
        raise FieldInvalid(field_name, f"At most {MAX_JSON} characters.")
    try:
        value = orjson.loads(text or b"{}")
    except orjson.JSONDecodeError:
        raise FieldInvalid(field_name, "This is not JSON.") from None
    if not isinstance(value, dict):
        raise FieldInvalid(field_name, "This is not a JSON object.")
    return value


def check_hosts(hosts: Iterable[str]) -> tuple[str, ...]:
    return _checked("allowed_hosts", hosts, HOST, "A host is a name in lower case, with a port where it is not 443; http:// before it allows http.")


def check_operations(operations: Iterable[str], field_name: str = "allowed_operations") -> tuple[str, ...]:
    return _checked(field_name, operations, OPERATION, 'An operation is a dotted name such as "rest.request".')


def check_expiry(expires_at_ms: int) -> int:
    if not 0 <= expires_at_ms < LATEST_MS:
        raise FieldInvalid("expires_at_ms", "A time is in milliseconds since 1970, and 0 means never.")
    return expires_at_ms


def check_grants(grants: Sequence[Grant]) -> tuple[Grant, ...]:
    found = tuple(dict.fromkeys(grants))
    if len(found) > MOST_GRANTS:
        raise FieldInvalid("grants", f"At most {MOST_GRANTS} of them.")
    for place, grant in enumerate(found):
        if not grant.level:
            raise FieldInvalid(f"grants[{place}].level", "A grant is to use or to manage.")
        if bool(grant.role) == bool(grant.user_id) or len(grant.user_id) > 100:
            raise FieldInvalid(f"grants[{place}]", "A grant names either a role or a person's id.")
    return found


def _checked(field_name: str, values: Iterable[str], form: re.Pattern[str], text: str) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(values))
    if len(found) > MAX_LIST:
        raise FieldInvalid(field_name, f"At most {MAX_LIST} of them.")
    if not all(form.fullmatch(value) for value in found):
        raise FieldInvalid(field_name, text)
    return found


def nearest(references: Sequence[str], usable: Sequence[Connection], chain: Sequence[str]) -> list[Connection | None]:
    """Each reference's connection, by id or else by name; of several with a name, the one nearest to the workspace."""
    by_id = {connection.id: connection for connection in usable}
    by_name: dict[str, Connection] = {}
    for connection in sorted(usable, key=lambda one: chain.index(one.workspace_id), reverse=True):
        by_name[connection.name] = connection
    return [by_id.get(reference) or by_name.get(reference) for reference in references]


def holds_all(held: Mapping[str, int], counts: Mapping[str, int]) -> bool:
    """Whether a bundle that was made at some counts of changes holds the connections as they are at others."""
    return all(held.get(workspace_id, 0) >= count for workspace_id, count in counts.items())


def revokes(before: Connection, after: Connection, *, new_credential: bool) -> bool:
    """Whether a change takes something away from who holds the connection as it was.

    A configuration says where a connection leads, and so does a list of hosts where there was none.
    """
    hosts, allowed = set(before.allowed_hosts), set(after.allowed_hosts)
    fewer_hosts = bool(hosts - allowed) or (not hosts and bool(allowed))
    fewer_operations = bool(set(before.allowed_operations) - set(after.allowed_operations))
    more_guarded = bool(set(after.approval_operations) - set(before.approval_operations))
    hidden = before.exposable and not after.exposable
    elsewhere = before.config_json != after.config_json or before.references_json != after.references_json
    return new_credential or fewer_hosts or fewer_operations or more_guarded or hidden or elsewhere


@dataclass(frozen=True, slots=True)
class Issued:
    """A bundle that a runtime may hold: whose connections are in it, and their counts of revocations when it was made."""

    version: int
    workspaces: tuple[str, ...]
    revocations: Mapping[str, int]


def least_version(last: int, newest_first: Iterable[Issued], revocations: Mapping[str, int]) -> int:
    """From which version on no bundle holds what was revoked since; one that was not issued yet, when the newest does."""
    least = last + 1 if last else 0
    for bundle in newest_first:
        if any(bundle.revocations.get(place, 0) < revocations.get(place, 0) for place in bundle.workspaces):
            break
        least = bundle.version
    return least


def next_version(last: int, held: int) -> int:
    """The version of the next bundle for a runtime that was last issued `last` and holds `held`.

    A bundle that directly follows another must name it. So when one may be on its way, a number is left out.
    """
    return last + 1 if last == held else last + 2
