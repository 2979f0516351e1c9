"""What the kernel publishes goes out in the thread that says it, instead of waking another one for each message.

- A socket of ZeroMQ's is used by one thread at a time: whoever sends or reads holds the lock. A thread that would have to wait, for the lock or
  for a reader that is behind, leaves its message to ipykernel's publishing thread; from then on messages queue there, so that each thread's
  own stay in order.
- Nobody waits for the publishing thread while holding the lock, since that thread may be waiting for the lock. A writer that is far ahead
  waits without it.
- A message goes out whole: an interrupt that comes in the middle is raised when it is out.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import zmq
from ipykernel.iostream import IOPubThread

# How often a wait for the lock looks whether the cell was interrupted.
LOOK_AGAIN_S = 0.1
# How many messages may wait for the publishing thread, and how long a writer that is ahead of it rests.
WAITING, REST_S = 1000, 0.005

# ipykernel's class is half typed.
_Thread: Any = IOPubThread


class Publisher(_Thread):  # type: ignore[misc]
    def __init__(self, socket: Any, **options: Any) -> None:
        self._lock = threading.RLock()
        self._main = threading.main_thread().ident
        # Whether the main thread is in the middle of something that must not be torn, and whether it was interrupted there.
        self._in_main = self._interrupted = False
        self._held: list[Sequence[Any]] = []
        # The thread inside `whole`.
        self._holder: int | None = None
        super().__init__(socket, **options)

    def on_interrupt(self, number: int, frame: Any) -> None:
        """The handler of SIGINT while a request is handled."""
        if self._in_main:
            self._interrupted = True
        else:
            signal.default_int_handler(number, frame)

    @contextmanager
    def whole(self) -> Iterator[None]:
        """Nobody else sends meanwhile, and no interrupt comes in between."""
        outermost = threading.get_ident() == self._main and not self._in_main
        if outermost:
            self._in_main = True
        try:
            self._acquire(patient=not outermost)
            before, self._holder = self._holder, threading.get_ident()
            try:
                yield
            finally:
                self._holder = before
                self._lock.release()
        finally:
            if outermost:
                self._leave()

    def hold(self, parts: Sequence[Any]) -> None:
        """For the main thread: this message goes out with its next one."""
        self._held.append(parts)

    def send_multipart(self, parts: Sequence[Any], *arguments: Any, **options: Any) -> None:
        if self._stopped or os.getpid() != self._master_pid:
            super().send_multipart(parts, *arguments, **options)
            return
        in_main = threading.get_ident() == self._main
        outermost = in_main and not self._in_main
        if outermost:
            self._in_main = True
        try:
            while in_main and self._held:
                self._send(self._held.pop(0), copy=True)
            self._send(parts, copy=options.get("copy", True))
        finally:
            if outermost:
                self._leave()

    def _send(self, parts: Sequence[Any], *, copy: bool) -> None:
        if not self._sent_at_once(parts, copy):
            super().send_multipart(parts, copy=copy)
            self._wait_for_room()

    def schedule(self, event: Callable[[], object]) -> None:
        if not self.thread.is_alive():
            event()
            return
        self._events.append(event)
        try:
            self._event_pipe.send(b"", zmq.DONTWAIT)
        except zmq.Again:
            pass  # as many calls to wake up are under way as there is room for, and each does all that waits

    def _wait_for_room(self) -> None:
        mine = threading.get_ident()
        while len(self._events) >= WAITING and mine not in (self._holder, self.thread.ident) and self.thread.is_alive():
            if self._interrupted and mine == self._main:
                return  # raised once this message is left behind
            time.sleep(REST_S)

    def _sent_at_once(self, parts: Sequence[Any], copy: bool) -> bool:
        if not self._lock.acquire(blocking=False):
            return False
        try:
            if self._events or self.closed:
                return False
            try:
                # Only the first part can find the queue full.
                self.socket.send(parts[0], zmq.SNDMORE | zmq.DONTWAIT, copy=copy)
            except zmq.Again:
                return False
            for part in parts[1:-1]:
                self.socket.send(part, zmq.SNDMORE, copy=copy)
            self.socket.send(parts[-1], 0, copy=copy)
            # Sending may have taken the sign that somebody subscribed.
            if self.socket.get(zmq.EVENTS) & zmq.POLLIN:
                self.schedule(self._welcome)
            return True
        finally:
            self._lock.release()

    def _acquire(self, *, patient: bool) -> None:
        while not self._lock.acquire(timeout=-1 if patient else LOOK_AGAIN_S):
            if self._interrupted:
                raise KeyboardInterrupt

    def _leave(self) -> None:
        self._in_main = False
        if self._interrupted:
            self._interrupted = False
            raise KeyboardInterrupt

    # The publishing thread's own work

    def _handle_event(self, _: object) -> None:
        for _n in range(len(self._events)):
            # Taken under the lock: whoever finds no event waiting may send at once.
            with self._lock:
                event: Callable[[], object] = self._events.popleft()
                event()

    def _setup_xpub_listener(self) -> None:
        self.io_loop.add_handler(self.socket.get(zmq.FD), self._welcome, self.io_loop.READ)

    def _welcome(self, *_: object) -> None:
        """Greets who has subscribed."""
        with self._lock:
            try:
                while not self.closed:
                    self._handle_subscription(self.socket.recv_multipart(zmq.DONTWAIT))
            except zmq.Again:
                return
