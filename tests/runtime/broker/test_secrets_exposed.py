"""Reading a secret's value: only where secrets said that it is exposable, whoever granted it, and never without a receipt on disk."""

import asyncio
import json
from typing import Any

import pytest

from spin_envelope.digests import canonical_json
from spin_runtime.broker.api import RunEnd
from spin_runtime.broker.refusals import reason_name
from spinapis.envelope.v1 import receipt_pb2, run_pb2
from spinapis.errors.v1 import reasons_pb2
from spinapis.runtime.v1 import broker_pb2
from tests.fakes.control_plane import use

CONNECTION, VALUE, READ = b"s" * 16, "correct horse battery", "secret.read"
PROGRESS, END = receipt_pb2.RECEIPT_TYPE_PROGRESS, receipt_pb2.RECEIPT_TYPE_END


def entry(**changes: Any) -> run_pb2.CredentialEntry:
    fields: dict[str, Any] = {"connection_id": CONNECTION, "name": "salt", "version": 1, "kind": "secret", "exposable": True}
    fields |= {"secret_json": json.dumps({"value": VALUE}).encode(), "allowed_operations": [READ]}
    return run_pb2.CredentialEntry(**(fields | changes))


async def read(run: Any, connection_id: bytes = CONNECTION) -> broker_pb2.UseReply:
    request = broker_pb2.UseRequest(ticket=run.ticket, connection_id=connection_id, operation=READ, params_json=canonical_json({}))
    reader, writer = await asyncio.open_unix_connection(run.socket_path)
    data = request.SerializeToString()
    writer.write(len(data).to_bytes(4) + data)
    reply = broker_pb2.UseReply.FromString(await reader.readexactly(int.from_bytes(await reader.readexactly(4))))
    writer.close()
    return reply


async def ended(seat: Any, run: Any) -> receipt_pb2.Receipt:
    await seat.runtime.broker.run_ended(RunEnd(run.nonce, receipt_pb2.RUN_STATUS_OK, 0, bytes(32), False))
    return (await seat.runtime.receipts())[-1]  # type: ignore[no-any-return]


def readings(receipt: receipt_pb2.Receipt) -> list[tuple[bytes, str, int, int]]:
    return [(count.connection_id, count.operation, count.count, count.denied) for count in receipt.operations]


async def test_an_exposable_value_is_given_and_each_reading_counted(seat) -> None:
    await seat.give_bundle(1, entry())
    run = await seat.run(use(CONNECTION, READ, params={}))
    for _ in range(3):
        assert json.loads((await read(run)).end.result_json) == {"name": "salt", "value": VALUE}
    assert readings(await ended(seat, run)) == [(CONNECTION, READ, 3, 0)]


async def test_the_receipt_is_on_disk_before_the_value_is_out(seat) -> None:
    await seat.give_bundle(1, entry())
    run = await seat.run(use(CONNECTION, READ, params={}))
    assert [receipt.type for receipt in await seat.runtime.receipts()][-1] == receipt_pb2.RECEIPT_TYPE_START
    await read(run)
    last = (await seat.runtime.receipts())[-1]
    assert (last.type, readings(last)) == (PROGRESS, [(CONNECTION, READ, 1, 0)])


async def test_a_runtime_that_dies_in_the_run_still_says_what_was_read(seat) -> None:
    await seat.give_bundle(1, entry())
    run = await seat.run(use(CONNECTION, READ, params={}))
    await seat.runtime.broker.run_progress(run.nonce, 256, b"h" * 32)
    await read(run)
    await seat.runtime.restart()
    lost = (await seat.runtime.receipts())[-1]
    assert (lost.type, lost.status, lost.frames, lost.output_digest) == (END, receipt_pb2.RUN_STATUS_LOST, 256, b"h" * 32)
    assert readings(lost) == [(CONNECTION, READ, 1, 0)]


async def test_a_disk_that_refuses_keeps_the_value_in(seat, monkeypatch: pytest.MonkeyPatch) -> None:
    await seat.give_bundle(1, entry())
    run = await seat.run(use(CONNECTION, READ, params={}))

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("spin_runtime.broker.journal.Journal.append", full)
    reply = await read(run)
    assert reply.WhichOneof("body") == "failure"
    assert VALUE not in str(reply)


@pytest.mark.parametrize(
    "changes",
    [
        {"exposable": False},
        {"kind": "rest", "secret_json": b'{"token": "' + VALUE.encode() + b'"}'},
        {"kind": "rest", "secret_json": b'{"value": "' + VALUE.encode() + b'"}'},
    ],
)
async def test_a_grant_of_what_is_not_exposable_reads_nothing(seat, changes: dict[str, Any]) -> None:
    """Compiler and auth are taken over: they granted it. The entry that secrets signed decides."""
    await seat.give_bundle(1, entry(**changes))
    run = await seat.run(use(CONNECTION, READ))
    reply = await read(run)
    assert reason_name(reply.failure.reason) == reason_name(reasons_pb2.ERROR_REASON_OPERATION_DENIED)
    assert "'salt'" in reply.failure.message
    assert "exposable" in reply.failure.message
    assert VALUE not in str(reply)
    assert readings(await ended(seat, run)) == [(CONNECTION, READ, 0, 1)]


async def test_an_exposable_value_that_the_run_was_not_granted(seat) -> None:
    await seat.give_bundle(1, entry())
    run = await seat.run()
    assert reason_name((await read(run)).failure.reason) == reason_name(reasons_pb2.ERROR_REASON_OPERATION_DENIED)


async def test_a_secret_without_a_value_says_so(seat) -> None:
    await seat.give_bundle(1, entry(secret_json=b'{"value": 7}'))
    run = await seat.run(use(CONNECTION, READ, params={}))
    assert (await read(run)).failure.message == "Connection salt: its credential has no usable value"
