"""The first process of a kernel's pod: it starts the kernel and carries its sockets to the runtime. Standard library alone; the driver brings it.

It listens on one port, by mutual TLS: only the holder of the one certificate that came with the pod is answered. The runtime connects, never the
pod. The first frame says what the connection is for:

| `open` | | |
| --- | --- | --- |
| `control` | once, first | the kernel starts; see below. Its end is the kernel's |
| `connect`, `name` | a socket of the kernel's in its box | bytes, from when the kernel listens there |
| `accept`, `name` | a socket that the agent listens at | one object when a program of the kernel's has connected there, then bytes |

On the control connection the runtime asks `do` (`signal`, `limit_memory`, `listen`) `with` arguments and an `id`, which the answer repeats, with
`error` where it was not done. The agent says `started` with the process's number, or `failed`; `stderr`; at last `ended`, and what is known of why.

All that runs in the pod is one user's. The agent is therefore as trusted as the kernel, and the runtime believes it nothing but what it shows.
"""

import asyncio
import base64
import contextlib
import json
import os
import resource
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from spin_runtime.launcher import syscalls
from spin_runtime.launcher.pods import streams

# A runtime that does not come for its kernel wants none.
ALONE_S = 120.0
LISTENS_WITHIN_S, TRY_S = 60.0, 0.01
HANDSHAKE_S, LAST_WORD_S = 10.0, 5.0
OPEN_FILES = 65_536
# Of what the kernel writes on its stderr: the beginning is told at once, and the end when it has ended.
TOLD, TAIL = 1 << 16, 2000
BACKLOG = 128


class Kernel:
    """The process, its limits and its end."""

    def __init__(self, wanted: Mapping[str, Any]) -> None:
        self._wanted = wanted
        self.pid = 0
        self.status: int | None = None
        self.ended = asyncio.Event()

    def start(self, stderr: int) -> None:
        """Raises OSError, subprocess.SubprocessError."""
        process = subprocess.Popen(
            self._wanted["argv"],
            env=environment(self._wanted, os.environ),
            cwd=self._wanted["work"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            start_new_session=True,
            preexec_fn=self._limit,
        )
        # Whoever collects orphans finds this one's status too.
        process.returncode = 0
        self.pid = process.pid

    def _limit(self) -> None:
        os.umask(0o007)
        memory = self._wanted["memory_bytes"]
        if memory:
            resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
        for limit, value in ((resource.RLIMIT_CORE, 0), (resource.RLIMIT_NPROC, self._wanted["processes"]), (resource.RLIMIT_NOFILE, OPEN_FILES)):
            hard = resource.getrlimit(limit)[1]
            least = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(limit, (least, least))

    def collect(self) -> None:
        """Of all that has ended in the pod."""
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    return
                if pid == self.pid:
                    self.status = os.waitstatus_to_exitcode(status)
                    self.ended.set()

    def signal(self, number: int) -> None:
        if self.pid and not self.ended.is_set():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)

    def limit_memory(self, wanted: int) -> None:
        """0 restores the configured limit."""
        hard = self._wanted["memory_bytes"] or resource.RLIM_INFINITY
        soft = hard if not wanted else wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(self.pid, resource.RLIMIT_DATA, (soft, hard))


def environment(wanted: Mapping[str, Any], image: Mapping[str, str]) -> dict[str, str]:
    """The image's own, without what the cluster adds, and what the runtime gives."""
    own = {"HOME": f"{wanted['box']}/home", "TMPDIR": "/tmp", "USER": "spin", "LOGNAME": "spin"}  # noqa: S108 - its own
    return {name: value for name, value in image.items() if not name.startswith("KUBERNETES_")} | dict(wanted["environment"]) | own


class Doors:
    """Where programs of the kernel's connect: each such connection is paired with one of the runtime's that waits."""

    def __init__(self, box: str) -> None:
        self._box = box
        self._waiting: dict[str, asyncio.Queue[streams.Streams]] = {}
        self._servers: list[asyncio.Server] = []

    async def open(self, name: str) -> None:
        """In the kernel's box. Raises OSError."""
        if name not in self._waiting:
            self._waiting[name] = asyncio.Queue()
            self._servers.append(await asyncio.start_unix_server(self._pairing(name), str(inside(self._box, name)), backlog=BACKLOG))

    async def open_port(self, name: str, port: int) -> None:
        """On the pod's loopback, for programs that know proxies by their port."""
        self._waiting[name] = asyncio.Queue()
        self._servers.append(await asyncio.start_server(self._pairing(name), "127.0.0.1", port, backlog=BACKLOG))

    def wait(self, name: str, line: streams.Streams) -> None:
        """Raises KeyError where nothing is opened by that name."""
        self._waiting[name].put_nowait(line)

    def _pairing(self, name: str) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]:
        async def pair(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while True:
                line = await self._waiting[name].get()
                try:
                    await streams.write_object(line[1], {"ok": True})
                    break
                except OSError:
                    line[1].close()  # the runtime's end of it is gone
            await streams.carry((reader, writer), line)

        return pair


def inside(box: str, name: str) -> Path:
    """Raises ValueError for what is no name of a file there."""
    if Path(name).name != name or name in ("", "..", "."):
        raise ValueError(f"{name} is no name of a socket")
    return Path(box, name)


class Agent:
    def __init__(self, wanted: Mapping[str, Any]) -> None:
        self._wanted = wanted
        self._kernel = Kernel(wanted)
        self._doors = Doors(wanted["box"])
        self._controlled, self.over = asyncio.Event(), asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of the runtime's."""
        try:
            streams.keep_alive(writer)
            said = await streams.read_object(reader)
            if said["open"] == "accept":
                self._doors.wait(said["name"], (reader, writer))
                return
            if said["open"] == "connect":
                await streams.carry(await self._connected(said["name"]), (reader, writer))
            elif said["open"] == "control" and not self._controlled.is_set():
                self._controlled.set()
                await self._control(reader, writer)
        except (OSError, KeyError, ValueError, TypeError, TimeoutError):
            pass  # what is no connection of ours ends
        writer.close()

    async def _connected(self, name: str) -> streams.Streams:
        path = str(inside(self._wanted["box"], name))
        async with asyncio.timeout(LISTENS_WITHIN_S):
            while True:
                try:
                    return await asyncio.open_unix_connection(path)
                except (FileNotFoundError, ConnectionRefusedError):
                    await asyncio.sleep(TRY_S)

    async def _control(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            pipe, end = os.pipe()
            try:
                await self._prepare()
                self._kernel.start(end)
            except (OSError, subprocess.SubprocessError) as error:
                await streams.write_object(writer, {"failed": str(error)})
                return
            finally:
                os.close(end)
            await streams.write_object(writer, {"started": self._kernel.pid})
            told = asyncio.create_task(self._told(pipe, writer))
            asked = asyncio.create_task(self._asked(reader, writer))
            await asyncio.wait((told, asked), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._kernel.signal(signal.SIGKILL)
            writer.close()
            with contextlib.suppress(OSError, TimeoutError):
                await asyncio.wait_for(writer.wait_closed(), LAST_WORD_S)
            self.over.set()

    async def _prepare(self) -> None:
        for name in ("home", "tmp"):
            inside(self._wanted["box"], name).mkdir(exist_ok=True)
        connection = inside(self._wanted["box"], "connection.json")
        connection.touch(mode=0o600)
        connection.write_text(self._wanted["connection"])
        if self._wanted["proxy"]:
            await self._doors.open_port(self._wanted["proxy"]["name"], self._wanted["proxy"]["port"])

    async def _told(self, pipe: int, writer: asyncio.StreamWriter) -> None:
        """Of the kernel's stderr, and of its end: returns when that has been said."""
        errors = asyncio.StreamReader(limit=1 << 16)
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(errors), os.fdopen(pipe, "rb"))
        kept = asyncio.create_task(self._stderr(errors, writer))
        await self._kernel.ended.wait()
        # What else the kernel started may hold its stderr open.
        tail = await asyncio.wait_for(asyncio.shield(kept), 1) if await _done(kept) else b""
        said = {"ended": self._kernel.status, "oom": out_of_memory(), "stderr": base64.b64encode(tail).decode()}
        await streams.write_object(writer, said)

    async def _stderr(self, errors: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        told, tail = 0, b""
        while data := await errors.read(streams.PIECE // 4):
            if told < TOLD:
                told += len(data)
                await streams.write_object(writer, {"stderr": base64.b64encode(data).decode()})
            else:
                tail = (tail + data)[-TAIL:]
        return tail

    async def _asked(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                asked = await streams.read_object(reader)
            except OSError:
                return
            answer = {"id": asked.get("id")}
            try:
                await self._do(asked["do"], *asked["with"])
            except (OSError, ValueError, KeyError, TypeError) as error:
                answer["error"] = str(error)
            await streams.write_object(writer, answer)

    async def _do(self, what: str, argument: Any) -> None:
        if what == "signal":
            self._kernel.signal(argument)
        elif what == "limit_memory":
            self._kernel.limit_memory(argument)
        elif what == "listen":
            await self._doors.open(argument)
        else:
            raise ValueError(f"{what} is no request")

    async def alone(self) -> None:
        """Ends the pod of a runtime that does not come."""
        try:
            await asyncio.wait_for(self._controlled.wait(), ALONE_S)
        except TimeoutError:
            self.over.set()

    def collect(self) -> None:
        self._kernel.collect()

    def end(self) -> None:
        self._kernel.signal(signal.SIGKILL)
        self.over.set()


async def _done(task: "asyncio.Task[bytes]") -> bool:
    finished, _ = await asyncio.wait((task,), timeout=1)
    return bool(finished) and task.exception() is None


def out_of_memory() -> bool:
    """Whether Linux ended something in the pod for what all together took."""
    for path in ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"):
        with contextlib.suppress(OSError, ValueError):
            counts = dict(line.split() for line in Path(path).read_text().splitlines())
            if int(counts.get("oom_kill", 0)):
                return True
    return False


def tls(folder: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(folder / "agent.pem")
    context.load_verify_locations(folder / "runtime.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    return context


async def run(folder: Path) -> None:
    wanted = json.loads((folder / "kernel.json").read_text())
    agent, loop = Agent(wanted), asyncio.get_running_loop()
    # Strangers who fail the handshake are no news.
    loop.set_exception_handler(lambda _loop, _context: None)
    loop.add_signal_handler(signal.SIGCHLD, agent.collect)
    loop.add_signal_handler(signal.SIGTERM, agent.end)
    alone = asyncio.create_task(agent.alone())
    server = await asyncio.start_server(agent.serve, sock=_listening(wanted["port"]), ssl=tls(folder), ssl_handshake_timeout=HANDSHAKE_S)
    await agent.over.wait()
    alone.cancel()
    server.close()


def _listening(port: int) -> socket.socket:
    try:
        return socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
    except (OSError, ValueError):
        return socket.create_server(("", port))


def main() -> None:
    folder = Path(sys.argv[1])
    # The kernel, which is the same user, looks into it no more than others do.
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
    syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
    syscalls.filter_system_calls((folder / "seccomp").read_bytes())
    asyncio.run(run(folder))
    # All that the kernel started ends with the first process.
    os._exit(0)
