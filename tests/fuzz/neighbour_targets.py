"""What the runtime's processes read of kernels' proxies, of kernels' outputs, and of the container engine."""

import asyncio
import atexit
import shutil
import socket
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from spin_envelope.chain import OutputChain
from spin_runtime.broker.api import Run
from spin_runtime.egress import packets
from spin_runtime.egress.head import HeadInvalid, HeadReader
from spin_runtime.kernels.api import KernelMessage
from spin_runtime.launcher import wire
from spin_runtime.launcher.containers.engine import Engine, EngineGone, EngineRefused
from spin_runtime.launcher.containers.running import created, started
from spin_runtime.launcher.rules import Unable
from spin_runtime.session.collector import ALWAYS, TRUNCATED, Collector, Totals
from spin_runtime.session.encoding import with_position
from spinapis.envelope.v1 import run_pb2
from spinapis.runtime.v1 import frames_pb2
from tests.fuzz.runtime_targets import finished, loop
from tests.fuzz.target import Target

KINDS = ("stream", "display_data", "execute_result", "error", "status", "execute_reply", "input_request", "comm_open", "clear_output", "made_up")

SHOWN_BYTES = 4000


def proxy_head(data: bytes) -> None:
    """In one piece, and byte by byte: the same is wanted."""
    whole = _wanted([data])
    if whole is not None and len(data) < 600:
        piecemeal = _wanted([data[at : at + 1] for at in range(len(data))])
        assert piecemeal is not None and (piecemeal.host, piecemeal.port, piecemeal.head) == (whole.host, whole.port, whole.head)
    if whole is not None:
        whole.shown.encode("ascii")
        assert whole.head.count(b"\r\n\r\n") == (0 if whole.tunnel else 1)


def _wanted(pieces: list[bytes]) -> Any:
    reader = HeadReader()
    for piece in pieces:
        if piece and (wanted := reader.feed(piece)) is not None:
            return wanted
    return None


def _packet(data: bytes) -> wire.Packet | None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        ours.send(data or b"\n")
        return wire.receive(theirs)


def proxy_request(data: bytes) -> None:
    """What the proxies' process reads of the server."""
    if (packet := _packet(data)) is not None:
        packets.request_of(packet)


def proxy_denied(data: bytes) -> None:
    """What the server reads of the proxies' process, which reads kernels' bytes."""
    if (packet := _packet(data)) is not None:
        box, host = packets.denied_of(packet)
        assert "/" not in box and host.isascii() and host.isprintable()


def kernel_outputs(data: bytes) -> None:
    """The first byte of each line is the kind of message; the rest is its content."""
    nonce = run_pb2.RunNonce(boot_id=bytes(16), kernel_epoch=1, seq=1)
    digests = {"ciphertext_digest": b"", "program_digest": b"", "grant_digest": b""}
    flags: dict[str, Any] = {"silent": False, "store_history": True, "allow_stdin": True, "stop_on_error": True, "user_expressions": {}}
    limits = run_pb2.Limits(output_bytes=SHOWN_BYTES)
    run = Run(nonce, bytes(16), bytes(16), "c", "u", "", limits, **digests, **flags, ticket=b"", socket_path="")  # type: ignore[arg-type]
    collector = Collector(1 << 20, 1 << 16)
    collector.begin(run, "m")
    lines = [line for line in data.split(b"\n") if line]
    messages = [KernelMessage(KINDS[line[0] % len(KINDS)], "m" if line[0] < 128 else "other", line[1:], line[1:9]) for line in lines]
    for message in messages:
        collector.take([message])
    frames = [frames_pb2.RuntimeFrame.FromString(with_position(1, pieces)) for pieces in collector.flush()]
    # What belongs to no run is shown as nobody's, beside the chain.
    assert all(output.index == 0 for frame in frames if not frame.outputs.HasField("nonce") for output in frame.outputs.outputs)
    _check_chained([frame.outputs for frame in frames if frame.outputs.HasField("nonce")], nonce, collector.finish())


def _check_chained(batches: list[frames_pb2.OutputBatch], nonce: run_pb2.RunNonce, totals: Totals) -> None:
    outputs, chain = [output for batch in batches for output in batch.outputs], OutputChain()
    for output in outputs:
        chain.append(output.kind, output.body)
    assert [output.index for output in outputs] == list(range(1, totals.frames + 1))
    assert (chain.frames, chain.digest) == (totals.frames, totals.digest)
    assert all(batch.nonce == nonce and batch.cell_id == "c" for batch in batches)
    shown = [output for output in outputs if output.kind not in (*ALWAYS, TRUNCATED)]
    assert sum(len(output.body) for output in shown) <= SHOWN_BYTES
    assert totals.truncated == any(output.kind == TRUNCATED for output in outputs)


class EngineDouble:
    """An engine that says one thing to everything."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="spin-fuzz-"))
        self.answer = b""
        self.server = loop().run_until_complete(asyncio.start_unix_server(self._serve, self.folder / "engine.sock"))
        atexit.register(shutil.rmtree, self.folder)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(self.answer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@cache
def engine() -> EngineDouble:
    return EngineDouble()


STATUSES = (200, 201, 204, 304, 400, 404, 409, 500)


def engine_answer(data: bytes) -> None:
    """The first byte is the status, the second what is asked; the rest is the body."""
    double = engine()
    status, which, body = STATUSES[(data[0] if data else 0) % len(STATUSES)], (data[1] if len(data) > 1 else 0) % 4, data[2:]
    double.answer = f"HTTP/1.1 {status} Told\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body

    async def ask() -> None:
        client = Engine(f"unix://{double.folder}/engine.sock")
        try:
            calls = (client.agree, lambda: created(client, {}), lambda: started(client, "c"), lambda: client.remove("c"))
            await calls[which]()
        finally:
            await client.close()

    finished(ask())


HEADS = (
    b"CONNECT pypi.org:443 HTTP/1.1\r\nHost: pypi.org:443\r\nProxy-Authorization: Basic eA==\r\n\r\n\x16\x03\x01",
    b"GET http://a.example/x?y HTTP/1.1\r\nHost: b.example\r\nConnection: x, keep-alive\r\nX: 1\r\nContent-Length: 2\r\n\r\nab",
    b"POST http://[::1]:80/ HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"CONNECT [::1]:00022 HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET http://a.example:99999/ HTTP/1.1\r\nHost: a\r\n\r\n",
    b"\x16\x03\x01\x02\x00",
)
REQUESTS = (
    b'{"id": 0, "do": "open", "with": ["/box", {"mode": 2, "hosts": ["a:1"], "workspace_ids": ["00"]}]}',
    b'{"id": 0, "do": "change", "with": ["/box", {"mode": 99, "hosts": [1], "workspace_ids": ["x"]}]}',
    b'{"id": 0, "do": "close", "with": ["/box"]}',
    b'{"id": 0, "do": "close", "with": []}',
)
DENIED = (
    b'{"id": 0, "denied": ["/var/box", "evil.example:443"]}',
    b'{"id": 0, "denied": ["/", "\\u001b[2J"]}',
    b'{"id": 0, "denied": 7}',
    b'{"id": 0}',
)
OUTPUTS = (
    b'\0{"name": "stdout", "text": "a"}\n\4{"execution_state": "busy"}\n\5{"status": "ok"}\n\4{"execution_state": "idle"}',
    b'\6{"prompt": ["x"], "password": "yes"}\n\3{"traceback": 1}\n\x85[]\n\1' + b"x" * 5000 + b"\n\2{}",
)
ENGINE = (
    b'\0\0{"ApiVersion": "1.45", "Version": "27"}',
    b'\0\0{"ApiVersion": 1}',
    b'\1\1{"Id": "c", "Warnings": ["w"]}',
    b'\1\1{"Id": 7, "Warnings": 7}',
    b'\0\2{"State": {"Pid": 12}}',
    b'\0\2{"State": {"Pid": "x"}}',
    b'\5\3{"message": "no such container"}',
    b"\0\0[]",
    b"\0\1null",
    b"\2\1",
)
TARGETS = (
    Target("runtime.proxy_head", proxy_head, (HeadInvalid,), lambda: HEADS),
    Target("runtime.proxy_request", proxy_request, (ConnectionError,), lambda: REQUESTS),
    Target("runtime.proxy_denied", proxy_denied, (ConnectionError,), lambda: DENIED),
    Target("runtime.kernel_outputs", kernel_outputs, (), lambda: OUTPUTS),
    Target("runtime.engine_answer", engine_answer, (EngineGone, EngineRefused, Unable), lambda: ENGINE),
)
