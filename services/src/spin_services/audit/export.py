"""The log as JSON Lines, with all that its verification needs. docs/protocol.md, section 7.

- What is exported is the log as it was when the export began; entries that come meanwhile are not in it.
- A page of entries is in memory at a time, however long the log is.
- A session's export comes from the log that holds its receipts, and carries the enrolments of the runtimes that its entries speak of: they prove
  the receipts. Other runtimes of that workspace are not the session's business.
"""

from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Sequence

import orjson

from spin_services.audit.domain import EntryFilter, StoredEntry
from spin_services.audit.log_reader import LogHandle, LogReader
from spin_services.audit.proofs import Prover

PAGE = 1000
CHUNK = 512 * 1024
ENROLLED = "runtime.enrolled"


class Exporter:
    """`root_documents` gives all signed root documents, oldest first."""

    def __init__(self, reader: LogReader, prover: Prover, root_documents: Callable[[], Sequence[bytes]]) -> None:
        self._reader = reader
        self._prover = prover
        self._root_documents = root_documents

    async def lines(self, workspace_id: str, log: LogHandle | None, session_id: str) -> AsyncIterator[bytes]:
        """Chunks of whole lines, of a log that belongs to the workspace (None while it has no entry)."""
        note, _ = await self._prover.note(workspace_id, log, log.size if log is not None else 0)
        chunk = bytearray(_header(workspace_id, note, self._root_documents(), "session" if session_id else "full"))
        if log is None:
            yield bytes(chunk)
            return
        async for page in self._session(log, session_id) if session_id else self._full(log):
            for line in page:
                chunk += line
                if len(chunk) >= CHUNK:
                    yield bytes(chunk)
                    chunk.clear()
        if chunk:
            yield bytes(chunk)

    async def _full(self, log: LogHandle) -> AsyncIterator[list[bytes]]:
        start = 0
        while entries := await self._reader.entries_from(log, start, PAGE):
            start = entries[-1].index + 1
            yield [_line(entry) for entry in entries]

    async def _session(self, log: LogHandle, session_id: str) -> AsyncIterator[list[bytes]]:
        enrolments = await self._enrolments(log, f"session:{session_id}")
        start = 0
        while entries := await self._reader.entries_about(log, f"session:{session_id}", start, PAGE):
            start = entries[-1].index + 1
            earlier = [entry for entry in enrolments if entry.index < start]
            enrolments = enrolments[len(earlier) :]
            yield await self._proved(log, earlier + [entry for entry in entries if entry not in earlier])
        if enrolments:
            yield await self._proved(log, enrolments)

    async def _enrolments(self, log: LogHandle, subject: str) -> list[StoredEntry]:
        """Oldest first. A runtime is enrolled a few times in its life at most."""
        found: list[StoredEntry] = []
        for runtime_id in await self._reader.runtimes_about(log, subject):
            found += await self._reader.find(log, EntryFilter(type=ENROLLED, subject=f"runtime:{runtime_id}"), log.size, PAGE)
        return sorted(found, key=lambda entry: entry.index)

    async def _proved(self, log: LogHandle, entries: Sequence[StoredEntry]) -> list[bytes]:
        entries = sorted(entries, key=lambda entry: entry.index)
        proofs = await self._prover.inclusions(log, [entry.index for entry in entries], log.size)
        return [_line(entry, proof) for entry, proof in zip(entries, proofs, strict=True)]


def _header(workspace_id: str, note: str, root_documents: Sequence[bytes], kind: str) -> bytes:
    documents = [_text(document) for document in root_documents]
    header = {"spin_export": 1, "workspace_id": workspace_id, "checkpoint": note, "root_documents": documents, "kind": kind}
    return orjson.dumps(header, option=orjson.OPT_APPEND_NEWLINE)


def _line(entry: StoredEntry, proof: Sequence[bytes] | None = None) -> bytes:
    line: dict[str, object] = {"index": entry.index, "leaf": _text(entry.leaf), "salt": _text(entry.salt), "body": _text(entry.body.encode())}
    if entry.receipt:
        line["receipt"] = _text(entry.receipt)
    if proof is not None:
        line["proof"] = [_text(digest) for digest in proof]
    return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)


def _text(data: bytes) -> str:
    return b64encode(data).decode()
