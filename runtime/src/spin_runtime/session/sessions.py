"""All sessions of this boot, by id.

A session begins when its first client attaches, and ends when it was unused for a while: no client, no run, no kernel. Its stream goes with
it; were it to come again in this boot, its positions go on where they ended, so that no client takes a new frame for an old one.
"""

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

from spin_runtime.session import model as m
from spin_runtime.session.driver import Collaborators, Limits, Session
from spin_runtime.session.journal import Journal
from spin_runtime.session.spill import SpillFile, SpillKey

SWEEP_S = 30.0


class Sessions:
    def __init__(self, collaborators: Collaborators, limits: Limits, var: Path, stream_bytes: int, keep_ms: int) -> None:
        self._collaborators, self._limits = collaborators, limits
        self._streams, self._work = var / "streams", var / "work"
        self._stream_bytes, self._keep_ms = stream_bytes, keep_ms
        self._sessions: dict[bytes, Session] = {}
        self._ended_at: dict[bytes, int] = {}
        self._key = SpillKey()
        self._sweeper: asyncio.Task[None] | None = None
        self.draining = False

    def start(self) -> None:
        # What an earlier boot left is ciphertext without a key.
        shutil.rmtree(self._streams, ignore_errors=True)
        self._streams.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._sweeper = asyncio.create_task(self._sweep())

    def open(self, session_id: bytes) -> Session:
        """The session, begun if need be."""
        session = self._sessions.get(session_id)
        if session is None:
            first = self._ended_at.pop(session_id, 0) + 1
            journal = Journal(self._spill_file, first, self._stream_bytes)
            session = Session(session_id, self._collaborators, self._limits, journal, self._work / session_id.hex())
            self._sessions[session_id] = session
        return session

    def __iter__(self) -> Iterator[Session]:
        return iter(tuple(self._sessions.values()))

    def __len__(self) -> int:
        return len(self._sessions)

    async def drain(self, grace_ms: int) -> None:
        """Returns when every run has ended and every kernel is gone."""
        self.draining = True
        for session in self._sessions.values():
            session.post(m.Drain(self._collaborators.clock_ms(), grace_ms))
        await asyncio.gather(*(session.drained.wait() for session in self._sessions.values()))

    async def close(self) -> None:
        if self._sweeper is not None:
            self._sweeper.cancel()
        await asyncio.gather(*(session.close() for session in self._sessions.values()))
        self._sessions.clear()
        shutil.rmtree(self._streams, ignore_errors=True)

    async def sweep(self) -> None:
        """Ends the sessions that nobody needs any more."""
        now = self._collaborators.clock_ms()
        for session_id, session in tuple(self._sessions.items()):
            if not session.unused:
                session.quiet_since_ms = now
            elif now - session.quiet_since_ms >= self._keep_ms:
                del self._sessions[session_id]
                self._ended_at[session_id] = session.journal.last
                await session.close()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            await self.sweep()

    def _spill_file(self, first: int) -> SpillFile:
        return SpillFile(self._key, self._streams, first)
