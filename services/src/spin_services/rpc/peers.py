"""Calling another service: over its socket, or at its door when it shares the process (rpc/neighbours.py).

Rules: every call carries this service's own token, the access token of the caller being served, the trace and what is left of the
deadline; what the other service answers as an error is raised as ServiceError, and silence as UNAVAILABLE.
"""

import asyncio
import functools
from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import grpc

from spin_envelope.keys import SigningKey
from spin_services.platform import Platform
from spin_services.rpc.certificates import CertificateFiles, Certificates
from spin_services.rpc.errors import from_rpc_error
from spin_services.rpc.identity import SERVICE_METADATA, USER_METADATA, current_caller
from spin_services.rpc.limits import CHANNEL_OPTIONS, DEFAULT_DEADLINE_S
from spin_services.rpc.neighbours import DoorChannel, Neighbours
from spin_services.rpc.tokens import ServiceTokens
from spin_services.rpc.trace import TRACEPARENT, current_trace

Stub = TypeVar("Stub")

# When the call being served must be over, on the event loop's clock.
deadline_at: ContextVar[float | None] = ContextVar("spin_deadline", default=None)


@dataclass(frozen=True)
class _Link:
    # With which the socket was opened.
    certificates: Certificates | None
    socket: grpc.aio.Channel
    # The socket, or the door in front of it.
    channel: grpc.aio.Channel


class Peers:
    """`key` gives the service's current role key, so that a rotation counts at once; `neighbours` are called without a socket."""

    def __init__(
        self, platform: Platform, service: str, key: Callable[[], SigningKey], clock: Callable[[], int], neighbours: Neighbours | None = None
    ) -> None:
        self._platform = platform
        self._neighbours = neighbours or Neighbours(())
        self._tokens = ServiceTokens(service, key, clock)
        self._certificates = CertificateFiles(platform.tls) if platform.tls else None
        self._links: dict[str, _Link] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def stub(self, stub_class: Callable[[grpc.aio.Channel], Stub]) -> Stub:
        """A stub of any service: `peers.stub(AccessServiceStub)`."""
        return cast(Stub, _PeerStub(self, cast(Any, stub_class).__module__.split(".")[1], stub_class))

    def metadata(self, callee: str) -> tuple[tuple[str, str], ...]:
        entries = [(SERVICE_METADATA, f"Bearer {self._tokens.for_callee(callee)}")]
        caller, trace = current_caller(), current_trace()
        if caller.access_token:
            entries.append((USER_METADATA, f"Bearer {caller.access_token}"))
        if trace is not None:
            entries.append((TRACEPARENT, trace.traceparent()))
        return tuple(entries)

    def channel(self, callee: str) -> grpc.aio.Channel:
        """The service's door, or its socket under the certificates of now; the same object while nothing changed."""
        shown, known = self._certificates.look() if self._certificates else None, self._links.get(callee)
        if known is not None and known.certificates is shown:
            return known.channel
        if known is not None:
            self._let_go(known.socket)
        address, door = self._platform.service_address(callee), self._neighbours.door(callee)
        socket = shown.channel(callee, address) if shown else grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS)
        link = self._links[callee] = _Link(shown, socket, cast(grpc.aio.Channel, DoorChannel(door, socket)) if door else socket)
        return link.channel

    def _let_go(self, channel: grpc.aio.Channel) -> None:
        """Calls that run on it may end."""
        task = asyncio.get_running_loop().create_task(channel.close(DEFAULT_DEADLINE_S))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        for link in self._links.values():
            await link.socket.close()
        for task in tuple(self._closing):
            task.cancel()
        self._links.clear()


class _PeerStub:
    """Stands for a generated stub; each method adds the metadata and translates errors, over the channel of now."""

    def __init__(self, peers: Peers, callee: str, stub_class: Callable[[grpc.aio.Channel], Any]) -> None:
        self._peers, self._callee, self._stub_class = peers, callee, stub_class
        self._channel: grpc.aio.Channel | None = None
        self._stub: Any = None
        for name, method in vars(self._renewed()).items():
            wrapped = _stream if isinstance(method, grpc.aio.UnaryStreamMultiCallable) else _unary
            setattr(self, name, functools.partial(wrapped, self, name))

    def method(self, name: str) -> Any:
        return getattr(self._renewed(), name)

    def metadata(self) -> tuple[tuple[str, str], ...]:
        return self._peers.metadata(self._callee)

    def failed(self, error: grpc.aio.AioRpcError) -> Exception:
        return from_rpc_error(error, self._callee)

    def _renewed(self) -> Any:
        channel = self._peers.channel(self._callee)
        if channel is not self._channel:
            self._channel, self._stub = channel, self._stub_class(channel)
        return self._stub


async def _unary(stub: _PeerStub, name: str, request: Any, timeout: float | None = None) -> Any:
    try:
        return await stub.method(name)(request, metadata=stub.metadata(), timeout=_remaining(timeout), wait_for_ready=True)
    except grpc.aio.AioRpcError as error:
        raise stub.failed(error) from error


async def _stream(stub: _PeerStub, name: str, request: Any, timeout: float | None = None) -> AsyncIterator[Any]:
    try:
        async for message in stub.method(name)(request, metadata=stub.metadata(), timeout=timeout, wait_for_ready=True):
            yield message
    except grpc.aio.AioRpcError as error:
        raise stub.failed(error) from error


def _remaining(timeout: float | None) -> float:
    wanted, until = timeout or DEFAULT_DEADLINE_S, deadline_at.get()
    return wanted if until is None else max(0.001, min(wanted, until - asyncio.get_running_loop().time()))
