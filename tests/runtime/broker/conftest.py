"""A paired runtime with an attached client, and a control plane that tests can turn against it."""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from spin_envelope.digests import signed_digest
from spin_envelope.signing import sign, unverified
from spin_runtime.broker import local
from spin_runtime.broker.api import Attachment, Broker, BundleStored, LiveKernel, Rejected, Run
from spinapis.envelope.v1 import attach_pb2, receipt_pb2, run_pb2
from tests.fakes.control_plane import ORIGIN, Client, ControlPlane


@dataclass
class Runtime:
    """A broker, and how an honest client deals with it. `restart` is a new process on the same disk."""

    home: Path
    plane: ControlPlane
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.broker: Broker = self.opened()

    def opened(self) -> Broker:
        return local.open_broker(self.home, self.plane.token.text, clock=self.plane.clock, elapsed=self.plane.clock.elapsed, **self.options)

    async def restart(self) -> None:
        await self.broker.close()
        self.broker = self.opened()

    async def pair(self) -> None:
        request = await self.broker.pairing_start()
        await self.broker.pairing_finish(self.plane.enrol(request), self.plane.root_documents[:1])

    async def hello(self, client: Client, trust_state: bytes = b"", **changes: Any) -> attach_pb2.Hello:
        arguments: dict[str, Any] = {
            "capability": self.plane.capability(client),
            "challenge": self.plane.challenge(client),
            "nonce_b": client.nonce,
            "session_key": client.key.public,
            "origin": ORIGIN,
            "root_documents": [],
            "trust_state": trust_state,
        }
        data, _ = await self.broker.hello(**(arguments | changes))
        return unverified(data, attach_pb2.Hello)

    async def attach(self, client: Client, trust_state: bytes = b"", **changes: Any) -> tuple[attach_pb2.Hello, Attachment]:
        """Hello, and the client that answered it; `changes` are the capability's."""
        capability, challenge = self.plane.capability(client, **changes), self.plane.challenge(client)
        data, handle = await self.broker.hello(capability, challenge, client.nonce, client.key.public, ORIGIN, [], trust_state)
        auth = attach_pb2.ClientAuth(hello_digest=signed_digest(data), origin=ORIGIN)
        return unverified(data, attach_pb2.Hello), await self.broker.attach(handle, sign(auth, client.key))

    async def receipts(self) -> list[receipt_pb2.Receipt]:
        """Those that audit has not acknowledged."""
        return [unverified(data, receipt_pb2.Receipt) for _, data in await self.broker.receipts_after(0, 10_000)]


@dataclass
class Seat:
    """A client that is attached, with a kernel."""

    runtime: Runtime
    client: Client
    hello: attach_pb2.Hello
    handle: bytes
    kernel: LiveKernel

    async def attach_again(self) -> None:
        self.hello, attachment = await self.runtime.attach(self.client)
        self.handle = attachment.handle

    def grant(self, **changes: Any) -> run_pb2.RunGrant:
        return self.runtime.plane.run_grant(self.client, self.hello, self.kernel.kernel_epoch, **changes)

    def sealed(self, grant: run_pb2.RunGrant | None = None, **changes: Any) -> bytes:
        plane = self.runtime.plane
        return plane.seal(plane.program(grant or self.grant(), **changes), self.hello)

    async def open(self, sealed: bytes) -> Run | Rejected | BundleStored:
        return await self.runtime.broker.open_sealed(sealed, self.handle)

    async def run(self, *uses: run_pb2.ConnectionUse) -> Run:
        """A run that has started."""
        opened = await self.open(self.sealed(self.grant(connections=uses)))
        assert isinstance(opened, Run), opened
        await self.runtime.broker.run_started(opened.nonce)
        return opened

    async def give_bundle(self, version: int, *entries: run_pb2.CredentialEntry, **changes: Any) -> Run | Rejected | BundleStored:
        plane = self.runtime.plane
        return await self.open(plane.seal_bundle(plane.bundle(version, entries, **changes), self.hello))


@pytest.fixture
def plane() -> ControlPlane:
    return ControlPlane()


@pytest.fixture
async def make_runtime(tmp_path: Path) -> AsyncIterator[Callable[..., Runtime]]:
    made: list[Runtime] = []

    def make(plane: ControlPlane, **options: Any) -> Runtime:
        made.append(Runtime(tmp_path / f"home-{len(made)}", plane, options))
        return made[-1]

    yield make
    for runtime in made:
        await runtime.broker.close()


@pytest.fixture
async def runtime(plane: ControlPlane, make_runtime: Callable[..., Runtime]) -> Runtime:
    """Paired, and trusted for 24 hours."""
    made = make_runtime(plane)
    await made.pair()
    await made.broker.accept_trust([], plane.trust_state())
    return made


@pytest.fixture
def take_seat() -> Callable[..., Any]:
    async def take(runtime: Runtime, client: Client | None = None) -> Seat:
        client = client or Client()
        hello, attachment = await runtime.attach(client)
        return Seat(runtime, client, hello, attachment.handle, await runtime.broker.kernel_started(attachment.handle, "python3"))

    return take


@pytest.fixture
async def seat(runtime: Runtime, take_seat: Callable[..., Any]) -> Seat:
    made: Seat = await take_seat(runtime)
    return made
