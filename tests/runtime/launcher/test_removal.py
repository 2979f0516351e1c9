"""What a kernel leaves goes, however much and however deep it is, and nobody waits for that."""

import os
import time
from pathlib import Path

import pytest

from spin_runtime.launcher.folders import Folders
from spin_runtime.launcher.rules import Rules
from tests.runtime.launcher.test_attack_by_the_server import Taken, taken, taken_over

__all__ = ["taken"]


def nested(folder: Path, depth: int) -> None:
    here = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)


def empty_within(folder: Path, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while (left := list(folder.iterdir())) and time.monotonic() < end:
        time.sleep(0.01)
    return not left


def test_a_box_that_is_nested_deep_goes(taken: Taken) -> None:
    box = taken.box()
    nested(box, 1500)
    assert "error" not in taken.asks("discard", box.name)
    assert empty_within(box.parent, 20)
    assert "path" in taken.asks("box")


def test_nobody_waits_for_a_large_box_whose_name_is_free_at_once(taken: Taken) -> None:
    box = taken.box()
    for number in range(20_000):
        (box / "home" / str(number)).touch()
    assert "error" not in taken.asks("discard", box.name)
    left = [path.name for path in box.parent.iterdir()]
    assert box.name not in left
    assert left, "it was removed before the answer"
    for request in ("folder", "discard"):
        assert "error" in taken.asks(request, left[0])
    assert empty_within(box.parent, 20)


def test_the_launchers_end_waits_for_it() -> None:
    with taken_over() as taken:
        taken.asks("folder", "spare-1")
        boxes = taken.box().parent
        for number in range(20_000):
            (taken.var / "work" / "spare-1" / str(number)).touch()
        taken.launched.ended()
        assert [*boxes.iterdir(), *(taken.var / "work").iterdir()] == []


def test_what_stays_is_said_and_goes_at_the_next_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    own = os.geteuid()
    rules = Rules("process", "open", (), str(tmp_path / "var"), 1 << 20, 100, 0, None, own, os.getegid(), own)
    for program in ("exit 1", None):
        (tmp_path / "rm").unlink(missing_ok=True)
        if program is not None:
            (tmp_path / "rm").write_text(f"#!/bin/sh\n{program}\n")
            (tmp_path / "rm").chmod(0o755)
        with monkeypatch.context() as changed:
            changed.setenv("PATH", str(tmp_path))
            folders = Folders(rules)
            box = Path(folders.box())
            folders.discard(box.name)
            folders.close()
        assert not box.exists()
        (left,) = box.parent.iterdir() if program else list(box.parent.iterdir())[:1]
        assert str(left) in caplog.text
    Folders(rules).close()
    assert [*box.parent.iterdir()] == []
