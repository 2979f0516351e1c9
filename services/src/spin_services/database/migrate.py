"""Brings a service's tables to the newest revision with Alembic.

Rules: revisions are modules of the service's `migrations.versions` package; several replicas may start at once, so the upgrade runs
under a lock and in one transaction.
"""

import asyncio
from importlib.resources import files
from typing import Any
from weakref import WeakKeyDictionary

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from spin_services.database.engine import Database

MIGRATION_LOCK = 0x5350494E
_locks: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()


async def upgrade(database: Database, package: str) -> None:
    """`package` is the dotted name of the migrations package. Does nothing when all is current."""
    script = _script(package)
    async with _one_at_a_time(), database.engine.begin() as connection:
        if not database.is_sqlite:
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
            await connection.execute(text(f'CREATE SCHEMA IF NOT EXISTS "{database.service}"'))
        await connection.run_sync(_upgrade, script)


def _one_at_a_time() -> asyncio.Lock:
    """Alembic keeps the migration that runs in a place that the whole process shares."""
    return _locks.setdefault(asyncio.get_running_loop(), asyncio.Lock())


def _script(package: str) -> ScriptDirectory:
    folder = str(files(package))
    config = Config()
    config.set_main_option("script_location", folder.replace("%", "%%"))
    config.set_main_option("version_locations", f"{folder}/versions".replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    return ScriptDirectory.from_config(config)


def _upgrade(connection: Connection, script: ScriptDirectory) -> None:
    def steps(revision: Any, _context: Any) -> Any:
        return script._upgrade_revs("head", revision)  # what alembic's own `upgrade` command calls

    with EnvironmentContext(Config(), script, fn=steps, destination_rev="head") as environment:
        environment.configure(connection=connection, transactional_ddl=True, render_as_batch=True)
        environment.run_migrations()
