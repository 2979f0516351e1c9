"""What the server and the proxies' process say to each other, read as they mean it. Either may be in an attacker's hands: the one reads clients'
bytes, the other kernels'. What is no such packet ends the connection between them.
"""

import os
from dataclasses import dataclass

from spin_runtime.egress.policy import from_plain
from spin_runtime.launcher.wire import Packet
from spinapis.envelope.v1.attach_pb2 import EgressPolicy

OPEN, CHANGE, CLOSE = "open", "change", "close"


@dataclass(frozen=True)
class Request:
    do: str
    kernel: str
    # Not of a `close`.
    policy: EgressPolicy


def request_of(packet: Packet) -> Request:
    """What the server asks for. Raises ConnectionError."""
    try:
        do, (kernel, *rest) = packet.body["do"], packet.body["with"]
        wanted = {OPEN: 1, CHANGE: 1, CLOSE: 0}
        if not isinstance(kernel, str) or wanted[do] != len(rest):
            raise ValueError
        return Request(do, kernel, from_plain(rest[0]) if rest else EgressPolicy())
    except (KeyError, TypeError, ValueError):
        raise ConnectionError("what came is no request to a proxy") from None


def denied_of(packet: Packet) -> tuple[str, str]:
    """The name of a kernel's box, and the host that it may not reach, both fit for a log. Raises ConnectionError."""
    try:
        box, host = packet.body["denied"]
        if not isinstance(box, str) or not isinstance(host, str):
            raise TypeError
    except (KeyError, TypeError, ValueError):
        raise ConnectionError("what came is no word of a proxy") from None
    name = os.path.basename(box)  # noqa: PTH119 - a box's name is text
    return name[:255], "".join(letter if letter.isascii() and letter.isprintable() else "?" for letter in host[:300])
