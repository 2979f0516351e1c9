"""Finding out what the cluster gives, by asking it and by trying.

- What the service account may do is asked of the cluster itself, all at once.
- A probe runs in a pod as kernels do. What it could do that it must not, and what it could not do that kernels need, is told with the mend, and
  then the runtime does not start. That policies of the network are enforced is among it: another pod, which none holds, must be out of its reach.
"""

import json
import secrets
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spin_runtime.launcher.pods import spec
from spin_runtime.launcher.pods.cluster import ACCOUNT, Cluster, ClusterGone, ClusterRefused
from spin_runtime.launcher.rules import PodRules, Rules, Unable

NEEDED = (
    *(("", "pods", verb) for verb in ("create", "get", "list", "delete")),
    ("", "secrets", "create"),
    *(("networking.k8s.io", "networkpolicies", verb) for verb in ("create", "delete")),
)
# What names this runtime to the cluster, in its private data: namespaces may hold several.
LABEL_FILE = "pods"
COULD = {
    "capabilities": "kernels keep capabilities: dropping them has no effect",
    "privileges": "kernels can gain privileges: allowPrivilegeEscalation has no effect",
    "namespaces": "kernels can make namespaces: neither the node's seccomp nor the runtime's has an effect",
    "io_uring": "kernels can use io_uring: neither the node's seccomp nor the runtime's has an effect",
    "root": "kernels run as root",
    "image": "kernels can write to the image's files: readOnlyRootFilesystem has no effect",
    "token": "kernels have a service account's token: automountServiceAccountToken has no effect",
    "network": "kernels reach other pods, and a NetworkPolicy forbids it: the cluster's network plugin does not enforce NetworkPolicies. Install one "
    "that does (such as Calico or Cilium)",
}
FAILED = {
    "files": "kernels cannot write their session's folder{}",
    "scratch": "kernels cannot write to /tmp",
    "sockets": "the runtime's sockets do not pass into pods",
}
CLAIM = ": the claim {} (SPIN_KERNEL_CLAIM) must be the volume that SPIN_HOME/var is on, ReadWriteMany"


def namespace_of(rules: PodRules) -> str:
    """Where kernels' pods are. Raises Unable."""
    return rules.namespace or own_namespace(rules)


def own_namespace(rules: PodRules) -> str:
    """Of the runtime's own pod. Raises Unable."""
    if rules.own_namespace or rules.kubeconfig:
        return rules.own_namespace or rules.namespace
    try:
        return (ACCOUNT / "namespace").read_text().strip()
    except OSError as error:
        raise Unable(f"the runtime's own namespace is not known ({error}): set SPIN_POD_NAMESPACE (the downward API's metadata.namespace)") from None


async def given(cluster: Cluster, rules: Rules) -> spec.Given:
    """Raises Unable, ClusterGone, ClusterRefused."""
    wanted = spec.pods(rules)
    inside = bool(wanted.own_pod) or not wanted.kubeconfig
    await _permitted(cluster, wanted, inside=inside)
    label = _label(Path(rules.private))
    if not inside:
        return spec.Given(label, None, None)
    name, namespace = wanted.own_pod or socket.gethostname(), own_namespace(wanted)
    try:
        own = await cluster.pod(name, namespace)
    except ClusterRefused as error:
        raise Unable(f"the runtime's own pod is not found ({error}): give its name with SPIN_POD_NAME (the downward API's metadata.name)") from None
    selector: dict[str, Any] = {"podSelector": {"matchLabels": dict(own.metadata.labels or {})}}
    if not own.metadata.labels:
        raise Unable(f"the runtime's own pod {name} has no labels, by which kernels' pods would let it in: give it some")
    if namespace == cluster.namespace:
        owner = {"apiVersion": "v1", "kind": "Pod", "name": name, "uid": own.metadata.uid}
        return spec.Given(label, owner, selector)
    return spec.Given(label, None, selector | {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}})


async def _permitted(cluster: Cluster, wanted: PodRules, *, inside: bool) -> None:
    needed = [(*each, cluster.namespace) for each in NEEDED]
    if inside and (own := own_namespace(wanted)) != cluster.namespace:
        needed.append(("", "pods", "get", own))
    lacking = [
        f"{verb} {resource} in {namespace}" for group, resource, verb, namespace in needed if not await cluster.may(verb, group, resource, namespace)
    ]
    if lacking:
        raise Unable(f"the service account may not {', '.join(lacking)}: bind a Role that allows it (docs/security.md)")


def _label(private: Path) -> str:
    path = private / LABEL_FILE
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        label = secrets.token_hex(8)
        path.write_text(label)
        return label


async def cleared(cluster: Cluster, label: str) -> None:
    """What an earlier start left. Raises ClusterGone, ClusterRefused."""
    for name in await cluster.pods(label):
        await cluster.remove_pod(name)
    for reach in (spec.CLOSED, spec.OPEN):
        await cluster.remove_policy(spec.policy_name(label, reach))


async def prepared(cluster: Cluster, found: spec.Given) -> None:
    """Raises ClusterGone, ClusterRefused, Unable."""
    await cleared(cluster, found.label)
    try:
        for policy in spec.policies(found):
            await cluster.make_policy(policy)
    except (ClusterGone, ClusterRefused) as error:
        raise Unable(f"the kernels' NetworkPolicies could not be made: {error}") from error


def read(rules: Rules, output: str) -> tuple[Mapping[str, Any], str]:
    """What the probe said: the image's kernels and its Python. Raises Unable."""
    wanted = spec.pods(rules)
    try:
        said = json.loads(output.strip().splitlines()[-1])
        faults = [*(COULD[name] for name, done in said["could"].items() if done), *_failed(said["failed"], wanted)]
        missing, kernels, python = list(said["missing"]), dict(said["kernels"]), str(said["python"])
    except (ValueError, IndexError, KeyError, TypeError, AttributeError):
        words = " ".join(output.strip().splitlines()[-2:])[-500:]
        raise Unable(f"a probe in a pod of {wanted.image} failed (the image needs Python 3.11 as python3): {words}") from None
    if missing:
        raise Unable(
            f"the image {wanted.image} is not for kernels, its {python} has no {', no '.join(missing)}: install ipykernel and spin-kernel in it"
        )
    if faults:
        raise Unable("; ".join(faults))
    return kernels, python


def _failed(failed: Mapping[str, bool], wanted: PodRules) -> list[str]:
    claim = CLAIM.format(wanted.claim) if wanted.claim else ""
    return [FAILED[name].format(claim) for name, done in failed.items() if done]
