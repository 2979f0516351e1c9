"""Statements of the hot path, compiled once for each engine and handed to the driver as text and tuples.

SQLAlchemy's own execution costs several times what SQLite needs for a row; here it is used to write the SQL, not to run it.
"""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite

Rows = Sequence[tuple[Any, ...]]


class Insert:
    """Inserts rows whose values come in the order of `columns`; `finish` may add an ON CONFLICT clause."""

    def __init__(self, table: Table, columns: Sequence[str], finish: Callable[[Any], Any] = lambda statement: statement) -> None:
        self._table = table
        self._columns = list(columns)
        self._finish = finish
        self._sql: dict[str, tuple[str, list[int]]] = {}

    def __call__(self, connection: Connection, rows: Rows) -> None:
        if rows:
            sql, order = self._compiled(connection)
            connection.exec_driver_sql(sql, [tuple([row[place] for place in order]) for row in rows])

    def _compiled(self, connection: Connection) -> tuple[str, list[int]]:
        dialect = connection.dialect
        if dialect.name not in self._sql:
            module = postgresql if dialect.name == "postgresql" else sqlite
            compiled = self._finish(module.insert(self._table)).compile(dialect=dialect, column_keys=self._columns)
            self._sql[dialect.name] = str(compiled), [self._columns.index(name) for name in compiled.positiontup]
        return self._sql[dialect.name]


class Statement:
    """A statement given as SQL, with the parameters written as :1, :2, …; each engine has its own way to write them."""

    def __init__(self, sql: str, postgresql_sql: str = "") -> None:
        self._sqlite = sql.replace(":", "?")
        self._postgresql = (postgresql_sql or sql).replace(":", "$")

    def __call__(self, connection: Connection, *values: Any) -> Any:
        return connection.exec_driver_sql(self._postgresql if connection.dialect.name == "postgresql" else self._sqlite, values)
