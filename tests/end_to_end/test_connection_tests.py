"""`spinctl connection test` on the real platform: through the runtime, whose secret manager holds the credential."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from aiohttp import web

from scripts.platform.apart import RunningPlatform
from spin_client.sdk import Platform
from spinapis.secrets.v1 import secrets_pb2
from spinapis.workspace.v1 import workspaces_pb2
from tests.end_to_end.test_four_eyes import Terminal
from tests.fakes.connected_system import ConnectedSystem
from tests.fakes.extra_runtime import ExtraRuntime


@pytest.fixture
async def remote(confidential: set[str]) -> AsyncIterator[tuple[str, str]]:
    """A system that wants a token, which it repeats; its host, and the token."""
    token = f"token-{secrets.token_hex(12)}"
    confidential.add(token)

    def says(request: web.Request) -> web.Response:
        good = request.headers.get("Authorization") == f"Bearer {token}"
        return web.json_response({"token": token}, status=200 if good else 401)

    async with ConnectedSystem(says) as system:
        yield system.host, token


@pytest.fixture
def runtime(running: RunningPlatform, tmp_path: Path) -> Iterator[ExtraRuntime]:
    made = ExtraRuntime(tmp_path / "runtime", running.settings.service_port_base + 17)
    made.home.mkdir()
    yield made
    made.stop()


async def test_a_connection_is_tried_where_it_is_used(
    running: RunningPlatform,
    owner: Platform,
    workspace: workspaces_pb2.Workspace,
    remote: tuple[str, str],
    tmp_path: Path,
    runtime: ExtraRuntime,
) -> None:
    host, token = remote
    (tmp_path / "values").mkdir()
    (tmp_path / "values" / "token").write_text(token + "\n")
    etc = runtime.home / "home" / "etc"
    etc.mkdir(parents=True)
    rule = {"path": "token", "hosts": [host]}
    manager = {"kind": "file", "root": str(tmp_path / "values"), "allow": [rule, "gone"], "keep_s": 0}
    (etc / "secret-managers.json").write_text(json.dumps({"managers": {"files": manager}}))
    await runtime.pair(owner, "Sample")
    terminal = Terminal(running, tmp_path / "terminal")
    await asyncio.to_thread(terminal.sign_in, running.new_token())

    async def tried(path: str, address: str, expected: int) -> str:
        create = secrets_pb2.CreateConnectionRequest(
            workspace_id=workspace.id,
            name=f"tried {secrets.token_hex(3)}",
            kind="rest",
            config_json=json.dumps({"base_url": address, "auth": "bearer"}),
            references_json=json.dumps({"token": {"manager": "files", "path": path}}),
        )
        name = (await owner.connections.CreateConnection(create)).connection.name
        command = ("connection", "test", name, "--runtime", runtime.record.name)
        said = await asyncio.to_thread(terminal.run, *command, expected=expected)
        assert token not in said
        return said

    assert f"ok: {host} answered 200 OK" in await tried("token", f"http://{host}", 0)
    # What fails says which of all that is between the page and the remote system it was.
    assert f"may be used by connections whose hosts are among {host} alone" in await tried("token", "http://127.0.0.1:9", 1)
    assert "is not allowed: whoever operates the runtime adds it" in await tried("root", f"http://{host}", 1)
    assert "gets no value from the secret manager 'files': it has nothing at this path" in await tried("gone", f"http://{host}", 1)
    (tmp_path / "values" / "gone").write_text("another token")
    assert f"{host} answered 401 Unauthorized: the credential is refused" in await tried("gone", f"http://{host}", 1)
    assert "the host cannot be reached: nobody answers at its port" in await tried("gone", "http://127.0.0.1:9", 1)
    assert "the host's name cannot be resolved" in await tried("gone", "http://nowhere.invalid", 1)
