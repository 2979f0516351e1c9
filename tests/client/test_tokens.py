"""Tokens: refreshed once by whoever comes first, kept privately, never used twice."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from spin_client.sdk import FileStore, MemoryStore, Platform, SpinError
from spin_client.sdk.private_files import write_private
from spin_client.sdk.token_stores import StoredSignIn
from spinapis.workspace.v1 import workspaces_pb2
from tests.fakes.platform import LINK_TOKEN, FakePlatform


async def test_many_calls_at_once_refresh_once(control_plane: FakePlatform) -> None:
    control_plane.token_life_ms = 1
    async with await Platform.connect(control_plane.url, store=MemoryStore()) as platform:
        await platform.sign_in_with_link(LINK_TOKEN)
        control_plane.token_life_ms = 600_000
        await asyncio.gather(*(platform.current_user() for _ in range(20)))
    assert control_plane.refreshes == 1


async def test_a_token_that_the_platform_calls_expired_is_refreshed_and_the_call_repeated(platform: Platform, control_plane: FakePlatform) -> None:
    control_plane.access_tokens.clear()
    assert (await platform.current_user()).email
    assert control_plane.refreshes == 1


async def test_two_clients_on_one_store_do_not_trip_over_each_other(control_plane: FakePlatform, tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    control_plane.token_life_ms = 1
    async with await Platform.connect(control_plane.url, store=store) as one, await Platform.connect(control_plane.url, store=store) as two:
        await one.sign_in_with_link(LINK_TOKEN)
        control_plane.token_life_ms = 600_000
        await asyncio.gather(one.current_user(), two.current_user())
    assert control_plane.refreshes == 1


async def test_two_processes_do_not_trip_over_each_other(control_plane: FakePlatform, private_home: Path) -> None:
    control_plane.token_life_ms = 1
    async with await Platform.connect(control_plane.url, store=FileStore()) as platform:
        await platform.sign_in_with_link(LINK_TOKEN)
    control_plane.token_life_ms = 600_000
    command = [sys.executable, "-c", "from spin_client.cli.main import main; main()", "whoami", "--url", control_plane.url]
    processes = [await asyncio.create_subprocess_exec(*command, stdout=subprocess.DEVNULL, env=dict(os.environ)) for _ in range(3)]
    assert [await process.wait() for process in processes] == [0, 0, 0]
    assert control_plane.refreshes == 1


async def test_a_reused_refresh_token_closes_the_sign_in_with_a_way_on(control_plane: FakePlatform, tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    async with await Platform.connect(control_plane.url, store=store) as platform:
        await platform.sign_in_with_link(LINK_TOKEN)
        control_plane.access_tokens.clear()
        control_plane.refresh_tokens = dict.fromkeys(control_plane.refresh_tokens, False)
        with pytest.raises(SpinError) as caught:
            await platform.current_user()
    assert caught.value.reason == "REFRESH_REUSED" and "spinctl login" in caught.value.hint
    assert store.load(control_plane.url) is None


async def test_every_call_carries_the_token_and_a_trace(platform: Platform, control_plane: FakePlatform) -> None:
    await platform.workspaces.ListWorkspaces(workspaces_pb2.ListWorkspacesRequest())
    _, metadata = control_plane.door.calls[-1]
    assert metadata["authorization"].startswith("Bearer access-")
    version, trace_id, span_id, flags = metadata["traceparent"].split("-")
    assert (version, len(trace_id), len(span_id), flags) == ("00", 32, 16, "01")


async def test_calls_that_sign_in_carry_no_token(platform: Platform, control_plane: FakePlatform) -> None:
    await platform.trust.documents()
    method, metadata = control_plane.door.calls[-1]
    assert method.endswith("ListRootDocuments") and "authorization" not in metadata


def test_a_stored_sign_in_shows_no_secret() -> None:
    shown = repr(StoredSignIn("access", "refresh", 1, "key", "ada@example.com"))
    assert "ada@example.com" in shown and not {"access'", "refresh'", "'key'"} & set(shown.split(","))


def test_a_damaged_file_counts_as_signed_out(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    store.save("http://x", StoredSignIn("a"))
    (file,) = (tmp_path / "sign-ins").glob("*.json")
    file.write_text('{"access_token": "a", "more": 1}')
    assert store.load("http://x") is None
    file.write_text("not json")
    assert store.load("http://x") is None


def test_a_private_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "file"
    write_private(path, b"one")
    write_private(path, b"two")
    assert path.read_bytes() == b"two" and path.stat().st_mode & 0o777 == 0o600
    assert [p.name for p in path.parent.iterdir()] == ["file"]
    assert path.parent.stat().st_mode & 0o777 == 0o700
