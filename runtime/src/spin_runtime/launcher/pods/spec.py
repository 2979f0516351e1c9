"""What a kernel's pod is made of: pure, from the runtime's rules to manifests.

- The restricted profile of Pod Security: a user that is not root, no new privileges, no capability, RuntimeDefault's seccomp; and a read-only root.
- Nothing of the cluster's: no token, no service links, no host's namespaces or paths.
- Written to are the session's folder (at WORK), the box (at the path that it has outside, which the connection file names), and scratch space in
  memory, bounded. What the pod is to do lies at PROGRAM, from a Secret that the pod owns.
- Policies of the network go by labels: one for kernels that reach nothing, one for those that reach all but metadata services.
"""

import base64
import json
import platform
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import spin_runtime
from spin_runtime.launcher import forwarder
from spin_runtime.launcher.pods import certificates
from spin_runtime.launcher.rules import EGRESS_ALLOW_LIST, EGRESS_OPEN, EGRESS_SOCKET, PodRules, Rules, Start

WORK, PROGRAM = "/work", "/run/spin"
PORT = 9797
LABEL, CLASS = "spin.kernels", "spin.egress"
CLOSED, OPEN, FREE = "closed", "open", "free"
CONTAINER = "kernel"
FILES = ("__init__.py", *(f"launcher/{name}.py" for name in ("__init__", "syscalls", "pods/__init__", "pods/streams", "pods/agent")))
# The image's own packages come after these; the folder that it begins in, and its environment, bring none.
RUN = f"import sys; sys.path.insert(0, '{PROGRAM}/program'); from spin_runtime.launcher.pods.agent import main; main()"
MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
# Link-local addresses, which most clouds' metadata services have, and the others that the broker and the egress proxy refuse.
FORBIDDEN_V4 = ("169.254.0.0/16", "100.100.100.200/32", "168.63.129.16/32", "192.0.0.192/32")
FORBIDDEN_V6 = (
    "fe80::/10",
    *("fd00:ec2::254/128", "fd00:ec2::23/128", "fd20:ce::254/128", "fd00:c1::a9fe:a9fe/128", "fd00:42::42/128"),
    *("64:ff9b::a9fe:0/112",),
)
LEAST_CPU = 0.1


@dataclass(frozen=True)
class Given:
    """What the cluster gives, and who this runtime is to it."""

    # Of this runtime's pods and no other's.
    label: str
    # Pods that end with this one: the runtime's own, in the same namespace.
    owner: Mapping[str, Any] | None
    # What selects the runtime's pods, which alone may connect to kernels'; None where it runs outside.
    runtime: Mapping[str, Any] | None


@dataclass(frozen=True)
class Kernel:
    """What one pod is to do."""

    name: str
    start: Start
    user: tuple[int, int]
    # FREE where no policy of ours holds it, which is for a pod of the probe's alone.
    reach: str
    # As jupyter_client wrote it.
    connection: str = ""
    # The program's files beside the agent's own.
    more: Sequence[str] = ()


Sides = tuple[certificates.Side, certificates.Side]


def name_of(given: Given) -> str:
    return f"spin-kernel-{given.label}-{secrets.token_hex(5)}"


def reach_of(egress: str) -> str:
    """An allow-list is enforced by there being nothing beside the proxy."""
    return OPEN if egress == EGRESS_OPEN else CLOSED


def pods(rules: Rules) -> PodRules:
    assert rules.pods is not None
    return rules.pods


def pod(rules: Rules, given: Given, kernel: Kernel) -> dict[str, Any]:
    wanted = pods(rules)
    uid, gid = kernel.user
    spec: dict[str, Any] = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 1,
        "hostname": "kernel",
        "nodeSelector": {"kubernetes.io/os": "linux", "kubernetes.io/arch": MACHINES.get(platform.machine(), platform.machine())},
        "securityContext": {"runAsNonRoot": True, "runAsUser": uid, "runAsGroup": gid, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [_container(rules, kernel)],
        "volumes": _volumes(rules, kernel),
    }
    if wanted.runtime:
        spec["runtimeClassName"] = wanted.runtime
    if wanted.deadline_s:
        spec["activeDeadlineSeconds"] = wanted.deadline_s
    return {"apiVersion": "v1", "kind": "Pod", "metadata": _metadata(kernel.name, given.label, given.owner, {CLASS: kernel.reach}), "spec": spec}


def _metadata(name: str, label: str, owner: Mapping[str, Any] | None, labels: Mapping[str, str]) -> dict[str, Any]:
    own = {"app.kubernetes.io/managed-by": "spin-runtime", LABEL: label, **labels}
    return {"name": name, "labels": own, **({"ownerReferences": [dict(owner)]} if owner else {})}


def _container(rules: Rules, kernel: Kernel) -> dict[str, Any]:
    mounts = {"work": WORK, "box": kernel.start.box, "tmp": "/tmp", "shm": "/dev/shm"}  # noqa: S108 - its own
    claimed = pods(rules).claim
    return {
        "name": CONTAINER,
        "image": pods(rules).image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-I", "-B", "-c", RUN, PROGRAM],
        "workingDir": WORK,
        "ports": [{"name": "spin", "containerPort": PORT, "protocol": "TCP"}],
        "resources": _resources(rules),
        "securityContext": {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [
            *({"name": name, "mountPath": path} | (_sub_path(rules, kernel) if claimed and name == "work" else {}) for name, path in mounts.items()),
            {"name": "tmp", "mountPath": "/var/tmp"},  # noqa: S108 - its own
            {"name": "program", "mountPath": PROGRAM, "readOnly": True},
        ],
    }


def _sub_path(rules: Rules, kernel: Kernel) -> dict[str, str]:
    """Of the claim that the runtime's own data lie on."""
    return {"subPath": str(Path(kernel.start.work).relative_to(rules.private))}


def _resources(rules: Rules) -> dict[str, Any]:
    """A request beside each limit: without one, the limit would be it."""
    limits, requests = {}, {}
    if rules.memory_bytes:
        limits["memory"] = requests["memory"] = str(rules.memory_bytes)
    if cpus := pods(rules).cpus:
        limits["cpu"], requests["cpu"] = f"{int(cpus * 1000)}m", f"{int(min(cpus, LEAST_CPU) * 1000)}m"
    return {"limits": limits, "requests": requests} if limits else {}


def _volumes(rules: Rules, kernel: Kernel) -> list[dict[str, Any]]:
    memory = {"medium": "Memory", "sizeLimit": str(rules.scratch_bytes)}
    claim = pods(rules).claim
    work = {"persistentVolumeClaim": {"claimName": claim}} if claim else {"emptyDir": {"sizeLimit": str(pods(rules).work_bytes)}}
    keys = {"kernel.json": "kernel.json", "agent.pem": "agent.pem", "runtime.pem": "runtime.pem", "seccomp": "seccomp"}
    keys |= {_key(file): f"program/spin_runtime/{file}" for file in (*FILES, *kernel.more)}
    items = [{"key": key, "path": path} for key, path in keys.items()]
    return [
        {"name": "work"} | work,
        *({"name": name, "emptyDir": dict(memory)} for name in ("box", "tmp", "shm")),
        # Its readers are the pod's one user.
        {"name": "program", "secret": {"secretName": kernel.name, "defaultMode": 0o444, "items": items}},
    ]


def _key(file: str) -> str:
    return file.replace("/", ".")


def secret(rules: Rules, given: Given, kernel: Kernel, sides: Sides, seccomp: bytes, uid: str) -> dict[str, Any]:
    """What the pod of that uid reads; it goes with the pod."""
    agent, runtime = sides
    owner = {"apiVersion": "v1", "kind": "Pod", "name": kernel.name, "uid": uid}
    data = {
        "kernel.json": json.dumps(_wanted(rules, kernel)).encode(),
        "agent.pem": agent.both,
        "runtime.pem": runtime.certificate,
        "seccomp": seccomp,
    }
    data |= {_key(file): Path(spin_runtime.__path__[0], file).read_bytes() for file in (*FILES, *kernel.more)}
    encoded = {name: base64.b64encode(value).decode() for name, value in data.items()}
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": _metadata(kernel.name, given.label, owner, {}), "type": "Opaque"}
    return body | {"immutable": True, "data": encoded}


def _wanted(rules: Rules, kernel: Kernel) -> dict[str, Any]:
    start = kernel.start
    proxy = {"name": EGRESS_SOCKET, "port": forwarder.PORT} if start.egress == EGRESS_ALLOW_LIST else None
    return {
        "argv": list(start.argv),
        "environment": dict(start.environment),
        "work": WORK,
        "box": start.box,
        "connection": kernel.connection,
        "port": PORT,
        "memory_bytes": rules.memory_bytes,
        "processes": rules.processes,
        "proxy": proxy,
    }


def policies(given: Given) -> list[dict[str, Any]]:
    return [_policy(given, CLOSED, []), _policy(given, OPEN, [{"to": [*_everywhere(), {"namespaceSelector": {}}]}])]


def policy_name(label: str, reach: str) -> str:
    return f"spin-kernels-{label}-{reach}"


def _policy(given: Given, reach: str, egress: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    ports = {"ports": [{"port": PORT, "protocol": "TCP"}]}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": _metadata(policy_name(given.label, reach), given.label, given.owner, {}),
        "spec": {
            "podSelector": {"matchLabels": {LABEL: given.label, CLASS: reach}},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [ports | ({"from": [dict(given.runtime)]} if given.runtime else {})],
            "egress": list(egress),
        },
    }


def _everywhere() -> list[dict[str, Any]]:
    return [
        {"ipBlock": {"cidr": "0.0.0.0/0", "except": list(FORBIDDEN_V4)}},
        {"ipBlock": {"cidr": "::/0", "except": list(FORBIDDEN_V6)}},
    ]
