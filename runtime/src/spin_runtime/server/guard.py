"""What a stranger may send. Until a client is authenticated, its bytes are counted as they come from the socket, before anything keeps them."""

from typing import Any

from aiohttp import web


class ByteGuard:
    """Stands between the connection and aiohttp's WebSocket parser; beyond the limit the connection is gone."""

    def __init__(self, request: web.Request, limit: int) -> None:
        self._protocol: Any = request.protocol
        self._transport = request.transport
        self._parser: Any = self._protocol._payload_parser
        self._left = limit
        # aiohttp offers no place for this: the attribute is what its own set_parser sets.
        self._protocol._payload_parser = self

    def lift(self) -> None:
        """The client is known: its messages have their own limit."""
        if self._protocol._payload_parser is self:
            self._protocol._payload_parser = self._parser

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self._left -= len(data)
        if self._left < 0:
            if self._transport is not None:
                self._transport.abort()
            return True, b""
        answer: tuple[bool, bytes] = self._parser.feed_data(data)
        return answer

    def feed_eof(self) -> None:
        self._parser.feed_eof()
