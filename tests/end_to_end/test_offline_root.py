"""The root leaves a running platform for two of three people's files, and signs a rotation from there; nobody is interrupted."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from scripts.platform import programs
from scripts.platform.apart import RunningPlatform, start_apart
from spin_client.sdk import MemoryStore, Platform, RunState, RuntimeSession
from spinapis.workspace.v1 import notebooks_pb2, workspaces_pb2
from tests.fakes.hand_client import new_session
from tests.fakes.key_rotation import keys, rotate

NOTICED_S = 1.5
PASSPHRASE = "five words and some more"


def spinctl(*arguments: str) -> str:
    """Without a platform and without a network: the commands for files."""
    command = [str(programs.BIN / "spinctl"), "root", *arguments]
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "SPIN_URL": "http://127.0.0.1:1"}
    done = subprocess.run(command, env=environment, input=PASSPHRASE, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode in (0, 1), done.stderr
    return done.stdout


@pytest.fixture
def running(tmp_path: Path) -> Iterator[RunningPlatform]:
    """A platform of its own: a root that has left does not come back."""
    platform = start_apart(tmp_path / "platform")
    yield platform
    assert platform.stop() == 0


@pytest.fixture
async def owner(running: RunningPlatform, tmp_path: Path) -> AsyncIterator[Platform]:
    async with await Platform.connect(running.settings.public_url, store=MemoryStore(), pins=tmp_path / "pins") as platform:
        await platform.sign_in_with_link(running.new_token())
        yield platform


async def test_two_of_three_people_rotate_auth_while_cells_run(running: RunningPlatform, owner: Platform, tmp_path: Path) -> None:
    workspaces = await owner.workspaces.ListWorkspaces(workspaces_pb2.ListWorkspacesRequest())
    session = await new_session(owner, workspaces.workspaces[0].id)
    now, proposal = str(tmp_path / "now.root"), str(tmp_path / "next.root")
    (tmp_path / "now.root").write_bytes((await owner.trust.root()).data)
    people = [str(tmp_path / f"{name}.pem") for name in ("alice", "bob", "carol")]
    made = [spinctl("new-key", person, "--passphrase-file", "-") for person in people]
    roots = [word for text in made for word in ("--root-key", text.split()[-1])]
    spinctl("propose", proposal, "--current", now, "--threshold", "2", *roots)
    for person in people[:2]:
        sign(proposal, now, person)
    keys(running.settings, "sign-as-root", "--yes", proposal)
    assert "2 of 3 root keys" in keys(running.settings, "install", proposal)

    with pytest.raises(subprocess.CalledProcessError) as refused:
        rotate(running.settings, "auth")
    assert "spin-service keys propose" in refused.value.stderr
    async with await RuntimeSession.of(owner, session) as opened:
        await works(opened)
        rotation = str(tmp_path / "auth.root")
        keys(running.settings, "propose", "auth", rotation)
        sign(rotation, proposal, people[1])
        with pytest.raises(subprocess.CalledProcessError) as refused:
            keys(running.settings, "install", rotation)
        assert "does not count" in refused.value.stderr and "Traceback" not in refused.value.stderr
        sign(rotation, proposal, people[2])
        keys(running.settings, "install", rotation)
        await asyncio.sleep(NOTICED_S)
        await works(opened)
    async with await RuntimeSession.of(owner, session) as again:
        await works(again)
    assert (await owner.trust.root()).version >= 3


def sign(document: str, current: str, person: str) -> None:
    spinctl("sign", document, "--current", current, "--key", person, "--passphrase-file", "-", "--yes")


async def works(session: RuntimeSession) -> None:
    cell = notebooks_pb2.Cell(id="signed", cell_type="python", source="print('fine')")
    states = [event async for event in session.run(cell) if isinstance(event, RunState)]
    assert states[-1].ok, states[-1]
    assert await session.settle()
