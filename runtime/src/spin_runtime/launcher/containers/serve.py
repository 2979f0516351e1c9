"""The launcher where kernels are containers: it asks the engine, and holds no secrets and no kernel's process.

- It alone has the engine's socket, which is as good as being root on the machine.
- Requests do not wait for one another.
"""

import asyncio
import os
import signal
import socket
from contextlib import suppress
from typing import Any

from spin_runtime.launcher import requests, wire
from spin_runtime.launcher.containers.engine import Engine, EngineGone, EngineRefused
from spin_runtime.launcher.containers.kernels import Containers
from spin_runtime.launcher.folders import Folders
from spin_runtime.launcher.rules import Rules, Unable

Answer = dict[str, Any]


def serve(channel: socket.socket, rules: Rules, folders: Folders) -> bool:
    """Returns when the server has gone, or, which is false, when what it sent was no packet."""
    # asyncio waits for its own children alone.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    return asyncio.run(_serve(channel, rules, folders))


async def _serve(channel: socket.socket, rules: Rules, folders: Folders) -> bool:
    assert rules.engine is not None
    containers = Containers(rules, folders, Engine(rules.engine.address))
    unable = await _unable(containers)
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
        task = asyncio.create_task(_answer(channel, containers, packet, unable))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    loop.add_reader(channel, on_packet)
    in_order: bool = await ended
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await containers.close()
    return in_order


async def _unable(containers: Containers) -> str:
    """Why kernels cannot be contained as was asked for; empty when they can."""
    try:
        await containers.configure()
    except (Unable, EngineGone, EngineRefused, OSError, ValueError, KeyError, TypeError) as error:
        return _reason(error)
    return ""


def _reason(error: Exception) -> str:
    return f"the container engine: {error}" if isinstance(error, EngineGone | EngineRefused) else str(error)


async def _answer(channel: socket.socket, containers: Containers, packet: wire.Packet, unable: str) -> None:
    given: list[int] = []
    try:
        if unable:
            raise Unable(unable)
        answer = await _done(containers, requests.read(packet), given)
        wire.send(channel, {"id": packet.body["id"]} | answer, given)
    except KeyError as error:
        _refuse(channel, packet, f"there is no {error}")
    except (Unable, EngineGone, EngineRefused, OSError, ValueError, TypeError) as error:
        _refuse(channel, packet, _reason(error))
    finally:
        for descriptor in (*given, *packet.descriptors):
            os.close(descriptor)


def _refuse(channel: socket.socket, packet: wire.Packet, reason: str) -> None:
    # A server that has gone is noticed by its reader.
    with suppress(OSError):
        wire.refuse(channel, packet, reason)


async def _done(containers: Containers, request: requests.Request, given: list[int]) -> Answer:
    if request.do == "start":
        answer, descriptor = await containers.start(*request.arguments)
        given.append(descriptor)
        return answer
    done: Answer = await getattr(containers, request.do)(*request.arguments)
    return done
