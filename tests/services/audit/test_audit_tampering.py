"""Whoever can write the database cannot change history unnoticed, and replicas do not fork it."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import text

from spin_envelope.export import ExportInvalid, verify_export
from spin_envelope.keys import SigningKey
from spin_envelope.merkle import Frontier, leaf_hash
from spin_services.audit.appender import Appender
from spin_services.audit.domain import Draft
from spin_services.audit.log_reader import LogReader
from spin_services.audit.log_store import LogStore
from spin_services.audit.proofs import Prover
from spin_services.audit.transactions import transactions_for
from spin_services.database import Database, upgrade
from spin_services.keys import FileKek
from spinapis.audit.v1 import audit_pb2 as pb
from tests.fakes.audit_bench import WORKSPACE, AuditBench
from tests.fakes.runtimes import FakeRun

REWRITTEN = "UPDATE entries SET leaf = (SELECT leaf FROM entries WHERE entry_index = 21), body = NULL, salt = NULL WHERE entry_index = {}"


async def tamper(bench: AuditBench, statement: str, **values: object) -> None:
    database = Database.of(bench.installation.platform, "audit")
    async with database.engine.begin() as connection:
        await connection.execute(text(statement), values)
    await database.close()


async def filled(bench: AuditBench) -> None:
    runtime = await bench.enrol()
    run = FakeRun(runtime, 1, [b"x"])
    await bench.compile(run)
    await bench.upload(runtime, runtime.boot(), runtime.start(run), runtime.end(run))
    await bench.append(*(pb.NewEntry(type="member.added", body_json=f'{{"n":{place}}}') for place in range(40)))
    assert (await bench.verified_export()).entries == 45


@pytest.mark.parametrize(
    ("change", "index"),
    [
        ("UPDATE entries SET body = '{}' WHERE entry_index = 20", 20),
        ("UPDATE entries SET salt = leaf WHERE entry_index = 20", 20),
        ("UPDATE entries SET receipt = (SELECT receipt FROM entries WHERE entry_index = 2) WHERE entry_index = 3", 3),
        ("DELETE FROM entries WHERE entry_index = 20", 21),
    ],
)
async def test_an_edited_row_fails_verification_at_its_entry(bench: AuditBench, change: str, index: int) -> None:
    await filled(bench)
    await tamper(bench, change)
    with pytest.raises(ExportInvalid) as failure:
        verify_export(await bench.export())
    assert failure.value.index == index


async def test_a_rewritten_leaf_no_longer_hashes_to_the_checkpoint(bench: AuditBench) -> None:
    await filled(bench)
    await tamper(bench, REWRITTEN.format(20))
    with pytest.raises(ExportInvalid):
        verify_export(await bench.export())


async def test_a_session_export_names_the_rewritten_leaf(bench: AuditBench) -> None:
    await filled(bench)
    await tamper(bench, REWRITTEN.format(1))
    with pytest.raises(ExportInvalid) as failure:
        verify_export(await bench.export("5e" * 16))
    assert failure.value.index == 1


async def test_an_erased_body_keeps_the_proof(bench: AuditBench) -> None:
    await filled(bench)
    await tamper(bench, "UPDATE entries SET body = NULL, salt = NULL WHERE entry_index = 20")
    summary = await bench.verified_export()
    assert (summary.entries, summary.erased_bodies) == (45, 1)


async def test_a_forgotten_person_keeps_the_proof(bench: AuditBench) -> None:
    await filled(bench)
    await tamper(bench, "DELETE FROM people")
    assert {entry.user_id for entry in await bench.entries(page_size=100)} == {""}
    assert (await bench.verified_export()).entries == 45


async def test_the_pseudonym_key_is_encrypted_and_bound_to_its_workspace(bench: AuditBench) -> None:
    await filled(bench)
    await bench.append(pb.NewEntry(type="member.added"), workspace_id="cd" * 16)
    await tamper(bench, "UPDATE logs SET pseudonym_key = (SELECT pseudonym_key FROM logs AS other WHERE other.id <> logs.id)")
    with pytest.raises(Exception, match="A key that is needed cannot be used now"):
        await bench.append(pb.NewEntry(type="member.added", user_id="x"))


async def test_replicas_share_one_tree(database_url: str, tmp_path: Path) -> None:
    kek = FileKek(tmp_path / "kek")
    kek.create()
    databases = [Database(database_url, "audit") for _ in range(3)]
    await upgrade(databases[0], "spin_services.audit.migrations")
    runs = [transactions_for(database) for database in databases]
    appenders = [Appender(LogStore(transactions, kek, lambda sizes: None), lambda: 1) for transactions in runs]
    tasks = [asyncio.create_task(appender.run()) for appender in appenders]

    async def caller(place: int) -> list[int]:
        drafts = [Draft(f"{place}.{step}", "test.entry", "", (), "{}") for step in range(5)]
        return await appenders[place % 3].append(WORKSPACE, drafts)

    answers = await asyncio.gather(*(caller(place) for place in range(60)))
    assert sorted(index for answer in answers for index in answer) == list(range(300))
    reader, key = LogReader(runs[1], kek), SigningKey.generate()
    log = await reader.log(WORKSPACE)
    assert log is not None and log.size == 300
    stored = await reader.entries_from(log, 0, 300)
    frontier = Frontier()
    for entry in stored:
        frontier.append(leaf_hash(entry.leaf))
    assert (await Prover(reader, lambda: key).note(WORKSPACE, log, 300))[1] == frontier.root()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for transactions, database in zip(runs, databases, strict=True):
        await transactions.close()
        await database.close()
