"""Whose a kernel's files are when the launcher is root: every work folder has a user of its own, for as long as it exists.

The numbers come from a range that no account should use (SPIN_KERNEL_UIDS). A folder's owner is its record: a kernel that starts where an
earlier one worked is the same user. The server's group may enter, and the group is kept below.
"""

import os
import secrets
from collections.abc import Collection
from pathlib import Path

from spin_runtime.launcher.rules import Rules, Start

SHARED = 0o2770
OF_BOX = ("home", "tmp")
BROKER_SOCKET = "broker.sock"


def user_of(work: Path, first: int, last: int, taken: Collection[int | None]) -> int:
    owner = work.stat().st_uid
    if first <= owner <= last:
        return owner
    while (uid := first + secrets.randbelow(last - first + 1)) in taken:
        pass
    return uid


def give(folder: Path, uid: int, group: int) -> None:
    """Raises OSError where the user does not exist for this machine, as in a user namespace that maps fewer."""
    os.chown(folder, uid, group, follow_symlinks=False)
    folder.chmod(SHARED)


def make_inside(start: Start) -> None:
    for name in OF_BOX:
        Path(start.box, name).mkdir(exist_ok=True)


def give_all(start: Start, rules: Rules, taken: Collection[int | None]) -> int:
    """The user whose the kernel's folders are from now on."""
    uid = user_of(Path(start.work), *rules.uids, taken=taken)
    for folder in (start.work, start.box, *(f"{start.box}/{name}" for name in OF_BOX)):
        give(Path(folder), uid, rules.group)
    os.chown(f"{start.box}/connection.json", uid, rules.group)
    return uid


def admit(start: Start, path: str, uid: int | None) -> str:
    """The broker's socket gets a second name, in the kernel's box, and the kernel's user as its owner."""
    inside = f"{start.box}/{BROKER_SOCKET}"
    Path(inside).unlink(missing_ok=True)
    os.link(path, inside)
    if uid is not None:
        os.chown(inside, uid, -1, follow_symlinks=False)
    return inside
