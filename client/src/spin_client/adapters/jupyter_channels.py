"""Channels of a Jupyter client, in memory: what it sends goes to the host's thread, what it receives waits in an inbox.

An inbox is filled from the host's thread and read from any thread or event loop, with the timeouts that jupyter_client's callers expect.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from queue import Empty
from typing import Any

Message = dict[str, Any]


class Inbox:
    def __init__(self) -> None:
        self._messages: deque[Message] = deque()
        self._changed = threading.Condition()
        self._sleepers: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()

    def put(self, message: Message) -> None:
        with self._changed:
            self._messages.append(message)
            self._changed.notify()
            for loop, event in self._sleepers:
                loop.call_soon_threadsafe(event.set)

    def __bool__(self) -> bool:
        return bool(self._messages)

    def get(self, timeout: float | None) -> Message:
        """Blocks the thread. Raises queue.Empty."""
        with self._changed:
            if not self._changed.wait_for(lambda: bool(self._messages), timeout):
                raise Empty
            return self._messages.popleft()

    async def get_async(self, timeout: float | None) -> Message:
        """Blocks the task alone. Raises queue.Empty."""
        deadline = None if timeout is None else time.monotonic() + timeout
        sleeper = (asyncio.get_running_loop(), asyncio.Event())
        with self._changed:
            self._sleepers.add(sleeper)
        try:
            while True:
                with self._changed:
                    if self._messages:
                        return self._messages.popleft()
                    sleeper[1].clear()
                await _until(sleeper[1], deadline)
        finally:
            with self._changed:
                self._sleepers.discard(sleeper)


async def _until(event: asyncio.Event, deadline: float | None) -> None:
    left = None if deadline is None else deadline - time.monotonic()
    if left is not None and left <= 0:
        raise Empty
    try:
        await asyncio.wait_for(event.wait(), left)
    except TimeoutError:
        raise Empty from None


class Channel:
    """shell, iopub, stdin or control, as a blocking client sees it."""

    def __init__(self, inbox: Inbox, send: Callable[[Message], None]) -> None:
        self.inbox = inbox
        self._send = send
        self._alive = False

    def start(self) -> None:
        self._alive = True

    def stop(self) -> None:
        self._alive = False

    def is_alive(self) -> bool:
        return self._alive

    def send(self, msg: Message) -> None:
        self._send(msg)

    def msg_ready(self) -> bool:
        return bool(self.inbox)

    def get_msg(self, timeout: float | None = None) -> Message:
        return self.inbox.get(timeout)

    def get_msgs(self) -> list[Message]:
        messages = []
        while self.inbox:
            messages.append(self.inbox.get(0))
        return messages


class AsyncChannel(Channel):
    """The same for an asynchronous client."""

    async def msg_ready(self) -> bool:  # type: ignore[override]
        return bool(self.inbox)

    async def get_msg(self, timeout: float | None = None) -> Message:  # type: ignore[override]
        return await self.inbox.get_async(timeout)


class Heartbeat:
    """There is no heartbeat socket: the session's own connection tells whether the kernel lives."""

    def __init__(self, beating: Callable[[], bool]) -> None:
        self._beating = beating
        self._alive = False

    def start(self) -> None:
        self._alive = True

    def stop(self) -> None:
        self._alive = False

    def is_alive(self) -> bool:
        return self._alive

    def pause(self) -> None:
        """Nothing beats that could pause."""

    def unpause(self) -> None:
        """Nothing was paused."""

    def is_beating(self) -> bool:
        return self._beating()
