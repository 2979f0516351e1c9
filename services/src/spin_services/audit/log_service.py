"""LogService: convert, ask the log, convert."""

from collections.abc import AsyncIterator
from typing import Any

from spin_services.audit import wire
from spin_services.audit.appender import Appender
from spin_services.audit.export import Exporter
from spin_services.audit.log_reader import LogHandle, LogReader
from spin_services.audit.proofs import Prover, SizeUnknown
from spin_services.audit.session_logs import SessionLogs
from spin_services.audit.watching import watch
from spin_services.database import Notifier, pages
from spin_services.rpc.errors import invalid, not_found
from spin_services.rpc.identity import current_caller
from spin_services.rpc.policy import check_workspace_id, has_permission
from spinapis.audit.v1 import audit_pb2 as pb
from spinapis.audit.v1.audit_pb2_grpc import LogServiceServicer

# An entry may be 256 kB, and an answer holds a page of them.
MAX_PAGE_BYTES = 3 * 1024 * 1024


class LogService(LogServiceServicer):
    def __init__(self, appender: Appender, reader: LogReader, sessions: SessionLogs, prover: Prover, exporter: Exporter, notifier: Notifier) -> None:
        self._appender = appender
        self._reader = reader
        self._sessions = sessions
        self._prover = prover
        self._exporter = exporter
        self._notifier = notifier

    async def AppendEntries(self, request: pb.AppendEntriesRequest, context: Any) -> pb.AppendEntriesResponse:
        check_workspace_id(request.workspace_id)
        drafts = wire.drafts(request, current_caller().service)
        return pb.AppendEntriesResponse(indexes=await self._appender.append(request.workspace_id, drafts))

    async def ListEntries(self, request: pb.ListEntriesRequest, context: Any) -> pb.ListEntriesResponse:
        wanted = wire.entry_filter(request)
        listing = f"entries:{request.workspace_id}:{wanted}"
        position = pages.decode(listing, request.page_token, int)
        log = await self._log(request.workspace_id, request.session_id)
        if log is None:
            return pb.ListEntriesResponse()
        limit = pages.clamp(request.page_size)
        found = await self._reader.find(log, wanted, int(position[0]) if position else log.size, limit + 1)
        with_person = has_permission(current_caller(), "member.read")
        entries = _fitting([wire.to_entry(entry, with_person) for entry in found[:limit]])
        more = len(found) > len(entries)
        return pb.ListEntriesResponse(entries=entries, next_page_token=pages.encode(listing, entries[-1].index) if more else "")

    async def WatchEntries(self, request: pb.WatchEntriesRequest, context: Any) -> AsyncIterator[pb.WatchEntriesResponse]:
        with_person = has_permission(current_caller(), "member.read")
        async for entry in watch(self._reader, self._notifier, request.workspace_id, request.from_index):
            yield pb.WatchEntriesResponse(entry=wire.to_entry(entry, with_person))

    async def GetCheckpoint(self, request: pb.GetCheckpointRequest, context: Any) -> pb.GetCheckpointResponse:
        home = await self._home(request)
        log = await self._reader.log(home)
        size = log.size if log is not None else 0
        note, root = await self._prover.note(home, log, size)
        return pb.GetCheckpointResponse(note=note, size=size, root_hash=root)

    async def GetInclusionProof(self, request: pb.GetInclusionProofRequest, context: Any) -> pb.GetInclusionProofResponse:
        log = await self._log(request.workspace_id, request.session_id)
        if log is None or (request.session_id and not await self._is_about(log, request.session_id, request.index)):
            raise not_found("entry", str(request.index))
        size = request.tree_size or log.size
        try:
            hashes = await self._prover.inclusion(log, request.index, size)
            note, _ = await self._prover.note(log.workspace_id, log, size)
        except SizeUnknown:
            raise not_found("entry", str(request.index)) from None
        return pb.GetInclusionProofResponse(hashes=hashes, tree_size=size, note=note)

    async def GetConsistencyProof(self, request: pb.GetConsistencyProofRequest, context: Any) -> pb.GetConsistencyProofResponse:
        home = await self._home(request)
        log = await self._reader.log(home)
        size = request.to_size or (log.size if log is not None else 0)
        try:
            hashes = await self._prover.consistency(log, request.from_size, size) if log is not None else []
            note, _ = await self._prover.note(home, log, size)
        except SizeUnknown:
            raise invalid("from_size", "The log was never of that size.") from None
        return pb.GetConsistencyProofResponse(hashes=hashes, to_size=size, note=note)

    async def ExportLog(self, request: pb.ExportLogRequest, context: Any) -> AsyncIterator[pb.ExportLogResponse]:
        log = await self._log(request.workspace_id, request.session_id)
        of = log.workspace_id if log is not None else request.workspace_id
        async for lines in self._exporter.lines(of, log, request.session_id):
            yield pb.ExportLogResponse(lines=lines)

    async def _log(self, workspace_id: str, session_id: str) -> LogHandle | None:
        """The workspace's own log, or the one that holds the receipts of a session of its. Only entries about the session may leave the latter."""
        if not session_id:
            return await self._reader.log(workspace_id)
        return await self._sessions.of_session(workspace_id, wire.check_id("session_id", session_id))

    async def _is_about(self, log: LogHandle, session_id: str, index: int) -> bool:
        found = await self._reader.entries_about(log, f"session:{session_id}", index, 1) if index < log.size else []
        return [entry.index for entry in found] == [index]

    async def _home(self, request: pb.GetCheckpointRequest | pb.GetConsistencyProofRequest) -> str:
        runtime_id = wire.check_id("runtime_id", request.runtime_id) if request.runtime_id else ""
        return await self._sessions.home(request.workspace_id, runtime_id)


def _fitting(entries: list[pb.Entry]) -> list[pb.Entry]:
    """As many of the entries as one message carries; one at least."""
    size = 0
    for place, entry in enumerate(entries):
        size += entry.ByteSize()
        if place and size > MAX_PAGE_BYTES:
            return entries[:place]
    return entries
