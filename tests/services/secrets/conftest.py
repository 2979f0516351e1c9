"""A secrets service over real gRPC on each engine, with fakes of auth, workspace and audit."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from spin_services.secrets.app import build
from tests.fakes.installation import Installation
from tests.fakes.secrets_bench import KINDS, SecretsBench


@pytest.fixture
async def bench(tmp_path: Path, database_url: str) -> AsyncIterator[SecretsBench]:
    installation = Installation(tmp_path / "installation", database_url)
    made = SecretsBench(installation)
    await made.start_peers()
    wiring = installation.wiring("secrets")
    made.kek = wiring.kek
    made.wiring = wiring
    await installation.start(await build(wiring, KINDS), wiring)
    yield made
    await installation.close()
