"""In whose name code runs, and what each of them may do today. Pure; time is an argument.

Rules: a principal is a user and who acts for them; an API key may do no more than its user may today, nothing outside its own workspace, and
nothing once it is revoked; whoever left a workspace may do nothing there, though their code may still be in a kernel.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from spin_services.auth import domain
from spin_services.auth.tables import ApiKeyRow, MemberRow
from spin_services.rpc.policy import ROLE_PERMISSIONS, RoleValue
from spinapis.auth.v1.members_pb2 import MemberRole

NONE = MemberRole.MEMBER_ROLE_UNSPECIFIED
# How many a grant names beside those whose code is in the kernel already.
MOST_OTHERS = 200
_KEY = "api_key:"


def key_lives(row: ApiKeyRow, now_ms: int) -> bool:
    return row.revoked_at_ms == 0 and (row.expires_at_ms == 0 or row.expires_at_ms > now_ms)


@dataclass(frozen=True, slots=True)
class Principal:
    user_id: str
    # Outermost first; empty for a person.
    actor_chain: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Standing:
    """A principal's role in the workspace of a run and in each one above, nearest first."""

    principal: Principal
    roles: tuple[RoleValue, ...]

    @property
    def may_run(self) -> bool:
        return "run" in ROLE_PERMISSIONS.get(self.roles[0], frozenset())


def standings(
    line: Sequence[str], members: Iterable[MemberRow], keys: Iterable[ApiKeyRow], present: Sequence[Principal], now_ms: int
) -> list[Standing]:
    """Those who are present first, whatever they may do; then others who may run cells in the first workspace of the line."""
    roles = {(row.workspace_id, row.user_id): MemberRole.ValueType(row.role) for row in members}
    living = {row.id: row for row in keys if key_lives(row, now_ms)}
    everyone = [Principal(user_id) for place, user_id in roles if place == line[0]]
    everyone += [Principal(row.created_by, (f"{_KEY}{row.id}",)) for row in living.values()]
    found = [_standing(principal, line, roles, living) for principal in dict.fromkeys([*present, *everyone])]
    others = [standing for standing in found[len(set(present)) :] if standing.may_run]
    return found[: len(set(present))] + others[:MOST_OTHERS]


def _standing(principal: Principal, line: Sequence[str], roles: Mapping[tuple[str, str], RoleValue], keys: Mapping[str, ApiKeyRow]) -> Standing:
    return Standing(principal, tuple(_role(principal, place, roles, keys) for place in line))


def _role(principal: Principal, place: str, roles: Mapping[tuple[str, str], RoleValue], keys: Mapping[str, ApiKeyRow]) -> RoleValue:
    role: RoleValue | None = roles.get((place, principal.user_id))
    for actor in principal.actor_chain:
        key = keys.get(actor.removeprefix(_KEY)) if actor.startswith(_KEY) else None
        if key is None or key.workspace_id != place or key.created_by != principal.user_id:
            return NONE
        role = domain.lower_role(MemberRole.ValueType(key.role), role)
    return NONE if role is None else role


def named(principals: Sequence[Principal], names: Mapping[str, str]) -> str:
    """ "Ann, an API key of Ben's and somebody who left": for who may see the members of the workspace, and `names` are theirs."""
    said = list(dict.fromkeys(_name(principal, names) for principal in principals))
    return " and ".join([", ".join(said[:-1]), said[-1]] if len(said) > 1 else said)


def _name(principal: Principal, names: Mapping[str, str]) -> str:
    name = names.get(principal.user_id, "somebody who left the workspace")
    return f"an API key of {name}" if principal.actor_chain else name
