"""What server and launcher say to each other: one JSON object per packet, with file descriptors beside it.

| request | descriptors | answer |
| --- | --- | --- |
| `describe` | | `mechanisms` in force; `boxes`, the folder of kernels' own; `kernels`, the specifications that an image holds, and its `python`; an error where the machine cannot isolate kernels as was asked for |
| `enforce`: egress | | an error where kernels cannot be given that and no more |
| `folder`: name of a session's folder; makes it where it is not there | | |
| `rename`: name of a spare's folder, name of a session's, which holds nothing | | |
| `box` | | `path` of a new box, for `start` |
| `discard`: name of a box that no kernel has | | |
| `start`: argv, environment, names of work folder and box, egress | the kernel's stderr | `kernel` (its handle), `pid`; a descriptor that is readable, or hung up, when the kernel has ended |
| `signal`: kernel, number; to the kernel's process group | | |
| `limit_memory`: kernel, bytes | | |
| `admit`: kernel, path of the broker's socket | | where it is for this kernel |
| `why`: kernel that has ended | | `why`, a text for people where the launcher knows one |
| `release`: kernel; ends it and removes its box | | |

An answer carries the request's `id`, and `error` with a text when it was not done. What is no packet, and the end of the server's side, end every kernel
and the launcher itself.
"""  # noqa: E501 - tables

import json
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

LONGEST = 160_000
LONGEST_ERROR = 2000
MOST_DESCRIPTORS = 4


@dataclass(frozen=True)
class Packet:
    body: dict[str, Any]
    descriptors: Sequence[int] = ()

    def close(self) -> None:
        for descriptor in self.descriptors:
            os.close(descriptor)


def send(channel: socket.socket, body: dict[str, Any], descriptors: Sequence[int] = ()) -> None:
    """Raises OSError; ValueError when the packet is too long."""
    data = json.dumps(body).encode()
    if len(data) > LONGEST:
        raise ValueError(f"{len(data)} bytes are more than the launcher takes: shorten the kernel's environment")
    socket.send_fds(channel, [data], descriptors)


def refuse(channel: socket.socket, request: Packet, reason: str) -> None:
    """Raises OSError."""
    send(channel, {"id": request.body["id"], "error": reason[:LONGEST_ERROR]})


def receive(channel: socket.socket) -> Packet | None:
    """None at the other side's end. Raises ConnectionError for what is no packet: the two are of one version, so something is badly wrong."""
    data, descriptors, flags, _ = socket.recv_fds(channel, LONGEST, MOST_DESCRIPTORS, socket.MSG_CMSG_CLOEXEC)
    if not data and not descriptors:
        return None
    body = None if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC) else _decoded(data)
    packet = Packet(body or {}, descriptors)
    if body is None:
        packet.close()
        raise ConnectionError("what came is no packet of the launcher's protocol")
    return packet


def _decoded(data: bytes) -> dict[str, Any] | None:
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) and type(body.get("id")) is int else None
