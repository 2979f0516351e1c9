"""Audit appends: 64 callers over gRPC against an audit service of its own, durable one by one as each caller sees it.

Two peers: SQLite itself (one row per commit, no Merkle tree, no network, on the same disk), and gRPC itself (health checks of the same process by
as many callers), which no service can answer faster than.
"""

import asyncio
import os
import sqlite3
import tempfile
import time
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from scripts.bench.figures import Figure, alone, beside, quantile
from scripts.platform.apart import free_ports
from scripts.platform.programs import BIN
from scripts.platform.supervisor import Program, Supervisor
from spin_services.keys import FileKek, KeyStore
from spin_services.rpc.identity import SERVICE_METADATA
from spin_services.rpc.tokens import ServiceTokens
from spin_services.rpc.wiring import system_clock
from spinapis.audit.v1 import audit_pb2, audit_pb2_grpc
from spinapis.envelope.v1.trust_pb2 import Role

CALLERS, EACH, WARM_UP_EACH = 64, 150, 10
BODY = '{"run_id": "0123456789abcdef0123456789abcdef.1.1", "program_digest": "00", "cell_type": "python"}'


def on_sqlite() -> dict[str, Figure]:
    with tempfile.TemporaryDirectory(prefix="spin-bench-audit-") as folder:
        rate, floor, latencies = asyncio.run(_appends(Path(folder), ""))
        peer = _bare_sqlite(Path(folder) / "peer.db")
    return {
        "audit_appends_sqlite": beside(rate, peer, "entries/s, 64 callers over gRPC, durable / bare SQLite, a row per commit", "ours ≥ 4500"),
        "audit_appends_sqlite_of_grpc": beside(rate, floor, "calls/s, the same / health checks of the same process"),
        "audit_append_sqlite_p99": alone(quantile(latencies, 0.99) * 1000, "ms, the same", "≤ 30"),
    }


def on_postgresql(database_url: str) -> dict[str, Figure]:
    with tempfile.TemporaryDirectory(prefix="spin-bench-audit-") as folder:
        rate, floor, latencies = asyncio.run(_appends(Path(folder), database_url))
    return {
        "audit_appends_postgresql": beside(
            rate, floor, "entries/s, 64 callers over gRPC, durable / health checks of the same process", "ours ≥ 4500"
        ),
        "audit_append_postgresql_p99": alone(quantile(latencies, 0.99) * 1000, "ms, the same", "≤ 30"),
    }


async def _appends(folder: Path, database_url: str) -> tuple[float, float, list[float]]:
    kek = FileKek(folder / "kek")
    kek.create()
    keys = KeyStore(folder / "keys", kek, system_clock)
    keys.init()
    base = free_ports()["SPIN_SERVICE_PORT_BASE"]
    environment = {"PATH": os.environ["PATH"], "SPIN_DATA": str(folder), "SPIN_SERVICE_PORT_BASE": base, "SPIN_METRICS_PORT": "0"}
    if database_url:
        environment["SPIN_DATABASE_URL"] = database_url
    address = f"127.0.0.1:{int(base) + 5}"
    supervisor = Supervisor(folder / "log", print)
    try:
        async with grpc.aio.insecure_channel(address) as channel:
            await supervisor.start(Program("audit", [str(BIN / "spin-service"), "audit"], environment, channel.channel_ready))
            tokens = ServiceTokens("compiler", lambda: keys.role_key(Role.ROLE_COMPILER), system_clock)
            rate, latencies = await _load(audit_pb2_grpc.LogServiceStub(channel), tokens)
            return rate, await _checks(health_pb2_grpc.HealthStub(channel)), latencies
    finally:
        await supervisor.stop()


async def _load(stub: "audit_pb2_grpc.LogServiceAsyncStub", tokens: ServiceTokens) -> tuple[float, list[float]]:
    latencies: list[float] = []
    metadata = ((SERVICE_METADATA, f"Bearer {tokens.for_callee('audit')}"),)

    async def caller(number: int, rounds: int, name: str) -> None:
        for turn in range(rounds):
            entry = audit_pb2.NewEntry(idempotency_key=f"{name}-{number}-{turn}", type="program.bench", subjects=["run:bench"], body_json=BODY)
            begin = time.perf_counter()
            await stub.AppendEntries(audit_pb2.AppendEntriesRequest(workspace_id="00" * 16, entries=[entry]), metadata=metadata)
            latencies.append(time.perf_counter() - begin)

    await asyncio.gather(*(caller(number, WARM_UP_EACH, "warm") for number in range(CALLERS)))
    latencies.clear()
    begin = time.perf_counter()
    await asyncio.gather(*(caller(number, EACH, "load") for number in range(CALLERS)))
    return CALLERS * EACH / (time.perf_counter() - begin), latencies


async def _checks(stub: "health_pb2_grpc.HealthStub") -> float:
    async def caller() -> None:
        for _ in range(EACH):
            await stub.Check(health_pb2.HealthCheckRequest())

    begin = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    return CALLERS * EACH / (time.perf_counter() - begin)


def _bare_sqlite(path: Path, rows: int = 3000) -> float:
    database = sqlite3.connect(path, isolation_level=None)
    database.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE log (id INTEGER PRIMARY KEY, body TEXT)")
    begin = time.perf_counter()
    for _ in range(rows):
        database.execute("INSERT INTO log (body) VALUES (?)", (BODY,))
    rate = rows / (time.perf_counter() - begin)
    database.close()
    return rate
