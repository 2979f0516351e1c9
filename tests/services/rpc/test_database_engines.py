"""The plumbing of databases, on both engines."""

import asyncio
import threading
from pathlib import Path

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from spin_services.database import Database, notifier_for
from spin_services.database.engine import sqlite_url


async def empty_database(url: str) -> Database:
    database = Database(url, "auth")
    if not database.is_sqlite:
        async with database.engine.begin() as connection:
            await connection.execute(text("CREATE SCHEMA auth"))
    return database


async def test_what_is_not_committed_is_gone(database_url: str) -> None:
    database = await empty_database(database_url)
    async with database.engine.begin() as connection:
        await connection.execute(text("CREATE TABLE notes (body TEXT)"))
    async with database.session() as session:
        await session.execute(text("INSERT INTO notes VALUES ('lost')"))
    async with database.session() as session:
        await session.execute(text("INSERT INTO notes VALUES ('kept')"))
        await session.commit()
    async with database.reading() as session:
        assert list(await session.scalars(text("SELECT body FROM notes"))) == ["kept"]
    await database.close()


async def test_a_read_in_one_go_sees_what_is_committed_and_nothing_else(database_url: str) -> None:
    database = await empty_database(database_url)
    async with database.session() as session:
        await session.execute(text("CREATE TABLE notes (body TEXT)"))
        await session.execute(text("INSERT INTO notes VALUES ('kept')"))
        await session.commit()
        await session.execute(text("INSERT INTO notes VALUES ('not committed')"))
        seen = await database.read_in_one_go(lambda connection: connection.execute(text("SELECT body FROM notes")).scalars().all())
    assert seen == ["kept"]
    await database.close()


async def test_many_writers_wait_for_each_other(database_url: str) -> None:
    database = await empty_database(database_url)
    async with database.engine.begin() as connection:
        await connection.execute(text("CREATE TABLE counter (value INTEGER)"))
        await connection.execute(text("INSERT INTO counter VALUES (0)"))

    async def add_one() -> None:
        async with database.session() as session:
            await session.execute(text("UPDATE counter SET value = value + 1"))
            await session.commit()

    await asyncio.gather(*(add_one() for _ in range(30)))
    async with database.reading() as session:
        assert await session.scalar(text("SELECT value FROM counter")) == 30
    await database.close()


async def test_a_write_that_is_cancelled_holds_its_place_until_its_thread_is_done(tmp_path: Path) -> None:
    database = await empty_database(sqlite_url(tmp_path / "service.sqlite"))
    async with database.engine.begin() as connection:
        await connection.execute(text("CREATE TABLE notes (body TEXT)"))
    begun, go = threading.Event(), threading.Event()

    def write(connection: Connection) -> None:
        begun.set()
        go.wait(10)
        connection.execute(text("INSERT INTO notes VALUES ('first')"))

    async def read_and_write() -> list[str]:
        async with database.session() as session:
            return list(await session.scalars(text("SELECT body FROM notes")))

    first = asyncio.create_task(database.in_one_go(write))
    await asyncio.to_thread(begun.wait, 10)
    first.cancel()
    second = asyncio.create_task(read_and_write())
    for _ in range(3):
        await asyncio.sleep(0)
    still_there = not first.done()
    go.set()
    assert still_there and await second == ["first"]
    assert isinstance((await asyncio.gather(first, return_exceptions=True))[0], asyncio.CancelledError)
    await database.close()


@pytest.mark.parametrize("times", [1, 2])
async def test_calls_that_are_cancelled_anywhere_leave_the_database_to_others(database_url: str, times: int) -> None:
    """People close pages and deadlines pass, at any statement; also the second time, while what the first left is tidied up."""
    database = await empty_database(database_url)
    async with database.engine.begin() as connection:
        await connection.execute(text("CREATE TABLE notes (number INTEGER)"))

    async def write(number: int) -> None:
        async with database.session() as session:
            await session.execute(text("INSERT INTO notes VALUES (:number)"), {"number": number})
            await session.execute(text("SELECT count(*) FROM notes"))
            await session.execute(text("INSERT INTO notes VALUES (:number)"), {"number": number})
            await session.commit()

    cancelled = 0
    for number in range(60):
        tasks = [asyncio.create_task(write(number)) for _ in range(2)]
        for _ in range(times):
            await asyncio.sleep(number % 20 * 0.0004)
            for task in tasks:
                task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        cancelled += sum(isinstance(end, asyncio.CancelledError) for end in ended)
        async with asyncio.timeout(5):
            await write(-1)
    assert cancelled > 20
    async with database.reading() as session:
        halves = await session.scalars(text("SELECT number FROM notes GROUP BY number HAVING count(*) % 2 = 1"))
        assert list(halves) == []
        assert await session.scalar(text("SELECT count(*) FROM notes WHERE number = -1")) == 120
    await database.close()


async def test_a_message_reaches_every_subscriber(database_url: str) -> None:
    database = Database(database_url, "auth")
    notifier = notifier_for(database)
    async with notifier.subscribe("changes") as first, notifier.subscribe("changes") as second, notifier.subscribe("other") as other:
        await notifier.publish("changes", "one")
        await notifier.publish("other", "two")
        async with asyncio.timeout(5):
            assert [await anext(first), await anext(second), await anext(other)] == ["one", "one", "two"]
    await notifier.close()
    await database.close()


async def test_writers_that_collide_hold_nobody_up(database_url: str) -> None:
    """Refused inserts leave cursors behind; freeing one while another writer waited inside SQLite used to stop the whole process for ten seconds."""
    database = await empty_database(database_url)
    async with database.engine.begin() as connection:
        await connection.execute(text("CREATE TABLE once (name TEXT PRIMARY KEY)"))

    async def insert(name: str) -> bool:
        async with database.session() as session:
            try:
                await session.execute(text("INSERT INTO once VALUES (:name)"), {"name": name})
                await session.commit()
            except IntegrityError:
                return False
            return True

    async def look(name: str) -> None:
        async with database.reading() as session:
            await session.execute(text("SELECT * FROM once WHERE name = :name"), {"name": name})

    async with asyncio.timeout(9):
        for number in range(100):
            name = str(number)
            answers = await asyncio.gather(*(insert(name) for _ in range(3)), look(name), look(name))
            assert answers.count(True) == 1
    await database.close()
