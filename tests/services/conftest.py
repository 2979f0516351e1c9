"""What tests of every service share: both database engines, and an installation to start services in."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from spin_services.database.engine import sqlite_url
from tests.fakes import postgres
from tests.fakes.installation import Installation


@pytest.fixture(scope="session")
def postgres_address() -> Iterator[str]:
    with postgres.running() as address:
        yield address


@pytest.fixture(params=["sqlite", "postgresql"])
async def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """An empty database of each engine."""
    if request.param == "sqlite":
        yield sqlite_url(tmp_path / "service.sqlite")
        return
    url = await postgres.new_database(request.getfixturevalue("postgres_address"))
    yield url
    await postgres.drop_database(url)


@pytest.fixture
async def installation(tmp_path: Path) -> AsyncIterator[Installation]:
    """On SQLite; `Installation(tmp_path, database_url)` runs on either engine."""
    made = Installation(tmp_path / "installation")
    yield made
    await made.close()
