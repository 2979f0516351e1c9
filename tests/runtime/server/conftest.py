"""A paired runtime over its real socket, with real kernels."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes.runtime_rig import Rig, running


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with running(tmp_path) as rig:
        yield rig
