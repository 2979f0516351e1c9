"""Running targets under libFuzzer, each in a process of its own: libFuzzer ends it, and limits its memory.

What all of them need is imported and instrumented once; the processes are forked from there.
"""

import contextlib
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.fuzz import corpus
from tests.fuzz.target import MAX_INPUT, RSS_MB, Target

BUILD = Path("build/fuzz")
PACKAGES = ["spin_envelope", "spin_runtime", "spin_services", "spin_cells", "spin_client", "tests.fuzz"]
# What takes longer with one input is a finding, as a crash is.
INPUT_SECONDS = 10


def instrumented() -> Mapping[str, Target]:
    """Every target, in a process that will only fuzz."""
    import atheris
    import structlog

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    # atheris names each module on stderr.
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stderr(nowhere), atheris.instrument_imports(include=PACKAGES):
        from tests.fuzz.targets import TARGETS
    return TARGETS


def fuzz_all(targets: Sequence[Target], seconds: int, grow: bool) -> list[str]:
    """The names of those with findings."""
    return [target.name for number, target in enumerate(targets, 1) if not _fuzz(target, seconds, grow, f"{number}/{len(targets)}")]


def _fuzz(target: Target, seconds: int, grow: bool, place: str) -> bool:
    """One target's process; True when nothing was found."""
    work = BUILD / target.name
    (work / "found").mkdir(parents=True, exist_ok=True)
    before = set(work.glob("*-*"))
    print(f"fuzz: {place} {target.name}, {seconds} s …", end=" ", flush=True)
    child = os.fork()
    if child == 0:
        _child(target, seconds, work)
    _, status = os.waitpid(child, 0)
    lines = (work / "log").read_text(errors="replace").splitlines()
    if status == 0:
        runs = next((line.removeprefix("Done ") for line in reversed(lines) if line.startswith("Done ")), "no runs")
        found = list((work / "found").iterdir())
        print(f"{runs}, {len(found)} new inputs" + (f", {corpus.keep_found(target, found)} kept" if grow else ""), flush=True)
        return True
    print("FOUND SOMETHING")
    print("\n".join(f"    {line}" for line in lines if "Error" in line or "ERROR" in line))
    for crash in sorted(set(work.glob("*-*")) - before):
        print(f"    the input: {crash}\n    replay it: {sys.executable} -m tests.fuzz {target.name} --replay {crash}")
    print(f"    the log:   {work / 'log'}", flush=True)
    return False


def _child(target: Target, seconds: int, work: Path) -> None:
    """Does not return: libFuzzer ends the process."""
    import atheris

    log = os.open(work / "log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    limits = [f"-max_total_time={seconds}", f"-rss_limit_mb={RSS_MB}", f"-max_len={MAX_INPUT}", f"-timeout={INPUT_SECONDS}"]
    places = [f"-artifact_prefix={work}{os.sep}", str(work / "found"), str(corpus.folder(target))]
    atheris.Setup([target.name, *limits, *places], target.run)
    atheris.Fuzz()
    os._exit(0)
