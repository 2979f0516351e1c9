"""The double of a cluster holds pods to the restricted profile: what it lets pass is a proof only if it refuses the rest."""

import copy
from typing import Any

import pytest

from tests.fakes.kubernetes_cluster.pod_security import check_restricted
from tests.fakes.kubernetes_cluster.status import Refused

CONTAINER: dict[str, Any] = {"name": "kernel", "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}}
POD: dict[str, Any] = {
    "securityContext": {"runAsNonRoot": True, "runAsUser": 1900000000, "seccompProfile": {"type": "RuntimeDefault"}},
    "containers": [CONTAINER],
    "volumes": [{"name": "tmp", "emptyDir": {}}],
}
OF_A_POD = (
    {"hostNetwork": True},
    {"hostPID": True},
    {"volumes": [{"name": "root", "hostPath": {"path": "/"}}]},
    {"securityContext": POD["securityContext"] | {"runAsUser": 0}},
    {"securityContext": POD["securityContext"] | {"runAsNonRoot": None}},
    {"securityContext": POD["securityContext"] | {"seccompProfile": {"type": "Unconfined"}}},
    {"securityContext": POD["securityContext"] | {"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}},
)
OF_A_CONTAINER = (
    {"privileged": True},
    {"allowPrivilegeEscalation": None},
    {"capabilities": {"drop": ["NET_RAW"]}},
    {"capabilities": {"drop": ["ALL"], "add": ["SYS_ADMIN"]}},
    {"procMount": "Unmasked"},
    {"runAsNonRoot": False},
    {"runAsUser": 0},
    {"seccompProfile": {"type": "Unconfined"}},
    {"appArmorProfile": {"type": "Unconfined"}},
    {"seLinuxOptions": {"type": "spc_t"}},
)


def test_what_keeps_to_it_passes() -> None:
    check_restricted(POD)


@pytest.mark.parametrize("change", OF_A_POD, ids=str)
def test_a_pod_that_does_not(change: dict[str, Any]) -> None:
    with pytest.raises(Refused, match="violates PodSecurity"):
        check_restricted(POD | change)


@pytest.mark.parametrize("kind", ["containers", "initContainers", "ephemeralContainers"])
@pytest.mark.parametrize("change", OF_A_CONTAINER, ids=str)
def test_a_container_that_does_not(kind: str, change: dict[str, Any]) -> None:
    wrong = copy.deepcopy(CONTAINER)
    wrong["securityContext"] |= change
    with pytest.raises(Refused, match="violates PodSecurity"):
        check_restricted({"initContainers": [], **POD, kind: [wrong]})
