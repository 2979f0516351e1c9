"""Workspaces' keys, opened by the KEK.

Rules: an open key is kept for a minute, so that a KEK that is taken away counts soon and a synchronisation asks the key service once for each
workspace; it is kept by what the database holds, so a version that was destroyed is not found again; a commitment is checked at each opening.
"""

import asyncio
import hmac
import os
import time
from collections.abc import Iterable

from spin_envelope.digests import pae
from spin_services.keys import KeysUnusable
from spin_services.keys.kek import MemoryKek
from spin_services.keys.providers import KekProvider
from spin_services.secrets.records import KEY, WorkspaceKey, commitment
from spin_services.secrets.tables import WorkspaceKeyRow

KIND = "application/vnd.spin.workspace-key.v1"
KEPT_S = 60.0
MOST_KEPT = 10_000


class Keyring:
    def __init__(self, kek: KekProvider) -> None:
        self._kek = kek
        self._open: dict[tuple[str, int, bytes], tuple[float, WorkspaceKey]] = {}

    async def new(self, workspace_id: str, version: int, now_ms: int) -> WorkspaceKeyRow:
        """A fresh key, not yet stored. Raises KeysUnusable."""
        key, aad = os.urandom(KEY), key_aad(workspace_id, version)
        return WorkspaceKeyRow(
            workspace_id=workspace_id,
            version=version,
            wrapped_key=await self._kek.wrap(key, aad),
            commitment=commitment(key, aad),
            created_at_ms=now_ms,
            destroyed_at_ms=0,
        )

    async def open(self, rows: Iterable[WorkspaceKeyRow]) -> dict[tuple[str, int], WorkspaceKey]:
        """By workspace and version. Raises KeysUnusable."""
        rows = list(rows)
        keys = await asyncio.gather(*(self._opened(row) for row in rows))
        return {(row.workspace_id, row.version): key for row, key in zip(rows, keys, strict=True)}

    async def _opened(self, row: WorkspaceKeyRow) -> WorkspaceKey:
        place, now = (row.workspace_id, row.version, row.wrapped_key), time.monotonic()
        kept = self._open.get(place)
        if kept is not None and kept[0] > now:
            return kept[1]
        aad = key_aad(row.workspace_id, row.version)
        key = await self._kek.unwrap(row.wrapped_key, aad)
        name = f"version {row.version} of the key of workspace {row.workspace_id}"
        if not hmac.compare_digest(commitment(key, aad), row.commitment):
            raise KeysUnusable(f"{name} is not the key that it was made as")
        now = time.monotonic()
        self._let_go(now)
        opened = WorkspaceKey(row.version, MemoryKek(key, name))
        self._open.pop(place, None)
        self._open[place] = (now + KEPT_S, opened)
        return opened

    def _let_go(self, now: float) -> None:
        """They stand in the order in which their time is over."""
        while self._open and (len(self._open) >= MOST_KEPT or next(iter(self._open.values()))[0] <= now):
            del self._open[next(iter(self._open))]


def key_aad(workspace_id: str, version: int) -> bytes:
    """What the wrapped form of a version is bound to."""
    return pae(KIND, bytes.fromhex(workspace_id) + version.to_bytes(8))
