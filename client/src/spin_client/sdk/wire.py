"""One WebSocket to a runtime: binary protobuf frames in and out, nothing else.

No compression (sealed bytes do not shrink, and mixing secrets with compression leaks), no Nagle delay, no cookies, no redirects.
"""

import asyncio
import ssl
from urllib.parse import urlsplit

import aiohttp
from google.protobuf.message import DecodeError

from spin_client.sdk.client_tls import SYSTEM, ClientTls
from spin_client.sdk.errors import NOT_REACHABLE, SpinError
from spinapis.runtime.v1 import frames_pb2

PATH = "/spin/v1/ws"
SUBPROTOCOL = "spin.v1"
# Sealed programs are at most 4 MiB; a batch of outputs may be larger.
MAX_FRAME = 32 * 1024 * 1024
_CONNECT_S = 10.0
_CLOSE = aiohttp.ClientWSTimeout(ws_close=2.0)


class ConnectionLost(Exception):
    """The socket closed, or never opened; attaching again may help."""


class Wire:
    """An open socket. Iterating ends with ConnectionLost."""

    def __init__(self, client: aiohttp.ClientSession, ws: "aiohttp.ClientWebSocketResponse[bool]", url: str) -> None:
        self._client = client
        self._ws = ws
        self._url = url

    async def send(self, frame: frames_pb2.ClientFrame) -> None:
        try:
            await self._ws.send_bytes(frame.SerializeToString())
        except (ConnectionError, aiohttp.ClientError) as fault:
            raise ConnectionLost(f"the connection to the runtime at {self._url} was lost: {fault}") from None

    async def receive(self, timeout: float | None = None) -> frames_pb2.RuntimeFrame:
        try:
            message = await self._ws.receive(timeout)
        except TimeoutError:
            raise ConnectionLost(f"the runtime at {self._url} did not answer within {timeout:.0f} s") from None
        if message.type is aiohttp.WSMsgType.BINARY:
            return _frame(message.data)
        if message.type is aiohttp.WSMsgType.TEXT:
            raise SpinError("PROTOCOL_VIOLATION", "the runtime sent text where the protocol has binary frames alone")
        why = self._ws.exception()
        raise ConnectionLost(f"the runtime at {self._url} closed the connection" + (f": {why}" if why else ""))

    async def close(self) -> None:
        await self._ws.close()
        await self._client.close()


async def dial(url: str, tls_files: ClientTls = SYSTEM) -> Wire:
    """`url` is the runtime's registered http(s) address. ConnectionLost when nobody answers, SpinError when somebody else does."""
    target, tls = _target(url, tls_files)
    client = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
    try:
        async with asyncio.timeout(_CONNECT_S):
            ws = await client.ws_connect(
                target, protocols=(SUBPROTOCOL,), compress=0, max_msg_size=MAX_FRAME, heartbeat=20.0, ssl=tls, timeout=_CLOSE
            )
    except BaseException as fault:
        await client.close()
        explained = _explained(fault, url)
        if explained is None:
            raise
        raise explained from None
    if ws.protocol != SUBPROTOCOL:
        await ws.close()
        await client.close()
        raise SpinError("PROTOCOL_VIOLATION", f"what answers at {url} does not speak {SUBPROTOCOL}: is it a SPIN runtime?")
    return Wire(client, ws, url)


def _target(url: str, tls_files: ClientTls) -> tuple[str, ssl.SSLContext | bool]:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise SpinError("INVALID_ARGUMENT", f"{url!r} is not a runtime's address: expected http://host:8888 or https://host:8888")
    target = f"{'wss' if parts.scheme == 'https' else 'ws'}://{parts.netloc}{PATH}"
    return target, True if parts.scheme == "http" else tls_files.context()


def _explained(fault: BaseException, url: str) -> Exception | None:
    """None for what is not about the connection (a cancelled task, say) and must go on as it is."""
    match fault:
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError():
            return SpinError(NOT_REACHABLE, f"the runtime's certificate at {url} is not trusted here: {fault}")
        case aiohttp.WSServerHandshakeError(status=403):
            return SpinError("ORIGIN_REFUSED", f"the runtime at {url} refused this address: its Host is not on the enrolled list")
        case aiohttp.WSServerHandshakeError(status=status):
            return SpinError(NOT_REACHABLE, f"what answers at {url} is no SPIN runtime, or an upset one (HTTP {status})")
        case TimeoutError():
            return ConnectionLost(f"nobody answers at {url} within {_CONNECT_S:.0f} s")
        case aiohttp.ClientError() | OSError():
            return ConnectionLost(f"cannot reach the runtime at {url}: {fault}")
    return None


def _frame(data: bytes) -> frames_pb2.RuntimeFrame:
    try:
        return frames_pb2.RuntimeFrame.FromString(data)
    except DecodeError:
        raise SpinError("PROTOCOL_VIOLATION", "the runtime sent a frame that does not parse") from None
