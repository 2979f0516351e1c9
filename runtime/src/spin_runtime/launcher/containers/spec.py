"""What a kernel's container is made of: pure, from the runtime's rules to the body of the engine's create request.

- The root is read-only and the image's own. Written to are the session's folder (at WORK), the box (at the path that it has outside, which the
  connection file names), and scratch space in memory, bounded, also where the image declares volumes.
- No capability, no new privileges, a user that is not root; limits on memory, processes and CPUs; no log that grows on the engine's disk.
- seccomp is moby's default profile, kept here so that it does not depend on the engine's age, without tracing, and with sockets of the families
  that cells need.
- Only egress `open` has a network beside loopback. With an allow-list the forwarder begins before the kernel's program; it comes with the command,
  so that there is no file of it that somebody could change.
- Signals go to the engine's init and from there to the kernel's process group, like a terminal's. The forwarder is in none of it.
"""

import inspect
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from spin_runtime.launcher import forwarder
from spin_runtime.launcher.folders import STDERR
from spin_runtime.launcher.rules import EGRESS_ALLOW_LIST, EGRESS_OPEN, EGRESS_SOCKET, Rules, Start

WORK = "/work"
LABEL = "spin.kernels"
# What it makes is for the server's group as well. The engine's init has read its variable, which is nobody else's business.
WRAPPED = 'stderr=$1; shift; umask 007; unset TINI_KILL_PROCESS_GROUP; exec "$@" </dev/null >/dev/null 2>>"$stderr"'
# The mode is what the image's folder has: so it is the kernel's own.
SCRATCH = "rw,exec,nosuid,nodev,size={},uid={},gid={}"
NANO = 1_000_000_000
# Of the machine's: for each of a kernel's threads at most, and for gVisor itself.
GVISOR_THREADS, GVISOR_OWN = 4, 1024
FAMILIES = (1, 2, 10, 16)
TRACING = frozenset(["ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "kcmp", "pidfd_getfd"])


@dataclass(frozen=True)
class Image:
    """As it was when the runtime started: a name that is moved later changes nothing."""

    identifier: str
    volumes: Sequence[str]


@dataclass(frozen=True)
class Given:
    """What the engine gives."""

    image: Image
    # The network of kernels whose egress is open; empty where none's may be.
    network: str
    memory_bytes: int
    # Whether swap can be limited as well.
    swap: bool


def container(rules: Rules, given: Given, start: Start, user: tuple[int, int], label: str) -> dict[str, Any]:
    assert rules.engine is not None
    return {
        "Image": given.image.identifier,
        "User": f"{user[0]}:{user[1]}",
        "Entrypoint": ["/bin/sh", "-c", WRAPPED, "sh", f"{start.box}/{STDERR}"],
        "Cmd": [*_forwarded(start), *start.argv],
        "Env": [f"{name}={value}" for name, value in _environment(start).items()],
        "WorkingDir": WORK,
        "Labels": {LABEL: label},
        "Hostname": "kernel",
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": _host(rules, given, start, user),
    }


def _forwarded(start: Start) -> Sequence[str]:
    """What stands before the kernel's own command. Isolated: nothing that the kernel's files hold is imported."""
    if start.egress != EGRESS_ALLOW_LIST:
        return ()
    return ("python3", "-I", "-S", "-c", inspect.getsource(forwarder), f"{start.box}/{EGRESS_SOCKET}")


def _environment(start: Start) -> Mapping[str, str]:
    own = {"HOME": f"{start.box}/home", "TMPDIR": "/tmp", "USER": "spin", "LOGNAME": "spin"}  # noqa: S108 - its own
    return {**start.environment, **own, "TINI_KILL_PROCESS_GROUP": "1"}


def _host(rules: Rules, given: Given, start: Start, user: tuple[int, int]) -> dict[str, Any]:
    engine = rules.engine
    assert engine is not None
    scratch = SCRATCH.format(rules.scratch_bytes, *user)
    limits, processes = [_ulimit("core", 0)], rules.processes
    if engine.gvisor:
        # Its own kernel refuses by this; what the engine counts are gVisor's threads, and one that it could not start stops everything.
        limits.append(_ulimit("nproc", rules.processes))
        processes = processes * GVISOR_THREADS + GVISOR_OWN
    if rules.memory_bytes:
        # One process that asks for more gets a MemoryError; only all together are ended.
        limits.append(_ulimit("data", rules.memory_bytes))
    return {
        "NetworkMode": given.network if start.egress == EGRESS_OPEN else "none",
        "ReadonlyRootfs": True,
        "Tmpfs": dict.fromkeys(("/tmp", "/var/tmp", *given.image.volumes), scratch),  # noqa: S108 - its own
        "ShmSize": rules.scratch_bytes,
        "Mounts": [_bind(start.work, WORK), _bind(start.box, start.box), *(_bind(path, path, read_only=True) for path in rules.readable)],
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges", f"seccomp={profile()}"],
        **memory(rules.memory_bytes or given.memory_bytes, swap=given.swap),
        "PidsLimit": processes,
        "NanoCpus": int(engine.cpus * NANO),
        "Ulimits": limits,
        "Init": True,
        "IpcMode": "private",
        "LogConfig": {"Type": "none"},
        "RestartPolicy": {"Name": "no"},
        **({"Runtime": engine.runtime} if engine.runtime else {}),
    }


def memory(limit_bytes: int, *, swap: bool) -> dict[str, int]:
    """Without swap beside it, where the engine can see to that."""
    return {"Memory": limit_bytes, **({"MemorySwap": limit_bytes} if swap else {})}


def _ulimit(name: str, value: int) -> dict[str, object]:
    return {"Name": name, "Soft": value, "Hard": value}


def _bind(source: str, target: str, *, read_only: bool = False) -> dict[str, object]:
    return {"Type": "bind", "Source": os.path.realpath(source), "Target": target, "ReadOnly": read_only, "BindOptions": {"Propagation": "rprivate"}}


def network(name: str, label: str) -> dict[str, object]:
    """Kernels on it do not reach one another."""
    options = {"com.docker.network.bridge.enable_icc": "false"}
    return {"Name": name, "Driver": "bridge", "CheckDuplicate": True, "Labels": {LABEL: label}, "Options": options}


def profile() -> str:
    rules = json.loads(resources.files(__package__).joinpath("seccomp.json").read_text())
    kept = [rule | {"names": [name for name in rule["names"] if name not in TRACING]} for rule in rules["syscalls"] if rule["names"] != ["socket"]]
    sockets = [{"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": family, "op": "SCMP_CMP_EQ"}]} for family in FAMILIES]
    return json.dumps(rules | {"syscalls": [rule for rule in kept if rule["names"]] + sockets})
