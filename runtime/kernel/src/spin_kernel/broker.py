"""Using a connection: one request on the broker's socket, any number of replies, one end.

- The credential never comes here: the broker does the work and sends what came of it.
- Interrupting the cell closes the socket, which stops the operation.
"""

import contextlib
import socket
import sys
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from spin_kernel.exposed import EXPOSED
from spin_kernel.request import Ticket, current_ticket

if TYPE_CHECKING:
    from spin_kernel.bars import Progress
    from spinapis.runtime.v1 import broker_pb2

LENGTH = 4
# The one operation that gives a credential's value, of secrets that are exposable.
READ = "secret.read"
MAX_REPLY = 16 * 1024 * 1024


class UseFailed(Exception):
    """The broker refused, or the remote side failed. `reason` is the name in the platform's catalogue."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


@dataclass(frozen=True)
class UseResult:
    """What an operation gave: `value` is JSON's part, `table()` the rows where there are any."""

    value: dict[str, Any]
    _arrow: Sequence[bytes] = field(default=(), repr=False)

    def table(self) -> Any:
        """A pyarrow.Table, or None when the operation gave no rows."""
        if not self._arrow:
            return None
        import pyarrow as pa

        with pa.ipc.open_stream(pa.py_buffer(b"".join(self._arrow))) as stream:
            return stream.read_all()


def use(connection_id: str, operation: str, params: Mapping[str, Any]) -> UseResult:
    """Has the broker perform an operation with a connection. Raises UseFailed."""
    import json

    import rfc8785

    from spin_kernel.plain import plain

    try:
        params_json = rfc8785.dumps(plain(params))
    except (ValueError, RecursionError) as error:
        raise TypeError(f"the parameters cannot be sent: {error}") from None
    arrow: list[bytes] = []
    with contextlib.ExitStack() as stack:
        bar: Progress | None = None
        replies = stack.enter_context(contextlib.closing(_replies(current_ticket(), bytes.fromhex(connection_id), operation, params_json)))
        for reply in replies:
            match reply.WhichOneof("body"):
                case "arrow":
                    arrow.append(reply.arrow)
                case "progress":
                    if bar is None:
                        bar = _bar()
                        stack.callback(bar.close)
                    bar.show(reply.progress.fraction, reply.progress.text)
                case "end":
                    value = json.loads(reply.end.result_json or b"{}")
                    if operation == READ:
                        EXPOSED.add(str(value["name"]), str(value["value"]))
                    return UseResult(value, arrow)
                case "failure":
                    raise _failed(reply.failure)
    raise UseFailed("ERROR_REASON_UNAVAILABLE", "The runtime ended the operation, because its run or its kernel was over")


def test_connection(connection_id: str, operation: str) -> None:
    """Has the broker try a connection, and prints what it reached. Raises UseFailed with the cause."""
    value = use(connection_id, operation, {}).value
    sys.stdout.write(f"ok: {value['reached']} ({value['took_ms']} ms)\n")


def runtime_env(name: str) -> str:
    """A variable of the runtime's environment that the cell was granted. Raises UseFailed."""
    value = use("", "runtime_env.get", {"name": name}).value["value"]
    return str(value)


def secret(connection_id: str) -> str:
    """The value of a secret that the cell was granted. Raises UseFailed."""
    return str(use(connection_id, READ, {}).value["value"])


def secret_named(name: object, ids: Mapping[str, str]) -> str:
    """The value of the secret that a variable names. Raises LookupError, UseFailed."""
    if not isinstance(name, str) or name not in ids:
        shown = repr(name)[:100] if isinstance(name, str) else f"a value of type {type(name).__name__}"
        raise LookupError(f"{shown} is no exposable secret that you may use here. There are: {', '.join(ids)}")
    return secret(ids[name])


def _replies(ticket: Ticket, connection_id: bytes, operation: str, params_json: bytes) -> Generator["broker_pb2.UseReply", None, None]:
    from spinapis.runtime.v1 import broker_pb2

    request = broker_pb2.UseRequest(ticket=ticket.secret, connection_id=connection_id, operation=operation, params_json=params_json)
    data = request.SerializeToString()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            connection.connect(ticket.socket)
            connection.sendall(len(data).to_bytes(LENGTH, "big") + data)
            while (length := int.from_bytes(_read(connection, LENGTH), "big")) and length <= MAX_REPLY:
                yield broker_pb2.UseReply.FromString(_read(connection, length))
        except (ConnectionError, FileNotFoundError):
            return


def _read(connection: socket.socket, length: int) -> bytes:
    """Exactly so many bytes; fewer when the other side has closed, which gives a length of 0 to the caller."""
    data = bytearray(length)
    view, at = memoryview(data), 0
    while at < length:
        got = connection.recv_into(view[at:])
        if not got:
            return b""
        at += got
    return bytes(data)


def _bar() -> "Progress":
    from spin_kernel.bars import Progress

    return Progress()


def _failed(failure: "broker_pb2.UseFailure") -> UseFailed:
    from spinapis.errors.v1 import reasons_pb2

    try:
        reason = reasons_pb2.ErrorReason.Name(failure.reason)
    except ValueError:
        reason = str(failure.reason)
    return UseFailed(reason, failure.message)
