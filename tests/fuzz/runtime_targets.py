"""What the runtime's processes read from sockets: a client's frames, a kernel's requests and messages, one another's packets."""

import asyncio
import atexit
import json
import shutil
import socket
import ssl
import tempfile
from collections.abc import Coroutine
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from aiohttp import WSMsgType

from spin_runtime.broker.api import Broker, BrokerError, Status
from spin_runtime.broker.boundary import Boundary
from spin_runtime.broker.channel import LENGTH
from spin_runtime.broker.local import open_broker
from spin_runtime.broker.remote import RemoteBroker
from spin_runtime.broker.socket import read_request
from spin_runtime.kernels.wire import Wire, content_of
from spin_runtime.launcher import requests
from spin_runtime.launcher import wire as launcher
from spin_runtime.launcher.pods.line import Line
from spin_runtime.launcher.pods.streams import HEAD
from spin_runtime.server import gate, handshake
from spin_runtime.server.wire import Fatal, FrameSocket, Gone
from spinapis.errors.v1 import reasons_pb2
from spinapis.runtime.v1 import boundary_pb2, broker_pb2, frames_pb2
from tests.fuzz.documents import client, plane, wire
from tests.fuzz.target import Target, text_of

PATIENCE_S = 5.0


@cache
def loop() -> asyncio.AbstractEventLoop:
    return asyncio.new_event_loop()


def finished(work: Coroutine[Any, Any, None]) -> None:
    """Runs the work; an exception that only the event loop saw is raised, too."""
    unseen: list[BaseException] = []
    loop().set_exception_handler(lambda _, context: unseen.append(context.get("exception") or RuntimeError(context["message"])))
    loop().run_until_complete(asyncio.wait_for(work, PATIENCE_S))
    if unseen:
        raise unseen[0]


@cache
def unpaired() -> Broker:
    """A broker that belongs to nobody: it refuses all but pairing, after its arguments were read."""
    home = tempfile.mkdtemp(prefix="spin-fuzz-")
    broker = open_broker(Path(home), plane().token.text, clock=plane().clock)

    def close() -> None:
        loop().run_until_complete(broker.close())
        loop().close()
        shutil.rmtree(home)

    atexit.register(close)
    return broker


def client_frames(data: bytes) -> None:
    """The first byte says how many bytes the first frame has; the second frame follows."""
    frames = [data[1 : 1 + data[0]], data[1 + data[0] :]] if data else [b""]
    finished(_greet(frames))


async def _greet(frames: list[bytes]) -> None:
    arriving = iter(frames)

    async def receive() -> Any:
        frame = next(arriving, None)
        return SimpleNamespace(type=WSMsgType.CLOSED if frame is None else WSMsgType.BINARY, data=frame)

    async def send_bytes(_: bytes) -> None:
        return

    ws: Any = SimpleNamespace(receive=receive, send_bytes=send_bytes)
    frame_socket = FrameSocket(ws)
    first = await frame_socket.receive()
    if first.WhichOneof("body") in ("pairing_start", "pairing_finish"):
        await handshake.pair(frame_socket, unpaired(), first)
    else:
        await handshake.attach(frame_socket, unpaired(), first, "")


def upgrade_headers(data: bytes) -> None:
    """Lines: the peer, then each Host and Origin in turn."""
    peer, *headers = text_of(data).split("\n")
    status = cast(Status, SimpleNamespace(paired=True, allowed_hosts=("h",), allowed_origins=("o",)))
    for certified in (False, True):
        gate.refusal(headers[1::2], headers[::2], peer, status, certified)


def use_request(data: bytes) -> None:
    async def read() -> None:
        reader = asyncio.StreamReader()
        reader.feed_data(data)
        reader.feed_eof()
        await read_request(reader)

    finished(read())


async def _converse(data: bytes) -> list[boundary_pb2.BoundaryReply]:
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    boundary = await Boundary.serve(unpaired(), theirs)
    ours.setblocking(False)
    await loop().sock_sendall(ours, data)
    ours.shutdown(socket.SHUT_WR)
    await boundary.ended.wait()
    ours.setblocking(True)
    replies = []
    with ours, ours.makefile("rb") as answers:
        while length := answers.read(LENGTH):
            replies.append(boundary_pb2.BoundaryReply.FromString(answers.read(int.from_bytes(length))))
    return replies


def boundary_calls(data: bytes) -> None:
    """What a server that was taken over may send; an INTERNAL says that something other than a refusal came out of the broker."""

    async def check() -> None:
        for reply in await _converse(data):
            assert reply.failure.reason != reasons_pb2.ERROR_REASON_INTERNAL, reply

    finished(check())


def boundary_replies(data: bytes) -> None:
    """The first byte chooses the call; the rest is the answer."""

    async def call() -> None:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        broker = await RemoteBroker.connect(ours)
        theirs.sendall(len(data[1:]).to_bytes(LENGTH) + data[1:])
        theirs.shutdown(socket.SHUT_WR)
        calls = (broker.status, broker.pairing_start, lambda: broker.hello(b"", b"", b"", b"", "", [], b""), lambda: broker.receipts_after(0, 9))
        try:
            await calls[(data[0] if data else 0) % len(calls)]()
        finally:
            theirs.close()
            await broker.close()

    finished(call())


def launcher_packet(data: bytes) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        ours.send(data or b"\n")
        packet = launcher.receive(theirs)
        if packet is not None:
            requests.read(packet)


def pod_agent(data: bytes) -> None:
    """What a kernel's pod says of it."""
    finished(_told(data))


async def _told(data: bytes) -> None:
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    line = Line("127.0.0.1", 1, ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), stderr=-1)
    await line._listened(reader)


def _said(*objects: dict[str, Any]) -> bytes:
    return b"".join(HEAD.pack(len(said)) + said for said in (json.dumps(each).encode() for each in objects))


def kernel_message(data: bytes) -> None:
    """The parts of a message that the kernel's own key signed."""
    reader = Wire(b"k" * 32)
    parts = data.split(b"\n")
    message = reader.read([b"identity", b"<IDS|MSG>", reader._sign(parts[:4]), *parts])
    if message is not None:
        content_of(message)


def kernel_stranger(data: bytes) -> None:
    Wire(b"k" * 32).read(data.split(b"\n"))


def _frame_seeds() -> list[bytes]:
    hello = frames_pb2.ClientHello(capability=b"c", challenge=b"c", nonce_b=b"n" * 32, session_key=client().key.public)
    pair = [frames_pb2.ClientFrame(pairing_start=frames_pb2.PairingStart()), frames_pb2.ClientFrame(pairing_finish=frames_pb2.PairingFinish())]
    pair[1].pairing_finish.root_documents.append(b"document")
    attach = [frames_pb2.ClientFrame(client_hello=hello), frames_pb2.ClientFrame(client_auth=frames_pb2.ClientAuth(auth=b"a"))]
    return [bytes([len(first)]) + first + second for first, second in (map(wire, pair), map(wire, attach))]


def _framed(message: bytes) -> bytes:
    return len(message).to_bytes(LENGTH) + message


def _call_seeds() -> list[bytes]:
    b = boundary_pb2
    calls = (
        b.BoundaryRequest(id=1, status=b.GetStatus()),
        b.BoundaryRequest(id=2, hello=b.MakeHello(origin="https://a.example", root_documents=[b"r"])),
        b.BoundaryRequest(id=3, open_sealed=b.OpenSealed(sealed=b"s", client=b"h" * 16)),
        b.BoundaryRequest(id=4, receipts_after=b.ListReceipts(receipt_seq=0, limit=10)),
        b.BoundaryRequest(id=4, cancel=True),
        b.BoundaryRequest(id=5, run_ended=b.EndRun(frames=1)),
        b.BoundaryRequest(id=6, kernel_started=b.BeginKernel(client=b"h" * 16, kernel_name="python3")),
    )
    return [*(_framed(wire(call)) for call in calls), b"".join(_framed(wire(call)) for call in calls)]


def _reply_seeds() -> list[bytes]:
    b = boundary_pb2
    failure = b.BoundaryFailure(reason=reasons_pb2.ERROR_REASON_NOT_PAIRED, text="no", metadata={"resource": "runtime"})
    clash = b.BoundaryFailure(reason=reasons_pb2.ERROR_REASON_NOT_PAIRED, metadata={"text": "twice"})
    replies = (
        b.BoundaryReply(id=1, status=b.BrokerStatus(paired=True)),
        b.BoundaryReply(id=1, failure=failure),
        b.BoundaryReply(id=1, failure=clash),
    )
    return [*(b"\0" + wire(reply) for reply in replies), b"\0\xff\xff"]


def _packet_seeds() -> list[bytes]:
    start = {"argv": ["python"], "environment": {"A": "b"}, "work": "a", "box": "b", "egress": "open"}
    asked: dict[str, list[object]] = {
        "start": [start],
        "rename": ["spare-a", "b"],
        "admit": ["a1", "/run/kernel-1.sock"],
        "signal": ["a1", 2],
        "limit_memory": ["a1", 1 << 30],
        "enforce": ["none"],
        "box": [],
    }
    return [*(json.dumps({"id": 1, "do": do, "with": arguments}).encode() for do, arguments in asked.items()), b"[]", b"["]


KERNEL_SEED = b'{"msg_type": "stream", "msg_id": "1"}\n{"msg_id": "2"}\n{}\n{"name": "stdout", "text": "x"}\nbuffer'
TARGETS = (
    Target("runtime.client_frames", client_frames, (Fatal, Gone), _frame_seeds),
    Target("runtime.upgrade_headers", upgrade_headers, (), lambda: [b"127.0.0.1\nh\no", b"::ffff:10.0.0.1\nh", b"fe80::1%eth0\nh\nother"]),
    Target("runtime.use_request", use_request, (asyncio.IncompleteReadError,), lambda: [_framed(wire(broker_pb2.UseRequest(operation="a.b")))]),
    Target("runtime.boundary_calls", boundary_calls, (), _call_seeds),
    Target("runtime.boundary_replies", boundary_replies, (BrokerError,), _reply_seeds),
    Target("runtime.launcher_packet", launcher_packet, (ConnectionError, requests.RequestInvalid), _packet_seeds),
    Target("runtime.pod_agent", pod_agent, (), lambda: [_said({"stderr": "eA=="}, {"id": 1}, {"ended": -9, "oom": True}), b"\0\0\0\2[]"]),
    Target("runtime.kernel_message", kernel_message, (), lambda: [KERNEL_SEED]),
    Target("runtime.kernel_stranger", kernel_stranger, (), lambda: [b"<IDS|MSG>\nmac\n" + KERNEL_SEED]),
)
