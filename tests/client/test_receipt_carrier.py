"""Receipts on their way to audit: a run's end is safe also where another client carried it."""

import asyncio
from types import SimpleNamespace

import pytest

from spin_client.sdk.carriers import ReceiptCarrier
from spin_client.sdk.errors import SpinError
from spinapis.audit.v1 import audit_pb2
from spinapis.envelope.v1 import run_pb2

SESSION = "5e" * 16


def ended(seq: int) -> audit_pb2.Run:
    return audit_pb2.Run(nonce=run_pb2.RunNonce(boot_id=b"b" * 16, kernel_epoch=1, seq=seq), ended_at_ms=1)


def running(seq: int) -> audit_pb2.Run:
    run = ended(seq)
    run.ended_at_ms = 0
    return run


class Audit:
    """Lists runs in pages; what it is told to do first comes first."""

    def __init__(self, *answers: dict[str, audit_pb2.ListRunsResponse] | SpinError) -> None:
        self.answers, self.asked = list(answers), 0

    async def ListRuns(self, request: audit_pb2.ListRunsRequest) -> audit_pb2.ListRunsResponse:
        assert request.session_id == SESSION
        answer = self.answers[0]
        if len(self.answers) > 1 and (isinstance(answer, SpinError) or not answer[request.page_token].next_page_token):
            self.answers.pop(0)
        self.asked += 1
        if isinstance(answer, SpinError):
            raise answer
        return answer[request.page_token]


def listed(*runs: audit_pb2.Run, more: str = "") -> audit_pb2.ListRunsResponse:
    return audit_pb2.ListRunsResponse(runs=runs, next_page_token=more)


async def test_an_end_that_another_client_carried() -> None:
    """The runtime forgot the receipt before this client was sent it: nothing comes, and audit has it, once it answers."""
    audit = Audit(SpinError("UNAVAILABLE", "not now"), {"": listed(running(1))}, {"": listed(ended(1), more="2"), "2": listed(ended(2))})
    carrier = ReceiptCarrier(SimpleNamespace(history=audit), "0a" * 16, "0b" * 16, send=lambda _: asyncio.sleep(0))  # type: ignore[arg-type]
    async with asyncio.timeout(60):
        await carrier.wait_ended(SESSION, [(b"b" * 16, 1, 1), (b"b" * 16, 1, 2)])
    assert audit.asked == 4


def carrier(audit: Audit, monkeypatch: pytest.MonkeyPatch) -> ReceiptCarrier:
    monkeypatch.setattr("spin_client.sdk.carriers._ASK_AUDIT_S", 0.01)
    return ReceiptCarrier(SimpleNamespace(history=audit), "0a" * 16, "0b" * 16, send=lambda _: asyncio.sleep(0))  # type: ignore[arg-type]


async def test_audit_is_asked_for_no_page_beyond_the_ends_that_are_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    audit = Audit({"": listed(ended(1), more="2"), "2": listed(ended(2), more="3")})
    async with asyncio.timeout(60):
        await carrier(audit, monkeypatch).wait_ended(SESSION, [(b"b" * 16, 1, 2)])
    assert audit.asked == 2


async def test_audit_is_not_asked_again_for_pages_that_cannot_tell_more(monkeypatch: pytest.MonkeyPatch) -> None:
    first = {"": listed(ended(1), more="2"), "2": listed(running(2), more="3"), "3": listed(running(3))}
    again = {"2": listed(running(2), more="3"), "3": listed(ended(3), more="4"), "4": listed(running(5))}
    last = {"2": listed(ended(2), more="3")}
    audit = Audit(first, again, last)
    async with asyncio.timeout(60):
        await carrier(audit, monkeypatch).wait_ended(SESSION, [(b"b" * 16, 1, 2), (b"b" * 16, 1, 3)])
    assert audit.asked == 3 + 3 + 1


async def test_a_run_that_is_not_listed_yet_is_looked_for_from_the_last_page_on(monkeypatch: pytest.MonkeyPatch) -> None:
    audit = Audit({"": listed(ended(1), more="2"), "2": listed(ended(2))}, {"2": listed(ended(2), ended(3))})
    async with asyncio.timeout(60):
        await carrier(audit, monkeypatch).wait_ended(SESSION, [(b"b" * 16, 1, 3)])
    assert audit.asked == 3
