"""One run of one cell, as its starter sees it: events in order, the last one final.

Events wait here until they are read. When more than `BYTES_WAITING` wait, the session's stream stops and the rest stays in the runtime's
disk buffer; so a run that was started must be read, or closed.
"""

import asyncio
from collections.abc import AsyncIterator
from types import TracebackType

from spin_client.sdk.events import Event, Output, RunKey, RunState, run_key
from spinapis.compiler.v1 import compiler_pb2
from spinapis.runtime.v1 import frames_pb2

BYTES_WAITING = 32 << 20


class Run:
    """Iterate it. `nonce`, `program_digest` and `ciphertext_digest` name the run in receipts and in the log."""

    def __init__(self, cell_id: str, compiled: compiler_pb2.CompileCellResponse, traceparent: str = "") -> None:
        self.cell_id = cell_id
        self.nonce = compiled.nonce
        self.key: RunKey = run_key(compiled.nonce)
        self.program_digest = compiled.program_digest
        self.ciphertext_digest = compiled.ciphertext_digest
        self.frame = frames_pb2.ClientFrame(sealed=compiled.sealed, traceparent=traceparent)
        # The connection that the program went out on: None before, 0 when it was lost on the way.
        self.sent_on: int | None = None
        # True once the runtime spoke of this run.
        self.seen = False
        self.final: RunState | None = None
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._waiting = 0
        self._room = asyncio.Event()
        self._room.set()
        self._closed = False

    async def put(self, event: Event) -> None:
        self.seen = True
        if isinstance(event, RunState) and event.final:
            self.final = event
        if self._closed:
            return
        await self._room.wait()
        self._waiting += _size(event)
        if self._waiting > BYTES_WAITING:
            self._room.clear()
        self._events.put_nowait(event)

    def close(self) -> None:
        """Nobody reads on; the run itself goes on in the runtime."""
        self._closed = True
        self._room.set()

    async def __aiter__(self) -> AsyncIterator[Event]:
        while True:
            event = await self._events.get()
            self._waiting -= _size(event)
            if self._waiting <= BYTES_WAITING // 2:
                self._room.set()
            yield event
            if isinstance(event, RunState) and event.final:
                return

    async def __aenter__(self) -> "Run":
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _size(event: Event) -> int:
    # The object around a body costs memory too.
    return len(event.body) + 200 if isinstance(event, Output) else 200
