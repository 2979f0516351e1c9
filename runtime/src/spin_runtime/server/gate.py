"""Who may open the socket at all: exact Origin and Host.

A browser always sends Origin, so its absence means another kind of client; that is let in with a certificate of the runtime's client CA, or
from loopback. An unpaired runtime has no list yet and answers pairing frames to anyone: what it says there is public, and what it accepts
must be signed.
"""

from collections.abc import Sequence
from ipaddress import ip_address

from spin_runtime.broker.api import Status

NO_CERTIFICATE = (
    "This runtime wants a client certificate (SPIN_CLIENT_CERTIFICATES=required): import one into the browser, or give spinctl one with "
    "SPIN_CLIENT_CERT and SPIN_CLIENT_KEY."
)


def refusal(origins: Sequence[str], hosts: Sequence[str], peer: str, status: Status, certified: bool) -> str | None:
    """Why the socket is refused, for the client's eyes; None when it is not. Both headers are given as often as they came."""
    if len(hosts) != 1 or len(origins) > 1:
        return "The request must have one Host and at most one Origin."
    if not status.paired:
        return None
    if hosts[0] not in status.allowed_hosts:
        return f"This runtime is not enrolled under the host {hosts[0][:100]}. Use the address in its settings, or add it anew with this one."
    if not origins:
        text = "A client without an Origin may attach from the runtime's own machine, or with a certificate of its client CA (SPIN_CLIENT_CA)."
        return None if certified or _is_loopback(peer) else text
    if origins[0] not in status.allowed_origins:
        return f"This runtime does not accept pages from {origins[0][:100]}. Open the workspace under the address that the runtime was added from."
    return None


def _is_loopback(peer: str) -> bool:
    try:
        address = ip_address(peer)
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback
