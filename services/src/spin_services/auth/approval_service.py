"""ApprovalService: convert, decide, log, convert."""

import json
from collections.abc import Callable
from typing import Any

from spin_envelope.digests import source_digest
from spin_envelope.errors import Refused
from spin_services.auth import approval_rules as rules
from spin_services.auth import domain
from spin_services.auth.checked_uses import Checked, CheckedUses
from spin_services.auth.documents import Documents
from spin_services.auth.principals import Principal
from spin_services.auth.store import Approvals
from spin_services.auth.tables import ApprovalRow
from spin_services.database import pages
from spin_services.rpc.audit_log import AuditLog
from spin_services.rpc.errors import invalid, not_found
from spin_services.rpc.identity import Caller, current_caller
from spinapis.audit.v1.audit_pb2 import NewEntry
from spinapis.auth.v1 import approvals_pb2 as pb
from spinapis.auth.v1.approvals_pb2_grpc import ApprovalServiceServicer
from spinapis.envelope.v1 import run_pb2


class ApprovalService(ApprovalServiceServicer):
    def __init__(self, approvals: Approvals, uses: CheckedUses, documents: Documents, log: AuditLog, clock: Callable[[], int]) -> None:
        self._approvals, self._uses, self._documents, self._log, self._clock = approvals, uses, documents, log, clock

    async def RequestApproval(self, request: pb.RequestApprovalRequest, context: Any) -> pb.RequestApprovalResponse:
        caller, now = current_caller(), self._clock()
        checked = await self._uses.check(request.workspace_id, Principal(caller.user_id, tuple(caller.actor_chain)), request.uses)
        row = _asked(_as_checked(request, checked), caller, now)
        known = await self._approvals.open_one(row.workspace_id, row.subject, now)
        if known is None:
            async with self._approvals.changing() as change:
                await change.add(row)
                await self._logged(row, "approval.requested", note=request.note)
        return pb.RequestApprovalResponse(approval=await self._shown(known or row))

    async def GetApproval(self, request: pb.GetApprovalRequest, context: Any) -> pb.GetApprovalResponse:
        row = await self._approvals.approval(request.workspace_id, domain.check_id("approval_id", request.approval_id))
        if row is None:
            raise not_found("approval", request.approval_id)
        return pb.GetApprovalResponse(approval=await self._shown(row))

    async def ListApprovals(self, request: pb.ListApprovalsRequest, context: Any) -> pb.ListApprovalsResponse:
        listing, size = f"approvals:{request.workspace_id}:{request.state}", pages.clamp(request.page_size)
        place = pages.decode(listing, request.page_token, int, str)
        before = (int(place[0]), str(place[1])) if place is not None else None
        found = await self._approvals.listed(request.workspace_id, request.state, before, size + 1, self._clock())
        token = pages.encode(listing, found[size - 1].requested_at_ms, found[size - 1].id) if len(found) > size else ""
        deciders = await self._deciders(*found)
        return pb.ListApprovalsResponse(
            approvals=[message(row, rules.approvers(row, deciders), self._clock()) for row in found[:size]], next_page_token=token
        )

    async def DecideApproval(self, request: pb.DecideApprovalRequest, context: Any) -> pb.DecideApprovalResponse:
        caller, now = current_caller(), self._clock()
        note, life = rules.check_note("note", request.note), rules.life_ms(request.valid_ms)
        async with self._approvals.changing() as change:
            row = await change.approval(request.workspace_id, domain.check_id("approval_id", request.approval_id))
            if row is None:
                raise not_found("approval", request.approval_id)
            rules.check_decider(row, caller.user_id, await self._deciders(row))
            rules.check_open(row, now, rules.PENDING)
            if request.source_digest != row.source_digest:
                raise invalid("source_digest", "This is not the cell that was asked for: read the request again.")
            row.decided_by, row.decision_note, row.decided_at_ms = caller.user_id, note, now
            row.state = rules.APPROVED if request.approve else pb.ApprovalState.APPROVAL_STATE_REFUSED
            if request.approve:
                row.expires_at_ms = now + life
                row.document = self._documents.sign(approval_document(row))
            await change.save()
            await self._logged(row, "approval.approved" if request.approve else "approval.refused", note=note)
        return pb.DecideApprovalResponse(approval=await self._shown(row))

    async def CancelApproval(self, request: pb.CancelApprovalRequest, context: Any) -> pb.CancelApprovalResponse:
        async with self._approvals.changing() as change:
            row = await change.approval(request.workspace_id, domain.check_id("approval_id", request.approval_id))
            if row is None or row.requested_by != current_caller().user_id:
                raise not_found("approval", request.approval_id)
            rules.check_open(row, self._clock(), rules.PENDING, rules.APPROVED)
            row.state = pb.ApprovalState.APPROVAL_STATE_CANCELLED
            await change.save()
            await self._logged(row, "approval.cancelled")
        return pb.CancelApprovalResponse(approval=await self._shown(row))

    async def _shown(self, row: ApprovalRow) -> pb.Approval:
        return message(row, rules.approvers(row, await self._deciders(row)), self._clock())

    async def _deciders(self, *rows: ApprovalRow) -> dict[str, list[str]]:
        """Who may decide, in each workspace that counts for these."""
        return {place: await self._approvals.deciders(place) for place in {place for row in rows for place in rules.places(row)}}

    async def _logged(self, row: ApprovalRow, kind: str, **body: str) -> None:
        asked = pb.RequestApprovalRequest.FromString(row.request)
        subjects = [f"approval:{row.id}", f"notebook:{asked.notebook_id}", f"cell:{asked.cell_id}"]
        facts = body | {"source_digest": row.source_digest.hex(), "requested_by": row.requested_by, "actors": json.loads(row.actor_chain)}
        uses = [{"connection_id": use.connection_id.hex(), "operations": list(use.operations)} for use in asked.uses]
        entry = NewEntry(idempotency_key=domain.new_id(), type=kind, user_id=current_caller().user_id, subjects=subjects)
        entry.body_json = json.dumps(facts | {"connections": uses})
        await self._log.append(row.workspace_id, entry)


def _as_checked(request: pb.RequestApprovalRequest, checked: Checked) -> pb.RequestApprovalRequest:
    """The request with what secrets says: the versions of the connections, and whose they are."""
    said = pb.RequestApprovalRequest()
    said.CopyFrom(request)
    del said.uses[:], said.guarding_workspace_ids[:]
    said.uses.extend(checked.uses)
    said.guarding_workspace_ids.extend(sorted(checked.guarding - {request.workspace_id}))
    return said


def _asked(request: pb.RequestApprovalRequest, caller: Caller, now_ms: int) -> ApprovalRow:
    rules.check_uses(request)
    request.note = rules.check_note("note", request.note)
    try:
        digest = source_digest(request.cell_type, request.source, request.fields_json or "{}")
    except Refused:
        raise invalid("fields_json", "This is not a JSON object.") from None
    return ApprovalRow(
        id=domain.new_id(),
        workspace_id=request.workspace_id,
        state=rules.PENDING,
        requested_by=caller.user_id,
        actor_chain=json.dumps(caller.actor_chain),
        subject=rules.subject(caller.user_id, caller.actor_chain, request.notebook_id, request.cell_id, digest, request.uses),
        request=request.SerializeToString(deterministic=True),
        source_digest=digest,
        requested_at_ms=now_ms,
        expires_at_ms=now_ms + rules.REQUEST_LIFE_MS,
    )


def approval_document(row: ApprovalRow) -> run_pb2.Approval:
    """What auth signs: the runtime compares it with the grant that carries it."""
    asked = pb.RequestApprovalRequest.FromString(row.request)
    return run_pb2.Approval(
        workspace_id=bytes.fromhex(row.workspace_id),
        approval_id=bytes.fromhex(row.id),
        user_id=row.requested_by,
        actor_chain=json.loads(row.actor_chain),
        notebook_id=bytes.fromhex(asked.notebook_id),
        cell_id=asked.cell_id,
        source_digest=row.source_digest,
        uses=asked.uses,
        approver_id=row.decided_by,
        issued_at_ms=row.decided_at_ms,
        expires_at_ms=row.expires_at_ms,
    )


def message(row: ApprovalRow, approvers: list[str], now_ms: int) -> pb.Approval:
    asked = pb.RequestApprovalRequest.FromString(row.request)
    return pb.Approval(
        id=row.id,
        workspace_id=row.workspace_id,
        state=rules.state_of(row, now_ms),
        requested_by=row.requested_by,
        actor_chain=json.loads(row.actor_chain),
        notebook_id=asked.notebook_id,
        cell_id=asked.cell_id,
        cell_type=asked.cell_type,
        source=asked.source,
        fields_json=asked.fields_json,
        uses=asked.uses,
        note=asked.note,
        approver_ids=approvers,
        decided_by=row.decided_by,
        decision_note=row.decision_note,
        requested_at_ms=row.requested_at_ms,
        decided_at_ms=row.decided_at_ms,
        expires_at_ms=row.expires_at_ms,
        source_digest=row.source_digest,
    )
