"""`spin-service keys move-kek`: everything that the KEK wraps, in all services' stores."""

import socket
from collections.abc import Mapping
from contextlib import AsyncExitStack

from spin_services.audit.kek_move import PseudonymKeys
from spin_services.database import Database, upgrade
from spin_services.keys import KeysUnusable
from spin_services.keys.files import locked
from spin_services.keys.moving import Holder, Moved, move
from spin_services.keys.providers import KekProvider, open_provider
from spin_services.keys.store import SigningKeyFiles
from spin_services.platform import SERVICES, Platform
from spin_services.secrets.kek_move import WorkspaceKeys

KNOCK_S = 0.5


async def move_kek(platform: Platform, uri: str, environment: Mapping[str, str]) -> Moved:
    """To the KEK of the address. Raises KeysUnusable."""
    if uri == platform.kek:
        raise KeysUnusable(f"SPIN_KEK is {uri} already: set it to the old key's address, and name the new one")
    check_stopped(platform)
    async with AsyncExitStack() as opened:
        old, new = open_provider(platform.kek, environment), open_provider(uri, environment)
        for kek in (old, new):
            opened.push_async_callback(kek.close)
        return await moved(platform, old, new)


async def moved(platform: Platform, old: KekProvider, new: KekProvider) -> Moved:
    secrets, audit = Database.of(platform, "secrets"), Database.of(platform, "audit")
    await upgrade(secrets, "spin_services.secrets.migrations")
    await upgrade(audit, "spin_services.audit.migrations")
    pseudonyms = PseudonymKeys(audit)
    try:
        with locked(platform.keys_dir):
            inside: list[Holder] = [SigningKeyFiles(platform.keys_dir), pseudonyms]
            return await move(old, new, platform.keys_dir, behind=[WorkspaceKeys(secrets)], inside=inside)
    finally:
        await pseudonyms.close()
        await secrets.close()
        await audit.close()


def check_stopped(platform: Platform) -> None:
    """Raises KeysUnusable when a service answers: it would wrap with the old key. Services elsewhere have to be stopped unseen."""
    for service in SERVICES:
        host, _, port = platform.service_address(service).rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), KNOCK_S).close()
        except OSError:
            continue
        raise KeysUnusable(f"the {service} service is running at {host}:{port}: stop all services first")
