"""What every service's build() is given."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from spin_services.database import Database, Notifier
from spin_services.keys import KeyStore
from spin_services.keys.providers import KekProvider
from spin_services.platform import Platform
from spin_services.rpc.neighbours import Door
from spin_services.rpc.peers import Peers


def system_clock() -> int:
    """Unix milliseconds."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True)
class Wiring:
    service: str
    platform: Platform
    keys: KeyStore
    kek: KekProvider
    peers: Peers
    notifier: Notifier
    database: Database
    # For the service's own settings.from_environment.
    environment: Mapping[str, str]
    clock: Callable[[], int] = system_clock
    # Where services of the same process call this one; none when it has a process to itself.
    door: Door | None = None

    async def close(self) -> None:
        await self.peers.close()
        await self.notifier.close()
        await self.database.close()
