"""Taking over a session in which somebody else's code ran, with `spinctl`: restart, or keep it with what all may use; and being told which."""

import asyncio
import json
from pathlib import Path

from scripts.platform.apart import RunningPlatform
from spin_client.sdk import Platform, RuntimeSession
from spinapis.workspace.v1 import workspaces_pb2
from tests.end_to_end.test_attack_tainted_kernels import api, connected, mallory, python, used
from tests.end_to_end.test_four_eyes import Terminal
from tests.fakes.cell_runs import ran_well
from tests.fakes.connected_system import ConnectedSystem
from tests.fakes.hand_client import new_session

__all__ = ["api", "mallory"]


async def test_with_spinctl_the_choice_is_offered_and_what_happened_is_told(
    running: RunningPlatform,
    owner: Platform,
    mallory: Platform,
    workspace: workspaces_pb2.Workspace,
    api: ConnectedSystem,
    confidential: set[str],
    tmp_path: Path,
) -> None:
    connection = await connected(owner, workspace.id, api, confidential)
    session = await new_session(owner, workspace.id)
    async with await RuntimeSession.of(mallory, session) as hers:
        await ran_well(hers, python("1"))
        assert list(hers.kernel.user_ids) == [(await mallory.current_user()).id]
    terminal = Terminal(running, tmp_path / "home")
    await asyncio.to_thread(terminal.sign_in, running.new_token())

    async def spinctl(*arguments: str, expected: int = 0) -> str:
        return await asyncio.to_thread(terminal.run, "session", *arguments, expected=expected)

    shown = json.loads(await spinctl("show", session.id, "--json"))
    assert len(shown["code_of_others"]) == 1 and connection.name in shown["connections_shut"] and connection.name not in shown["connections"]
    asked = await spinctl("take", session.id, expected=2)
    assert "mallory-" in asked and "--restart" in asked and "--keep" in asked
    kept = await spinctl("take", session.id, "--keep")
    assert kept.startswith("Kept the kernel. Code of mallory-") and connection.name in kept
    restarted = await spinctl("take", session.id, "--restart")
    assert restarted.startswith("Restarted the kernel. Nobody else's code is in this kernel")
    assert connection.name in json.loads(await spinctl("show", session.id, "--json"))["connections"]
    async with await RuntimeSession.of(owner, session) as mine:
        await ran_well(mine, used(connection))
        assert api.hits == ["GET /data"]
