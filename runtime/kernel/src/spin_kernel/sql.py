"""SQL over the notebook's DataFrames, by DuckDB in this process.

- A name after FROM is a DataFrame of the notebook. DuckDB sees those that the statement mentions, as views: no statement changes them.
- Values are bound parameters. What a statement creates stays for the next ones.
- A result is cut at the row limit, and says so: in `attrs`, and wherever it is shown. What is cut off is not computed, except by
  statements that write: those run to their end.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from spin_kernel.interruptible import interruptible
from spin_kernel.plain import scalar
from spin_kernel.request import namespace

if TYPE_CHECKING:
    import pandas as pd

ROW_LIMIT = 10_000
TRUNCATED = "spin_truncated"
# DuckDB's own unit of rows.
VECTOR = 2048
_WORD = re.compile(r"[^\W\d]\w*")
# A SELECT with none of these only reads.
_WRITES = frozenset({"insert", "update", "delete", "merge", "nextval"})
_FRAMES = {"pandas": "DataFrame", "polars": "DataFrame", "pyarrow": "Table"}


def query(sql: str, params: Sequence[Any] = (), *, row_limit: int | None = ROW_LIMIT) -> "pd.DataFrame":
    """Runs one statement and gives its rows, a pandas.DataFrame; `row_limit` None gives all."""
    connection = _connection()
    with _views(connection, _named(sql, namespace())):
        try:
            return interruptible(lambda: _result(connection, sql, params, row_limit), connection.interrupt)
        finally:
            # A result that is not read to its end keeps the views and the connection busy.
            connection.abort()


@cache
def _connection() -> Any:
    import duckdb

    # Tables come from the notebook's namespace alone, and no extension from the network.
    return duckdb.connect(":memory:", config={"python_enable_replacements": False, "autoinstall_known_extensions": False})


def _named(sql: str, variables: Mapping[str, Any]) -> dict[str, Any]:
    """The DataFrames whose names occur in the statement. One too many does no harm: it is a view that nobody asks for.

    DuckDB does not tell names by case and Python does: of two that differ in case alone, the one that is written so is meant.
    """
    words = set(_WORD.findall(sql))
    folded = {word.lower() for word in words}
    frames = {name: value for name, value in variables.items() if name.lower() in folded and _is_frame(value)}
    exact = {name.lower() for name in frames if name in words}
    return {name: value for name, value in frames.items() if name in words or name.lower() not in exact}


def _is_frame(value: Any) -> bool:
    kind = type(value)
    return _FRAMES.get(kind.__module__.split(".")[0]) == kind.__name__


def _result(connection: Any, sql: str, params: Sequence[Any], row_limit: int | None) -> "pd.DataFrame":
    connection.execute(sql, [scalar(value) for value in params])
    rows = _rows(connection, row_limit)
    if not _only_reads(connection, sql):
        connection.complete()
    return rows


def _only_reads(connection: Any, sql: str) -> bool:
    kinds = [statement.type.name for statement in connection.extract_statements(sql)]
    return kinds[-1:] == ["SELECT"] and _WRITES.isdisjoint(_WORD.findall(sql.lower()))


@contextmanager
def _views(connection: Any, frames: Mapping[str, Any]) -> Iterator[None]:
    registered = []
    try:
        for name, frame in frames.items():
            connection.register(name, frame)
            registered.append(name)
        yield
    finally:
        for name in registered:
            connection.unregister(name)


def _rows(connection: Any, limit: int | None) -> "pd.DataFrame":
    import pandas as pd

    if connection.description is None:
        return pd.DataFrame()
    if limit is None:
        return connection.df()  # type: ignore[no-any-return]
    chunks: list[pd.DataFrame] = []
    count = 0
    while count <= limit:
        chunk = connection.fetch_df_chunk((limit - count) // VECTOR + 1)
        if chunks and chunk.empty:
            break
        chunks.append(chunk)
        count += len(chunk)
        if chunk.empty:
            break
    rows: pd.DataFrame = pd.concat(chunks, ignore_index=True) if len(chunks) > 1 else chunks[0]
    if len(rows) > limit:
        rows = rows.head(limit).copy()
        rows.attrs[TRUNCATED] = True
    return rows
