"""The launcher's loop: one request after the other. A start takes a few milliseconds; nothing here waits for a kernel.

It holds no secrets, because its children begin as copies of it.
"""

import os
import secrets
import shutil
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from spin_runtime.launcher import owners, wire
from spin_runtime.launcher.children import Child, StartFailed, start
from spin_runtime.launcher.confine import Confinement
from spin_runtime.launcher.machine import examined, mechanisms, system_call_filter
from spin_runtime.launcher.rules import CONTAINER, SANDBOX, Machine, Rules, Start, Unable, rules_of

Answer = tuple[dict[str, Any], Sequence[int]]


class Launcher:
    def __init__(self) -> None:
        self._rules: Rules | None = None
        self._machine = Machine(os.geteuid() == 0, 0, "")
        self._seccomp = b""
        # By names that no other launcher gave: a server may still hold those of one that died.
        self._children: dict[str, Child] = {}

    def configure(self, rules: Mapping[str, Any]) -> Answer:
        if self._rules is not None:
            raise ValueError("a launcher is configured once")
        wanted = rules_of(rules)
        if wanted.kind == SANDBOX:
            self._machine = examined(wanted)
            self._seccomp = system_call_filter(wanted, self._machine)
        self._rules = wanted
        return {"mechanisms": mechanisms(wanted, self._machine)}, ()

    def start(self, wanted: Mapping[str, Any], stderr: int) -> Answer:
        try:
            confinement = self._confinement(Start(**wanted))
            child, descriptor = start(confinement, stderr)
        finally:
            os.close(stderr)
        kernel = secrets.token_hex(8)
        self._children[kernel] = child
        return {"kernel": kernel, "pid": child.pid}, (descriptor,)

    def _confinement(self, wanted: Start) -> Confinement:
        rules = self._rules
        if rules is None:
            raise ValueError("the launcher is not configured yet")
        uid = None
        if rules.kind == SANDBOX:
            owners.make_inside(wanted)
        if rules.kind == SANDBOX and self._machine.root:
            uid = owners.give_all(wanted, rules, taken=[child.confinement.uid for child in self._children.values()])
        return Confinement(rules, wanted, self._machine, uid, self._seccomp)

    def signal(self, kernel: str, number: int) -> Answer:
        self._children[kernel].signal(number)
        return {}, ()

    def limit_memory(self, kernel: str, wanted: int) -> Answer:
        self._children[kernel].limit_memory(wanted)
        return {}, ()

    def admit(self, kernel: str, path: str) -> Answer:
        """The broker's socket gets a second name, in the kernel's box, and the kernel's user as its owner."""
        confinement = self._children[kernel].confinement
        if not confinement.sandboxed:
            return {"path": path}, ()
        inside = owners.admit(confinement.start, path, confinement.uid)
        return {"path": inside}, ()

    def why(self, kernel: str) -> Answer:
        """A process's end says nothing about its reason that people could use."""
        return {"why": ""}, ()

    def release(self, kernel: str) -> Answer:
        child = self._children.pop(kernel, None)
        if child is not None:
            child.end()
            shutil.rmtree(child.confinement.start.box, ignore_errors=True)
        return {}, ()

    def close(self) -> None:
        for kernel in list(self._children):
            self.release(kernel)


def serve(channel: socket.socket) -> None:
    """Returns when the server has gone. What kernels are decides who serves."""
    packet = wire.receive(channel)
    if packet is None:
        return
    if packet.body["with"][0]["kind"] == CONTAINER:
        from spin_runtime.launcher.containers.serve import serve as serve_containers

        serve_containers(channel, packet)
    else:
        _serve(channel, packet)


def _serve(channel: socket.socket, packet: wire.Packet | None) -> None:
    launcher = Launcher()
    verbs: dict[str, Callable[..., Answer]] = {name: getattr(launcher, name) for name in wire.VERBS}
    with suppress(ConnectionError):
        while packet is not None:
            _answer(channel, verbs, packet)
            packet = wire.receive(channel)
    launcher.close()


def _answer(channel: socket.socket, verbs: Mapping[str, Callable[..., Answer]], packet: wire.Packet) -> None:
    descriptors: Sequence[int] = ()
    try:
        answer, descriptors = verbs[packet.body["do"]](*packet.body["with"], *packet.descriptors)
    except (Unable, OSError, StartFailed, ValueError, KeyError, TypeError) as error:
        answer = {"error": str(error)}
    wire.send(channel, {"id": packet.body["id"]} | answer, descriptors)
    for descriptor in descriptors:
        os.close(descriptor)
