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

from spin_runtime.launcher import wire
from spin_runtime.launcher.containers.engine import Engine, EngineGone, EngineRefused
from spin_runtime.launcher.containers.kernels import Containers
from spin_runtime.launcher.rules import Unable, rules_of

Answer = dict[str, Any]


def serve(channel: socket.socket, first: wire.Packet) -> None:
    """Returns when the server has gone."""
    # asyncio waits for its own children alone.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    asyncio.run(_serve(channel, first))


async def _serve(channel: socket.socket, first: wire.Packet) -> None:
    rules = rules_of(first.body["with"][0])
    assert rules.engine is not None
    containers = Containers(rules, Engine(rules.engine.address))
    ended, tasks, loop = asyncio.Event(), set[asyncio.Task[None]](), asyncio.get_running_loop()

    def on_packet() -> None:
        try:
            packet = wire.receive(channel)
        except ConnectionError:
            packet = None
        if packet is None:
            loop.remove_reader(channel)
            ended.set()
            return
        task = asyncio.create_task(_answer(channel, containers, packet))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    await _answer(channel, containers, first)
    loop.add_reader(channel, on_packet)
    await ended.wait()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await containers.close()


async def _answer(channel: socket.socket, containers: Containers, packet: wire.Packet) -> None:
    answer: Answer
    given: list[int] = []
    try:
        answer = await _done(containers, packet, given)
    except (Unable, EngineGone, EngineRefused, OSError, ValueError, KeyError, TypeError, AssertionError) as error:
        answer = {"error": f"the container engine: {error}" if isinstance(error, EngineGone | EngineRefused) else str(error)}
    with suppress(OSError):
        wire.send(channel, {"id": packet.body["id"]} | answer, given)
    for descriptor in (*given, *packet.descriptors):
        os.close(descriptor)


async def _done(containers: Containers, packet: wire.Packet, given: list[int]) -> Answer:
    verb, arguments = packet.body["do"], packet.body["with"]
    if verb not in wire.VERBS:
        raise ValueError(f"{verb} is no request")
    if verb == "configure":
        return await containers.configure()
    if verb == "start":
        answer, descriptor = await containers.start(*arguments)
        given.append(descriptor)
        return answer
    done: Answer = await getattr(containers, verb)(*arguments)
    return done
