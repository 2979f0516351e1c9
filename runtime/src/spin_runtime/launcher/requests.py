"""What the server may ask of the launcher, and in which form: decided here, before anything is done.

The server is less trusted than the launcher. What is no request is answered with the reason; what is no packet ends the launcher (wire.py).
"""

import fcntl
import os
import re
import signal
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spin_runtime.launcher import wire
from spin_runtime.launcher.rules import EGRESS

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
KERNEL = re.compile(r"[0-9a-f]{1,64}")
SIGNALS = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGKILL, signal.SIGSTOP, signal.SIGCONT})
MOST_BYTES = 1 << 50
# Linux takes a path of that many bytes, with its zero byte.
LONGEST_PATH = 4095
START = frozenset({"argv", "environment", "work", "box", "egress"})


class RequestInvalid(ValueError):
    """The text says what is wrong, and repeats nothing of it."""


@dataclass(frozen=True)
class Request:
    do: str
    arguments: Sequence[Any]
    descriptors: Sequence[int]


def read(packet: wire.Packet) -> Request:
    """Raises RequestInvalid."""
    do, arguments = packet.body.get("do"), packet.body.get("with")
    if not isinstance(do, str) or do not in FORMS or not isinstance(arguments, list):
        raise RequestInvalid("it is no request")
    form = FORMS[do]
    if len(arguments) != len(form) or len(packet.descriptors) != (do == "start"):
        raise RequestInvalid(f"{do} takes other arguments or descriptors")
    request = Request(do, [read_one(argument) for read_one, argument in zip(form, arguments, strict=True)], packet.descriptors)
    if not all(map(_is_written_file, packet.descriptors)):
        raise RequestInvalid("a kernel's stderr is a file that is open for writing")
    return request


def _is_written_file(descriptor: int) -> bool:
    """What nobody waits for when it is written to."""
    return stat.S_ISREG(os.fstat(descriptor).st_mode) and fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_WRONLY


def _text(form: re.Pattern[str], what: str) -> Callable[[Any], str]:
    def read_one(value: Any) -> str:
        if not isinstance(value, str) or form.fullmatch(value) is None:
            raise RequestInvalid(f"it names no {what}")
        return value

    return read_one


def _egress(value: Any) -> str:
    if not isinstance(value, str) or value not in EGRESS:
        raise RequestInvalid("it names no egress")
    return value


def _signal(value: Any) -> int:
    if type(value) is not int or value not in SIGNALS:
        raise RequestInvalid("kernels are sent SIGINT, SIGTERM, SIGKILL, SIGSTOP and SIGCONT alone")
    return value


def _bytes(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= MOST_BYTES:
        raise RequestInvalid(f"a limit is a number from 0 to {MOST_BYTES}")
    return value


def _path(value: Any) -> str:
    if not isinstance(value, str) or not value.startswith("/") or "\0" in value or len(value.encode(errors="replace")) > LONGEST_PATH:
        raise RequestInvalid("it names no path")
    return value


def _start(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or set(value) != START:
        raise RequestInvalid("a start has other parts")
    argv, environment = value["argv"], value["environment"]
    if not isinstance(argv, list) or not argv or not all(map(_is_data, argv)) or not argv[0]:
        raise RequestInvalid("it names no command")
    if not isinstance(environment, dict) or not all(map(_is_variable, environment.items())):
        raise RequestInvalid("it names no environment")
    return value | {"work": _name(value["work"]), "box": _name(value["box"]), "egress": _egress(value["egress"])}


def _is_data(value: Any) -> bool:
    return isinstance(value, str) and "\0" not in value and _is_encodable(value)


def _is_encodable(text: str) -> bool:
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        return False
    return True


def _is_variable(item: tuple[str, Any]) -> bool:
    name, value = item
    return bool(name) and "=" not in name and _is_data(name) and _is_data(value)


_name, _kernel = _text(NAME, "folder's name"), _text(KERNEL, "kernel")
FORMS: Mapping[str, Sequence[Callable[[Any], Any]]] = {
    "describe": (),
    "enforce": (_egress,),
    "folder": (_name,),
    "rename": (_name, _name),
    "box": (),
    "discard": (_name,),
    "start": (_start,),
    "signal": (_kernel, _signal),
    "limit_memory": (_kernel, _bytes),
    "admit": (_kernel, _path),
    "why": (_kernel,),
    "release": (_kernel,),
}
