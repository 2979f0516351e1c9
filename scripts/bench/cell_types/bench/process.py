"""Performs `bench.rows` and `bench.nothing` with the vendor's SDK, asyncpg, and streams rows as Arrow."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import asyncpg
import pyarrow as pa

from spin_cells.api import Arrow, Credential, Progress, Result

ROWS_AT_ONCE = 20_000


class RowsProcessor:
    operations = frozenset({"bench.rows", "bench.nothing"})

    async def run(self, operation: str, params: Mapping[str, Any], credential: Credential) -> AsyncIterator[Arrow | Progress | Result]:
        if operation == "bench.rows":
            async for piece in _pieces(str(credential.secret["address"]), str(params["query"])):
                yield Arrow(piece)
        yield Result({})


async def _pieces(address: str, query: str) -> AsyncIterator[bytes]:
    connection = await asyncpg.connect(address)
    try:
        async with connection.transaction(readonly=True):
            cursor, sink = await connection.cursor(query), _Sink()
            writer: pa.ipc.RecordBatchStreamWriter | None = None
            while rows := await cursor.fetch(ROWS_AT_ONCE):
                batch = _batch(rows)
                writer = writer or pa.ipc.new_stream(sink, batch.schema)
                writer.write_batch(batch)
                yield sink.taken()
            if writer is not None:
                writer.close()
                yield sink.taken()
    finally:
        await connection.close()


def _batch(rows: Sequence[asyncpg.Record]) -> pa.RecordBatch:
    columns = zip(*rows, strict=True)
    return pa.RecordBatch.from_arrays([pa.array(column) for column in columns], names=list(rows[0].keys()))


class _Sink:
    """What was written since it was last taken."""

    closed = False

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        return len(self._parts[-1])

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """The stream's end is part of it."""

    def taken(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)


PROCESSOR = RowsProcessor()
