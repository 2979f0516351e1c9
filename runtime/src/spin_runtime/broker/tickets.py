"""Tickets: what code in a kernel shows to use a connection.

- A ticket is 32 random bytes, made for one run of one kernel. It counts from the run's start to its end and on that kernel's socket.
- Only hashes of tickets are kept and compared, so that the time of a comparison says nothing about a ticket.
- A ticket allows what auth granted to its run, and counts what was done with it.
"""

import asyncio
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256

from spin_runtime.broker.taint import Leave
from spinapis.envelope.v1 import receipt_pb2, run_pb2


@dataclass
class Count:
    used: int = 0
    denied: int = 0


@dataclass
class Ticket:
    nonce: run_pb2.RunNonce
    uses: Sequence[run_pb2.ConnectionUse]
    # Whether a second person approved this run.
    approved: bool = False
    # Whose code may be in the kernel while a connection is used.
    leave: Leave = field(default_factory=Leave)
    valid: bool = False
    counts: dict[tuple[bytes, str], Count] = field(default_factory=dict)
    # The connections whose value this run may have read: a receipt on disk says so.
    testified: set[bytes] = field(default_factory=set)
    _users: set["asyncio.Task[object]"] = field(default_factory=set)

    def granted(self, connection_id: bytes, operation: str, digest: bytes) -> list[run_pb2.ConnectionUse]:
        """The uses that grant the run this operation with these parameters."""
        return [
            use
            for use in self.uses
            if use.connection_id == connection_id and operation in use.operations and use.params_digest in (b"", digest)
            # The runtime's own operations have no free parameters: each is granted by its digest.
            if connection_id or use.params_digest
        ]

    def count(self, connection_id: bytes, operation: str, *, denied: bool) -> None:
        """Counts one attempt. What was never granted is counted under one name, so that code cannot fill receipts with inventions."""
        granted = any(use.connection_id == connection_id and operation in use.operations for use in self.uses)
        count = self.counts.setdefault((connection_id, operation) if granted else (b"", ""), Count())
        if denied:
            count.denied += 1
        else:
            count.used += 1

    @contextmanager
    def using(self, task: "asyncio.Task[object] | None") -> Iterator[None]:
        """The task works under this ticket: it is cancelled when the ticket dies."""
        assert task is not None
        self._users.add(task)
        try:
            yield
        finally:
            self._users.discard(task)

    def die(self) -> None:
        self.valid = False
        for task in list(self._users):
            task.cancel()

    def operations(self) -> list[receipt_pb2.OperationCount]:
        """What the END receipt says."""
        return [
            receipt_pb2.OperationCount(connection_id=connection_id, operation=operation, count=count.used, denied=count.denied)
            for (connection_id, operation), count in sorted(self.counts.items())
        ]


class TicketBook:
    def __init__(self) -> None:
        self._tickets: dict[bytes, Ticket] = {}

    def issue(self, nonce: run_pb2.RunNonce, uses: Sequence[run_pb2.ConnectionUse], approved: bool, leave: Leave) -> tuple[bytes, Ticket]:
        """A new ticket, which is not valid yet."""
        secret = os.urandom(32)
        ticket = Ticket(nonce, uses, approved, leave)
        self._tickets[sha256(secret).digest()] = ticket
        return secret, ticket

    def present(self, secret: bytes, kernel_epoch: int) -> Ticket | None:
        """The ticket, when it is valid and the caller came over its own kernel's socket."""
        ticket = self._tickets.get(sha256(secret).digest())
        return ticket if ticket is not None and ticket.valid and ticket.nonce.kernel_epoch == kernel_epoch else None

    def kill(self, secret: bytes) -> None:
        ticket = self._tickets.pop(sha256(secret).digest(), None)
        if ticket is not None:
            ticket.die()
