"""What server and launcher say to each other: one JSON object per packet, with file descriptors beside it.

| request | descriptors | answer |
| --- | --- | --- |
| `configure`: Rules | | `mechanisms` in force; `kernels`, the specifications that an image holds, and its `python` |
| `enforce`: egress | | an error where kernels cannot be given that and no more |
| `start`: Start | the kernel's stderr | `kernel` (its handle), `pid`; a descriptor that is readable, or hung up, when the kernel has ended |
| `signal`: kernel, number; to the kernel's process group | | |
| `limit_memory`: kernel, bytes | | |
| `admit`: kernel, path of the broker's socket | | where it is for this kernel |
| `why`: kernel that has ended | | `why`, a text for people where the launcher knows one |
| `release`: kernel; ends it and removes its box | | |

An answer carries the request's `id`, and `error` with a text when it was not done. When the server's end closes, the launcher ends every
kernel and itself.
"""

import json
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

VERBS = ("configure", "enforce", "start", "signal", "limit_memory", "admit", "why", "release")
LONGEST = 160_000
MOST_DESCRIPTORS = 4


@dataclass(frozen=True)
class Packet:
    body: dict[str, Any]
    descriptors: Sequence[int] = ()


def send(channel: socket.socket, body: dict[str, Any], descriptors: Sequence[int] = ()) -> None:
    """Raises OSError; ValueError when the packet is too long."""
    data = json.dumps(body).encode()
    if len(data) > LONGEST:
        raise ValueError(f"{len(data)} bytes are more than the launcher takes: shorten the kernel's environment")
    socket.send_fds(channel, [data], descriptors)


def receive(channel: socket.socket) -> Packet | None:
    """None at the other side's end. Raises ConnectionError for what is no packet: the two are of one version, so something is badly wrong."""
    data, descriptors, _, _ = socket.recv_fds(channel, LONGEST, MOST_DESCRIPTORS, socket.MSG_CMSG_CLOEXEC)
    if not data:
        return None
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict) or "id" not in body:
        raise ConnectionError("what came is no packet of the launcher's protocol")
    return Packet(body, descriptors)
