"""A browser that hides: it carries everything between runtime and audit, so what it leaves out must be missed."""

from collections.abc import Awaitable, Callable

import pytest

from spin_client.sdk import Platform, SpinError
from spin_envelope.signing import unverified
from spinapis.audit.v1 import audit_pb2
from spinapis.envelope.v1 import receipt_pb2, run_pb2
from spinapis.workspace.v1 import notebooks_pb2
from tests.fakes.hand_client import HandClient
from tests.fakes.history import deliver_receipts, open_alarms, proved, runs_of, until


def alarmed(owner: Platform, session: notebooks_pb2.Session, kind: str, run_id: str = "") -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        alarms = await open_alarms(owner, session.workspace_id)
        return any(alarm.type == kind and run_id in ("", alarm.run_id) for alarm in alarms)

    return look


def calmed(owner: Platform, session: notebooks_pb2.Session, kind: str, run_id: str = "") -> Callable[[], Awaitable[bool]]:
    look = alarmed(owner, session, kind, run_id)

    async def calm() -> bool:
        return not await look()

    return calm


def carried(client: HandClient) -> list[bytes]:
    """Receipts that the runtime handed to this client so far."""
    return [receipt for frame in client.seen for receipt in frame.receipts.receipts]


async def upload(owner: Platform, session: notebooks_pb2.Session, receipts: list[bytes]) -> bytes:
    request = audit_pb2.UploadReceiptsRequest(workspace_id=session.workspace_id, runtime_id=session.runtime_id, receipts=receipts)
    return bytes((await owner.history.UploadReceipts(request)).receipt_ack)


def ends(data: bytes, nonce: run_pb2.RunNonce) -> bool:
    receipt = unverified(data, receipt_pb2.Receipt)
    return receipt.type == receipt_pb2.RECEIPT_TYPE_END and receipt.nonce == nonce


async def ran(client: HandClient, source: str) -> str:
    """Runs a cell as a browser that keeps everything to itself; the run's id."""
    compiled = await client.compile(source)
    assert await client.outcome(compiled.sealed) == "OK"
    # The end receipt comes before or after the end itself, as soon as it is on the runtime's disk.
    while not any(ends(receipt, compiled.nonce) for receipt in carried(client)):
        await client.next("receipts")
    return f"{compiled.nonce.boot_id.hex()}.{compiled.nonce.kernel_epoch}.{compiled.nonce.seq}"


async def test_a_browser_that_hides_all_receipts(owner: Platform, client: HandClient) -> None:
    run_id = await ran(client, "print('hidden')")
    await until(alarmed(owner, client.session, "receipt.end_missing", run_id))
    # The runtime keeps what audit has not acknowledged: the next honest browser brings it to light.
    await deliver_receipts(owner, client.session)
    await until(calmed(owner, client.session, "receipt.end_missing", run_id))
    assert next(run for run in await runs_of(owner, client.session) if run.id == run_id).status == receipt_pb2.RUN_STATUS_OK


async def test_a_browser_that_hides_one_receipt(owner: Platform, client: HandClient) -> None:
    await deliver_receipts(owner, client.session)
    async with await HandClient.attach(owner, client.session) as hiding:
        await ran(hiding, "print('hidden')")
        await ran(hiding, "print('shown')")
        receipts = {unverified(data, receipt_pb2.Receipt).receipt_seq: data for data in carried(hiding)}
        first = min(receipts)
        await upload(owner, client.session, [data for seq, data in receipts.items() if seq > first + 1])
        await until(alarmed(owner, client.session, "receipt.gap"))
    await deliver_receipts(owner, client.session)
    await until(calmed(owner, client.session, "receipt.gap"))
    await proved(owner, client.session.workspace_id)


async def test_a_browser_that_hides_outputs(owner: Platform, client: HandClient) -> None:
    run_id = await ran(client, "print('hidden')")
    await upload(owner, client.session, carried(client))
    await until(alarmed(owner, client.session, "outputs.missing", run_id))
    assert not next(run for run in await runs_of(owner, client.session) if run.id == run_id).outputs_verified


async def test_a_browser_that_changes_outputs(owner: Platform, client: HandClient) -> None:
    run_id = await ran(client, "print('a failure')")
    outputs = [output for frame in client.seen for output in frame.outputs.outputs]
    for output in outputs:
        output.body = output.body.replace(b"a failure", b"a success")
    nonce = next(frame.outputs.nonce for frame in client.seen if frame.outputs.outputs)
    await upload(owner, client.session, carried(client))
    request = audit_pb2.UploadOutputsRequest(
        workspace_id=client.session.workspace_id, runtime_id=client.session.runtime_id, nonce=nonce, outputs=outputs
    )
    with pytest.raises(SpinError) as refused:
        await owner.history.UploadOutputs(request)
    assert refused.value.reason == "OUTPUT_CHAIN_MISMATCH"
    await until(alarmed(owner, client.session, "outputs.mismatch", run_id))


async def test_a_browser_that_changes_a_receipt(owner: Platform, client: HandClient) -> None:
    await ran(client, "print('once')")
    receipt = carried(client)[-1]
    position = len(receipt) // 3
    changed = receipt[:position] + bytes([receipt[position] ^ 1]) + receipt[position + 1 :]
    with pytest.raises(SpinError) as refused:
        await upload(owner, client.session, [changed])
    assert refused.value.reason == "SIGNATURE_INVALID"


async def test_a_browser_that_makes_the_runtime_forget(owner: Platform, client: HandClient) -> None:
    """An acknowledgement that audit did not sign, or signed for less, takes nothing off the runtime's disk."""
    run_id = await ran(client, "print('kept')")
    real = await upload(owner, client.session, carried(client)[:1])
    position = len(real) // 3
    await client.send(receipt_ack=real[:position] + bytes([real[position] ^ 1]) + real[position + 1 :])
    assert (await client.next("error")).error.message
    await deliver_receipts(owner, client.session)
    assert next(run for run in await runs_of(owner, client.session) if run.id == run_id).ended_at_ms
