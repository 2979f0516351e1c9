"""When the root document ends, and what to do about it.

Rules: an expired document verifies nothing, here as everywhere; what puts a newer one in force works all the same, for it is the only way on; who
runs the installation is told in the log each day of the last 90.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

import structlog

from spin_envelope.root import TrustedRoot

ENDS_SOON_MS = 90 * 24 * 3600 * 1000
TELL_AGAIN_S = 24 * 3600.0
RENEW = (
    "renew it: `spin-service keys rotate root`; or, where the root is kept elsewhere, `spin-service keys propose auth FILE`, "
    "`spinctl root sign` by as many as must, `spin-service keys install FILE`"
)

log = structlog.get_logger("spin.keys")


def warning(root: TrustedRoot, now_ms: int) -> str:
    """What an operator should know of the document's end; empty while there is time."""
    if now_ms >= root.expires_at_ms:
        return f"root document {root.version} expired on {_day(root)}, so nothing is believed: {RENEW}"
    if root.expires_at_ms - now_ms < ENDS_SOON_MS:
        return f"root document {root.version} expires on {_day(root)}, and nothing is believed after that: {RENEW}"
    return ""


def validity(root: TrustedRoot) -> str:
    return f"valid until {_day(root)}"


async def watch(newest: Callable[[], TrustedRoot], clock: Callable[[], int]) -> None:
    """For ever."""
    while True:
        if text := warning(newest(), clock()):
            log.warning("root_ends_soon", why=text)
        await asyncio.sleep(TELL_AGAIN_S)


def _day(root: TrustedRoot) -> str:
    return datetime.fromtimestamp(root.expires_at_ms / 1000, UTC).strftime("%Y-%m-%d")
