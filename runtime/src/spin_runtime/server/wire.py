"""Frames of one connection: sending, receiving, and saying what went wrong."""

import asyncio

from aiohttp import ClientConnectionResetError, WSMsgType, web
from google.protobuf.message import DecodeError

from spin_runtime.broker.api import BrokerError
from spin_runtime.session.model import Reason
from spinapis.errors.v1 import reasons_pb2
from spinapis.runtime.v1 import frames_pb2

# A message of the protocol is at most 4 MiB; the frame around it adds a little.
MAX_FRAME = (4 << 20) + 1024


class Gone(Exception):
    """The client is not there any more."""


class Fatal(Exception):
    """The connection ends with this Error frame."""

    def __init__(self, reason: Reason, message: str, **metadata: str) -> None:
        super().__init__(message)
        self.reason, self.message, self.metadata = reason, message, metadata


def violation(message: str) -> Fatal:
    return Fatal(reasons_pb2.ERROR_REASON_PROTOCOL_VIOLATION, message)


class FrameSocket:
    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket

    async def receive(self) -> frames_pb2.ClientFrame:
        message = await self._socket.receive()
        if message.type is WSMsgType.TEXT:
            raise violation("Frames are binary messages; text came.")
        if message.type is not WSMsgType.BINARY:
            raise Gone
        try:
            frame = frames_pb2.ClientFrame.FromString(message.data)
        except DecodeError:
            raise violation("This is no ClientFrame: the client and the runtime may be of different versions.") from None
        if frame.WhichOneof("body") is None:
            raise violation("A ClientFrame with nothing known inside: the client may be newer than the runtime.")
        return frame

    async def send(self, frame: frames_pb2.RuntimeFrame) -> None:
        await self.send_bytes(frame.SerializeToString())

    async def send_bytes(self, frame: bytes) -> None:
        try:
            await self._socket.send_bytes(frame)
        except (ClientConnectionResetError, ConnectionError, RuntimeError) as error:
            raise Gone from error

    async def send_error(self, reason: Reason, message: str, *, request_id: int = 0, ciphertext_digest: bytes = b"", **metadata: str) -> None:
        error = frames_pb2.Error(reason=reason, message=message, metadata=metadata, request_id=request_id, ciphertext_digest=ciphertext_digest)
        await self.send(frames_pb2.RuntimeFrame(error=error))

    async def refuse(self, error: BrokerError, *, request_id: int = 0, ciphertext_digest: bytes = b"") -> None:
        frame = frames_pb2.Error(
            reason=error.reason, message=error.text, metadata=error.metadata, request_id=request_id, ciphertext_digest=ciphertext_digest
        )
        await self.send(frames_pb2.RuntimeFrame(error=frame))

    async def close_with(self, fatal: Fatal) -> None:
        """The last Error frame, then the close; a client that does not read is not waited for."""
        try:
            async with asyncio.timeout(2):
                error = frames_pb2.Error(reason=fatal.reason, message=fatal.message, metadata=fatal.metadata, fatal=True)
                await self.send(frames_pb2.RuntimeFrame(error=error))
                await self._socket.close(code=1008, message=reasons_pb2.ErrorReason.Name(fatal.reason).removeprefix("ERROR_REASON_").encode())
        except (Gone, TimeoutError):
            return
