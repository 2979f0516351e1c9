"""An audit service over real gRPC on each engine, with a fake auth that knows members and enrolled runtimes."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from spin_services.audit.app import build
from tests.fakes.audit_bench import WORKSPACE, AuditBench
from tests.fakes.installation import Installation
from tests.fakes.peer_services import FakeAccess
from tests.fakes.runtimes import FakeEnrolment


@pytest.fixture
async def bench(tmp_path: Path, database_url: str) -> AsyncIterator[AuditBench]:
    installation = Installation(tmp_path / "installation", database_url)
    made = AuditBench(installation, FakeAccess(), FakeEnrolment(installation.keys, WORKSPACE))
    await made.start_peers()
    wiring = installation.wiring("audit", {"SPIN_AUDIT_SWEEP_S": "1"})
    await installation.start(await build(wiring), wiring)
    yield made
    await installation.close()
