"""Connections over gRPC: who sees what, and that nobody ever reads a credential back."""

import subprocess
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest

from spinapis.secrets.v1 import secrets_pb2 as pb
from tests.fakes.installation import refused
from tests.fakes.secrets_bench import OTHER, PARENT, SECRET, WORKSPACE, SecretsBench

A_QUEUE = {"kind": "queue", "config_json": "{}", "credential_json": "", "allowed_operations": []}


async def test_the_kinds_come_with_the_forms_that_connections_are_checked_by(bench: SecretsBench) -> None:
    token, found = "", []
    while not found or token:
        request = pb.ListConnectionKindsRequest(page_size=1, page_token=token)
        answer = await bench.stub.ListConnectionKinds(request, metadata=bench.by("viewer"))
        token, found = answer.next_page_token, [*found, *answer.kinds]
    queue, rest, secret = found
    assert (queue.name, list(queue.operations), rest.name, list(rest.operations)) == ("queue", ["queue.get", "queue.put"], "rest", ["rest.request"])
    assert (secret.name, list(secret.operations)) == ("secret", ["secret.read"])
    assert "base_url" in orjson.loads(rest.config_schema_json)["properties"] and "token" in orjson.loads(rest.credential_schema_json)["properties"]


async def test_a_connection_shows_which_fields_are_set_and_no_value(bench: SecretsBench) -> None:
    made = await bench.create()
    assert list(made.credential_fields) == ["password", "username"] and made.config_json == '{"base_url":"https://db.example.org"}'
    assert (made.version, made.inherited, list(made.allowed_hosts)) == (1, False, ["db.example.org:5432"])
    assert bench.log.types(WORKSPACE) == ["connection.created"]


async def test_no_call_gives_a_credential_back(bench: SecretsBench) -> None:
    made = await bench.create()
    await bench.create("other", credential_json=f'{{"token":"{SECRET}"}}')
    answers: list[Any] = [made, *await bench.list(), await bench.resolve("warehouse"), await bench.update(made, name="renamed")]
    answers.append(await bench.stub.GetConnection(pb.GetConnectionRequest(workspace_id=WORKSPACE, connection_id=made.id), metadata=bench.by("owner")))
    answers.append(await bench.sync(bench.enrolment.add()))
    answers.extend(bench.log.entries[WORKSPACE])
    assert all(SECRET.encode() not in answer.SerializeToString() for answer in answers)


async def test_a_credential_is_never_in_the_database(bench: SecretsBench) -> None:
    made = await bench.create(config_json='{"base_url":"https://findable-in-the-clear"}')
    await bench.update(made, credential_json=f'{{"password":"{SECRET}2"}}')
    found = stored_bytes(bench)
    assert b"findable-in-the-clear" in found
    assert SECRET.encode() not in found


def stored_bytes(bench: SecretsBench) -> bytes:
    """All that the database holds, as its owner would dump it."""
    if bench.installation.platform.database_url:
        parts = urlsplit(bench.installation.platform.database_url)
        argv = ["pg_dump", "-h", str(parts.hostname), "-p", str(parts.port), "-U", str(parts.username), parts.path.lstrip("/")]
        return subprocess.run(argv, capture_output=True, check=True, timeout=60).stdout
    return b"".join(path.read_bytes() for path in (bench.installation.platform.data_dir / "db").glob("secrets.sqlite*"))


@pytest.mark.parametrize("user", ["agent", "viewer"])
async def test_agents_and_viewers_see_names_and_kinds_alone(bench: SecretsBench, user: str) -> None:
    made = await bench.create()
    (listed,) = await bench.list(user)
    got = await bench.stub.GetConnection(pb.GetConnectionRequest(workspace_id=WORKSPACE, connection_id=made.id), metadata=bench.by(user))
    for seen in (listed, got.connection):
        assert seen == pb.Connection(id=made.id, workspace_id=WORKSPACE, name="warehouse", kind="rest")


@pytest.mark.parametrize("user", ["agent", "viewer", "auditor"])
async def test_only_managers_change_connections(bench: SecretsBench, user: str) -> None:
    with refused() as refusal:
        await bench.create(user=user)
    assert refusal.reason == "PERMISSION_DENIED"


async def test_children_inherit_names_and_nobody_else_sees_them(bench: SecretsBench) -> None:
    shared = await bench.create("shared", workspace_id=PARENT)
    (seen,) = await bench.list()
    assert (seen.id, seen.inherited, seen.config_json, list(seen.credential_fields)) == (shared.id, True, "", [])
    assert await bench.list(workspace_id=OTHER) == []
    with refused() as refusal:
        await bench.stub.GetConnection(pb.GetConnectionRequest(workspace_id=OTHER, connection_id=shared.id), metadata=bench.by("owner"))
    assert refusal.reason == "NOT_FOUND"
    shared.workspace_id = WORKSPACE
    with refused() as refusal:
        await bench.update(shared, name="mine now")
    assert refusal.reason == "NOT_FOUND"


async def test_a_change_needs_the_newest_etag(bench: SecretsBench) -> None:
    made = await bench.create()
    changed = await bench.update(made, name="renamed")
    assert changed.etag != made.etag and changed.version == 2
    with refused() as refusal:
        await bench.update(made, name="lost update")
    assert refusal.reason == "ETAG_MISMATCH"
    with refused() as refusal:
        await bench.delete(made)
    assert refusal.reason == "ETAG_MISMATCH"
    await bench.delete(changed)
    assert await bench.list() == []
    assert bench.log.types(WORKSPACE) == ["connection.created", "connection.updated", "connection.deleted"]


async def test_a_repeated_creation_makes_one_connection(bench: SecretsBench) -> None:
    first = await bench.create(idempotency_key="k1")
    assert await bench.create(idempotency_key="k1") == first
    with refused() as refusal:
        await bench.create("another", idempotency_key="k1")
    assert refusal.reason == "ALREADY_EXISTS"
    assert len(await bench.list()) == 1


async def test_names_are_unique_in_a_workspace(bench: SecretsBench) -> None:
    await bench.create()
    other = await bench.create("other")
    with refused() as refusal:
        await bench.create()
    assert refusal.reason == "ALREADY_EXISTS"
    with refused() as refusal:
        await bench.update(other, name="warehouse")
    assert refusal.reason == "ALREADY_EXISTS"


async def test_one_connection_of_a_kind_is_the_default(bench: SecretsBench) -> None:
    await bench.create("first", is_default=True)
    await bench.create("second", is_default=True)
    await bench.create("elsewhere", **A_QUEUE, is_default=True)
    assert {one.name: one.is_default for one in await bench.list()} == {"first": False, "second": True, "elsewhere": True}


async def test_without_the_log_nothing_changes(bench: SecretsBench) -> None:
    made = await bench.create()
    bench.log.broken = True
    for attempt in (bench.create("second"), bench.update(made, name="renamed"), bench.delete(made), bench.sync(bench.enrolment.add())):
        with refused() as refusal:
            await attempt
        assert refusal.reason == "UNAVAILABLE"
    bench.log.broken = False
    (unchanged,) = await bench.list()
    assert unchanged == made


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", "two\nlines"),
        ("config_json", "[]"),
        ("credential_json", SECRET),
        ("credential_json", f'["{SECRET}"]'),
        ("allowed_hosts", ["https://db.example.org/"]),
        ("allowed_hosts", ["ftp://db.example.org"]),
        ("allowed_hosts", ["http://*"]),
        ("allowed_operations", ["drop table"]),
    ],
)
async def test_a_wrong_field_is_named_and_its_value_is_not_repeated(bench: SecretsBench, field: str, value: Any) -> None:
    with refused() as refusal:
        await bench.create(**({"name": value} if field == "name" else {field: value}))
    assert refusal.error is not None and refusal.reason == "INVALID_ARGUMENT" and refusal.error.metadata["field"] == field
    assert SECRET not in str(refusal.error) + str(refusal.error.violations)


@pytest.mark.parametrize(
    ("fields", "field", "said"),
    [
        ({"kind": "teleporter"}, "kind", "queue, rest"),
        ({"kind": ""}, "kind", "queue, rest"),
        ({"config_json": '{"host": "db.example.org"}'}, "config_json.host", "auth, base_url, header_name, test_path, username"),
        ({"config_json": f'{{"base_url": "{SECRET}"}}'}, "config_json.base_url", "http:// or https://"),
        ({"config_json": '{"auth": "header"}'}, "config_json.header_name", "missing"),
        ({"config_json": '{"auth": "header", "header_name": "x-key\\n"}'}, "config_json.header_name", "name of a header"),
        ({"credential_json": f'{{"passwort": "{SECRET}"}}'}, "credential_json.passwort", "password, token, username, value"),
        ({"credential_json": f'{{"token": ["{SECRET}"]}}'}, "credential_json.token", "one line"),
        ({"credential_json": f'{{"token": "{SECRET}\\n"}}'}, "credential_json.token", "one line"),
        ({"allowed_operations": ["rest.request", "sql.query"]}, "allowed_operations[1]", "rest.request"),
    ],
)
async def test_what_the_kind_does_not_have_is_refused(bench: SecretsBench, fields: dict[str, Any], field: str, said: str) -> None:
    with refused() as refusal:
        await bench.create(**fields)
    assert refusal.error is not None and refusal.reason == "INVALID_ARGUMENT" and refusal.error.metadata["field"] == field
    assert said in refusal.error.text and SECRET not in str(refusal.error) + str(refusal.error.violations)
    assert await bench.list() == []


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"config_json": '{"host": "db.example.org"}'}, "config_json.host"),
        ({"credential_json": '{"passwort": "new"}'}, "credential_json.passwort"),
        ({"replace_allowed": True, "allowed_operations": ["sql.query"]}, "allowed_operations[0]"),
        ({"replace_allowed": True}, "allowed_operations"),
    ],
)
async def test_a_change_keeps_to_the_kind(bench: SecretsBench, fields: dict[str, Any], field: str) -> None:
    made = await bench.create()
    with refused() as refusal:
        await bench.update(made, **fields)
    assert refusal.error is not None and refusal.error.metadata["field"] == field
    assert await bench.list() == [made]


async def test_a_connection_that_names_no_operation_gets_all_of_its_kind(bench: SecretsBench) -> None:
    assert (await bench.create(**A_QUEUE)).allowed_operations == ["queue.get", "queue.put"]


async def test_the_list_comes_in_pages(bench: SecretsBench) -> None:
    for place in range(5):
        await bench.create(f"c{place}")
    names, token, pages = [], "", 0
    while not pages or token:
        request = pb.ListConnectionsRequest(workspace_id=WORKSPACE, page_size=2, page_token=token)
        page = await bench.stub.ListConnections(request, metadata=bench.by("viewer"))
        names += [one.name for one in page.connections]
        token, pages = page.next_page_token, pages + 1
    assert names == [f"c{place}" for place in range(5)] and pages == 3


async def test_the_compiler_resolves_ids_and_names_nearest_first(bench: SecretsBench) -> None:
    far = await bench.create("warehouse", workspace_id=PARENT)
    near = await bench.create("warehouse")
    resolved = await bench.resolve("warehouse", far.id)
    assert [one.id for one in resolved.connections] == [near.id, far.id]
    assert list(resolved.connections[0].allowed_operations) == ["rest.request"] and not resolved.connections[0].credential_fields
    with refused() as refusal:
        await bench.resolve("warehouse", "no such thing")
    assert refusal.reason == "CONNECTION_UNUSABLE" and refusal.error is not None and refusal.error.metadata["connection"] == "no such thing"
    with refused() as refusal:
        await bench.resolve(near.id, workspace_id=OTHER)
    assert refusal.reason == "CONNECTION_UNUSABLE"


async def test_people_do_not_resolve(bench: SecretsBench) -> None:
    with refused() as refusal:
        await bench.stub.ResolveConnections(pb.ResolveConnectionsRequest(workspace_id=WORKSPACE), metadata=bench.by("owner"))
    assert refusal.reason == "SERVICE_ONLY"
