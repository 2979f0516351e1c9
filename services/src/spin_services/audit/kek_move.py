"""Pseudonym keys of logs, for a move of the installation to another KEK."""

from collections.abc import Sequence

from sqlalchemy import Connection, select, update

from spin_services.audit.log_store import key_name
from spin_services.audit.tables import LOGS
from spin_services.audit.transactions import transactions_for
from spin_services.database import Database
from spin_services.keys.moving import Wrapped


class PseudonymKeys:
    def __init__(self, database: Database) -> None:
        self._transactions = transactions_for(database)

    async def read(self) -> list[Wrapped]:
        query = select(LOGS.c.workspace_id, LOGS.c.pseudonym_key).order_by(LOGS.c.id)
        rows = await self._transactions.read(lambda connection: connection.execute(query).tuples().all())
        return [Wrapped(f"the pseudonym key of log {workspace_id}", key_name(workspace_id), data) for workspace_id, data in rows]

    async def save(self, moved: Sequence[tuple[Wrapped, bytes]]) -> None:
        def write(connection: Connection) -> None:
            for one, data in moved:
                connection.execute(update(LOGS).where(LOGS.c.pseudonym_key == one.data).values(pseudonym_key=data))

        await self._transactions.write(write)

    async def close(self) -> None:
        await self._transactions.close()
