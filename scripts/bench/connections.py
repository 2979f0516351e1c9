"""Connections: an operation's way through the broker beside the vendor's SDK in the kernel, and the credentials' way to a runtime.

The runtime's processes are real ones, of their own; the control plane that seals for them is the tests' one in memory. The peer does the same with
the address in the notebook's hands, which is what SPIN is there to avoid.
"""

import json
import os
import tempfile
import time
from pathlib import Path

from scripts.bench.figures import Figure, alone, beside, median, quantile
from scripts.platform.settings import ROOT
from spin_client.sdk import Platform, RuntimeSession
from spinapis.envelope.v1 import run_pb2
from spinapis.secrets.v1 import secrets_pb2
from tests.fakes.control_plane import use
from tests.fakes.runtime_rig import Seat, spawned

CONNECTION = b"b" * 16
ROWS, ROUNDS, CALLS, WARM_UP = 1_000_000, 3, 300, 20
MANY, SYNCS = 1000, 5
QUERY = """
select i as number, i * 0.5::float as half, 'item ' || i as label, timestamp '2026-01-01' + i * interval '1 second' as at
from generate_series(1, 1000000) i
"""
MS = 1000

# Run in the kernel; both give a pandas.DataFrame.
THROUGH_THE_BROKER = f"""
import json, time
from spin_kernel.broker import use
def _brokered():
    begin = time.perf_counter()
    frame = use({CONNECTION.hex()!r}, "bench.rows", {{"query": {QUERY!r}}}).table().to_pandas()
    return time.perf_counter() - begin, len(frame)
"""
BY_THE_SDK = f"""
import asyncpg, pandas
async def _direct(address):
    begin = time.perf_counter()
    connection = await asyncpg.connect(address)
    rows = await connection.fetch({QUERY!r})
    frame = pandas.DataFrame.from_records(rows, columns=list(rows[0].keys()))
    await connection.close()
    return time.perf_counter() - begin, len(frame)
"""
ROUND_TRIPS = f"""
_times = []
for _ in range({CALLS + WARM_UP}):
    _begin = time.perf_counter()
    use({CONNECTION.hex()!r}, "bench.nothing", {{}})
    _times.append(time.perf_counter() - _begin)
print(json.dumps(_times[{WARM_UP}:]))
"""


async def through_the_broker(address: str) -> dict[str, Figure]:
    """`address` is a PostgreSQL's."""
    with tempfile.TemporaryDirectory(prefix="spin-bench-broker-") as folder:
        path = os.pathsep.join([str(ROOT / "scripts" / "bench" / "cell_types"), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
        async with spawned(Path(folder), PYTHONPATH=path) as runtime, runtime.attached() as seat:
            await seat.start_kernel()
            entry = run_pb2.CredentialEntry(
                connection_id=CONNECTION,
                name="the bench",
                version=1,
                kind="bench",
                secret_json=json.dumps({"address": address}).encode(),
                allowed_operations=["bench.rows", "bench.nothing"],
            )
            await seat.send(sealed=runtime.plane.seal_bundle(runtime.plane.bundle(1, [entry]), seat.hello))
            await seat.body("bundle_accepted")
            return await _measured(seat, address)


async def _measured(seat: Seat, address: str) -> dict[str, Figure]:
    uses = [use(CONNECTION, "bench.rows", "bench.nothing")]
    await seat.run(THROUGH_THE_BROKER + BY_THE_SDK, uses=uses)
    brokered, direct = [], []
    for _ in range(ROUNDS):
        brokered.append(_rate(await seat.printed("print(json.dumps(_brokered()))", uses=uses)))
        direct.append(_rate(await seat.printed(f"print(json.dumps(await _direct({address!r})))")))
    calls: list[float] = json.loads(await seat.printed(ROUND_TRIPS, uses=uses))
    return {
        "broker_rows": beside(max(brokered), max(direct), f"rows/s, {ROWS:,} rows into a DataFrame / asyncpg in the kernel", "≥ 0.8"),
        "broker_call_p50": alone(median(calls) * MS, "ms, one operation through the broker, as code in the kernel sees it"),
        "broker_call_p99": alone(quantile(calls, 0.99) * MS, "ms, the same"),
    }


def _rate(printed: str) -> float:
    seconds, rows = json.loads(printed)
    assert rows == ROWS, f"{rows} rows came"
    return float(rows / seconds)


async def sync(platform: Platform, workspace_id: str, session: RuntimeSession) -> dict[str, Figure]:
    """A bundle of a thousand connections, from the call until the runtime holds it. Every round changes one, so that a new bundle is due."""
    entries = [_entry(number) for number in range(MANY)]
    request = secrets_pb2.ImportConnectionsRequest(workspace_id=workspace_id, idempotency_key="bench", entries=entries)
    begin = time.perf_counter()
    made = (await platform.connections.ImportConnections(request, timeout=60)).outcomes
    imported, synchronised = time.perf_counter() - begin, []
    for number in range(SYNCS):
        connection = made[number].connection
        change = secrets_pb2.UpdateConnectionRequest(workspace_id=workspace_id, connection_id=connection.id, etag=connection.etag)
        change.credential_json = json.dumps({"token": f"another token {number}"})
        await platform.connections.UpdateConnection(change)
        begin = time.perf_counter()
        await session.synchronise()
        synchronised.append(time.perf_counter() - begin)
    return {
        "connections_imported": alone(MANY / imported, f"connections/s, {MANY:,} at once, encrypted and in the log"),
        "credentials_synchronised": alone(median(synchronised) * MS, f"ms, {MANY:,} connections sealed, carried and stored encrypted"),
    }


def _entry(number: int) -> secrets_pb2.ConnectionEntry:
    return secrets_pb2.ConnectionEntry(
        name=f"bench {number:04}",
        kind="rest",
        config_json=json.dumps({"base_url": f"https://api-{number}.example.org", "auth": "bearer"}),
        credential_json=json.dumps({"token": f"the token of number {number}"}),
    )
