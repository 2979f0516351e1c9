"""A whole runtime in the test's process: real socket, broker and kernels, paired with a control plane in memory; and clients of it."""

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from spin_envelope.digests import signed_digest
from spin_envelope.signing import sign, unverified
from spin_runtime.app import Runtime, build
from spin_runtime.broker.local import open_broker
from spin_runtime.kernels.rules import isolation_of, launcher_rules
from spin_runtime.launcher.client import LauncherClient
from spin_runtime.session.sessions import Sessions
from spin_runtime.settings import Settings, from_environment, readable
from spinapis.envelope.v1 import attach_pb2, receipt_pb2, run_pb2
from spinapis.runtime.v1 import frames_pb2 as f
from tests.fakes.control_plane import MINUTE_MS, ORIGIN, Client, ControlPlane
from tests.fakes.launched import Launched

POSITIONED = ("outputs", "run_state", "kernel_state", "input_request")


def wall_clock_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass
class Ahead:
    """The wall clock and what a test adds."""

    added_ms: int = 0

    def __call__(self) -> int:
        return wall_clock_ms() + self.added_ms


@dataclass
class Door:
    """A runtime as its clients see it."""

    plane: ControlPlane
    port: int

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @asynccontextmanager
    async def socket(self, **options: Any) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        headers = {"Origin": ORIGIN} | options.pop("headers", {})
        headers = {name: value for name, value in headers.items() if value is not None}
        async with (
            aiohttp.ClientSession() as http,
            http.ws_connect(f"ws://{self.host}/spin/v1/ws", protocols=("spin.v1",), headers=headers, max_msg_size=0, compress=0, **options) as socket,
        ):
            yield socket

    async def pair(self) -> None:
        async with self.socket() as socket:
            await socket.send_bytes(f.ClientFrame(pairing_start=f.PairingStart()).SerializeToString())
            request = f.RuntimeFrame.FromString(await socket.receive_bytes()).enrol_request
            grant = self.plane.enrol(request, allowed_hosts=[self.host])
            finish = f.PairingFinish(enrol_grant=grant, root_documents=self.plane.root_documents[:1])
            await socket.send_bytes(f.ClientFrame(pairing_finish=finish).SerializeToString())
            assert f.RuntimeFrame.FromString(await socket.receive_bytes()).WhichOneof("body") == "paired"

    @asynccontextmanager
    async def attached(self, person: Client | None = None, resume: int | None = 0, **capability: Any) -> AsyncIterator["Seat"]:
        async with self.socket() as socket:
            seat = Seat(self.plane, person or Client(), socket)
            await seat.attach(**capability)
            if resume is not None:
                await seat.send(resume=f.Resume(position=resume))
            yield seat


@dataclass
class Rig(Door):
    """A runtime in the test's own process."""

    runtime: Runtime
    settings: Settings

    @property
    def sessions(self) -> Sessions:
        return self.runtime.sessions


@dataclass
class Process(Door):
    """`spin-runtime` as a process of its own; what it logged goes to `log`."""

    process: asyncio.subprocess.Process
    log: list[dict[str, Any]]
    reading: asyncio.Task[None]

    async def ended(self) -> int:
        status = await self.process.wait()
        await self.reading
        return status


@dataclass
class Seat:
    """An attached client. Frames of the stream are kept as they came."""

    plane: ControlPlane
    person: Client
    socket: aiohttp.ClientWebSocketResponse
    attached: f.Attached = field(default_factory=f.Attached)
    hello: attach_pb2.Hello = field(default_factory=attach_pb2.Hello)
    stream: list[bytes] = field(default_factory=list)
    receipts: list[receipt_pb2.Receipt] = field(default_factory=list)
    epoch: int = 0

    async def send(self, **body: Any) -> None:
        await self.socket.send_bytes(f.ClientFrame(**body).SerializeToString())

    async def next(self, timeout: float = 20) -> f.RuntimeFrame:
        """The next frame; receipts and frames of the stream are kept."""
        data = await self.socket.receive_bytes(timeout=timeout)
        frame = f.RuntimeFrame.FromString(data)
        self.receipts += [unverified(receipt, receipt_pb2.Receipt) for receipt in frame.receipts.receipts]
        if frame.position:
            self.stream.append(data)
        if frame.kernel_state.kernel_epoch:
            self.epoch = frame.kernel_state.kernel_epoch
        return frame

    async def until(self, wanted: Callable[[f.RuntimeFrame], Any], timeout: float = 30) -> f.RuntimeFrame:
        async with asyncio.timeout(timeout):
            while not wanted(frame := await self.next()):
                pass
            return frame

    async def body(self, kind: str) -> Any:
        return getattr(await self.until(lambda frame: frame.WhichOneof("body") == kind), kind)

    async def attach(self, **capability: Any) -> None:
        person, plane = self.person, self.plane
        expires = {"expires_at_ms": plane.clock() + MINUTE_MS}
        trust = f.TrustDocuments(trust_state=plane.trust_state(**expires))
        hello = f.ClientHello(
            capability=plane.capability(person, **(expires | capability)),
            challenge=plane.challenge(person),
            nonce_b=person.nonce,
            session_key=person.key.public,
            trust=trust,
        )
        await self.send(client_hello=hello)
        signed = await self.body("hello")
        self.hello = unverified(signed, attach_pb2.Hello)
        auth = attach_pb2.ClientAuth(hello_digest=signed_digest(signed), origin=self.hello.origin)
        await self.send(client_auth=f.ClientAuth(auth=sign(auth, person.key)))
        self.attached = await self.body("attached")
        self.epoch = self.attached.kernel.kernel_epoch

    async def start_kernel(self, name: str = "") -> int:
        await self.send(start_kernel=f.StartKernel(kernel_name=name))
        await self.until(lambda frame: frame.kernel_state.phase == f.KERNEL_PHASE_IDLE)
        return self.epoch

    def sealed(
        self, code: str, cell_id: str = "cell-1", uses: Sequence[run_pb2.ConnectionUse] = (), **program: Any
    ) -> tuple[bytes, run_pb2.RunNonce]:
        # A real clock moves between the times that a document holds: stay clear of the limits.
        expires = {"expires_at_ms": self.plane.clock() + MINUTE_MS}
        grant = self.plane.run_grant(self.person, self.hello, self.epoch, cell_id=cell_id, connections=uses, **expires)
        program = expires | program
        return self.plane.seal(self.plane.program(grant, code, **program), self.hello), grant.nonce

    async def submit(self, code: str, cell_id: str = "cell-1", **program: Any) -> run_pb2.RunNonce:
        sealed, nonce = self.sealed(code, cell_id, **program)
        await self.send(sealed=sealed)
        return nonce

    async def ended(self, nonce: run_pb2.RunNonce, timeout: float = 60) -> f.RunState:
        frame = await self.until(lambda frame: frame.run_state.nonce == nonce and frame.run_state.phase == f.RUN_PHASE_ENDED, timeout)
        return frame.run_state

    async def run(self, code: str, **program: Any) -> f.RunState:
        return await self.ended(await self.submit(code, **program))

    async def printed(self, code: str, **program: Any) -> str:
        """What this code alone printed."""
        before = len(self.text())
        await self.run(code, **program)
        return self.text()[before:]

    def outputs(self) -> list[f.Output]:
        return [output for data in self.stream for output in f.RuntimeFrame.FromString(data).outputs.outputs]

    def text(self) -> str:
        """All that was printed."""
        bodies = [f.OutputBody.FromString(output.body) for output in self.outputs() if output.kind == f.OUTPUT_KIND_STREAM]
        return "".join(json.loads(body.content)["text"] for body in bodies)


def variables_of(home: Path, plane: ControlPlane) -> dict[str, str]:
    system = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return system | {
        "SPIN_TOKEN": plane.token.text,
        "SPIN_HOME": str(home),
        "SPIN_LISTEN": "127.0.0.1",
        "SPIN_RUNTIME_PORT": "0",
        "SPIN_SPARE_KERNELS": "0",
        "SPIN_STOP_GRACE_S": "1",
        "SPIN_UIDS": "shared",
    }


@asynccontextmanager
async def spawned(
    home: Path, plane: ControlPlane | None = None, *, paired: bool = True, within: Sequence[str] = (), **environment: str
) -> AsyncIterator[Process]:
    """`within` is a command that runs the program."""
    plane = plane or ControlPlane(clock=wall_clock_ms)  # type: ignore[arg-type]
    process = await asyncio.create_subprocess_exec(
        *within, sys.executable, "-m", "spin_runtime.main", env=variables_of(home, plane) | environment, stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    log: list[dict[str, Any]] = []
    while not log or log[-1]["event"] != "ready":
        log.append(json.loads(await process.stderr.readline()))
    reading = asyncio.create_task(_rest(process.stderr, log))
    runtime = Process(plane, int(log[-1]["url"].rpartition(":")[2]), process, log, reading)
    try:
        if paired:
            await runtime.pair()
        yield runtime
    finally:
        if process.returncode is None:
            process.kill()
        await runtime.ended()


async def _rest(stream: asyncio.StreamReader, log: list[dict[str, Any]]) -> None:
    while line := await stream.readline():
        log.append(json.loads(line) if line.startswith(b"{") else {"event": line.decode()})


@asynccontextmanager
async def running(home: Path, plane: ControlPlane | None = None, *, paired: bool = True, **environment: str) -> AsyncIterator[Rig]:
    plane = plane or ControlPlane(clock=wall_clock_ms)  # type: ignore[arg-type]
    variables = variables_of(home, plane) | environment
    settings = from_environment(variables)
    broker = open_broker(settings.home, plane.token.text, clock=plane.clock, environment=readable(variables))
    launched = Launched(launcher_rules(isolation_of(settings), settings.home / "var", variables, settings.accounts))
    runtime = build(settings, variables, broker, LauncherClient(launched.channel))
    await runtime.start()
    try:
        rig = Rig(plane, runtime.port, runtime, settings)
        if paired:
            await rig.pair()
        yield rig
    finally:
        await runtime.stop()
        await asyncio.to_thread(launched.ended)
