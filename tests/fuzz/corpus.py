"""The kept inputs: tests/fuzz/corpus/<target>/<SHA-1 of the content>, as libFuzzer names them."""

from collections.abc import Iterable
from hashlib import sha1
from pathlib import Path

from tests.fuzz.target import MAX_INPUT, Target

CORPUS = Path(__file__).resolve().parent / "corpus"
# Of each target; what was found in short runs and would be one more is left out.
MOST = 40


def folder(target: Target) -> Path:
    made = CORPUS / target.name
    made.mkdir(parents=True, exist_ok=True)
    return made


def files(target: Target) -> list[Path]:
    return sorted(folder(target).iterdir())


def name_of(data: bytes) -> str:
    return sha1(data, usedforsecurity=False).hexdigest()


def keep(target: Target, data: bytes) -> Path:
    file = folder(target) / name_of(data)
    file.write_bytes(data)
    return file


def keep_found(target: Target, found: Iterable[Path]) -> int:
    """Keeps the smallest of what a run found, as far as there is room; says how many."""
    room = MOST - len(files(target))
    small = sorted((file for file in found if file.stat().st_size <= MAX_INPUT), key=lambda file: (file.stat().st_size, file.name))
    for file in small[: max(room, 0)]:
        keep(target, file.read_bytes())
    return min(len(small), max(room, 0))
