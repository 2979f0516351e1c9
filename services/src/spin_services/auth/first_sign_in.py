"""How the first person gets in.

Rules: the first start makes an owner, who is an organisation admin, and writes a one-time sign-in token to <data>/first-sign-in (0600);
whoever may run commands on the machine may make another link.
"""

import os
from pathlib import Path

import structlog

from spin_services.auth import domain
from spin_services.auth.issuer import Issuer
from spin_services.auth.settings import Settings, from_environment
from spin_services.auth.store import Accounts
from spin_services.auth.tables import UserRow
from spin_services.database import upgrade
from spin_services.keys.files import write_durably
from spin_services.rpc.wiring import Wiring

MIGRATIONS = "spin_services.auth.migrations"
FILE = "first-sign-in"

log = structlog.get_logger("spin.auth")


async def ensure_owner(accounts: Accounts, issuer: Issuer, settings: Settings, data_dir: Path, now_ms: int) -> None:
    """Does nothing when there is anybody."""
    if await accounts.any_user():
        return
    owner = UserRow(id=domain.new_id(), email=settings.owner_email, display_name="Owner", is_admin=True, created_at_ms=now_ms)
    if not await accounts.add_user(owner):
        return
    token = await issuer.link(owner.id)
    write_durably(data_dir / FILE, f"{token}\n".encode())
    log.info("owner_created", user_id=owner.id, file=os.fspath(data_dir / FILE))


async def new_link(wiring: Wiring, email: str) -> str:
    """A one-time link for a person, or for the first owner. Raises LookupError for someone unknown."""
    try:
        await upgrade(wiring.database, MIGRATIONS)
        settings = from_environment(wiring.environment, wiring.platform.public_url)
        accounts = Accounts(wiring.database)
        issuer = Issuer(accounts, wiring.keys, settings, wiring.platform.public_url, wiring.clock)
        user = await accounts.user_by_email(email.strip().lower()) if email else await accounts.first_admin()
        if user is None:
            raise LookupError(f"there is nobody with the e-mail {email}" if email else "there is no owner yet: start auth first")
        return f"{wiring.platform.public_url}/sign-in#token={await issuer.link(user.id)}"
    finally:
        await wiring.close()
