"""What a client of the proxy asks for: CONNECT, or a plain request for an http address. h11 reads it; nothing here does I/O.

Of a plain request the head is written anew for the origin, without what is between client and proxy; its body, and the answer, pass as they are.
So a connection to the proxy has one request, and `Connection: close` says so to both sides.
"""

from dataclasses import dataclass
from urllib.parse import urlsplit

import h11

LONGEST_HEAD = 32_768
LONGEST_SHOWN = 253
# Between this client and the proxy alone.
_HOP = frozenset({b"connection", b"proxy-connection", b"proxy-authorization", b"keep-alive", b"host"})


class HeadInvalid(Exception):
    """The text is for the client."""


@dataclass(frozen=True)
class Wanted:
    # As the client wrote it, IPv6 in brackets.
    host: str
    port: int
    # For the origin, before what the client sends; nothing for a tunnel.
    head: bytes
    # What came behind the head.
    rest: bytes

    @property
    def tunnel(self) -> bool:
        return not self.head

    @property
    def shown(self) -> str:
        """Fit for a header and a log."""
        text = "".join(letter if letter.isascii() and letter.isprintable() else "?" for letter in self.host[:LONGEST_SHOWN])
        return f"{text}:{self.port}"


class HeadReader:
    def __init__(self) -> None:
        self._connection = h11.Connection(h11.SERVER, max_incomplete_event_size=LONGEST_HEAD)

    def feed(self, data: bytes) -> Wanted | None:
        """None until the head is complete. Raises HeadInvalid."""
        try:
            self._connection.receive_data(data)
            event = self._connection.next_event()
        except h11.RemoteProtocolError as error:
            raise HeadInvalid(f"this is no request to a proxy: {error}") from None
        if not isinstance(event, h11.Request):
            if event is h11.NEED_DATA:
                return None
            raise HeadInvalid("the connection ended within the request")
        rest, _ = self._connection.trailing_data
        return _connect(event, rest) if event.method == b"CONNECT" else _plain(event, rest)


def _connect(request: h11.Request, rest: bytes) -> Wanted:
    host, _, port = request.target.decode("latin-1").rpartition(":")
    return Wanted(host, _port(port), b"", rest)


def _plain(request: h11.Request, rest: bytes) -> Wanted:
    try:
        address = urlsplit(request.target.decode("ascii"))
        port = address.port
    except ValueError:
        raise HeadInvalid("the request's address is none") from None
    if address.scheme != "http" or not address.hostname:
        raise HeadInvalid("a proxy's request names http://host/…, or is CONNECT host:port")
    host = f"[{address.hostname}]" if ":" in address.hostname else address.hostname
    authority = host if port is None else f"{host}:{port}"
    path = (address.path or "/") + (f"?{address.query}" if address.query else "")
    named = {name.strip().lower() for value in _values(request, b"connection") for name in value.split(b",")}
    kept = [(name, value) for name, value in request.headers if name not in _HOP | named]
    headers = [(b"Host", authority.encode()), *kept, (b"Connection", b"close")]
    try:
        head = h11.Connection(h11.CLIENT).send(h11.Request(method=request.method, target=path, headers=headers))
    except h11.LocalProtocolError as error:
        raise HeadInvalid(f"the request cannot be passed on: {error}") from None
    return Wanted(host, 80 if port is None else _port(str(port)), head or b"", rest)


def _values(request: h11.Request, wanted: bytes) -> list[bytes]:
    return [value for name, value in request.headers if name == wanted]


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= 65_535):
        raise HeadInvalid("the port is none")
    return int(text)


def answer(status: int, reason: str) -> bytes:
    """A refusal. Clients of CONNECT show the reason alone, so it says everything."""
    body = f"{reason}\n".encode("latin-1", "replace")
    headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body))), ("Connection", "close")]
    connection = h11.Connection(h11.SERVER)
    head = connection.send(h11.Response(status_code=status, reason=reason.encode("latin-1", "replace"), headers=headers))
    return (head or b"") + (connection.send(h11.Data(data=body)) or b"")


ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"
