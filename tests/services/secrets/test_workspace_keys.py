"""Keys of workspaces: rotated while credentials go on being used, retired, destroyed with what is under them."""

import asyncio
import gc
import sqlite3
from typing import Any

import asyncpg
import grpc
import pytest

from spin_services.secrets import credentials as credentials_module
from spin_services.secrets import keyring as keyring_module
from spin_services.secrets.records import WorkspaceKey
from spinapis.secrets.v1 import keys_pb2 as pb
from spinapis.secrets.v1.keys_pb2_grpc import KeyServiceStub
from tests.fakes.installation import refused
from tests.fakes.runtimes import FakeRuntime
from tests.fakes.secrets_bench import OTHER, PARENT, SECRET, WORKSPACE, SecretsBench


class Keys:
    def __init__(self, bench: SecretsBench) -> None:
        self.bench = bench
        self.stub = KeyServiceStub(bench.installation.channel("secrets"))

    async def versions(self, workspace_id: str = WORKSPACE) -> list[pb.KeyVersion]:
        request = pb.ListKeyVersionsRequest(workspace_id=workspace_id)
        return list((await self.stub.ListKeyVersions(request, metadata=self.bench.by("owner"))).versions)

    async def rotate(self, from_version: int = 0, user: str = "owner") -> int:
        request = pb.RotateKeyRequest(workspace_id=WORKSPACE, from_version=from_version)
        return (await self.stub.RotateKey(request, metadata=self.bench.by(user))).version.version

    async def minimum(self, version: int) -> None:
        request = pb.SetMinimumKeyVersionRequest(workspace_id=WORKSPACE, minimum_version=version)
        await self.stub.SetMinimumKeyVersion(request, metadata=self.bench.by("owner"))

    async def destroy(self, version: int, erase: bool = False) -> int:
        request = pb.DestroyKeyVersionRequest(workspace_id=WORKSPACE, version=version, erase_credentials=erase)
        return (await self.stub.DestroyKeyVersion(request, metadata=self.bench.by("owner"))).erased_credentials

    async def erase(self) -> None:
        metadata = self.bench.installation.as_service("workspace", "secrets", "owner")
        await self.stub.EraseWorkspace(pb.EraseWorkspaceRequest(workspace_id=WORKSPACE), metadata=metadata)

    async def until_under(self, version: int, number: int) -> None:
        """Until the sweep has brought so many credentials under the version."""
        async with asyncio.timeout(20):
            while {found.version: found.credentials for found in await self.versions()}.get(version) != number:
                await asyncio.sleep(0.02)

    async def secret_of(self, runtime: FakeRuntime) -> bytes:
        """The one credential that a runtime gets now."""
        opened = self.bench.open(runtime, (await self.bench.sync(runtime)).sealed)
        (entry,) = opened.message.entries
        return bytes(entry.secret_json)


@pytest.fixture
def keys(bench: SecretsBench) -> Keys:
    return Keys(bench)


async def run_sql(bench: SecretsBench, statement: str) -> None:
    """As someone who can write the database."""
    url = bench.installation.platform.database_url
    if url:
        connection = await asyncpg.connect(url, server_settings={"search_path": "secrets"})
        await connection.execute(statement)
        await connection.close()
        return
    with sqlite3.connect(bench.installation.platform.data_dir / "db" / "secrets.sqlite") as database:
        database.execute(statement)
    database.close()


async def test_the_first_credential_makes_the_first_version(bench: SecretsBench, keys: Keys) -> None:
    assert await keys.versions() == []
    await bench.create()
    (only,) = await keys.versions()
    assert (only.version, only.current, only.refused, only.credentials) == (1, True, False, 1)


async def test_after_a_rotation_credentials_are_readable_and_move_to_the_new_version(bench: SecretsBench, keys: Keys) -> None:
    await bench.create()
    assert await keys.rotate() == 2
    assert SECRET.encode() in await keys.secret_of(bench.enrolment.add())
    await keys.until_under(2, 1)
    assert SECRET.encode() in await keys.secret_of(bench.enrolment.add())
    assert bench.log.types(WORKSPACE).count("workspace_key.rotated") == 1


async def test_a_read_wakes_the_sweep(bench: SecretsBench, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    await bench.create()
    monkeypatch.setattr(credentials_module.Credentials, "wake", lambda self: None)
    await keys.rotate()
    assert [found.credentials for found in await keys.versions()] == [0, 1]
    await keys.secret_of(bench.enrolment.add())
    await keys.until_under(2, 1)


async def test_a_repeated_rotation_rotates_once(bench: SecretsBench, keys: Keys) -> None:
    await bench.create()
    assert [await keys.rotate(1), await keys.rotate(1), await keys.rotate(2)] == [2, 2, 3]
    with refused() as refusal:
        await keys.rotate(9)
    assert refusal.reason == "INVALID_ARGUMENT"


async def test_many_at_once_rotate_to_one_current_version(bench: SecretsBench, keys: Keys) -> None:
    await bench.create()
    await asyncio.gather(*(keys.rotate(1) for _ in range(4)))
    versions = await keys.versions()
    assert [found.version for found in versions] == [2, 1] and [found.current for found in versions] == [True, False]


async def test_below_the_minimum_nothing_opens(bench: SecretsBench, keys: Keys) -> None:
    await bench.create()
    await keys.rotate()
    await keys.minimum(2)
    assert [(found.version, found.refused, found.credentials) for found in await keys.versions()] == [(2, False, 1), (1, True, 0)]
    assert SECRET.encode() in await keys.secret_of(bench.enrolment.add())
    # Someone who can write the database says that the record is of the retired version.
    await run_sql(bench, "UPDATE credentials SET key_version = 1")
    with refused() as refusal:
        await bench.sync(bench.enrolment.add())
    assert refusal.reason == "UNAVAILABLE"


async def test_the_minimum_never_falls_and_is_never_ahead(bench: SecretsBench, keys: Keys) -> None:
    await bench.create()
    await keys.rotate()
    await keys.minimum(2)
    for wrong in (1, 3):
        with refused() as refusal:
            await keys.minimum(wrong)
        assert refusal.reason == "INVALID_ARGUMENT"


async def test_a_credential_that_does_not_open_holds_the_minimum_back(bench: SecretsBench, keys: Keys) -> None:
    broken = await bench.create()
    await bench.create("fine")
    await keys.rotate()
    await keys.until_under(2, 2)
    await run_sql(bench, f"UPDATE credentials SET sealed = commitment WHERE connection_id = '{broken.id}'")
    await keys.rotate()
    await keys.until_under(3, 1)
    with refused() as refusal:
        await keys.minimum(3)
    assert refusal.reason == "INVALID_ARGUMENT" and refusal.error is not None and "1 credentials" in refusal.error.text
    (listed,) = [one for one in await bench.list() if one.id == broken.id]
    await bench.update(listed, credential_json=f'{{"username":"reader","password":"{SECRET}"}}')
    await keys.minimum(3)


async def test_a_version_in_use_is_destroyed_only_with_its_credentials(bench: SecretsBench, keys: Keys) -> None:
    await bench.create()
    with refused() as refusal:
        await keys.destroy(1)
    assert refusal.reason == "INVALID_ARGUMENT" and refusal.error is not None and refusal.error.metadata["field"] == "erase_credentials"
    assert await keys.destroy(1, erase=True) == 1
    (connection,) = await bench.list()
    assert list(connection.credential_fields) == [] and connection.version == 2
    assert await keys.secret_of(bench.enrolment.add()) == b"{}"
    newer, gone = await keys.versions()
    assert newer.current and gone.refused and gone.destroyed_at_ms > 0
    await bench.update(connection, credential_json=f'{{"username":"reader","password":"{SECRET}"}}')
    assert SECRET.encode() in await keys.secret_of(bench.enrolment.add())
    with refused() as refusal:
        await keys.destroy(1)
    assert refusal.reason == "NOT_FOUND"


async def test_destroying_and_writing_at_once_do_not_block_each_other(bench: SecretsBench, keys: Keys) -> None:
    made = [await bench.create(f"c{number}") for number in range(4)]
    for version in range(1, 6):
        fresh = {"credential_json": f'{{"username":"reader","password":"{SECRET}"}}'}
        writes = [bench.update(one, **fresh) for one in await bench.list() if one.id in {known.id for known in made}]
        outcomes = await asyncio.gather(*writes, keys.destroy(version, erase=True), return_exceptions=True)
        # A connection that was emptied meanwhile has another etag; nothing else keeps a write from its end.
        reasons = [outcome.code().name for outcome in outcomes if isinstance(outcome, grpc.aio.AioRpcError)]
        assert set(reasons) <= {"ABORTED", "FAILED_PRECONDITION"}, reasons


async def test_an_open_key_is_let_go_after_its_time(bench: SecretsBench, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(keyring_module.time, "monotonic", lambda: now)
    keyring = keyring_module.Keyring(bench.kek)
    old, new = [await keyring.new(WORKSPACE, version, 0) for version in (1, 2)]
    await keyring.open([old])
    now += keyring_module.KEPT_S
    opened = (await keyring.open([new])).values()
    gc.collect()
    assert [key.version for key in gc.get_objects() if isinstance(key, WorkspaceKey)] == [key.version for key in opened]


async def test_what_a_destroyed_version_protected_is_gone_from_a_copy_put_back(bench: SecretsBench, keys: Keys) -> None:
    """Records of before, put back beside the destroyed key, do not open."""
    await bench.create()
    await run_sql(bench, "CREATE TABLE copy AS SELECT * FROM credentials")
    await keys.destroy(1, erase=True)
    await run_sql(bench, "INSERT INTO credentials SELECT * FROM copy")
    with refused() as refusal:
        await bench.sync(bench.enrolment.add())
    assert refusal.reason == "UNAVAILABLE"


async def test_erasing_a_workspace_leaves_nothing_to_read(bench: SecretsBench, keys: Keys) -> None:
    made = await bench.create()
    other = await bench.create("kept", workspace_id=PARENT)
    await keys.erase()
    assert [one.id for one in await bench.list()] == [other.id]
    assert all(found.destroyed_at_ms for found in await keys.versions())
    opened = bench.open(runtime := bench.enrolment.add(), (await bench.sync(runtime)).sealed)
    assert bytes.fromhex(made.id) in opened.message.tombstones
    assert bench.log.types(WORKSPACE)[-2:] == ["workspace_key.erased", "connection.sealed"]
    with refused() as refusal:
        await bench.create("too late")
    assert refusal.reason == "UNAVAILABLE"


async def test_without_the_log_no_key_changes(bench: SecretsBench, keys: Keys) -> None:
    await bench.create()
    bench.log.broken = True
    for attempt in (keys.rotate(), keys.minimum(1), keys.destroy(1, erase=True), keys.erase()):
        with refused() as refusal:
            await attempt
        assert refusal.reason == "UNAVAILABLE"
    bench.log.broken = False
    (only,) = await keys.versions()
    assert only.current and only.credentials == 1


async def test_only_owners_change_keys_and_only_services_erase(bench: SecretsBench, keys: Keys) -> None:
    await bench.create()
    for user in ("editor", "agent", "viewer", "auditor"):
        with refused() as refusal:
            await keys.rotate(user=user)
        assert refusal.reason == "PERMISSION_DENIED"
    with refused() as refusal:
        await keys.stub.EraseWorkspace(pb.EraseWorkspaceRequest(workspace_id=WORKSPACE), metadata=bench.by("owner"))
    assert refusal.reason == "SERVICE_ONLY"
    assert await keys.versions(OTHER) == []


async def test_an_erasure_takes_guarded_connections_too_and_can_be_repeated(bench: SecretsBench, keys: Keys) -> None:
    """The workspace is gone by then, and so is every role in it."""
    await bench.create(approval_operations=["rest.request"])
    runtime = bench.enrolment.add()
    held = (await bench.sync(runtime)).bundle_version
    for _ in range(2):
        metadata = bench.installation.as_service("workspace", "secrets", "")
        await keys.stub.EraseWorkspace(pb.EraseWorkspaceRequest(workspace_id=WORKSPACE), metadata=metadata)
    assert await bench.list() == [] and await bench.least(runtime) == held + 1
    assert [found.credentials for found in await keys.versions()] == []


async def test_a_key_copied_from_another_workspace_does_not_open(bench: SecretsBench, keys: Keys) -> None:
    await bench.create()
    await bench.create("parents", workspace_id=PARENT)
    theirs, ours = f"(SELECT wrapped_key FROM workspace_keys WHERE workspace_id = '{PARENT}')", f"workspace_id = '{WORKSPACE}'"
    await run_sql(bench, f"UPDATE workspace_keys SET wrapped_key = {theirs} WHERE {ours}")
    with refused() as refusal:
        await bench.sync(bench.enrolment.add())
    assert refusal.reason == "UNAVAILABLE"


async def test_a_bundle_of_many_connections_asks_the_key_service_once(bench: SecretsBench, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bytes] = []
    unwrap = bench.kek.unwrap

    async def counted(wrapped: bytes, aad: bytes) -> bytes:
        asked.append(aad)
        return await unwrap(wrapped, aad)

    monkeypatch.setattr(bench.kek, "unwrap", counted)
    for place in range(30):
        await bench.create(f"c{place}")
    runtime = bench.enrolment.add()
    opened: Any = bench.open(runtime, (await bench.sync(runtime)).sealed)
    assert len(opened.message.entries) == 30 and len(asked) == 1


async def test_the_list_of_versions_comes_in_pages(bench: SecretsBench, keys: Keys) -> None:
    await bench.create()
    for version in range(1, 5):
        await keys.rotate(version)
    first = await keys.stub.ListKeyVersions(pb.ListKeyVersionsRequest(workspace_id=WORKSPACE, page_size=3), metadata=bench.by("owner"))
    request = pb.ListKeyVersionsRequest(workspace_id=WORKSPACE, page_size=3, page_token=first.next_page_token)
    second = await keys.stub.ListKeyVersions(request, metadata=bench.by("owner"))
    assert [found.version for found in (*first.versions, *second.versions)] == [5, 4, 3, 2, 1] and not second.next_page_token
