"""The launcher's loop where kernels are another system's: a driver asks it, and requests do not wait for one another."""

import asyncio
import logging
import os
import signal
import socket
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from spin_runtime.launcher import requests, wire
from spin_runtime.launcher.folders import Folders
from spin_runtime.launcher.rules import Rules, Start, Unable

Answer = dict[str, Any]
MIB = 1 << 20
NOT_WATCHED = "The kernel is not watched any more, which counts as its end; the runtime's log says more."
log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Kernel:
    """What is the same of all; drivers add theirs."""

    start: Start
    uid: int
    # Our end of what the server watches; None when the kernel has ended.
    end: int | None
    why: str = ""

    def ended(self, why: str) -> None:
        if self.end is not None:
            os.close(self.end)
            self.end, self.why = None, why


K = TypeVar("K", bound=Kernel)


def out_of_memory(limit: int) -> str:
    return f"The kernel took more memory than its limit{f' of {limit // MIB} MiB' if limit else ''} and was ended."


async def watch(kernel: K, end_of: Callable[[K], Awaitable[str]]) -> None:
    """Tells its end with the reason that is awaited. What goes wrong with that is told as its end too: whoever waits for it has nothing else."""
    try:
        kernel.ended(await end_of(kernel))
    except Exception:
        log.exception("a kernel is not watched any more")
        kernel.ended(NOT_WATCHED)


class Driver(ABC):
    """What is the same for all is here; the other requests are methods by their own names."""

    def __init__(self, rules: Rules, folders: Folders) -> None:
        self._rules, self._folders = rules, folders

    @abstractmethod
    async def configure(self) -> None:
        """Finds out what the system gives. Raises Unable, and its own errors."""

    @abstractmethod
    async def start(self, wanted: Mapping[str, Any], stderr: int) -> tuple[Answer, int]:
        """And the descriptor that hangs up when the kernel has ended; it is the caller's to close."""

    @abstractmethod
    async def close(self) -> None: ...

    @abstractmethod
    def boxes(self) -> Collection[str]:
        """That kernels have."""

    async def folder(self, name: str) -> Answer:
        self._folders.folder(name)
        return {}

    async def rename(self, spare: str, name: str) -> Answer:
        self._folders.rename(spare, name)
        return {}

    async def box(self) -> Answer:
        return {"path": self._folders.box()}

    async def discard(self, name: str) -> Answer:
        if str(self._folders.boxes / name) in self.boxes():
            raise ValueError("the box is a kernel's")
        self._folders.discard(name)
        return {}


@dataclass(frozen=True)
class Refusals:
    """The driver's own errors: those in the other system's words are told with its name."""

    system: str
    its: tuple[type[Exception], ...]
    ours: tuple[type[Exception], ...] = ()

    @property
    def all(self) -> tuple[type[Exception], ...]:
        return (*self.its, *self.ours, Unable, OSError, ValueError)

    def reason(self, error: Exception) -> str:
        """Whatever it is: who asked waits for an answer."""
        if isinstance(error, self.all):
            return f"{self.system}: {error}" if isinstance(error, self.its) else str(error)
        log.error("the launcher failed", exc_info=error)
        return f"the launcher failed: {type(error).__name__}; the runtime's log says more"


def serve(channel: socket.socket, driver: Callable[[], Driver], refusals: Refusals) -> bool:
    """Returns when the server has gone, or, which is false, when what it sent was no packet. The driver is made inside the loop."""
    # asyncio waits for its own children alone.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    return asyncio.run(_serve(channel, driver, refusals))


async def _serve(channel: socket.socket, make: Callable[[], Driver], refusals: Refusals) -> bool:
    driver = make()
    # A server that goes meanwhile is noticed.
    configured = asyncio.create_task(_unable(driver, refusals))
    ended, tasks, loop = asyncio.get_running_loop().create_future(), set[asyncio.Task[None]](), asyncio.get_running_loop()

    def on_packet() -> None:
        try:
            packet = wire.receive(channel)
        except OSError:
            loop.remove_reader(channel)
            ended.set_result(False)
            return
        if packet is None:
            loop.remove_reader(channel)
            ended.set_result(True)
            return
        task = asyncio.create_task(_answer(channel, driver, refusals, packet, configured))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    loop.add_reader(channel, on_packet)
    in_order: bool = await ended
    for task in (configured, *tasks):
        task.cancel()
    await asyncio.gather(configured, *tasks, return_exceptions=True)
    await driver.close()
    return in_order


async def _unable(driver: Driver, refusals: Refusals) -> str:
    """Why kernels cannot be isolated as was asked for; empty when they can."""
    try:
        await driver.configure()
    except Exception as error:
        return refusals.reason(error)
    return ""


async def _answer(channel: socket.socket, driver: Driver, refusals: Refusals, packet: wire.Packet, configured: "asyncio.Task[str]") -> None:
    given: list[int] = []
    try:
        if unable := await asyncio.shield(configured):
            raise Unable(unable)
        answer = await _done(driver, requests.read(packet), given)
        wire.send(channel, {"id": packet.body["id"]} | answer, given)
    except KeyError as error:
        _refuse(channel, packet, f"there is no {error}")
    except Exception as error:
        _refuse(channel, packet, refusals.reason(error))
    finally:
        for descriptor in (*given, *packet.descriptors):
            os.close(descriptor)


def _refuse(channel: socket.socket, packet: wire.Packet, reason: str) -> None:
    # A server that has gone is noticed by its reader.
    with suppress(OSError):
        wire.refuse(channel, packet, reason)


async def _done(driver: Driver, request: requests.Request, given: list[int]) -> Answer:
    if request.do == "start":
        answer, descriptor = await driver.start(*request.arguments, *request.descriptors)
        given.append(descriptor)
        return answer
    done: Answer = await getattr(driver, request.do)(*request.arguments)
    return done
