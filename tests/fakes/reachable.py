"""Running a program where every user can read this checkout's interpreter, whoever owns the folders above it.

In a mount namespace of its own, a folder that others may not enter gives way to an empty one that holds nothing but what lies on the way: nothing
outside changes. Needs root, as separate users do.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from spin_runtime import accounts


def within() -> Sequence[str]:
    """The command to run the program with; empty where everybody can read it."""
    closed = closed_folder(accounts.program_files())
    if closed is None:
        return ()
    kept = sorted({closed / Path(os.path.realpath(path)).relative_to(closed).parts[0] for path in accounts.program_files() if below(path, closed)})
    steps = ["set -e", "held=$(mktemp -d)", 'mount -t tmpfs -o mode=0755 held "$held"']
    for at, path in enumerate(kept):
        steps += [f'mkdir "$held/{at}"', f'mount --rbind {path} "$held/{at}"']
    steps += [f"mount -t tmpfs -o mode=0755 open {closed}"]
    for at, path in enumerate(kept):
        steps += [f"mkdir {path}", f'mount --rbind "$held/{at}" {path}']
    return ("unshare", "--mount", "--propagation", "private", "sh", "-c", "; ".join([*steps, 'exec "$@"']), "sh")


def below(path: Path, folder: Path) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(folder)


def closed_folder(paths: Sequence[Path]) -> Path | None:
    """The first folder on the way that others may not enter."""
    for path in paths:
        for folder in reversed(Path(os.path.realpath(path)).parents):
            if not folder.stat().st_mode & 0o001:
                return folder
    return None
