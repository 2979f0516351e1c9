"""The launcher as the server sees it: a process of its own, asked over a socket.

It ends with the server. If it dies before, its kernels die with it, and the next start begins another with the same rules.
"""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from spin_runtime.launcher import wire
from spin_runtime.launcher.rules import Rules, Start


class LaunchRefused(RuntimeError):
    """The launcher did not do it; the text is for the runtime's log."""


class IsolationUnavailable(Exception):
    """The machine cannot give the isolation that was asked for; the text says why and how to mend it."""


@dataclass(frozen=True)
class Started:
    kernel: str
    pid: int
    # The server's own; readable, or hung up, when the kernel has ended.
    end: int


class LauncherClient:
    def __init__(self, rules: Rules, environment: Mapping[str, str]) -> None:
        """`environment` is what the launcher itself sees: nothing secret, because kernels begin as copies of it."""
        self.rules, self._environment = rules, dict(environment)
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None
        self._answers: dict[int, asyncio.Future[wire.Packet]] = {}
        self._last = 0
        self._beginning = asyncio.Lock()
        self.mechanisms: Sequence[str] = ()
        # Where kernels come out of an image: its specifications by name, and its Python.
        self.kernels: Mapping[str, Any] = {}
        self.python = ""

    async def begin(self) -> None:
        """Starts and configures it. Raises IsolationUnavailable, LaunchRefused."""
        async with self._beginning:
            if self._channel is not None:
                return
            await self._gone()
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                command = [sys.executable, "-m", "spin_runtime.launcher", str(theirs.fileno())]
                self._process = subprocess.Popen(  # noqa: ASYNC220 - returns at once
                    command, env=self._environment, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
                )
            ours.setblocking(False)
            self._channel = ours
            asyncio.get_running_loop().add_reader(ours, self._on_packet)
            try:
                answer = await self._asked("configure", asdict(self.rules))
                if "error" in answer.body:
                    raise IsolationUnavailable(answer.body["error"])
            except BaseException:
                # One that holds kernels to nothing starts none.
                self._broken()
                raise
            self.mechanisms = answer.body["mechanisms"]
            self.kernels, self.python = answer.body.get("kernels", {}), answer.body.get("python", "")

    async def enforce(self, egress: str) -> None:
        """Raises IsolationUnavailable where kernels cannot be given that and no more."""
        await self.begin()
        answer = await self._asked("enforce", egress)
        if "error" in answer.body:
            raise IsolationUnavailable(answer.body["error"])

    async def start(self, wanted: Start, stderr: int) -> Started:
        await self.begin()
        answer = await self._ask("start", asdict(wanted), descriptors=[stderr])
        return Started(answer.body["kernel"], answer.body["pid"], answer.descriptors[0])

    async def signal(self, kernel: str, number: int) -> None:
        await self._ask("signal", kernel, number)

    async def limit_memory(self, kernel: str, limit_bytes: int) -> None:
        await self._ask("limit_memory", kernel, limit_bytes)

    async def admit(self, kernel: str, path: str) -> str:
        return str((await self._ask("admit", kernel, path)).body["path"])

    async def why(self, kernel: str) -> str:
        """Why it ended, for people; empty where nothing is known."""
        return str((await self._ask("why", kernel)).body["why"])

    async def release(self, kernel: str) -> None:
        await self._ask("release", kernel)

    async def close(self) -> None:
        """Every kernel ends with it."""
        self._broken()
        await self._gone()

    async def _gone(self) -> None:
        """Returns when the process has ended; it has been told, or has died."""
        if self._process is not None:
            await asyncio.to_thread(self._process.wait)
            self._process = None

    async def _ask(self, do: str, *arguments: object, descriptors: Sequence[int] = ()) -> wire.Packet:
        return _done(await self._asked(do, *arguments, descriptors=descriptors))

    async def _asked(self, do: str, *arguments: object, descriptors: Sequence[int] = ()) -> wire.Packet:
        if self._channel is None:
            raise LaunchRefused("the launcher has ended")
        self._last += 1
        number = self._last
        answer: asyncio.Future[wire.Packet] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        try:
            # Packets are few and small beside the socket's buffer: one that does not fit is a fault, not a reason to wait.
            wire.send(self._channel, {"id": number, "do": do, "with": arguments}, descriptors)
            return await answer
        except asyncio.CancelledError:
            if answer.done() and not answer.cancelled() and answer.exception() is None:
                self._unwanted(answer.result())
            raise
        except (OSError, ValueError) as error:
            raise LaunchRefused(f"the launcher cannot be asked: {error}") from error
        finally:
            self._answers.pop(number, None)

    def _on_packet(self) -> None:
        assert self._channel is not None
        try:
            packet = wire.receive(self._channel)
        except BlockingIOError:
            return
        except OSError:
            packet = None
        if packet is None:
            self._broken()
            return
        answer = self._answers.get(packet.body["id"])
        if answer is not None and not answer.done():
            answer.set_result(packet)
        else:
            self._unwanted(packet)

    def _unwanted(self, packet: wire.Packet) -> None:
        """What a start brought that nobody waits for any more: the kernel ends."""
        for descriptor in packet.descriptors:
            os.close(descriptor)
        if "kernel" in packet.body and self._channel is not None:
            with contextlib.suppress(OSError):
                wire.send(self._channel, {"id": 0, "do": "release", "with": [packet.body["kernel"]]})

    def _broken(self) -> None:
        if self._channel is None:
            return
        asyncio.get_running_loop().remove_reader(self._channel)
        with contextlib.suppress(OSError):
            self._channel.close()
        self._channel = None
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(LaunchRefused("the launcher ended"))


def _done(answer: wire.Packet) -> wire.Packet:
    if "error" in answer.body:
        raise LaunchRefused(answer.body["error"])
    return answer
