"""Checkpoints and proofs of a workspace's log, made from its tiles."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from spin_envelope.errors import Refused
from spin_envelope.keys import SigningKey
from spin_envelope.merkle import EMPTY_ROOT, Node, consistency_proof, inclusion_proof
from spin_envelope.note import Checkpoint, origin_of, sign_note
from spin_services.audit.log_reader import LogHandle, LogReader
from spin_services.audit.tiles import node_reader, root_of, tiles_for

T = TypeVar("T")


class SizeUnknown(Exception):
    """The log has no such entry or was never that long."""


class Prover:
    """`key` is asked each time, so that a rotated key signs at once."""

    def __init__(self, reader: LogReader, key: Callable[[], SigningKey]) -> None:
        self._reader = reader
        self._key = key

    async def root(self, log: LogHandle, size: int) -> bytes:
        return await self._make(log, size, lambda node: root_of(node, size))

    async def note(self, workspace_id: str, log: LogHandle | None, size: int) -> tuple[str, bytes]:
        """The signed note of the log's first `size` entries, and its root hash. Raises SizeUnknown."""
        if size > (log.size if log is not None else 0):
            raise SizeUnknown
        root = await self.root(log, size) if log is not None and size else EMPTY_ROOT
        return sign_note(Checkpoint(origin_of(bytes.fromhex(workspace_id)), size, root), self._key()), root

    async def inclusion(self, log: LogHandle, index: int, size: int) -> list[bytes]:
        """Raises SizeUnknown."""
        return (await self.inclusions(log, [index], size))[0]

    async def inclusions(self, log: LogHandle, indexes: Sequence[int], size: int) -> list[list[bytes]]:
        """Several entries' proofs, whose tiles are read together. Raises SizeUnknown."""
        return await self._make(log, size, lambda node: [inclusion_proof(node, index, size) for index in indexes])

    async def consistency(self, log: LogHandle, old: int, new: int) -> list[bytes]:
        """Raises SizeUnknown."""
        return await self._make(log, new, lambda node: consistency_proof(node, old, new))

    async def _make(self, log: LogHandle, size: int, make: Callable[[Node], T]) -> T:
        if size > log.size:
            raise SizeUnknown
        try:
            wanted = tiles_for(make)
        except Refused:
            raise SizeUnknown from None
        return make(node_reader(await self._reader.tiles(log, wanted)))
