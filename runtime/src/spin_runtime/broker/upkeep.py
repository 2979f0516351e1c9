"""What goes when its time is over, whether or not anybody asks for it: keys, clients, credentials, trust, and runs that nobody ended."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from spin_runtime.broker.api import BrokerError
from spin_runtime.broker.managers.resolve import SecretManagers
from spin_runtime.broker.refusals import log
from spin_runtime.broker.runs import OpenRuns
from spin_runtime.broker.trust_clock import Clocks
from spin_runtime.broker.trust_watch import TrustWatch
from spinapis.envelope.v1 import receipt_pb2, trust_pb2

SECONDS = 30.0
OVER = (trust_pb2.TRUST_PHASE_EXPIRED, trust_pb2.TRUST_PHASE_REVOKED)


class Upkeep:
    def __init__(
        self,
        clocks: Clocks,
        watch: TrustWatch,
        managers: SecretManagers,
        runs: OpenRuns,
        expire: Sequence[Callable[[int], None]],
        write: Callable[[receipt_pb2.Receipt], Awaitable[object]],
    ) -> None:
        """`expire` are told the time; `write` has a receipt on disk when it returns."""
        self._clocks, self._watch, self._managers, self._runs = clocks, watch, managers, runs
        self._expire, self._write = expire, write
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._go_on())

    async def end(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def once(self) -> None:
        for expire in self._expire:
            expire(self._clocks.wall())
        self._watch.look()
        if self._watch.phase in OVER:
            self._managers.keep(())
            self._runs.bereave(self._clocks.elapsed())
        for run, why in self._runs.overdue(self._clocks.elapsed()):
            # The server may have ended it while the one before was written. Where the disk refuses, the next boot ends it.
            with suppress(BrokerError):
                self._runs.close(run.nonce, self._clocks.elapsed())
                log.error("run_forgotten", kernel_epoch=run.nonce.kernel_epoch, seq=run.nonce.seq, why=why)
                await self._write(run.forgotten(why))

    async def _go_on(self) -> None:
        while True:
            try:
                await self.once()
            except Exception:  # nobody else looks at trust, keys and forgotten runs: the next round tries again
                log.exception("upkeep_failed")
            ahead_ms = self._watch.until_next_ms()
            await asyncio.sleep(SECONDS if ahead_ms is None else min(SECONDS, ahead_ms / 1000 + 0.001))
