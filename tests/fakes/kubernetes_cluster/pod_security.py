"""The restricted profile of Pod Security, as https://kubernetes.io/docs/concepts/security/pod-security-standards/ has it.

A container's own setting counts before the pod's. What the profile does not name is allowed.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from tests.fakes.kubernetes_cluster.status import Refused

CONTAINERS = ("containers", "initContainers", "ephemeralContainers")
VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
SECCOMP = ("RuntimeDefault", "Localhost")
APP_ARMOR = (None, "RuntimeDefault", "Localhost")
SELINUX_TYPES = (None, "", "container_t", "container_init_t", "container_kvm_t", "container_engine_t")
SYSCTLS = {
    *("kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start", "net.ipv4.tcp_syncookies"),
    *("net.ipv4.ping_group_range", "net.ipv4.ip_local_reserved_ports", "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout"),
    *("net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes"),
}
Context = Mapping[str, Any]


def check_restricted(spec: Mapping[str, Any]) -> None:
    """Raises Refused."""
    pod = spec.get("securityContext") or {}
    faults = [name for name in ("hostNetwork", "hostPID", "hostIPC") if spec.get(name)]
    faults += [f"sysctl {each['name']}" for each in pod.get("sysctls", ()) if each["name"] not in SYSCTLS]
    faults += _of_any_context(pod)
    faults += [f"restricted volume type of {each['name']}" for each in spec.get("volumes", ()) if not set(each) - {"name"} <= VOLUMES]
    for container in (each for kind in CONTAINERS for each in spec.get(kind, ())):
        own = container.get("securityContext") or {}
        faults += [*_of_any_context(own), *_of_a_container(own), *_of_both(own, pod)]
        faults += ["hostPort" for port in container.get("ports", ()) if port.get("hostPort")]
    if faults:
        raise Refused(403, f'pods is forbidden: violates PodSecurity "restricted:latest": {", ".join(faults)}')


def _of_any_context(context: Context) -> Iterator[str]:
    if context.get("runAsUser") == 0:
        yield "runAsUser=0"
    if (context.get("windowsOptions") or {}).get("hostProcess"):
        yield "hostProcess"
    selinux = context.get("seLinuxOptions") or {}
    if selinux.get("type") not in SELINUX_TYPES or selinux.get("user") or selinux.get("role"):
        yield "seLinuxOptions"
    if (context.get("appArmorProfile") or {}).get("type") not in APP_ARMOR:
        yield "forbidden AppArmor profile"


def _of_a_container(own: Context) -> Iterator[str]:
    capabilities = own.get("capabilities") or {}
    if own.get("privileged"):
        yield "privileged"
    if own.get("allowPrivilegeEscalation") is not False:
        yield "allowPrivilegeEscalation != false"
    if "ALL" not in capabilities.get("drop", ()) or set(capabilities.get("add", ())) - {"NET_BIND_SERVICE"}:
        yield "unrestricted capabilities"
    if own.get("procMount") not in (None, "Default"):
        yield "procMount"


def _of_both(own: Context, pod: Context) -> Iterator[str]:
    if _chosen("runAsNonRoot", own, pod) is not True:
        yield "runAsNonRoot != true"
    if (_chosen("seccompProfile", own, pod) or {}).get("type") not in SECCOMP:
        yield "seccompProfile"


def _chosen(name: str, own: Context, pod: Context) -> Any:
    return pod.get(name) if own.get(name) is None else own[name]
