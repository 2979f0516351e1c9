"""A ZeroMQ socket read at its file descriptor.

The descriptor tells that something may have changed, not that a message waits, and it tells it once: so the socket is read until it is
empty, and it is looked at again after each send. Messages are delivered in groups, as many as had come.
"""

import asyncio
from collections.abc import Callable, Sequence

import zmq

Parts = list[bytes]
# One turn of the loop takes at most this much from one socket, so that the others have theirs.
BURST_MESSAGES = 512
BURST_BYTES = 4 << 20


class Channel:
    def __init__(self, socket: "zmq.Socket[bytes]", deliver: Callable[[Sequence[Parts]], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket = socket
        self._deliver = deliver
        self._fd = int(socket.getsockopt(zmq.FD))
        self._reading = False
        self._closed = False
        self.resume()

    def send(self, parts: Sequence[bytes]) -> None:
        self._socket.send_multipart(parts, zmq.DONTWAIT)
        if self._reading:
            self._loop.call_soon(self._read)

    def pause(self) -> None:
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._fd)

    def resume(self) -> None:
        if not self._reading and not self._closed:
            self._reading = True
            self._loop.add_reader(self._fd, self._read)
            self._loop.call_soon(self._read)

    def close(self) -> None:
        self.pause()
        self._closed = True
        self._socket.close(linger=0)

    def _read(self) -> None:
        if not self._reading:
            return
        messages: list[Parts] = []
        size, socket = 0, self._socket
        try:
            while len(messages) < BURST_MESSAGES and size < BURST_BYTES:
                parts = _received(socket)
                size += len(parts[-1])
                messages.append(parts)
        except zmq.Again:
            pass  # empty: the descriptor will tell
        else:
            self._loop.call_soon(self._read)
        if messages:
            self._deliver(messages)


def _received(socket: "zmq.Socket[bytes]") -> Parts:
    """One message's parts, without waiting. A frame knows whether another follows; `recv_multipart` asks the socket, which takes longer."""
    frame = socket.recv(zmq.DONTWAIT, copy=False)
    parts = [frame.bytes]
    while frame.more:
        frame = socket.recv(zmq.DONTWAIT, copy=False)
        parts.append(frame.bytes)
    return parts
