"""An append-only encrypted file: what was appended is on disk when `append` returns.

    file    = record*, then zeros up to the next megabyte (the space is there before it is needed, so that a sync writes data alone)
    record  = u32 length | AES-256-GCM of (entry*), bound to the record's number
    entry   = u32 length | bytes

- One append is one record is one sync, however many entries it has: that is how writers share the price of the disk.
- A record that a crash cut short is the last one, and it was not confirmed to anybody: it is dropped. A bad record with a good one
  behind it is damage, and is reported.
- One thread at a time appends or rewrites. Reading may happen beside appending, and not beside rewriting.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from spin_runtime.broker.disk import Cipher, replace_file, unreadable

CHUNK = 1 << 20
LENGTH = 4


@dataclass(frozen=True)
class Place:
    """Where an entry is: its record, the record's number (which the cipher binds), and its turn in it."""

    offset: int
    number: int
    turn: int


class Journal:
    def __init__(self, path: Path, cipher: Cipher) -> None:
        self._path, self._cipher = path, cipher
        self._file = -1
        self._end, self._number, self._space = 0, 0, 0
        if path.exists():
            self._file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        else:
            # The first record is written with the file, so a first record that does not open is never a crash.
            self.rewrite([])

    def load(self) -> Iterator[tuple[Place, bytes]]:
        """Everything in the journal, oldest first; leaves it ready for appending. Raises DiskError."""
        offset, number = 0, 0
        while (entries := self._entries(offset, number)) is not None:
            for turn, entry in enumerate(entries):
                yield Place(offset, number, turn), entry
            offset, number = offset + LENGTH + self._length(offset), number + 1
        if number == 0 or self._entries(offset + LENGTH + self._length(offset), number + 1) is not None:
            raise unreadable(self._path)
        # Whatever a crash left behind the last good record must not be taken for one later.
        os.ftruncate(self._file, offset)
        self._end, self._number, self._space = offset, number, offset

    def append(self, entries: Sequence[bytes]) -> list[Place]:
        record = self._record(self._number, entries)
        if self._end + len(record) + LENGTH > self._space:
            self._space = (self._end + len(record) + LENGTH + CHUNK) // CHUNK * CHUNK
            os.posix_fallocate(self._file, 0, self._space)
            os.fsync(self._file)
        _write_all(self._file, record, self._end)
        os.fdatasync(self._file)
        places = [Place(self._end, self._number, turn) for turn in range(len(entries))]
        self._end, self._number = self._end + len(record), self._number + 1
        return places

    def read(self, place: Place) -> bytes:
        entries = self._entries(place.offset, place.number)
        if entries is None:
            raise unreadable(self._path)
        return entries[place.turn]

    def rewrite(self, entries: Sequence[bytes]) -> list[Place]:
        """Replaces everything by these entries, atomically."""
        record = self._record(0, entries)
        replace_file(self._path, record)
        self.close()
        self._file = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        self._end, self._number, self._space = len(record), 1, len(record)
        return [Place(0, 0, turn) for turn in range(len(entries))]

    @property
    def size(self) -> int:
        return self._end

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _record(self, number: int, entries: Sequence[bytes]) -> bytes:
        body = b"".join(len(entry).to_bytes(LENGTH) + entry for entry in entries)
        sealed = self._cipher.seal(body, number.to_bytes(8))
        return len(sealed).to_bytes(LENGTH) + sealed

    def _length(self, offset: int) -> int:
        return int.from_bytes(os.pread(self._file, LENGTH, offset))

    def _entries(self, offset: int, number: int) -> list[bytes] | None:
        """The record's entries, or None when there is no whole record there."""
        length = self._length(offset)
        if not 0 < length <= os.fstat(self._file).st_size - offset - LENGTH:
            return None
        body = self._cipher.open(os.pread(self._file, length, offset + LENGTH), number.to_bytes(8))
        return None if body is None else _split(body)


def _split(body: bytes) -> list[bytes]:
    entries, at = [], 0
    while at < len(body):
        end = at + LENGTH + int.from_bytes(body[at : at + LENGTH])
        entries.append(body[at + LENGTH : end])
        at = end
    return entries


def _write_all(file: int, data: bytes, offset: int) -> None:
    while data:
        written = os.pwrite(file, data, offset)
        data, offset = data[written:], offset + written
