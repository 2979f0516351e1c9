"""When connections were last used, out of the counts in runs' end receipts.

- A use counts for the workspace of the run's session and for all above it, whose connections the run could name; and for no other, whatever a runtime
  signs. It counts only for a program that was logged.
- It is kept in the transaction that takes the receipt, by the earlier of the runtime's clock and audit's.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from spin_services.audit.lines import Lines
from spin_services.audit.receipts import SignedReceipt, run_id_of
from spin_services.audit.tables import CONNECTION_USES, LOGS, RUNS
from spin_services.audit.transactions import Transactions
from spin_services.rpc.errors import ErrorReason, ServiceError
from spinapis.envelope.v1.receipt_pb2 import Receipt, ReceiptType

ID = 16
Place = tuple[str, str]


class Uses:
    def __init__(self, transactions: Transactions, lines: Lines) -> None:
        self._transactions = transactions
        self._lines = lines

    async def lines(self, home: str, receipts: Sequence[SignedReceipt]) -> dict[str, list[str]]:
        """The lines of the workspaces whose runs used connections, and of the runtime's home; none where nothing was used."""
        runs = sorted({str(run_id) for one in receipts if used(one.receipt) and (run_id := run_id_of(one.receipt))})
        if not runs:
            return {}
        query = select(RUNS.c.workspace_id).distinct().join(LOGS, LOGS.c.id == RUNS.c.log_id)
        query = query.where(LOGS.c.workspace_id == home, RUNS.c.run_id.in_(runs))
        places = await self._transactions.read(lambda connection: connection.execute(query).scalars().all())
        return {place: await self._line(place) for place in {home, *places}}

    async def _line(self, workspace_id: str) -> list[str]:
        """Empty for a workspace that was deleted since, whose receipts are taken all the same."""
        try:
            return [workspace_id, *await self._lines.above(workspace_id)]
        except ServiceError as error:
            if error.reason != ErrorReason.ERROR_REASON_NOT_FOUND:
                raise
            return []

    async def last(self, workspace_id: str, connection_ids: Sequence[str]) -> dict[str, int]:
        """By connection; those that were never used are left out."""
        query = select(CONNECTION_USES.c.connection_id, CONNECTION_USES.c.used_at_ms)
        query = query.where(CONNECTION_USES.c.workspace_id == workspace_id, CONNECTION_USES.c.connection_id.in_(connection_ids))
        return dict(await self._transactions.read(lambda connection: connection.execute(query).tuples().all()))


def used(receipt: Receipt) -> set[str]:
    """The connections whose operations a run performed."""
    if receipt.type != ReceiptType.RECEIPT_TYPE_END:
        return set()
    return {one.connection_id.hex() for one in receipt.operations if one.count and len(one.connection_id) == ID}


def gather(found: dict[Place, int], receipt: Receipt, line: Sequence[str], now_ms: int) -> None:
    """Adds what an end receipt tells."""
    for connection_id in used(receipt):
        for place in line:
            found[place, connection_id] = max(found.get((place, connection_id), 0), min(receipt.time_ms, now_ms))


def keep(connection: Connection, found: Mapping[Place, int]) -> None:
    """In one order for all: uploads of several runtimes name the same rows."""
    if not found:
        return
    rows: list[dict[str, Any]] = [{"workspace_id": place[0], "connection_id": place[1], "used_at_ms": at} for place, at in sorted(found.items())]
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(CONNECTION_USES)
    later = statement.excluded.used_at_ms > CONNECTION_USES.c.used_at_ms
    changed = {"used_at_ms": statement.excluded.used_at_ms}
    connection.execute(statement.on_conflict_do_update(index_elements=["workspace_id", "connection_id"], set_=changed, where=later), rows)
