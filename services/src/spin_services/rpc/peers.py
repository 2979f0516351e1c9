"""Calling another service: over its socket, or at its door when it shares the process (rpc/neighbours.py).

Rules: every call carries this service's own token, the access token of the caller being served, the trace and what is left of the
deadline; what the other service answers as an error is raised as ServiceError, and silence as UNAVAILABLE.
"""

import asyncio
import functools
from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
from typing import Any, TypeVar, cast

import grpc

from spin_envelope.keys import SigningKey
from spin_services.platform import Platform
from spin_services.rpc.errors import from_rpc_error
from spin_services.rpc.identity import SERVICE_METADATA, USER_METADATA, current_caller
from spin_services.rpc.limits import CHANNEL_OPTIONS, DEFAULT_DEADLINE_S
from spin_services.rpc.neighbours import DoorChannel, Neighbours
from spin_services.rpc.tokens import ServiceTokens
from spin_services.rpc.trace import TRACEPARENT, current_trace

Stub = TypeVar("Stub")

# When the call being served must be over, on the event loop's clock.
deadline_at: ContextVar[float | None] = ContextVar("spin_deadline", default=None)


class Peers:
    """`key` gives the service's current role key, so that a rotation counts at once; `neighbours` are called without a socket."""

    def __init__(
        self, platform: Platform, service: str, key: Callable[[], SigningKey], clock: Callable[[], int], neighbours: Neighbours | None = None
    ) -> None:
        self._platform = platform
        self._neighbours = neighbours or Neighbours(())
        self._tokens = ServiceTokens(service, key, clock)
        self._channels: dict[str, grpc.aio.Channel] = {}

    def stub(self, stub_class: Callable[[grpc.aio.Channel], Stub]) -> Stub:
        """A stub of any service: `peers.stub(AccessServiceStub)`."""
        callee = cast(Any, stub_class).__module__.split(".")[1]
        socket, door = self._channel(callee), self._neighbours.door(callee)
        channel = socket if door is None else cast(grpc.aio.Channel, DoorChannel(door, socket))
        return cast(Stub, _PeerStub(self, callee, stub_class(channel)))

    def metadata(self, callee: str) -> tuple[tuple[str, str], ...]:
        entries = [(SERVICE_METADATA, f"Bearer {self._tokens.for_callee(callee)}")]
        caller, trace = current_caller(), current_trace()
        if caller.access_token:
            entries.append((USER_METADATA, f"Bearer {caller.access_token}"))
        if trace is not None:
            entries.append((TRACEPARENT, trace.traceparent()))
        return tuple(entries)

    def _channel(self, callee: str) -> grpc.aio.Channel:
        if callee not in self._channels:
            self._channels[callee] = _open_channel(self._platform, callee)
        return self._channels[callee]

    async def close(self) -> None:
        for channel in self._channels.values():
            await channel.close()
        self._channels.clear()


class _PeerStub:
    """Stands for a generated stub; each method adds the metadata and translates errors."""

    def __init__(self, peers: Peers, callee: str, stub: object) -> None:
        for name, method in vars(stub).items():
            wrapped = _stream if isinstance(method, grpc.aio.UnaryStreamMultiCallable) else _unary
            setattr(self, name, functools.partial(wrapped, peers, callee, method))


async def _unary(peers: Peers, callee: str, method: Any, request: Any, timeout: float | None = None) -> Any:
    try:
        return await method(request, metadata=peers.metadata(callee), timeout=_remaining(timeout), wait_for_ready=True)
    except grpc.aio.AioRpcError as error:
        raise from_rpc_error(error, callee) from error


async def _stream(peers: Peers, callee: str, method: Any, request: Any, timeout: float | None = None) -> AsyncIterator[Any]:
    try:
        async for message in method(request, metadata=peers.metadata(callee), timeout=timeout, wait_for_ready=True):
            yield message
    except grpc.aio.AioRpcError as error:
        raise from_rpc_error(error, callee) from error


def _remaining(timeout: float | None) -> float:
    wanted, until = timeout or DEFAULT_DEADLINE_S, deadline_at.get()
    return wanted if until is None else max(0.001, min(wanted, until - asyncio.get_running_loop().time()))


def _open_channel(platform: Platform, callee: str) -> grpc.aio.Channel:
    address = platform.service_address(callee)
    if platform.tls is None:
        return grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS)
    tls = platform.tls
    credentials = grpc.ssl_channel_credentials(tls.authority, tls.key, tls.certificate)
    return grpc.aio.secure_channel(address, credentials, options=CHANNEL_OPTIONS)
