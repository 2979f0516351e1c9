"""NetworkPolicies as rules of Linux's packet filter, in a pod's own network namespace. The network is IPv4."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

Rule = tuple[str, ...]
Pods = Iterable[Mapping[str, Any]]


def selects(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    return all(labels.get(name) == value for name, value in ((selector or {}).get("matchLabels") or {}).items())


def rules(pod: Mapping[str, Any], policies: Iterable[Mapping[str, Any]], pods: Pods) -> Iterator[Rule]:
    """From nothing: what may pass, and then nothing more where a policy isolates the pod."""
    labels, namespace = pod["metadata"].get("labels", {}), pod["metadata"]["namespace"]
    held = [each for each in policies if each["metadata"]["namespace"] == namespace and selects(each["spec"]["podSelector"], labels)]
    for kind, chain, side in (("Ingress", "INPUT", "-s"), ("Egress", "OUTPUT", "-d")):
        yield ("-F", chain)
        isolating = [each for each in held if kind in each["spec"]["policyTypes"]]
        if not isolating:
            continue
        yield ("-A", chain, "-i" if chain == "INPUT" else "-o", "lo", "-j", "ACCEPT")
        yield ("-A", chain, "-m", "conntrack", "--ctstate", "ESTABLISHED,RELATED", "-j", "ACCEPT")
        for policy in isolating:
            for allowed in policy["spec"].get(kind.lower()) or ():
                yield from _allowed(chain, side, allowed, "from" if kind == "Ingress" else "to", pods, namespace)
        yield ("-A", chain, "-j", "DROP")


def _allowed(chain: str, side: str, allowed: Mapping[str, Any], name: str, pods: Pods, namespace: str) -> Iterator[Rule]:
    ports: list[Rule] = [("-p", each.get("protocol", "TCP").lower(), "--dport", str(each["port"])) for each in allowed.get("ports") or ()] or [()]
    for port in ports:
        if not allowed.get(name):
            yield ("-A", chain, *port, "-j", "ACCEPT")
        peers = allowed.get(name) or ()
        for address in (address for peer in peers if "ipBlock" not in peer for address in _addresses(peer, pods, namespace)):
            yield ("-A", chain, side, address, *port, "-j", "ACCEPT")
        for block in (peer["ipBlock"] for peer in peers if "ipBlock" in peer and ":" not in peer["ipBlock"]["cidr"]):
            for without in block.get("except") or ():
                yield ("-A", chain, side, without, "-j", "DROP")
            yield ("-A", chain, side, block["cidr"], *port, "-j", "ACCEPT")


def _addresses(peer: Mapping[str, Any], pods: Pods, namespace: str) -> Iterator[str]:
    for each in pods:
        own = each["metadata"]["namespace"]
        in_it = selects(peer["namespaceSelector"], {"kubernetes.io/metadata.name": own}) if "namespaceSelector" in peer else own == namespace
        if in_it and selects(peer.get("podSelector"), each["metadata"].get("labels", {})) and each.get("status", {}).get("podIP"):
            yield each["status"]["podIP"]
