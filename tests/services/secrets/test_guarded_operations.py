"""Operations that need a second person: who may guard them, who may take the guard away, and who is told."""

from typing import Any

import pytest

from spinapis.secrets.v1 import secrets_pb2 as pb
from tests.fakes.installation import refused
from tests.fakes.secrets_bench import WORKSPACE, SecretsBench

GUARDED = ["rest.request"]


async def change(bench: SecretsBench, connection: pb.Connection, user: str, operations: list[str]) -> pb.Connection:
    request = pb.UpdateConnectionRequest(workspace_id=WORKSPACE, connection_id=connection.id, etag=connection.etag, replace_approval=True)
    request.approval_operations.extend(operations)
    return (await bench.stub.UpdateConnection(request, metadata=bench.by(user))).connection


async def test_the_compiler_and_the_runtime_are_told(bench: SecretsBench) -> None:
    made = await bench.create(approval_operations=GUARDED)
    assert list(made.approval_operations) == GUARDED
    resolved = await bench.resolve("warehouse")
    assert list(resolved.connections[0].approval_operations) == GUARDED
    runtime = bench.enrolment.add()
    bundle = bench.open(runtime, (await bench.sync(runtime)).sealed).message
    assert list(bundle.entries[0].approval_operations) == GUARDED


async def test_an_editor_guards_and_only_an_owner_lifts_it(bench: SecretsBench) -> None:
    guarded = await change(bench, await bench.create(), "editor", GUARDED)
    with refused() as refusal:
        await change(bench, guarded, "editor", [])
    assert refusal.reason == "PERMISSION_DENIED" and "rest.request" in refusal.text
    assert not (await change(bench, guarded, "owner", [])).approval_operations


@pytest.mark.parametrize(
    "elsewhere",
    [{"config_json": '{"base_url":"https://production.example.org"}'}, {"allowed_hosts": ["production.example.org"], "replace_allowed": True}],
)
async def test_only_an_owner_leads_what_was_approved_to_another_place(bench: SecretsBench, elsewhere: dict[str, Any]) -> None:
    guarded = await bench.create(approval_operations=GUARDED)
    values: dict[str, Any] = {"workspace_id": WORKSPACE, "connection_id": guarded.id, "etag": guarded.etag, "allowed_operations": GUARDED}
    with refused() as refusal:
        await bench.stub.UpdateConnection(pb.UpdateConnectionRequest(**values, **elsewhere), metadata=bench.by("editor"))
    assert refusal.reason == "PERMISSION_DENIED" and "Only an owner" in refusal.text
    again = pb.UpdateConnectionRequest(**values, **elsewhere, credential_json='{"token":"entered again"}')
    await bench.stub.UpdateConnection(again, metadata=bench.by("owner"))


async def test_an_editor_changes_the_rest_of_a_guarded_connection(bench: SecretsBench) -> None:
    guarded = await bench.create(approval_operations=GUARDED)
    same = {"config_json": '{ "base_url": "https://db.example.org" }', "name": "renamed"}
    request = pb.UpdateConnectionRequest(workspace_id=WORKSPACE, connection_id=guarded.id, etag=guarded.etag, **same)
    assert (await bench.stub.UpdateConnection(request, metadata=bench.by("editor"))).connection.name == "renamed"


async def test_other_changes_leave_the_guard_alone(bench: SecretsBench) -> None:
    guarded = await bench.create(approval_operations=GUARDED)
    assert list((await bench.update(guarded, name="renamed")).approval_operations) == GUARDED


ELSEWHERE = [
    {"config_json": '{"base_url":"https://mine.example.org"}'},
    {"replace_allowed": True, "allowed_hosts": ["mine.example.org"]},
    {"replace_allowed": True},
]


@pytest.mark.parametrize("changes", ELSEWHERE, ids=["configuration", "host", "no host"])
async def test_a_credential_that_others_entered_is_led_nowhere_else(bench: SecretsBench, changes: dict[str, Any]) -> None:
    made = await bench.create()
    fields = changes | ({"allowed_operations": GUARDED} if "replace_allowed" in changes else {})
    with refused() as refusal:
        await bench.update(made, **fields)
    assert (refusal.reason, refusal.metadata["field"]) == ("INVALID_ARGUMENT", "credential_json")
    assert (await bench.update(made, **fields, credential_json='{"token":"entered again"}')).version == 2


async def test_fewer_hosts_need_no_credential(bench: SecretsBench) -> None:
    made = await bench.create(allowed_hosts=["a.example.org", "b.example.org"])
    narrowed = await bench.update(made, replace_allowed=True, allowed_hosts=["a.example.org"], allowed_operations=GUARDED)
    assert list(narrowed.allowed_hosts) == ["a.example.org"]


@pytest.mark.parametrize("operations", [["rest.delete"], ["Not An Operation"]])
async def test_what_is_no_operation_is_not_guarded(bench: SecretsBench, operations: list[str]) -> None:
    with refused() as refusal:
        await bench.create(approval_operations=operations)
    assert refusal.reason == "INVALID_ARGUMENT" and refusal.metadata["field"].startswith("approval_operations")
