"""The launcher's loop: one request after the other. A start takes a few milliseconds; nothing here waits for a kernel, but
once for a quarter of a second for one that stops who changes its limit.

It holds no secrets, because its children begin as copies of it. What it holds kernels to it was told by the supervisor, before the server was there
to ask for anything.
"""

import importlib
import os
import secrets
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from spin_runtime.launcher import requests, sockets, wire
from spin_runtime.launcher import rules as kinds
from spin_runtime.launcher.children import Child, StartFailed, start
from spin_runtime.launcher.confine import Confinement
from spin_runtime.launcher.folders import Folders
from spin_runtime.launcher.machine import examined, mechanisms, system_call_filter
from spin_runtime.launcher.rules import EGRESS_ALLOW_LIST, EGRESS_OPEN, SANDBOX, Machine, Rules, Start, Unable, check_egress

Answer = tuple[dict[str, Any], Sequence[int]]
NOTHING: Answer = {}, ()


class Launcher:
    def __init__(self, rules: Rules, folders: Folders) -> None:
        self._rules, self._folders = rules, folders
        # What was found out for each egress that a kernel was given, with the filter of its system calls.
        self._found: dict[str, tuple[Machine, bytes]] = {}
        self._children: dict[str, Child] = {}

    def describe(self) -> Answer:
        machine, _ = self._enforcing(self._rules.egress)
        return {"mechanisms": mechanisms(self._rules, machine), "boxes": str(self._folders.boxes)}, ()

    def enforce(self, egress: str) -> Answer:
        """Says why not, before a kernel is started with less than the most. Once tried, it takes no time."""
        self._enforcing(egress)
        return NOTHING

    def _enforcing(self, egress: str) -> tuple[Machine, bytes]:
        """Raises Unable."""
        if egress not in self._found:
            check_egress(self._rules, egress)
            self._found[egress] = _examined(replace(self._rules, egress=egress), self._folders)
        return self._found[egress]

    def folder(self, name: str) -> Answer:
        self._folders.folder(name)
        return NOTHING

    def rename(self, spare: str, name: str) -> Answer:
        self._folders.rename(spare, name)
        return NOTHING

    def box(self) -> Answer:
        return {"path": self._folders.box()}, ()

    def discard(self, name: str) -> Answer:
        if any(child.confinement.start.box == str(self._folders.boxes / name) for child in self._children.values()):
            raise ValueError("the box is a kernel's")
        self._folders.discard(name)
        return NOTHING

    def start(self, wanted: Mapping[str, Any], stderr: int) -> Answer:
        child, descriptor = start(self._confinement(self._folders.start_of(wanted)), stderr)
        kernel = secrets.token_hex(8)
        self._children[kernel] = child
        return {"kernel": kernel, "pid": child.pid}, (descriptor,)

    def _confinement(self, wanted: Start) -> Confinement:
        machine, seccomp = self._enforcing(wanted.egress)
        uid = self._folders.give_all(wanted, taken=[child.confinement.uid for child in self._children.values()])
        return Confinement(self._rules, wanted, machine, uid, seccomp)

    def signal(self, kernel: str, number: int) -> Answer:
        self._children[kernel].signal(number)
        return NOTHING

    def limit_memory(self, kernel: str, wanted: int) -> Answer:
        self._children[kernel].limit_memory(wanted)
        return NOTHING

    def admit(self, kernel: str, path: str) -> Answer:
        """The broker's socket gets a second name, in the kernel's box, where the kernel cannot reach it by its first."""
        confinement = self._children[kernel].confinement
        with sockets.opened(self._rules, path) as socket_there:
            if confinement.apart:
                path = self._folders.link(confinement.start, socket_there, confinement.uid)
        return {"path": path}, ()

    def why(self, kernel: str) -> Answer:
        """A process's end says nothing about its reason that people could use."""
        return {"why": ""}, ()

    def release(self, kernel: str) -> Answer:
        child = self._children.pop(kernel, None)
        if child is not None:
            child.end()
            self._folders.let_go(child.confinement.start.work, child.confinement.start.box)
        return NOTHING

    def close(self) -> None:
        for kernel in list(self._children):
            self.release(kernel)
        self._folders.close()


def _examined(rules: Rules, folders: Folders) -> tuple[Machine, bytes]:
    if rules.kind == SANDBOX:
        if rules.egress == EGRESS_ALLOW_LIST:
            # Once, here: kernels begin as copies of this process.
            for needed in ("spin_runtime.launcher.forwarder", "asyncio"):
                importlib.import_module(needed)
        machine = examined(rules, folders)
        return machine, system_call_filter(rules, machine)
    if rules.egress != EGRESS_OPEN:
        raise Unable(f"SPIN_ISOLATION={rules.kind} cannot enforce the egress {rules.egress}: set SPIN_ISOLATION=sandbox")
    return Machine(os.geteuid() == 0, 0, ""), b""


def serve(channel: socket.socket, rules: Rules, folders: Folders) -> bool:
    """Returns when all kernels have ended: because the server has gone, or, which is false, because what it sent was no packet."""
    if rules.kind == kinds.CONTAINER:
        from spin_runtime.launcher.containers.serve import serve as serve_containers

        return serve_containers(channel, rules, folders)
    if rules.kind == kinds.KUBERNETES:
        from spin_runtime.launcher.pods.serve import serve as serve_pods

        return serve_pods(channel, rules, folders)
    return _serve(channel, Launcher(rules, folders))


def _serve(channel: socket.socket, launcher: Launcher) -> bool:
    verbs: dict[str, Callable[..., Answer]] = {name: getattr(launcher, name) for name in requests.FORMS}
    # The server asks for it when it has started; it is found out meanwhile.
    with suppress(Unable, OSError, ValueError):
        launcher.describe()
    try:
        while (packet := wire.receive(channel)) is not None:
            try:
                _answer(channel, verbs, packet)
            finally:
                packet.close()
        return True
    except OSError:
        return False
    finally:
        launcher.close()


def _answer(channel: socket.socket, verbs: Mapping[str, Callable[..., Answer]], packet: wire.Packet) -> None:
    """Raises OSError when the server cannot be answered."""
    try:
        request = requests.read(packet)
        answer, descriptors = verbs[request.do](*request.arguments, *request.descriptors)
    except KeyError as error:
        wire.refuse(channel, packet, f"there is no {error}")
        return
    except (Unable, OSError, StartFailed, ValueError) as error:
        wire.refuse(channel, packet, str(error))
        return
    try:
        wire.send(channel, {"id": packet.body["id"]} | answer, descriptors)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
