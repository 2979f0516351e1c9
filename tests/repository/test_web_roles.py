"""The page's table of what roles may do says what the services' own says."""

import re
from pathlib import Path

from spin_services.rpc.policy import ROLE_PERMISSIONS
from spinapis.auth.v1.members_pb2 import MemberRole

TABLE = Path(__file__).parents[2] / "web" / "src" / "features" / "members" / "model" / "permissions.ts"


def test_the_page_offers_what_the_services_allow() -> None:
    rows = re.findall(r'^  "?([a-z.]+)"?: \[([A-Z, ]+)\],$', TABLE.read_text(), re.MULTILINE)
    assert len(rows) > 5
    for permission, names in rows:
        allowed = {MemberRole.Name(role).removeprefix("MEMBER_ROLE_") for role, has in ROLE_PERMISSIONS.items() if permission in has}
        assert set(names.split(", ")) == allowed, permission
