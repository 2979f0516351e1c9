"""Vectors and keys for the envelope's tests. `@pytest.mark.vectors("signed", "refused")` runs a test on each case of that list."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spin_envelope.keys import SigningKey

VECTORS = Path(__file__).resolve().parents[2] / "envelope/vectors"


def load(name: str, *path: str) -> Any:
    value = json.loads((VECTORS / f"{name}.json").read_text())
    for step in path:
        value = value[step]
    return value


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "vectors(file, *path): run on each case of a list in envelope/vectors, as `case`")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for marker in metafunc.definition.iter_markers("vectors"):
        cases = load(*marker.args)
        metafunc.parametrize("case", cases, ids=[case.get("name", str(place)) for place, case in enumerate(cases)])


@pytest.fixture(scope="session")
def vectors_of() -> Callable[..., Any]:
    """Part of a vector file: `vectors_of("logs", "notes", "keys")`."""
    return load


@pytest.fixture
def compiler() -> SigningKey:
    return SigningKey.generate()


@pytest.fixture
def auth() -> SigningKey:
    return SigningKey.generate()
