"""What the launcher and the supervisor hold on to, and give away: never more than was meant."""

import asyncio
import os
import sys
from pathlib import Path

import psutil
import pytest

from spin_runtime import accounts
from spin_runtime.launcher.client import IsolationUnavailable, LauncherClient
from spin_runtime.launcher.rules import EGRESS_OPEN, Rules, Start
from tests.fakes.launched import Launched

SLEEPS = [sys.executable, "-c", "import time; time.sleep(60)"]


def rules(folder: Path, kind: str = "process", readable: tuple[str, ...] = ()) -> Rules:
    own = os.geteuid()
    return Rules(kind, "open", readable, str(folder), 1 << 20, 100, 0, None, own, os.getegid(), own)


async def test_a_start_that_nobody_waits_for_leaves_no_kernel_and_no_descriptor(tmp_path: Path) -> None:
    launched = Launched(rules(tmp_path))
    client = LauncherClient(launched.channel)
    await client.begin()
    launcher = psutil.Process(launched.process.pid)
    await client.folder("a")
    boxes = [str(await client.box()) for _ in range(3)]
    for box in boxes:
        Path(box, "connection.json").touch()
    with (tmp_path / "stderr").open("wb") as stderr:
        held = len(list(Path("/proc/self/fd").iterdir()))
        starts = [asyncio.create_task(client.start(Start(SLEEPS, {}, "a", box, EGRESS_OPEN), stderr.fileno())) for box in boxes]
        await asyncio.sleep(0)
        for start in starts:
            start.cancel()
        await asyncio.gather(*starts, return_exceptions=True)
        # Each answer comes behind those before it: first the starts', then the releases'.
        await client.release("0")
        await client.release("0")
        assert len(list(Path("/proc/self/fd").iterdir())) == held
        async with asyncio.timeout(10):
            while [child for child in launcher.children() if child.status() != psutil.STATUS_ZOMBIE]:
                await asyncio.sleep(0.01)
    await client.close()
    assert launched.ended() == 0


async def test_a_launcher_that_could_not_be_configured_starts_nothing(tmp_path: Path) -> None:
    launched = Launched(rules(tmp_path, "sandbox", (str(tmp_path),)))
    client = LauncherClient(launched.channel)
    for _ in range(2):
        with pytest.raises(IsolationUnavailable):
            await client.begin()
    await client.close()
    assert launched.ended() == 0


def test_nothing_that_has_another_name_is_given_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret, folder = tmp_path / "secret", tmp_path / "var"
    secret.write_text("of another user")
    (folder / "below").mkdir(parents=True)
    (folder / "below" / "own").write_text("")
    os.link(secret, folder / "below" / "linked")
    (folder / "pointer").symlink_to(secret)
    given: list[str] = []
    monkeypatch.setattr(os, "chown", lambda name, *_, **options: given.append(f"{name}{options}") if isinstance(name, str) else None)
    accounts._made(folder, 47801, 0o700)
    names = {entry.split("{")[0] for entry in given}
    assert names == {"below", "own", "pointer"}
    assert all("'follow_symlinks': False" in entry for entry in given)


def test_a_folder_that_is_a_link_is_not_given_away(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "broker").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic link"):
        accounts._made(tmp_path / "broker", 47801, 0o700)
