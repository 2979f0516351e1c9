"""What only PostgreSQL can do to us: lost connections, and replicas that start together."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
import structlog
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from spin_services.database import Database, notifier_for, upgrade
from spin_services.database.notify import MISSED
from spin_services.rpc.calls import _as_answer
from spin_services.rpc.errors import ErrorReason
from tests.fakes import postgres

MIGRATIONS = "spin_services.auth.migrations"


@pytest.fixture
async def url(postgres_address: str) -> AsyncIterator[str]:
    made = await postgres.new_database(postgres_address)
    yield made
    await postgres.drop_database(made)


async def test_replicas_that_start_together_migrate_once(url: str) -> None:
    replicas = [Database(url, "auth") for _ in range(4)]
    await asyncio.gather(*(upgrade(database, MIGRATIONS) for database in replicas))
    async with replicas[0].reading() as session:
        assert len(list(await session.scalars(text("SELECT version_num FROM alembic_version")))) == 1
    for database in replicas:
        await database.close()


@pytest.mark.parametrize(
    ("expression", "value", "reason"),
    [
        ("CAST(:value AS bigint)", 2**63, "INVALID_ARGUMENT"),
        ("CAST(:value AS text)", "a\0", "INVALID_ARGUMENT"),
        ("1 / CAST(:value AS bigint)", 0, "INTERNAL"),
    ],
)
async def test_a_callers_value_is_blamed_on_the_caller_and_our_statement_on_us(url: str, expression: str, value: int | str, reason: str) -> None:
    database = Database(url, "auth")
    with pytest.raises(DBAPIError) as failed:
        async with database.reading() as session:
            await session.execute(text(f"SELECT {expression}"), {"value": value})
    with structlog.testing.capture_logs() as logs:
        answer = _as_answer("/spinapis.Test/Call", failed.value)
    await database.close()
    assert ErrorReason.Name(answer.reason) == f"ERROR_REASON_{reason}"
    assert [line["event"] for line in logs] == ["call_failed" if reason == "INTERNAL" else "value_refused"]
    assert reason == "INTERNAL" or logs[0]["why"].startswith("22")


async def test_each_service_has_a_schema_of_its_own(url: str) -> None:
    first, second = Database(url, "auth"), Database(url, "other")
    await upgrade(first, MIGRATIONS)
    await upgrade(second, MIGRATIONS)
    async with first.session() as session:
        await session.execute(text("INSERT INTO attempts (account, failures, last_at_ms, blocked_until_ms) VALUES ('a', 1, 1, 1)"))
        await session.commit()
    async with second.reading() as session:
        assert await session.scalar(text("SELECT count(*) FROM attempts")) == 0
    await first.close()
    await second.close()


async def test_a_subscriber_learns_that_it_missed_something_and_goes_on(url: str) -> None:
    database = Database(url, "auth")
    notifier = notifier_for(database)
    async with asyncio.timeout(20), notifier.subscribe("changes") as messages:
        await notifier.publish("changes", "before")
        assert await anext(messages) == "before"
        killer = await asyncpg.connect(url)
        await killer.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()")
        await killer.close()
        assert await anext(messages) == MISSED
        await notifier.publish("changes", "after")
        assert await anext(messages) == "after"
    await notifier.close()
    await database.close()


async def test_replicas_hear_each_other_and_other_services_do_not(url: str) -> None:
    notifiers = [notifier_for(Database(url, service)) for service in ("auth", "auth", "workspace")]
    async with asyncio.timeout(10), notifiers[1].subscribe("changes") as replica, notifiers[2].subscribe("changes") as other:
        await notifiers[0].publish("changes", "from auth")
        await notifiers[2].publish("changes", "from workspace")
        assert (await anext(replica), await anext(other)) == ("from auth", "from workspace")
    for notifier in notifiers:
        await notifier.close()
