"""What a workspace's policy may be, and what several workspaces' policies come to.

Rules: pure; a child's policy only narrows what is above it, so that no change of a child, and no new child, loosens anything; what no allow-list
could ever reach is refused when it is written, not found out in a cell.
"""

from collections.abc import Iterable, Mapping, Sequence

from spin_cells import outbound
from spin_envelope import egress
from spin_services.rpc.errors import invalid
from spinapis.envelope.v1.attach_pb2 import EgressMode, EgressPolicy

HOSTS_MAXIMUM = 100
# With what the workspaces above let pass; a capability holds them all.
EFFECTIVE_MAXIMUM = 200
GRACE_MAXIMUM_MS = 72 * 3600 * 1000
MODES = (EgressMode.EGRESS_MODE_UNSPECIFIED, egress.NONE, egress.ALLOW_LIST, egress.OPEN)


def checked_egress(wanted: EgressPolicy) -> EgressPolicy:
    """As it is kept: each host once, in its one spelling. Raises INVALID_ARGUMENT that names the host."""
    if wanted.mode not in MODES:
        raise invalid("egress.mode", "Choose none, allow_list or open; or nothing, for the parent's.")
    if wanted.hosts and wanted.mode != egress.ALLOW_LIST:
        raise invalid("egress.hosts", "Hosts go with the mode allow_list alone: choose it, or leave the hosts out.")
    if wanted.mode == egress.ALLOW_LIST and not wanted.hosts:
        raise invalid("egress.hosts", "An allow-list names at least one host, as in pypi.org:443; to allow nothing, choose the mode none.")
    if len(wanted.hosts) > HOSTS_MAXIMUM:
        raise invalid("egress.hosts", f"An allow-list has at most {HOSTS_MAXIMUM} hosts, and this has {len(wanted.hosts)}: join some as *.name:port.")
    hosts = [_host(f"egress.hosts[{index}]", text) for index, text in enumerate(wanted.hosts)]
    return EgressPolicy(mode=wanted.mode, hosts=dict.fromkeys(hosts))


def _host(field: str, text: str) -> str:
    try:
        pattern = egress.pattern(text)
    except egress.HostInvalid as error:
        raise invalid(field, f"{text[:80]!r}: {error}.") from None
    name = pattern.rpartition(":")[0]
    address = egress.address(name)
    if name == "localhost" or name.endswith(".localhost") or (address is not None and outbound.is_unreachable(str(address))):
        raise invalid(field, f"{text[:80]!r} is the machine's own, link-local or a metadata service's: kernels never get there.")
    return pattern


def checked_grace(value: int) -> int:
    if not 0 <= value <= GRACE_MAXIMUM_MS:
        raise invalid("trust_grace_ms", f"The grace is 0 to {GRACE_MAXIMUM_MS} ms, which is 72 hours.")
    return value


def effective(line: Sequence[str], own: Mapping[str, EgressPolicy]) -> EgressPolicy:
    """What counts in the first workspace of the line, which goes up to the root."""
    return egress.narrowed(_chosen(line, own))


def check_fits(effective_egress: EgressPolicy) -> None:
    """Raises INVALID_ARGUMENT for more than a capability holds, which takes lists in several workspaces of a line."""
    if (count := len(effective_egress.hosts)) > EFFECTIVE_MAXIMUM:
        text = f"With what the workspaces above allow, the list has {count} hosts, and {EFFECTIVE_MAXIMUM} are the most"
        raise invalid("egress.hosts", f"{text}: an owner has to join some as *.name:port.")


def _chosen(line: Iterable[str], own: Mapping[str, EgressPolicy]) -> Iterable[EgressPolicy]:
    for workspace_id in line:
        policy = own.get(workspace_id)
        if policy is not None and policy.mode != EgressMode.EGRESS_MODE_UNSPECIFIED:
            yield EgressPolicy(mode=policy.mode, hosts=policy.hosts, workspace_ids=[bytes.fromhex(workspace_id)])
