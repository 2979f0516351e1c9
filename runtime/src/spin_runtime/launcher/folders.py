"""The folders that kernels work in. The launcher alone makes, renames, gives away and removes them.

- The server says names, never paths. What lies above is the launcher's, so that a name that was checked goes on meaning the same folder.
- Everything is done on descriptors. No link is followed, nothing is given away that has another name, and nothing recursively; removal.py removes.
- Every work folder has a user of its own where the launcher may give it one (SPIN_KERNEL_UIDS), for as long as it exists. Its owner is its record: a
  kernel that starts where an earlier one worked is the same user. The server's group may enter, and the group is kept below.
"""

import os
import secrets
import stat
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from spin_runtime.launcher.removal import GONE, Removals
from spin_runtime.launcher.rules import Rules, Start

SHARED, OWN, PASSED = 0o2770, 0o700, 0o711
READ_BY_GROUP = 0o640
OF_BOX = ("home", "tmp")
CONNECTION = "connection.json"
# Of a kernel out of an image.
STDERR = "stderr"
BROKER_SOCKET = "broker.sock"
# Work folders of kernels that wait for a session.
SPARE = "spare-"
# A Unix socket's path holds 107 bytes; names of boxes and sockets need some of them.
LONGEST_FOLDER = 85
LONGEST_FILE = 1 << 16
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Folders:
    def __init__(self, rules: Rules) -> None:
        """What a launcher that died left goes. Raises OSError."""
        self._rules, self._own = rules, os.geteuid()
        private = Path(rules.private)
        self.work, boxes = private / "work", private / "kernels"
        self._temporary = len(str(boxes)) > LONGEST_FOLDER
        self.boxes = Path(os.path.realpath(tempfile.mkdtemp(prefix="spin-k-"))) if self._temporary else boxes
        self._work, self._boxes = (_parent(folder) for folder in (self.work, self.boxes))
        self._removals = Removals()
        self._emptied()

    def folder(self, name: str) -> None:
        """A session's, made where it is not there: the server's until a kernel starts in it."""
        with suppress(FileExistsError):
            self.new(name)

    def new(self, name: str) -> None:
        """Raises FileExistsError for one that somebody may have put something into."""
        os.mkdir(name, OWN, dir_fd=self._work)
        with _opened(name, self._work, _FOLDER) as folder:
            give(folder, self._rules.server, self._rules)

    def rename(self, spare: str, name: str) -> None:
        """Raises OSError where the session's folder holds something."""
        if not spare.startswith(SPARE):
            raise ValueError("a spare's folder alone becomes a session's")
        os.rename(spare, name, src_dir_fd=self._work, dst_dir_fd=self._work)

    def box(self) -> str:
        """The path of a new one, in which the server's group may make files until a kernel starts with it."""
        name = secrets.token_hex(4)
        os.mkdir(name, OWN, dir_fd=self._boxes)
        with _opened(name, self._boxes, _FOLDER) as box:
            for inside in OF_BOX:
                os.mkdir(inside, OWN, dir_fd=box)
            give(box, self._own, self._rules)
        return str(self.boxes / name)

    def start_of(self, wanted: Mapping[str, Any]) -> Start:
        """With paths for the names of its folders."""
        return Start(**{**wanted, "work": str(self.work / wanted["work"]), "box": str(self.boxes / wanted["box"])})

    def read(self, start: Start, name: str) -> str:
        """A small file of the server's in a box. Raises OSError, ValueError for what is none."""
        with _opened(Path(start.box).name, self._boxes, _FOLDER) as box, _opened(name, box, _FILE) as file:
            self._owned(file, self._rules.server, f"{start.box}/{name}")
            return os.read(file, LONGEST_FILE).decode()

    def discard(self, name: str) -> None:
        self._removals.begin(name, self.boxes, self._boxes)

    def give_all(self, start: Start, taken: Collection[int | None], files: Collection[str] = (CONNECTION,)) -> int | None:
        """The user whose a kernel's folders are from now on; None for the launcher's own. Raises OSError, ValueError for what it did not make so."""
        with _opened(Path(start.work).name, self._work, _FOLDER) as work, _opened(Path(start.box).name, self._boxes, _FOLDER) as box:
            owner = self._owner(work)
            self._owned(box, self._own, start.box)
            if self._rules.uids is None:
                return None
            uid = owner if self._is_kernels(owner) else self._free(taken)
            for name in OF_BOX:
                with _opened(name, box, _FOLDER) as inside:
                    self._owned(inside, self._own, f"{start.box}/{name}")
                    give(inside, uid, self._rules)
            for name in files:
                with _opened(name, box, _FILE) as file:
                    self._owned(file, self._rules.server, f"{start.box}/{name}")
                    os.fchown(file, uid, self._rules.group)
                    os.fchmod(file, READ_BY_GROUP)
            for folder in (work, box):
                give(folder, uid, self._rules)
            return uid

    def user_of(self, start: Start, taken: Collection[int]) -> tuple[int, int]:
        """Of a kernel out of an image: a user of its own where the launcher may give it one, and never root."""
        uid = self.give_all(start, taken, (CONNECTION, STDERR))
        return (os.geteuid(), os.getegid()) if uid is None else (uid, uid)

    def link(self, start: Start, socket: int, uid: int | None) -> str:
        """Gives the broker's socket, of which this is a descriptor, a second name in the kernel's box, and the kernel's user as its owner."""
        with _opened(Path(start.box).name, self._boxes, _FOLDER) as box:
            os.link(f"/proc/self/fd/{socket}", BROKER_SOCKET, dst_dir_fd=box)
        if uid is not None:
            os.chown(f"/proc/self/fd/{socket}", uid, -1)
        return f"{start.box}/{BROKER_SOCKET}"

    def let_go(self, work: str, box: str) -> None:
        """What a kernel that has ended leaves: its box, and the folder of a spare that nobody took."""
        self.discard(Path(box).name)
        if Path(work).name.startswith(SPARE):
            self._removals.begin(Path(work).name, self.work, self._work)

    def close(self) -> None:
        self._emptied()
        self._removals.finish()
        os.close(self._work)
        os.close(self._boxes)
        if self._temporary:
            with suppress(OSError):
                self.boxes.rmdir()

    def _emptied(self) -> None:
        for name in _names(self._boxes):
            self.discard(name)
        for name in _names(self._work):
            if name.startswith((SPARE, GONE)):
                self._removals.begin(name, self.work, self._work)

    def _is_kernels(self, uid: int) -> bool:
        first, last = self._rules.uids or (0, -1)
        return first <= uid <= last

    def _free(self, taken: Collection[int | None]) -> int:
        assert self._rules.uids is not None
        held = {os.stat(name, dir_fd=self._work, follow_symlinks=False).st_uid for name in _names(self._work)}.union(taken)
        return free_user(self._rules.uids, held)

    def _owner(self, work: int) -> int:
        owner = os.fstat(work).st_uid
        if owner not in (self._own, self._rules.server) and not self._is_kernels(owner):
            raise ValueError(f"the session's folder belongs to the user {owner}, which is no kernel's")
        return owner

    def _owned(self, descriptor: int, uid: int, what: str) -> None:
        found = os.fstat(descriptor)
        if found.st_uid != uid or not (stat.S_ISDIR(found.st_mode) or (stat.S_ISREG(found.st_mode) and found.st_nlink == 1)):
            raise ValueError(f"{what} is not what it was made as")


def free_user(uids: tuple[int, int], held: Collection[int | None]) -> int:
    """Raises ValueError."""
    first, last = uids
    if sum(uid is not None and first <= uid <= last for uid in set(held)) > last - first:
        raise ValueError(
            "every user of SPIN_KERNEL_UIDS has a kernel or a session's folder: give it more, or end kernels and remove folders of old sessions"
        )
    while (uid := first + secrets.randbelow(last - first + 1)) in held:
        pass
    return uid


def give(folder: int, uid: int, rules: Rules) -> None:
    """Raises OSError where the user does not exist for this machine, as in a user namespace that maps fewer."""
    os.fchown(folder, uid, rules.group)
    os.fchmod(folder, OWN if rules.uids is None and rules.server == os.geteuid() else SHARED)


def _parent(folder: Path) -> int:
    folder.mkdir(mode=PASSED, parents=True, exist_ok=True)
    descriptor = os.open(folder, _FOLDER)
    # Kernels' own users pass through it, to folders that are theirs.
    os.fchmod(descriptor, PASSED)
    return descriptor


def _names(folder: int) -> list[str]:
    with os.scandir(folder) as entries:
        return [entry.name for entry in entries]


@contextmanager
def _opened(name: str, folder: int, how: int) -> Iterator[int]:
    descriptor = os.open(name, how, dir_fd=folder)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
