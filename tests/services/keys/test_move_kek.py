"""An installation moves from one key-encryption key to another: all of it or nothing, and again after an interruption."""

import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select

from spin_services import kek_move
from spin_services.audit.log_store import key_name
from spin_services.audit.tables import LOGS
from spin_services.database import Database, upgrade
from spin_services.keys import KeyStore, KeysUnusable
from spin_services.keys.installation_kek import FILE, installation_kek
from spin_services.keys.providers import KekProvider
from spin_services.platform import from_environment
from spin_services.rpc.wiring import system_clock
from spin_services.secrets.keyring import Keyring
from spin_services.secrets.tables import WorkspaceKeyRow
from spinapis.envelope.v1.trust_pb2 import Role
from tests.fakes.kek_places import kek_place

WORKSPACES = ["ab" * 16, "cd" * 16]
PSEUDONYMS = bytes(range(32))


class Place:
    """An installation with signing keys, keys of two workspaces and a log."""

    def __init__(self, folder: Path, stack: AsyncExitStack) -> None:
        self._folder, self._stack = folder, stack
        self.platform = from_environment({"SPIN_DATA": str(folder / "data"), "SPIN_SERVICE_PORT_BASE": "64000"})

    async def kek(self, kind: str) -> KekProvider:
        folder = self._folder / kind
        folder.mkdir()
        return (await self._stack.enter_async_context(kek_place(kind, folder))).provider

    async def store(self, kek: KekProvider, *, create: bool = False) -> KeyStore:
        return KeyStore(self.platform.keys_dir, await installation_kek(kek, self.platform.keys_dir, create=create), system_clock)

    async def make(self, kek: KekProvider) -> None:
        keys = await self.store(kek, create=True)
        keys.init()
        secrets, audit = Database.of(self.platform, "secrets"), Database.of(self.platform, "audit")
        await upgrade(secrets, "spin_services.secrets.migrations")
        await upgrade(audit, "spin_services.audit.migrations")
        async with secrets.session() as session:
            session.add_all([await Keyring(kek).new(workspace_id, 1, 0) for workspace_id in WORKSPACES])
            session.add(WorkspaceKeyRow(workspace_id=WORKSPACES[0], version=2, wrapped_key=b"", commitment=b"", created_at_ms=0, destroyed_at_ms=7))
            await session.commit()
        async with audit.session() as session:
            wrapped = keys.kek.wrap(PSEUDONYMS, key_name(WORKSPACES[0]))
            await session.execute(insert(LOGS).values(workspace_id=WORKSPACES[0], size=0, last_time_ms=0, pseudonym_key=wrapped))
            await session.commit()
        await secrets.close()
        await audit.close()

    async def rows(self) -> list[WorkspaceKeyRow]:
        database = Database.of(self.platform, "secrets")
        async with database.reading() as session:
            rows = list(await session.scalars(select(WorkspaceKeyRow).where(WorkspaceKeyRow.destroyed_at_ms == 0)))
        await database.close()
        return rows

    async def read(self, kek: KekProvider) -> list[bytes]:
        """Everything that the services open, with this KEK. Raises KeysUnusable."""
        keys, audit = await self.store(kek), Database.of(self.platform, "audit")
        async with audit.reading() as session:
            wrapped = (await session.execute(select(LOGS.c.pseudonym_key))).scalar_one()
        await audit.close()
        signing = [keys.role_key(Role.Value(f"ROLE_{name}")).seed for name in ("AUTH", "COMPILER", "SECRETS", "AUDIT", "WORKSPACE")]
        opened = await Keyring(kek).open(await self.rows())
        mark = b"what the workspace's key wraps"
        assert all(key.kek.unwrap(key.kek.wrap(mark, b"x"), b"x") == mark for key in opened.values()) and len(opened) == 2
        return [*signing, keys.kek.unwrap(wrapped, key_name(WORKSPACES[0]))]


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with AsyncExitStack() as stack:
        yield Place(tmp_path, stack)


ROUTES = [("file", "env"), ("env", "aws"), ("aws", "file"), ("aws", "vault"), ("vault", "env")]


@pytest.mark.parametrize(("before", "after"), ROUTES)
async def test_everything_opens_with_the_new_key_and_nothing_with_the_old(place: Place, before: str, after: str) -> None:
    old, new = await place.kek(before), await place.kek(after)
    await place.make(old)
    told = await place.read(old)
    done = await kek_move.moved(place.platform, old, new)
    assert done.keys > 2 if {before, after} != {"aws", "vault"} else done.keys == 2
    assert await place.read(new) == told
    with pytest.raises(KeysUnusable):
        await place.read(old)
    for row in await place.rows():
        with pytest.raises(KeysUnusable):
            await Keyring(old).open([row])
    assert (place.platform.keys_dir / FILE).exists() == (after in ("aws", "vault"))
    # Once more changes nothing, and back is a move too.
    again = await kek_move.moved(place.platform, old, new)
    assert again.keys == 0 and again.before == done.keys
    await kek_move.moved(place.platform, new, old)
    assert await place.read(old) == told


@pytest.mark.parametrize(("before", "after"), ROUTES[:2])
@pytest.mark.parametrize("calls", [1, 5])
async def test_an_interrupted_move_is_finished_or_undone(place: Place, before: str, after: str, calls: int, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = await place.kek(before), await place.kek(after)
    await place.make(old)
    told, wrap, left = await place.read(old), type(new).wrap, [calls]

    async def failing(self: Any, key: bytes, aad: bytes) -> bytes:
        left[0] -= 1
        if left[0] < 0:
            raise KeysUnusable("the key service went away")
        return await wrap(self, key, aad)

    with monkeypatch.context() as patch:
        patch.setattr(type(new), "wrap", failing)
        with pytest.raises(KeysUnusable, match="went away"):
            await kek_move.moved(place.platform, old, new)
            raise KeysUnusable("it went away after all was done")
    await kek_move.moved(place.platform, old, new)
    assert await place.read(new) == told


async def test_a_key_that_neither_opens_stops_the_move_before_it_begins(place: Place) -> None:
    old, new, other = [await place.kek(kind) for kind in ("file", "vault", "env")]
    await place.make(old)
    told = await place.read(old)
    for wrong in (other, new):
        with pytest.raises(KeysUnusable, match=r"nothing was moved|no installation"):
            await kek_move.moved(place.platform, wrong, await place.kek("aws") if wrong is new else new)
    with pytest.raises(KeysUnusable):
        await kek_move.moved(place.platform, old, kek_move.open_provider("env:NOWHERE", {"NOWHERE": "x"}))
    assert await place.read(old) == told


async def test_a_running_service_stops_the_move(place: Place) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        addresses = {"SPIN_AUDIT_ADDRESS": f"127.0.0.1:{port}", "SPIN_SERVICE_PORT_BASE": "64000"}
        platform = from_environment({"SPIN_DATA": str(place.platform.data_dir), **addresses})
        with pytest.raises(KeysUnusable, match="audit service is running"):
            await kek_move.move_kek(platform, "env:OTHER", {"OTHER": "ab" * 32})
    with pytest.raises(KeysUnusable, match="already"):
        await kek_move.move_kek(platform, platform.kek, {})
