"""A runtime's choices for kernels in pods of the double, as its pod there would have them."""

from dataclasses import replace

from spin_runtime.egress.policy import Cap
from spin_runtime.kernels.rules import Isolation
from spin_runtime.launcher.rules import PodRules
from spin_runtime.settings import KERNEL_UIDS
from tests.fakes.container_engine import IMAGE
from tests.fakes.kubernetes_cluster.api import NAMESPACE, RUNTIME, KubernetesCluster


def in_pods(cluster: KubernetesCluster, egress: str = "none", scratch_bytes: int = 64 << 20, **changes: object) -> Isolation:
    rules = PodRules(str(cluster.kubeconfig), "", NAMESPACE, RUNTIME, NAMESPACE, IMAGE, "", 0.0, "", 1 << 30, 0, KERNEL_UIDS)
    pods = replace(rules, **changes)
    return Isolation("kubernetes", Cap(egress), memory_bytes=1 << 30, scratch_bytes=scratch_bytes, processes=100, pods=pods)
