"""The launcher as the server sees it: a process of its own that the supervisor started, asked over a socket.

It ends with the server. If it dies before, its kernels have died with it, and so does the server.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from spin_runtime.launcher import wire
from spin_runtime.launcher.rules import Start


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
    def __init__(self, channel: socket.socket) -> None:
        channel.setblocking(False)
        self._channel: socket.socket | None = channel
        self._answers: dict[int, asyncio.Future[wire.Packet]] = {}
        self._last = 0
        self._begun, self._closing = False, False
        # Set when it has ended, whoever wanted that; and when nobody did.
        self._ended, self.lost = asyncio.Event(), asyncio.Event()
        self.mechanisms: Sequence[str] = ()
        # Where it makes kernels' boxes.
        self.boxes = Path()
        # Where kernels come out of an image: its specifications by name, and its Python.
        self.kernels: Mapping[str, Any] = {}
        self.python = ""

    async def begin(self) -> None:
        """Raises IsolationUnavailable where kernels cannot be isolated as was asked for; LaunchRefused."""
        if not self._begun:
            self._begun = True
            assert self._channel is not None
            asyncio.get_running_loop().add_reader(self._channel, self._on_packet)
        answer = await self._asked("describe")
        if "error" in answer.body:
            raise IsolationUnavailable(answer.body["error"])
        self.mechanisms, self.boxes = answer.body["mechanisms"], Path(answer.body["boxes"])
        self.kernels, self.python = answer.body.get("kernels", {}), answer.body.get("python", "")

    async def enforce(self, egress: str) -> None:
        """Raises IsolationUnavailable where kernels cannot be given that and no more."""
        answer = await self._asked("enforce", egress)
        if "error" in answer.body:
            raise IsolationUnavailable(answer.body["error"])

    async def folder(self, name: str) -> None:
        """Makes a session's, where it is not there."""
        await self._ask("folder", name)

    async def rename(self, spare: str, name: str) -> None:
        """A spare's folder becomes a session's, which must hold nothing yet."""
        await self._ask("rename", spare, name)

    async def box(self) -> Path:
        return Path((await self._ask("box")).body["path"])

    async def discard(self, box: Path) -> None:
        """One that no kernel has; or that one had, and is gone."""
        await self._ask("discard", box.name)

    async def start(self, wanted: Start, stderr: int) -> Started:
        said = asdict(wanted) | {"work": Path(wanted.work).name, "box": Path(wanted.box).name}
        answer = await self._ask("start", said, descriptors=[stderr])
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
        """Returns when it has ended, and every kernel before."""
        self._closing = True
        if self._channel is None:
            return
        if not self._begun:
            self._broken()
            return
        with contextlib.suppress(OSError):
            self._channel.shutdown(socket.SHUT_WR)
        await self._ended.wait()

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
        self._ended.set()
        if not self._closing:
            self.lost.set()
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
