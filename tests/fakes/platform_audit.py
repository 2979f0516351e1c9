"""The fake platform's log and history: what a client brings is kept, and proofs are real."""

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import grpc

from spinapis.audit.v1 import audit_pb2, audit_pb2_grpc
from tests.fakes.platform_servicers import Context, Servicer, paged
from tests.fakes.rpc import refuse


class Log(Servicer, audit_pb2_grpc.LogServiceServicer):
    async def ListEntries(self, request: Any, context: Context) -> Any:
        entries = [audit_pb2.Entry(index=i, leaf=leaf, salt=salt, body_json=body.decode()) for i, (leaf, salt, body) in enumerate(self.p.log)]
        return paged(request, audit_pb2.ListEntriesResponse, "entries", entries[::-1])

    async def GetCheckpoint(self, request: Any, context: Context) -> Any:
        text, size, root_hash = self.p.checkpoint(request.workspace_id)
        return audit_pb2.GetCheckpointResponse(note=text, size=size, root_hash=root_hash)

    async def GetConsistencyProof(self, request: Any, context: Context) -> Any:
        if self.p.proof_unavailable:
            await refuse(context, grpc.StatusCode.UNAVAILABLE, "UNAVAILABLE", "audit does not answer: try again", service="audit")
        size, tree = request.to_size or len(self.p.log), self.p.tree
        if not request.from_size <= size <= len(self.p.log):
            await refuse(context, grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT", "The log was never of that size.", field="from_size")
        runtime = self.p.runtimes[request.runtime_id]
        note = tree.note(bytes.fromhex(runtime.workspace_id), size, self.p.signers.audit).decode()
        return audit_pb2.GetConsistencyProofResponse(hashes=tree.proof(request.from_size, size), to_size=size, note=note)

    async def ExportLog(self, request: Any, context: Context) -> AsyncIterator[Any]:
        def text(data: bytes) -> str:
            return base64.b64encode(data).decode()

        header = {"spin_export": 1, "workspace_id": request.workspace_id, "checkpoint": self.p.checkpoint(request.workspace_id)[0], "kind": "full"}
        yield audit_pb2.ExportLogResponse(
            lines=json.dumps({**header, "root_documents": [text(d) for d in self.p.signers.documents]}).encode() + b"\n"
        )
        for index, (leaf, salt, body) in enumerate(self.p.log):
            line = {"index": index, "leaf": text(leaf), "salt": text(salt), "body": text(body)}
            yield audit_pb2.ExportLogResponse(lines=json.dumps(line).encode() + b"\n")


class History(Servicer, audit_pb2_grpc.HistoryServiceServicer):
    async def UploadReceipts(self, request: Any, context: Context) -> Any:
        self.p.receipts.extend(receipt for receipt in request.receipts if receipt not in self.p.receipts)
        ack = self.p.signers.receipt_ack(bytes.fromhex(request.workspace_id), bytes.fromhex(request.runtime_id), request.receipts[-1])
        return audit_pb2.UploadReceiptsResponse(receipt_ack=ack)

    async def UploadOutputs(self, request: Any, context: Context) -> Any:
        runs = [request, *request.more]
        self.p.output_calls.append(len(runs))
        stored = [self._kept(run) for run in runs if run.nonce.seq not in self.p.outputs_refused]
        if len(stored) < len(runs):
            await refuse(context, grpc.StatusCode.FAILED_PRECONDITION, "OUTPUT_CHAIN_MISMATCH", "The outputs are not those that the runtime signed.")
        return audit_pb2.UploadOutputsResponse(stored=stored[0], more_stored=stored[1:])

    def _kept(self, run: Any) -> int:
        """Outputs stored without a gap."""
        kept = self.p.outputs.setdefault((run.nonce.boot_id, run.nonce.kernel_epoch, run.nonce.seq), {})
        kept.update({output.index: output.body for output in run.outputs})
        return next((i for i in range(len(kept) + 1) if i + 1 not in kept), 0)

    async def ListRuns(self, request: Any, context: Context) -> Any:
        runs = [
            audit_pb2.Run(id=f"{boot.hex()}.{epoch}.{seq}", session_id=request.session_id, cell_id="a", frames=len(kept), outputs_verified=True)
            for (boot, epoch, seq), kept in self.p.outputs.items()
        ]
        return paged(request, audit_pb2.ListRunsResponse, "runs", runs)

    async def ListAlarms(self, request: Any, context: Context) -> Any:
        return paged(request, audit_pb2.ListAlarmsResponse, "alarms", self.p.alarms)
