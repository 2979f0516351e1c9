"""Who may use and who may manage one connection. Pure.

Rules: without a grant a connection is for everyone whose role runs cells, and managed by everyone whose role manages connections; the first
grant of a level makes a list of that level, and whoever is not on it has it no more; who may manage may use; owners of the connection's
workspace keep both, so that nobody is locked out. A grant adds nothing to a role: it only picks among those who could.
"""

from collections.abc import Sequence
from dataclasses import dataclass

USE, MANAGE, OWNER = "use", "manage", "owner"
ROLES = ("owner", "editor", "agent", "viewer", "auditor")
MOST = 100


@dataclass(frozen=True, slots=True)
class Grant:
    """Either `role` or `user_id` is set; `role` is one of ROLES, in the connection's own workspace."""

    level: str
    role: str = ""
    user_id: str = ""


@dataclass(frozen=True, slots=True)
class Person:
    """`role` is the one in the connection's own workspace; empty for none."""

    user_id: str
    role: str


def may_use(grants: Sequence[Grant], person: Person) -> bool:
    return not any(grant.level == USE for grant in grants) or person.role == OWNER or _listed(grants, person, (USE, MANAGE))


def may_manage(grants: Sequence[Grant], person: Person) -> bool:
    return not any(grant.level == MANAGE for grant in grants) or person.role == OWNER or _listed(grants, person, (MANAGE,))


def _listed(grants: Sequence[Grant], person: Person, levels: Sequence[str]) -> bool:
    return any(
        grant.level in levels and ((bool(person.role) and grant.role == person.role) or (bool(grant.user_id) and grant.user_id == person.user_id))
        for grant in grants
    )
