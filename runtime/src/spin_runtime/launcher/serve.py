"""The launcher's loop: one request after the other. A start takes a few milliseconds; nothing here waits for a kernel.

It holds no secrets, because its children begin as copies of it.
"""

import importlib
import os
import secrets
import shutil
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from spin_runtime.launcher import owners, wire
from spin_runtime.launcher.children import Child, StartFailed, start
from spin_runtime.launcher.confine import Confinement
from spin_runtime.launcher.machine import examined, mechanisms, system_call_filter
from spin_runtime.launcher.rules import CONTAINER, EGRESS, EGRESS_ALLOW_LIST, EGRESS_OPEN, SANDBOX, Machine, Rules, Start, Unable, rules_of

Answer = tuple[dict[str, Any], Sequence[int]]


class Launcher:
    def __init__(self) -> None:
        self._rules: Rules | None = None
        # What was found out for each egress that a kernel was given, with the filter of its system calls.
        self._found: dict[str, tuple[Machine, bytes]] = {}
        # By names that no other launcher gave: a server may still hold those of one that died.
        self._children: dict[str, Child] = {}

    def configure(self, rules: Mapping[str, Any]) -> Answer:
        if self._rules is not None:
            raise ValueError("a launcher is configured once")
        wanted = rules_of(rules)
        machine, _ = self._enforcing(wanted, wanted.egress)
        self._rules = wanted
        return {"mechanisms": mechanisms(wanted, machine)}, ()

    def enforce(self, egress: str) -> Answer:
        """Says why not, before a kernel is started with less than the most. Once tried, it takes no time."""
        if self._rules is None:
            raise ValueError("the launcher is not configured yet")
        self._enforcing(self._rules, egress)
        return {}, ()

    def _enforcing(self, rules: Rules, egress: str) -> tuple[Machine, bytes]:
        """Raises Unable."""
        if egress not in self._found:
            if EGRESS.index(egress) > EGRESS.index(rules.egress):
                raise Unable(f"this launcher gives kernels the egress {rules.egress} at most")
            self._found[egress] = _examined(replace(rules, egress=egress))
        return self._found[egress]

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
        machine, seccomp = self._enforcing(rules, wanted.egress)
        uid = None
        if rules.kind == SANDBOX:
            owners.make_inside(wanted)
        if rules.kind == SANDBOX and machine.root:
            uid = owners.give_all(wanted, rules, taken=[child.confinement.uid for child in self._children.values()])
        return Confinement(rules, wanted, machine, uid, seccomp)

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


def _examined(rules: Rules) -> tuple[Machine, bytes]:
    if rules.kind == SANDBOX:
        if rules.egress == EGRESS_ALLOW_LIST:
            # Once, here: kernels begin as copies of this process.
            for needed in ("spin_runtime.launcher.forwarder", "asyncio"):
                importlib.import_module(needed)
        machine = examined(rules)
        return machine, system_call_filter(rules, machine)
    if rules.egress != EGRESS_OPEN:
        raise Unable(f"SPIN_ISOLATION={rules.kind} cannot enforce the egress {rules.egress}: set SPIN_ISOLATION=sandbox")
    return Machine(os.geteuid() == 0, 0, ""), b""


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
