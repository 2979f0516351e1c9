"""Whoever reads logs, disks or a kernel's surroundings finds no secret there."""

import secrets
from pathlib import Path

import pytest

from scripts.platform.apart import RunningPlatform
from spin_client.sdk import MemoryStore, Platform, RuntimeSession, SpinError
from spinapis.auth.v1 import members_pb2, sign_in_pb2
from spinapis.secrets.v1 import secrets_pb2
from spinapis.workspace.v1 import notebooks_pb2, workspaces_pb2
from tests.fakes.extra_runtime import ExtraRuntime
from tests.fakes.hand_client import HandClient
from tests.fakes.history import deliver_receipts
from tests.fakes.secret_search import leaks


async def signed_in_with_a_password(running: RunningPlatform, owner: Platform, workspace_id: str, pins: Path, confidential: set[str]) -> None:
    """A person with a link, a password and a wrong password."""
    email, password, wrong = "secretive@example.org", f"right-{secrets.token_hex(12)}", f"wrong-{secrets.token_hex(12)}"
    request = members_pb2.AddMemberRequest(workspace_id=workspace_id, email=email, role=members_pb2.MEMBER_ROLE_VIEWER)
    added = await owner.members.AddMember(request)
    async with await Platform.connect(running.settings.public_url, store=MemoryStore(), pins=pins) as person:
        await person.sign_in_with_link(added.sign_in_token)
        confidential |= {added.sign_in_token, password, wrong, person.tokens.refresh_token, await person.tokens.access_token()}
        await person.sign_in.SetPassword(sign_in_pb2.SetPasswordRequest(new_password=password))
        await person.sign_in_with_password(email, password)
        confidential |= {person.tokens.refresh_token, await person.tokens.access_token()}
        with pytest.raises(SpinError):
            await person.sign_in_with_password(email, wrong)


async def signed_in_with_a_key(running: RunningPlatform, owner: Platform, workspace_id: str, pins: Path, confidential: set[str]) -> None:
    request = members_pb2.CreateApiKeyRequest(workspace_id=workspace_id, name=secrets.token_hex(4), role=members_pb2.MEMBER_ROLE_AGENT)
    key = (await owner.members.CreateApiKey(request)).secret
    async with await Platform.connect(running.settings.public_url, store=MemoryStore(), pins=pins) as machine:
        await machine.sign_in_with_api_key(key)
        confidential |= {key, await machine.tokens.access_token()}


async def connected(owner: Platform, workspace_id: str, confidential: set[str]) -> None:
    """A connection whose credential was written twice, and a runtime that has it."""
    old, new = f"old-{secrets.token_hex(12)}", f"new-{secrets.token_hex(12)}"
    confidential |= {old, new}
    create = secrets_pb2.CreateConnectionRequest(
        workspace_id=workspace_id,
        name=f"c{secrets.token_hex(4)}",
        kind="rest",
        config_json="{}",
        credential_json=f'{{"token": "{old}"}}',
        allowed_hosts=["api.example.org"],
        allowed_operations=["rest.request"],
    )
    made = (await owner.connections.CreateConnection(create)).connection
    update = secrets_pb2.UpdateConnectionRequest(
        workspace_id=workspace_id, connection_id=made.id, etag=made.etag, credential_json=f'{{"token": "{new}"}}'
    )
    await owner.connections.UpdateConnection(update)


async def test_no_secret_in_logs_and_no_plaintext_credential_on_any_disk(
    running: RunningPlatform,
    owner: Platform,
    workspace: workspaces_pb2.Workspace,
    session: notebooks_pb2.Session,
    second_runtime: ExtraRuntime,
    tmp_path: Path,
    confidential: set[str],
) -> None:
    await signed_in_with_a_password(running, owner, workspace.id, tmp_path, confidential)
    await signed_in_with_a_key(running, owner, workspace.id, tmp_path, confidential)
    await connected(owner, workspace.id, confidential)
    # Attaching synchronises the credentials to the runtime, which keeps them on its own disk.
    await deliver_receipts(owner, session)
    confidential |= {running.settings.runtime_token_file.read_text(), second_runtime.token}
    assert len(confidential) > 10
    assert leaks(running.settings, confidential) == []
    said = second_runtime.log.read_text()
    assert not [secret for secret in confidential if secret in said]


def test_what_is_kept_for_the_owner_is_for_nobody_else(running: RunningPlatform) -> None:
    data = running.settings.data
    for path in (running.settings.runtime_token_file, data / "first-sign-in", data / "kek", *(data / "keys").rglob("*.key")):
        assert path.stat().st_mode & 0o077 == 0, path


ENVIRONMENT = """
import os
print("NAMES", *sorted(os.environ))
"""
ABOVE = """
refused = 0
for pid in {pids}:
    try:
        open(f"/proc/{{pid}}/environ", "rb")
    except OSError:
        refused += 1
print("REFUSED", refused)
"""
ARGUMENTS = """
import os
spin = [open(f"/proc/{pid}/cmdline").read() for pid in filter(str.isdigit, os.listdir("/proc")) if os.path.exists(f"/proc/{pid}/cmdline")]
print("ARGUMENTS", sum("spin1." in text for text in spin))
"""


async def printed(client: HandClient, source: str) -> str:
    before = len(client.printed())
    assert await client.outcome((await client.compile(source)).sealed) == "OK"
    return client.printed()[before:]


async def test_a_kernels_environment(client: HandClient) -> None:
    names = (await printed(client, ENVIRONMENT)).split()
    assert "PATH" in names
    assert not [name for name in names if name.startswith("SPIN_")]


async def test_a_kernel_that_reads_the_runtimes_environment(running: RunningPlatform, client: HandClient) -> None:
    """The token opens the runtime's disk, so a kernel must not find it in /proc either."""
    pids = [running.child(name).pid for name in ("runtime", "broker", "server")]
    assert (await printed(client, ABOVE.format(pids=pids))).split() == ["REFUSED", "3"]


async def test_a_kernel_that_reads_everybodys_arguments(client: HandClient) -> None:
    assert (await printed(client, ARGUMENTS)).split() == ["ARGUMENTS", "0"]


async def test_a_secret_never_shown_by_the_api(owner: Platform, workspace: workspaces_pb2.Workspace, confidential: set[str]) -> None:
    await connected(owner, workspace.id, confidential)
    answer = await owner.connections.ListConnections(secrets_pb2.ListConnectionsRequest(workspace_id=workspace.id, page_size=100))
    assert answer.connections
    assert not [secret for secret in confidential if secret in str(answer)]


async def test_a_session_of_a_client_hides_its_tokens(owner: Platform, session: notebooks_pb2.Session) -> None:
    """What a program prints or logs of the client's objects has no token in it."""
    async with await RuntimeSession.of(owner, session) as opened:
        shown = repr(opened) + repr(owner) + repr(owner.tokens.__dict__)
    assert await owner.tokens.access_token() not in shown
    assert owner.tokens.refresh_token not in shown
