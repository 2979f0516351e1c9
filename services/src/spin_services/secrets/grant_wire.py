"""Between grants as messages say them and the domain's."""

from collections.abc import Iterable

from spin_services.secrets.grants import MANAGE, ROLES, USE, Grant
from spinapis.auth.v1.members_pb2 import MemberRole
from spinapis.secrets.v1 import secrets_pb2 as pb

LEVELS: dict[int, str] = {pb.CONNECTION_LEVEL_USE: USE, pb.CONNECTION_LEVEL_MANAGE: MANAGE}


def grants_of(said: Iterable[pb.ConnectionGrant]) -> list[Grant]:
    """A level or a role that is none is empty."""
    return [Grant(LEVELS.get(one.level, ""), role_name(one.role), one.user_id) for one in said]


def role_name(role: MemberRole.ValueType) -> str:
    """ "editor"; empty for none, and for a role of a later version."""
    name = MemberRole.Name(role).removeprefix("MEMBER_ROLE_").lower() if role in MemberRole.values() else ""
    return name if name in ROLES else ""


def shown_grant(grant: Grant) -> pb.ConnectionGrant:
    role = MemberRole.Value(f"MEMBER_ROLE_{grant.role.upper()}") if grant.role else MemberRole.MEMBER_ROLE_UNSPECIFIED
    return pb.ConnectionGrant(level=pb.ConnectionLevel.Value(f"CONNECTION_LEVEL_{grant.level.upper()}"), role=role, user_id=grant.user_id)
