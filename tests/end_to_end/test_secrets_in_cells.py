"""Exposable secrets on the real platform: read in cells of each type, out of sight, in the log each time; others are refused."""

import json
import secrets
from collections.abc import Mapping
from typing import Any

import pytest

from spin_client.sdk import Platform, RuntimeSession, SpinError
from spinapis.audit.v1 import audit_pb2
from spinapis.secrets.v1 import secrets_pb2
from spinapis.workspace.v1 import notebooks_pb2, workspaces_pb2
from tests.fakes.hand_client import new_session


async def made(owner: Platform, workspace_id: str, value: str, *, exposable: bool) -> secrets_pb2.Connection:
    request = secrets_pb2.CreateConnectionRequest(
        workspace_id=workspace_id,
        name=f"s{secrets.token_hex(4)}",
        kind="secret",
        config_json="{}",
        credential_json=json.dumps({"value": value}),
        exposable=exposable,
    )
    return (await owner.connections.CreateConnection(request)).connection


async def told(opened: RuntimeSession, cell_type: str, source: str, fields: Mapping[str, Any] | None = None) -> str:
    """All that a run showed, and its end."""
    cell = notebooks_pb2.Cell(id=f"c{secrets.token_hex(4)}", cell_type=cell_type, source=source, fields_json=json.dumps(fields or {}))
    return " ".join([str(event) async for event in opened.run(cell)])


async def exposures(owner: Platform, workspace_id: str, connection_id: str) -> list[int]:
    request = audit_pb2.ListEntriesRequest(workspace_id=workspace_id, type="secret.exposed", subject=f"connection:{connection_id}")
    return [json.loads(entry.body_json)["count"] for entry in (await owner.log.ListEntries(request)).entries]


async def test_a_secret_in_each_type_of_cell(owner: Platform, workspace: workspaces_pb2.Workspace, confidential: set[str]) -> None:
    value = f"value-{secrets.token_hex(12)}"
    confidential.add(value)
    salt = await made(owner, workspace.id, value, exposable=True)
    template = f"{{{{secret:{salt.name}}}}}"
    async with await RuntimeSession.of(owner, await new_session(owner, workspace.id)) as opened:
        await opened.start_kernel()
        shown = [
            await told(opened, "python", f"x = {template}\nprint(len(x), x)"),
            await told(opened, "shell", f'echo "${{#V}} " {template}'),
            await told(opened, "sql", f"SELECT length({template}) AS n, {template} AS v"),
            await told(opened, "python", f"name = '{salt.name}'\nprint(len({{{{secret_var:name}}}}))"),
            await told(opened, "rest", "", {"url": "http://127.0.0.1:9/", "query": {"key": template}}),
        ]
        await opened.settle()
    assert not [text for text in shown if value in text]
    assert [f"[redacted {salt.name}]" in text for text in shown] == [True, True, True, False, True]
    assert str(len(value)) in shown[0] and str(len(value)) in shown[2] and str(len(value)) in shown[3]
    # One reading for each template that a run evaluates.
    assert sum(await exposures(owner, workspace.id, salt.id)) == 5


async def test_a_secret_that_is_not_exposable_is_refused_before_it_runs(owner: Platform, workspace: workspaces_pb2.Workspace) -> None:
    hidden = await made(owner, workspace.id, f"value-{secrets.token_hex(12)}", exposable=False)
    async with await RuntimeSession.of(owner, await new_session(owner, workspace.id)) as opened:
        await opened.start_kernel()
        with pytest.raises(SpinError, match="not exposable"):
            await told(opened, "python", f"print({{{{secret:{hidden.name}}}}})")
    assert await exposures(owner, workspace.id, hidden.id) == []
