"""The launcher where kernels are containers: it asks the engine, and holds no secrets and no kernel's process.

It alone has the engine's socket, which is as good as being root on the machine.
"""

import socket

from spin_runtime.launcher import driven
from spin_runtime.launcher.containers.engine import Engine, EngineGone, EngineRefused
from spin_runtime.launcher.containers.kernels import Containers
from spin_runtime.launcher.folders import Folders
from spin_runtime.launcher.rules import Rules


def serve(channel: socket.socket, rules: Rules, folders: Folders) -> bool:
    """Returns when the server has gone, or, which is false, when what it sent was no packet."""
    assert rules.engine is not None
    address = rules.engine.address
    refusals = driven.Refusals("the container engine", (EngineGone, EngineRefused))
    return driven.serve(channel, lambda: Containers(rules, folders, Engine(address)), refusals)
