"""HistoryService: convert, ask the history, convert."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from spin_envelope.errors import Refused
from spin_envelope.keys import SigningKey
from spin_envelope.signing import sign, verify
from spin_services.audit import wire
from spin_services.audit.history_reader import HistoryReader
from spin_services.audit.history_store import ReceiptStore
from spin_services.audit.identities import Identities, Identity
from spin_services.audit.output_store import OutputStore, Verdict
from spin_services.audit.receipts import SignedReceipt
from spin_services.audit.session_logs import SessionLogs
from spin_services.audit.uses import Uses
from spin_services.database import pages
from spin_services.rpc.errors import ErrorReason, ServiceError, invalid, not_found
from spin_services.rpc.identity import current_caller
from spin_services.rpc.policy import has_permission
from spinapis.audit.v1 import audit_pb2 as pb
from spinapis.audit.v1.audit_pb2_grpc import HistoryServiceServicer
from spinapis.envelope.v1.receipt_pb2 import Receipt, ReceiptAck

# Verifying that many takes a tenth of a second; more would starve the event loop even from a thread.
MAX_RECEIPTS = 1000
VERIFY_IN_THREAD = 8
MAX_USES = 500
MAX_OUTPUT_PAGE = 1000
MAX_PAGE_BYTES = 4 * 1024 * 1024 - 64 * 1024


class HistoryService(HistoryServiceServicer):
    def __init__(
        self,
        receipts: ReceiptStore,
        outputs: OutputStore,
        sessions: SessionLogs,
        history: HistoryReader,
        uses: Uses,
        identities: Identities,
        key: Callable[[], SigningKey],
        clock: Callable[[], int],
    ) -> None:
        self._receipts = receipts
        self._outputs = outputs
        self._sessions = sessions
        self._history = history
        self._uses = uses
        self._identities = identities
        self._key = key
        self._clock = clock

    async def UploadReceipts(self, request: pb.UploadReceiptsRequest, context: Any) -> pb.UploadReceiptsResponse:
        runtime_id = wire.check_id("runtime_id", request.runtime_id)
        if len(request.receipts) > MAX_RECEIPTS:
            raise ServiceError(ErrorReason.ERROR_REASON_TOO_LARGE, limit=f"{MAX_RECEIPTS} receipts")
        identity = await self._identities.of(request.workspace_id, runtime_id)
        receipts = await _verified(request.receipts, identity, runtime_id)
        lines, now_ms = await self._uses.lines(identity.home, receipts), self._clock()
        taken = await self._receipts.take(identity.home, runtime_id, receipts, lines, now_ms)
        if taken.fork_seq:
            raise ServiceError(ErrorReason.ERROR_REASON_RECEIPT_CONFLICT, receipt_seq=str(taken.fork_seq))
        ack = ReceiptAck(
            workspace_id=bytes.fromhex(identity.home),
            runtime_id=bytes.fromhex(runtime_id),
            up_to_seq=taken.chain.last_seq,
            digest=taken.chain.last_digest,
            issued_at_ms=now_ms,
        )
        return pb.UploadReceiptsResponse(receipt_ack=sign(ack, self._key()))

    async def UploadOutputs(self, request: pb.UploadOutputsRequest, context: Any) -> pb.UploadOutputsResponse:
        runtime_id, runs = wire.check_id("runtime_id", request.runtime_id), wire.outputs_of_runs(request)
        home = await self._sessions.home(request.workspace_id, runtime_id)
        taken = await self._outputs.take(home, request.workspace_id, runtime_id, runs, self._clock())
        for run_id, one in zip(runs, taken, strict=True):
            if one.verdict is Verdict.UNKNOWN:
                raise not_found("run", run_id)
            if one.verdict is Verdict.REFUSED:
                raise ServiceError(ErrorReason.ERROR_REASON_OUTPUT_CHAIN_MISMATCH)
        first, *more = (one.stored for one in taken)
        return pb.UploadOutputsResponse(stored=first, more_stored=more)

    async def ListRuns(self, request: pb.ListRunsRequest, context: Any) -> pb.ListRunsResponse:
        session_id = wire.check_id("session_id", request.session_id)
        listing = f"runs:{request.workspace_id}:{session_id}"
        position = pages.decode(listing, request.page_token, int)
        log = await self._sessions.of_session(request.workspace_id, session_id)
        if log is None:
            return pb.ListRunsResponse()
        limit = pages.clamp(request.page_size)
        rows = await self._history.runs(log, request.workspace_id, session_id, int(position[0]) if position else -1, limit + 1)
        token = pages.encode(listing, rows[limit - 1]["first_index"]) if len(rows) > limit else ""
        with_person = has_permission(current_caller(), "member.read")
        runs = [wire.to_run(row if with_person else row | {"user_id": ""}, log.workspace_id) for row in rows[:limit]]
        return pb.ListRunsResponse(runs=runs, next_page_token=token)

    async def ListRunOutputs(self, request: pb.ListRunOutputsRequest, context: Any) -> pb.ListRunOutputsResponse:
        run_id = wire.run_id(request.run_id)
        listing = f"outputs:{request.workspace_id}:{run_id}"
        position = pages.decode(listing, request.page_token, int)
        found = await self._sessions.of_run(request.workspace_id, run_id)
        if found is None:
            raise not_found("run", run_id)
        log, run = found
        limit = pages.clamp(request.page_size, MAX_OUTPUT_PAGE, MAX_OUTPUT_PAGE)
        page = await self._history.outputs(log, run_id, int(position[0]) if position else 0, limit, MAX_PAGE_BYTES)
        more = bool(page) and page[-1].index < run["frames_stored"]
        return pb.ListRunOutputsResponse(
            outputs=[wire.to_output(output) for output in page],
            next_page_token=pages.encode(listing, page[-1].index) if more else "",
            expired=run["outputs_expired"],
        )

    async def ListAlarms(self, request: pb.ListAlarmsRequest, context: Any) -> pb.ListAlarmsResponse:
        listing = f"alarms:{request.workspace_id}:{request.open_only}"
        position = pages.decode(listing, request.page_token, int)
        limit = pages.clamp(request.page_size)
        own, above = await self._sessions.all_of(request.workspace_id)
        before = int(position[0]) if position else 0
        rows = await self._history.alarms(own, above, request.workspace_id, before, request.open_only, limit + 1)
        token = pages.encode(listing, rows[limit - 1]["id"]) if len(rows) > limit else ""
        return pb.ListAlarmsResponse(alarms=wire.to_alarms(rows[:limit]), next_page_token=token)

    async def GetLastUses(self, request: pb.GetLastUsesRequest, context: Any) -> pb.GetLastUsesResponse:
        if len(request.connection_ids) > MAX_USES:
            raise invalid("connection_ids", f"At most {MAX_USES} connections.")
        found = await self._uses.last(request.workspace_id, request.connection_ids)
        return pb.GetLastUsesResponse(last_uses=[pb.LastUse(connection_id=name, used_at_ms=at) for name, at in sorted(found.items())])


async def _verified(data: Sequence[bytes], identity: Identity, runtime_id: str) -> list[SignedReceipt]:
    """Raises SIGNATURE_INVALID, RECEIPT_CONFLICT."""

    def all_of_them() -> list[SignedReceipt]:
        return [wire.signed_receipt(verify(one, Receipt, [identity.key]), identity.home, runtime_id) for one in data]

    try:
        return all_of_them() if len(data) <= VERIFY_IN_THREAD else await asyncio.to_thread(all_of_them)
    except Refused:
        raise ServiceError(ErrorReason.ERROR_REASON_SIGNATURE_INVALID, document="Receipt") from None
