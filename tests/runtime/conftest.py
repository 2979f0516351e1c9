"""One container engine for all tests that want one."""

from collections.abc import Iterator

import pytest

from tests.fakes.container_engine import ContainerEngine, engine


@pytest.fixture(scope="session")
def container_engine() -> Iterator[ContainerEngine]:
    with engine() as running:
        yield running
