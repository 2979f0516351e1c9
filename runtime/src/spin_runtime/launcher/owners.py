"""Whose a kernel's files are when the launcher is root: every work folder has a user of its own, for as long as it exists.

The numbers come from a range that no account should use (SPIN_KERNEL_UIDS). A folder's owner is its record: a kernel that starts where an
earlier one worked is the same user. The server's group may enter, and the group is kept below.
"""

import os
import secrets
from collections.abc import Collection
from pathlib import Path

SHARED = 0o2770


def user_of(work: Path, first: int, last: int, taken: Collection[int]) -> int:
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
