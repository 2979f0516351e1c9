"""npm's locks: each package by its digest, and from whichever registry the machine uses."""

import json
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def packages(folder: str) -> dict[str, dict[str, Any]]:
    """What is installed, by its place in node_modules; the project itself stands under ""."""
    found: dict[str, dict[str, Any]] = json.loads((ROOT / folder / "package-lock.json").read_text())["packages"]
    return {place: entry for place, entry in found.items() if place}


@pytest.mark.parametrize("folder", ["web", "tests/fakes/oidc_provider"])
def test_every_package_has_a_digest_and_no_address(folder: str) -> None:
    locked = packages(folder)
    assert len(locked) > 30
    assert [place for place, entry in locked.items() if not entry.get("integrity", "").startswith("sha512-")] == []
    assert [place for place, entry in locked.items() if "resolved" in entry] == []


@pytest.mark.parametrize("folder", ["web", "tests/fakes/oidc_provider"])
def test_no_package_of_another_platform_was_dropped(folder: str) -> None:
    locked = packages(folder)
    names = {place.rpartition("node_modules/")[2] for place in locked}
    wanted = {name for entry in locked.values() for name in entry.get("optionalDependencies", {})}
    assert wanted - names == set()
