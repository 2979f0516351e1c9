"""Alarms: raised once for each cause, cleared when the cause is gone, both written to the log.

An alarm is evidence, so nobody deletes one: what was cleared stays listed, and the log says when it was raised and cleared.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import orjson
from sqlalchemy import insert, select, update

from spin_services.audit.domain import Draft
from spin_services.audit.log_store import Head, LogTransaction
from spin_services.audit.tables import ALARMS

GAP = "receipt.gap"
FORK = "receipt.fork"
END_MISSING = "receipt.end_missing"
UNKNOWN_PROGRAM = "receipt.unknown_program"
OUTPUTS_MISSING = "outputs.missing"
OUTPUTS_MISMATCH = "outputs.mismatch"


@dataclass(frozen=True, slots=True)
class Alarm:
    """`cause` tells alarms of one type and runtime apart: a run's id, or a receipt's number."""

    type: str
    runtime_id: str
    cause: str
    text: str
    run_id: str = ""
    session_id: str = ""
    # Signed bytes that show what is wrong, as base64.
    evidence: str = ""


def raise_alarms(transaction: LogTransaction, workspace_id: str, alarms: Sequence[Alarm], now_ms: int) -> None:
    """An alarm that is open already stays as it is."""
    head = transaction.lock(workspace_id)
    for alarm in alarms:
        same = (ALARMS.c.log_id == head.log_id, ALARMS.c.type == alarm.type, ALARMS.c.runtime_id == alarm.runtime_id, ALARMS.c.cause == alarm.cause)
        row = (transaction.connection.execute(select(ALARMS.c.id, ALARMS.c.cleared_at_ms).where(*same))).one_or_none()
        if row is not None and not row[1]:
            continue
        values = {"text": alarm.text, "run_id": alarm.run_id, "raised_at_ms": now_ms, "cleared_at_ms": 0}
        if row is None:
            key = {"log_id": head.log_id, "type": alarm.type, "runtime_id": alarm.runtime_id, "cause": alarm.cause}
            transaction.connection.execute(insert(ALARMS).values(**key, **values))
        else:
            transaction.connection.execute(update(ALARMS).where(ALARMS.c.id == row[0]).values(**values))
        transaction.append(workspace_id, [_raised(head, alarm)], now_ms)


def clear_alarms(
    transaction: LogTransaction, workspace_id: str, types: Collection[str], now_ms: int, *, runtime_id: str, causes: Collection[str]
) -> None:
    """Clear open alarms of these types and causes."""
    head = transaction.lock(workspace_id)
    open_ones = select(ALARMS.c.id, ALARMS.c.type, ALARMS.c.cause, ALARMS.c.run_id).where(
        ALARMS.c.log_id == head.log_id,
        ALARMS.c.type.in_(types),
        ALARMS.c.runtime_id == runtime_id,
        ALARMS.c.cause.in_(causes),
        ALARMS.c.cleared_at_ms == 0,
    )
    rows = (transaction.connection.execute(open_ones)).all()
    if not rows:
        return
    transaction.connection.execute(update(ALARMS).where(ALARMS.c.id.in_([row[0] for row in rows])).values(cleared_at_ms=now_ms))
    drafts = [_entry(head, "alarm.cleared", Alarm(row[1], runtime_id, row[2], "", run_id=row[3])) for row in rows]
    transaction.append(workspace_id, drafts, now_ms)


def open_causes(transaction: LogTransaction, workspace_id: str, alarm_type: str, runtime_id: str) -> list[str]:
    head = transaction.lock(workspace_id)
    query = select(ALARMS.c.cause).where(
        ALARMS.c.log_id == head.log_id, ALARMS.c.type == alarm_type, ALARMS.c.runtime_id == runtime_id, ALARMS.c.cleared_at_ms == 0
    )
    return list((transaction.connection.execute(query)).scalars())


def _raised(head: Head, alarm: Alarm) -> Draft:
    return _entry(head, "alarm.raised", alarm)


def _entry(head: Head, entry_type: str, alarm: Alarm) -> Draft:
    body = {"alarm": alarm.type, "runtime_id": alarm.runtime_id, "run_id": alarm.run_id, "cause": alarm.cause, "text": alarm.text}
    if alarm.evidence:
        body["evidence"] = alarm.evidence
    named = (("runtime", alarm.runtime_id), ("run", alarm.run_id), ("session", alarm.session_id))
    # An alarm can be raised and cleared again and again; the log's size makes each time a new entry.
    key = f"alarm:{entry_type}:{alarm.type}:{alarm.runtime_id}:{alarm.cause}:{head.size}"
    return Draft(key, entry_type, "", tuple(f"{kind}:{name}" for kind, name in named if name), orjson.dumps(body).decode())
