"""Looks for secrets where there must be none: in every file that a platform wrote."""

from collections.abc import Collection
from pathlib import Path

from scripts.platform.settings import Settings

# What is kept for its owner, in files that nobody else may read.
KEPT_ON_PURPOSE = (".token", "first-sign-in")
SHORTEST = 8


def leaks(settings: Settings, secrets: Collection[str]) -> list[str]:
    """The files that contain one of the secrets, as a name and how the secret begins."""
    assert all(len(secret) >= SHORTEST for secret in secrets)
    wanted = [secret.encode() for secret in secrets]
    found = []
    for path in _files(settings.data):
        data = path.read_bytes()
        found += [f"{path}: {secret[:6].decode()}…" for secret in wanted if secret in data]
    return found


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(KEPT_ON_PURPOSE)]
