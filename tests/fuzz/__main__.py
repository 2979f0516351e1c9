"""Fuzzing, one target after the other. `make fuzz` runs them all.

python -m tests.fuzz [TARGET ...] [--seconds N] [--grow]   fuzz; with --grow keep some of the inputs that reach new code
python -m tests.fuzz TARGET --replay FILE                  run one input, with its traceback
python -m tests.fuzz TARGET --keep FILE                    run it, and put it into the kept corpus
"""

import argparse
import sys
from pathlib import Path

from tests.fuzz import corpus
from tests.fuzz.fuzzing import fuzz_all, instrumented
from tests.fuzz.target import Target


def main() -> int:
    said = _arguments()
    targets = instrumented()
    if unknown := [name for name in said.names if name not in targets]:
        sys.exit(f"fuzz: no target {unknown[0]}; there are: {', '.join(targets)}")
    chosen = [targets[name] for name in said.names] or list(targets.values())
    if said.replay or said.keep:
        if len(said.names) != 1:
            sys.exit("fuzz: name the one target that the file is for")
        return _replay(chosen[0], said.replay or said.keep, bool(said.keep))
    found = fuzz_all(chosen, said.seconds, said.grow)
    print(f"fuzz: {len(chosen)} targets, {len(found)} with findings" + (": " + ", ".join(found) if found else ""))
    return 1 if found else 0


def _replay(target: Target, file: Path, keep: bool) -> int:
    data = file.read_bytes()
    target.run(data)
    print(f"fuzz: {target.name} takes it" + (f"; kept as {corpus.keep(target, data)}" if keep else ""))
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("names", nargs="*", metavar="TARGET")
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--replay", type=Path, metavar="FILE")
    parser.add_argument("--keep", type=Path, metavar="FILE")
    parser.add_argument("--grow", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
