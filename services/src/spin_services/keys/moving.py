"""Moves an installation from one key-encryption key to another.

Rules: nothing is written before everything was opened, by the old KEK or by the new one; what opens with the new one is moved already, so a move that
was interrupted is repeated, or undone by moving back; the services are stopped meanwhile, since they would wrap with the old one.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from spin_services.keys.files import create_private, write_durably
from spin_services.keys.installation_kek import AAD, FILE
from spin_services.keys.kek import KEY_BYTES, FileKek, KeysUnusable, MemoryKek
from spin_services.keys.providers import KekProvider
from spin_services.keys.providers.local import LocalKek

PROBE = b"spin/kek-probe/v1"


@dataclass(frozen=True, slots=True)
class Wrapped:
    """A wrapped key as it is stored; `name` is for people."""

    name: str
    aad: bytes
    data: bytes = field(repr=False)


class Holder(Protocol):
    """A place that stores wrapped keys."""

    async def read(self) -> Sequence[Wrapped]: ...

    async def save(self, moved: Sequence[tuple[Wrapped, bytes]]) -> None:
        """Each with its new form."""


@dataclass(frozen=True, slots=True)
class Moved:
    keys: int
    # Those that an earlier move had moved.
    before: int


async def move(old: KekProvider, new: KekProvider, folder: Path, *, behind: Sequence[Holder], inside: Sequence[Holder]) -> Moved:
    """`behind` the KEK are keys that it wraps itself wherever it is, `inside` those of installation_kek. Raises KeysUnusable."""
    await _probe(new)
    installation = await _Installation.read(old, new, folder)
    plans = [await _Plan.made(holder, old, new) for holder in behind]
    if installation.changes:
        plans += [await _Plan.made(holder, installation.old, installation.new) for holder in inside]
    await installation.begin(new)
    for plan in plans:
        await plan.carry_out()
    await installation.finish(new)
    return Moved(sum(len(plan.opened) for plan in plans), sum(plan.before for plan in plans))


async def _probe(kek: KekProvider) -> None:
    """Whether it takes new keys. A file is made when there is none."""
    if isinstance(kek, LocalKek) and isinstance(kek.kek, FileKek):
        kek.kek.create()
    key = os.urandom(KEY_BYTES)
    if await kek.unwrap(await kek.wrap(key, PROBE), PROBE) != key:
        raise KeysUnusable(f"{kek.uri} does not give back what it wraps")


class _Plan:
    def __init__(self, holder: Holder, new: KekProvider, opened: Sequence[tuple[Wrapped, bytes]], before: int) -> None:
        self.opened, self.before = opened, before
        self._holder, self._new = holder, new

    @classmethod
    async def made(cls, holder: Holder, old: KekProvider | None, new: KekProvider) -> "_Plan":
        found = await holder.read()
        opened = [(one, await _opened(one, old)) for one in found if not await _opens(one, new)]
        return cls(holder, new, opened, len(found) - len(opened))

    async def carry_out(self) -> None:
        await self._holder.save([(one, await self._new.wrap(key, one.aad)) for one, key in self.opened])


async def _opens(wrapped: Wrapped, kek: KekProvider) -> bool:
    try:
        await kek.unwrap(wrapped.data, wrapped.aad)
    except KeysUnusable:
        return False
    return True


async def _opened(wrapped: Wrapped, kek: KekProvider | None) -> bytes:
    try:
        if kek is not None:
            return await kek.unwrap(wrapped.data, wrapped.aad)
    except KeysUnusable as failure:
        raise KeysUnusable(f"nothing was moved: {wrapped.name} opens neither with the new key nor with the old one: {failure}") from None
    raise KeysUnusable(f"nothing was moved: {wrapped.name} does not open with the new key, and there is no old one")


@dataclass(frozen=True, slots=True)
class _Installation:
    """What becomes of the installation's own key, which is there where the KEK is behind a key service."""

    path: Path
    old: KekProvider | None
    new: KekProvider
    # Whether what is inside gets another key.
    changes: bool
    # Empty for none.
    key: bytes = field(repr=False)
    stays: bool = True

    @classmethod
    async def read(cls, old: KekProvider, new: KekProvider, folder: Path) -> "_Installation":
        path = folder / FILE
        there = Wrapped(f"the installation's key {path}", AAD, path.read_bytes()) if path.exists() else None
        near, far = isinstance(old, LocalKek), isinstance(new, LocalKek)
        if near and far:
            return cls(path, old, new, changes=True, key=b"", stays=False)
        if near:
            key = await _opened(there, new) if there is not None else os.urandom(KEY_BYTES)
            return cls(path, old, _inside(key, path), changes=True, key=key)
        if far:
            return cls(path, _inside(await _opened(there, old), path) if there is not None else None, new, changes=True, key=b"", stays=False)
        if there is None:
            raise KeysUnusable(f"there is no installation's key {path}: this is no installation behind {old.uri}")
        key = await _opened(there, new if await _opens(there, new) else old)
        return cls(path, None, new, changes=False, key=key)

    async def begin(self, new: KekProvider) -> None:
        """Before anything is under it, it must be there."""
        if self.stays and not self.path.exists():
            create_private(self.path, await new.wrap(self.key, AAD))

    async def finish(self, new: KekProvider) -> None:
        if not self.stays:
            self.path.unlink(missing_ok=True)
        elif not await _opens(Wrapped(FILE, AAD, self.path.read_bytes()), new):
            write_durably(self.path, await new.wrap(self.key, AAD))


def _inside(key: bytes, path: Path) -> KekProvider:
    name = f"the installation's key {path}"
    return LocalKek(name, MemoryKek(key, name))
