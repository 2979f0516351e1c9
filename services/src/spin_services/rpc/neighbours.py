"""Calls between services of one process, without a socket.

Rules: whoever calls shows the same metadata and passes the same interceptor as over the socket, so that tokens, permissions, deadlines and errors
count alike; nothing is shared but bytes, so neither side can change what the other holds; the callee runs in a task with a context of its own,
so that it inherits nobody's identity; which services are neighbours is said in the composition root alone. Streams keep the socket.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from contextvars import Context
from typing import Any, NoReturn

import grpc
import structlog

from spin_services.rpc.limits import MAXIMUM_MESSAGE

Metadata = tuple[tuple[str, str | bytes], ...]

log = structlog.get_logger("spin.rpc")


class Door:
    """Where one service's neighbours call it; shut until its server starts, and again when it drains."""

    def __init__(self) -> None:
        self._handlers: Mapping[str, Any] = {}
        self._opened = asyncio.Event()
        self._shut = False
        self._running: set[asyncio.Task[bytes]] = set()

    def open(self, handlers: Mapping[str, Any]) -> None:
        """`handlers` are those of the server, by full method name, with the interceptor around them."""
        self._handlers = handlers
        self._opened.set()

    async def drain(self, patience_s: float) -> None:
        """Refuses what is new and lets what runs end."""
        self._shut = True
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=patience_s)
            for task in late:
                task.cancel()

    async def call(self, method: str, request: bytes, metadata: Metadata, timeout: float | None) -> bytes:
        """The answer's bytes. Raises AioRpcError, as a call over the socket does."""
        until = None if timeout is None else time.monotonic() + timeout
        await self._wait_until_open(timeout)
        handler = self._handlers.get(method)
        if handler is None:
            raise _failed(grpc.StatusCode.UNIMPLEMENTED, "Method not found!")
        _check_size(request)
        return await self._run(_served(handler, request, NeighbourContext(metadata, until)))

    async def _wait_until_open(self, timeout: float | None) -> None:
        if not self._opened.is_set():
            try:
                await asyncio.wait_for(self._opened.wait(), timeout)
            except TimeoutError:
                raise _failed(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded") from None
        if self._shut:
            raise _failed(grpc.StatusCode.UNAVAILABLE, "The service is going down.")

    async def _run(self, served: Any) -> bytes:
        task: asyncio.Task[bytes] = asyncio.get_running_loop().create_task(served, context=Context())
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        try:
            return await task
        except asyncio.CancelledError:
            caller = asyncio.current_task()
            if caller is None or caller.cancelling() or not task.cancelled():
                raise
            # The callee ended, not the caller: over the socket that is an answer.
            raise _failed(grpc.StatusCode.CANCELLED, "The call was cancelled.") from None


class Neighbours:
    """The doors of the services that share a process."""

    def __init__(self, services: Collection[str]) -> None:
        self._doors = {service: Door() for service in services}

    def door(self, service: str) -> Door | None:
        return self._doors.get(service)


class DoorChannel:
    """Stands for a channel where a generated stub wants one."""

    def __init__(self, door: Door, socket: grpc.aio.Channel) -> None:
        self._door = door
        self.unary_stream = socket.unary_stream

    def unary_unary(self, method: str, request_serializer: Any, response_deserializer: Any, **_options: Any) -> Callable[..., Any]:
        door = self._door

        async def call(request: Any, *, metadata: Metadata = (), timeout: float | None = None, wait_for_ready: bool = True) -> Any:
            return response_deserializer(await door.call(method, request_serializer(request), metadata, timeout))

        return call


class HandlerCollector:
    """Stands for a server where a generated `add_…_to_server` wants one."""

    def __init__(self) -> None:
        self.handlers: dict[str, Any] = {}

    def add_generic_rpc_handlers(self, _handlers: object) -> None:
        """The same handlers come by name as well."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        self.handlers |= {f"/{service}/{name}": handler for name, handler in handlers.items()}


class NeighbourContext:
    """What the interceptor and servicers ask of gRPC's ServicerContext."""

    def __init__(self, metadata: Metadata, until: float | None) -> None:
        self._metadata = metadata
        self._until = until
        self.ended_with: grpc.aio.AioRpcError | None = None

    def invocation_metadata(self) -> Metadata:
        return self._metadata

    def time_remaining(self) -> float | None:
        return None if self._until is None else max(0.0, self._until - time.monotonic())

    async def abort(self, code: grpc.StatusCode, details: str = "", trailing_metadata: Metadata = ()) -> NoReturn:
        self.ended_with = _failed(code, details, trailing_metadata)
        raise grpc.aio.AbortError("Locally aborted.")


async def _served(handler: Any, request: bytes, context: NeighbourContext) -> bytes:
    try:
        answer: bytes = handler.response_serializer(await handler.unary_unary(handler.request_deserializer(request), context))
    except grpc.aio.AbortError:
        assert context.ended_with is not None
        raise context.ended_with from None
    except Exception as error:
        log.error("call_failed", error=type(error).__name__, exc_info=error)
        raise _failed(grpc.StatusCode.UNKNOWN, "Unexpected failure.") from None
    _check_size(answer)
    return answer


def _check_size(message: bytes) -> None:
    if len(message) > MAXIMUM_MESSAGE:
        text = f"Received message larger than max ({len(message)} vs. {MAXIMUM_MESSAGE})"
        raise _failed(grpc.StatusCode.RESOURCE_EXHAUSTED, text)


def _failed(code: grpc.StatusCode, details: str, trailing_metadata: Metadata = ()) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(*trailing_metadata), details)
