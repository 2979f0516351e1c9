"""The part of a session's stream that memory does not hold: a file of AES-GCM records.

The key is random, lives in memory and dies with the process, so that a stolen disk shows ciphertext. A nonce is (number of the file within
this boot, position): it never comes twice under one key. The file grows until its session ends.
"""

import errno
import os
from array import array
from collections.abc import Sequence
from itertools import count
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_TAG = 16


class SpillKey:
    """One per boot, shared by all files."""

    def __init__(self) -> None:
        self.cipher = AESGCM(AESGCM.generate_key(256))
        self._files = count(1)

    def next_file(self) -> int:
        return next(self._files)


class SpillFile:
    """Positions first, first + 1, … in order. Writing and reading may happen in different threads."""

    def __init__(self, key: SpillKey, folder: Path, first: int) -> None:
        self.first = first
        self._cipher, self._number = key.cipher, key.next_file()
        self._path = folder / f"{self._number:08d}.stream"
        self._descriptor: int | None = None
        self._offsets = array("Q", [0])

    @property
    def last(self) -> int:
        return self.first + len(self._offsets) - 2

    @property
    def size(self) -> int:
        return self._offsets[-1]

    def append(self, frames: Sequence[bytes]) -> None:
        """Writes frames that follow the last position."""
        if self._descriptor is None:
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        position, end, records, ends = self.last, self.size, [], []
        for frame in frames:
            position += 1
            records.append(self._cipher.encrypt(self._nonce(position), frame, None))
            end += len(frame) + _TAG
            ends.append(end)
        data = memoryview(b"".join(records))
        offset = self.size
        while data:
            written = os.pwrite(self._descriptor, data, offset)
            data, offset = data[written:], offset + written
        self._offsets.extend(ends)

    def read(self, position: int, max_bytes: int) -> list[bytes]:
        """Frames from `position` on, at least one."""
        descriptor = self._descriptor
        if descriptor is None:
            raise OSError(errno.EBADF, "the stream's file was closed")
        index = first = position - self.first
        offsets = self._offsets
        last = len(offsets) - 1
        while index < last and (index == first or offsets[index + 1] - offsets[first] <= max_bytes):
            index += 1
        start = offsets[first]
        data = memoryview(os.pread(descriptor, offsets[index] - start, start))
        return [
            self._cipher.decrypt(self._nonce(self.first + at), data[offsets[at] - start : offsets[at + 1] - start], None)
            for at in range(first, index)
        ]

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        self._path.unlink(missing_ok=True)

    def _nonce(self, position: int) -> bytes:
        return self._number.to_bytes(4, "big") + position.to_bytes(8, "big")
