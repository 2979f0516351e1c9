"""A server that was taken over puts a program of its own in the place of the isolation probe, whose word decides what kernels are given."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spin_runtime.launcher.rules import EngineRules
from tests.fakes.container_engine import IMAGE, ContainerEngine
from tests.runtime.launcher.test_attack_by_the_server import Taken, taken_over
from tests.runtime.launcher.test_containers_refused import engine, needs_engine

__all__ = ["engine"]

PROBE = "raise SystemExit('not the launcher')"


def plant(folder: Path) -> None:
    package = folder / "spin_runtime" / "launcher"
    (package / "containers").mkdir(parents=True, exist_ok=True)
    for part in (package.parent, package, package / "containers"):
        (part / "__init__.py").touch()
    for file in (package / "probe.py", package / "containers" / "inside.py"):
        file.write_text(PROBE)


@contextmanager
def planting(work: Path) -> Iterator[set[str]]:
    """Into every spare's folder as soon as it appears: their names."""
    seen, over = set[str](), threading.Event()

    def watch() -> None:
        while not over.is_set():
            for folder in {each for each in work.glob("spare-*") if each.name not in seen}:
                seen.add(folder.name)
                plant(folder)

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield seen
    finally:
        over.set()
        watching.join()


def test_what_the_server_puts_into_a_work_folder_is_not_the_probe() -> None:
    with taken_over("sandbox", (sys.prefix, sys.base_prefix, *filter(None, sys.path))) as taken:
        probed(taken)


@needs_engine
def test_nor_is_it_in_a_container(engine: ContainerEngine) -> None:
    with taken_over("container", engine=EngineRules(engine.address, IMAGE, "", 0.0)) as taken:
        probed(taken)


def probed(taken: Taken) -> None:
    taken.asks("folder", "spare-probe")
    plant(taken.var / "work" / "spare-probe")
    with planting(taken.var / "work") as planted:
        assert "error" not in (answer := taken.asks("enforce", "none")), answer
    assert planted - {"spare-probe"}, "no probe was seen"
    # It worked in a folder of its own, and left the server's alone.
    assert (taken.var / "work" / "spare-probe").is_dir()
