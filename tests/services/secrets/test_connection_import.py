"""Many connections at once: all or none, every fault by its place, and no credential in any answer."""

from typing import Any

import orjson
import pytest

from spinapis.secrets.v1 import secrets_pb2 as pb
from tests.fakes.installation import refused
from tests.fakes.secrets_bench import OTHER, PARENT, SECRET, WORKSPACE, SecretsBench


def entry(name: str, **fields: Any) -> pb.ConnectionEntry:
    values: dict[str, Any] = {
        "name": name,
        "kind": "rest",
        "config_json": '{"base_url":"https://db.example.org"}',
        "credential_json": orjson.dumps({"token": SECRET}).decode(),
        "allowed_hosts": ["db.example.org"],
    }
    return pb.ConnectionEntry(**(values | fields))


async def imported(bench: SecretsBench, *entries: pb.ConnectionEntry, user: str = "owner", **fields: Any) -> list[pb.ImportOutcome]:
    request = pb.ImportConnectionsRequest(**({"workspace_id": WORKSPACE, "entries": entries} | fields))
    return list((await bench.stub.ImportConnections(request, metadata=bench.by(user))).outcomes)


async def dry(bench: SecretsBench, *entries: pb.ConnectionEntry) -> list[str]:
    """The fields that a dry run finds fault with."""
    return [fault.field for outcome in await imported(bench, *entries, validate_only=True) for fault in outcome.faults]


async def test_all_are_made_and_each_is_in_the_log(bench: SecretsBench) -> None:
    guarded = entry("b", allowed_operations=["rest.request"], approval_operations=["rest.request"], expires_at_ms=4_000_000_000_000, is_default=True)
    outcomes = await imported(bench, entry("a", credential_json=""), guarded, user="editor")
    a, b = await bench.list()
    assert [outcome.connection for outcome in outcomes] == [a, b]
    assert (list(a.credential_fields), list(a.allowed_operations)) == ([], ["rest.request"])
    assert (list(b.credential_fields), list(b.approval_operations), b.expires_at_ms, b.is_default) == (
        ["token"], ["rest.request"], 4_000_000_000_000, True,
    )  # fmt: skip
    assert [(one.type, list(one.subjects)) for one in bench.log.entries[WORKSPACE]] == [
        ("connection.created", [f"connection:{a.id}"]),
        ("connection.created", [f"connection:{b.id}"]),
    ]
    runtime = bench.enrolment.add()
    sealed = bench.open(runtime, (await bench.sync(runtime)).sealed).message
    assert {one.name: orjson.loads(one.secret_json or b"{}") for one in sealed.entries} == {"a": {}, "b": {"token": SECRET}}


async def test_entries_bring_grants_references_and_what_may_be_exposed(bench: SecretsBench) -> None:
    grants = [pb.ConnectionGrant(level=pb.CONNECTION_LEVEL_USE, user_id="ann")]
    said = entry("a", credential_json="", references_json='{"token":{"manager":"vault","path":"kv/app"}}', grants=grants, exposable=True)
    (shown,) = await imported(bench, said, validate_only=True)
    await imported(bench, said)
    (made,) = await bench.list()
    for one in (shown.connection, made):
        assert list(one.grants) == grants and one.exposable and one.references_json == said.references_json
    wrong = entry("b", grants=[pb.ConnectionGrant(user_id="ann")], references_json='{"token":{"manager":"vault","path":"kv/app"}}')
    assert await dry(bench, wrong) == ["entries[0].grants[0].level", "entries[0].references_json.token"]


async def test_a_dry_run_shows_what_would_be_and_makes_nothing(bench: SecretsBench) -> None:
    outcomes = await imported(bench, entry("a"), validate_only=True)
    shown = outcomes[0].connection
    assert (shown.id, shown.name, list(shown.allowed_operations), list(shown.credential_fields)) == ("", "a", ["rest.request"], ["token"])
    assert await bench.list() == [] and bench.log.types(WORKSPACE) == []


async def test_every_fault_of_every_entry_is_told_by_its_place(bench: SecretsBench) -> None:
    await bench.create("warehouse")
    found = await dry(
        bench,
        entry("fine"),
        entry("warehouse"),
        entry("fine", kind="nonsense"),
        entry(" ", config_json="{", credential_json=f'{{"tokem":"{SECRET}","passwort":"x"}}', allowed_hosts=["Bad Host"]),
        entry("ops", config_json="{}", allowed_operations=["rest.request", "rest.delete"], expires_at_ms=-1),
    )
    assert found == [
        "entries[1].name",
        "entries[2].kind",
        "entries[2].name",
        "entries[3].name",
        "entries[3].config_json",
        "entries[3].allowed_hosts",
        "entries[3].credential_json.passwort",
        "entries[3].credential_json.tokem",
        "entries[4].expires_at_ms",
        "entries[4].allowed_operations[1]",
    ]


async def test_one_fault_stops_all(bench: SecretsBench) -> None:
    await bench.create("warehouse")
    with refused() as refusal:
        await imported(bench, entry("fine"), entry("other", credential_json=f'{{"tokem":"{SECRET}"}}'), entry("warehouse"))
    assert refusal.reason == "INVALID_ARGUMENT"
    assert [field for field, _ in refusal.violations] == ["entries[1].credential_json.tokem", "entries[2].name"]
    assert SECRET not in str(refusal.violations) + refusal.text
    assert [one.name for one in await bench.list()] == ["warehouse"] and bench.log.types(WORKSPACE) == ["connection.created"]


async def test_a_name_that_is_taken_stops_all_too(bench: SecretsBench) -> None:
    await bench.create("warehouse")
    with refused() as refusal:
        await imported(bench, entry("fine"), entry("warehouse"))
    assert (refusal.reason, refusal.violations[0][0]) == ("INVALID_ARGUMENT", "entries[1].name")
    assert [one.name for one in await bench.list()] == ["warehouse"]


async def test_names_of_other_workspaces_are_free(bench: SecretsBench) -> None:
    for place in (PARENT, OTHER):
        await bench.create("warehouse", workspace_id=place)
    assert await dry(bench, entry("warehouse")) == []


async def test_two_first_choices_of_one_kind(bench: SecretsBench) -> None:
    queue = entry("q", kind="queue", config_json="{}", credential_json="", is_default=True)
    assert await dry(bench, entry("a", is_default=True), queue, entry("b", is_default=True)) == ["entries[2].is_default"]


async def test_without_the_log_nothing_is_made(bench: SecretsBench) -> None:
    bench.log.broken = True
    with refused() as refusal:
        await imported(bench, entry("a"), entry("b"))
    assert refusal.reason == "UNAVAILABLE" and await bench.list() == []


async def test_a_repeated_import_makes_nothing_more(bench: SecretsBench) -> None:
    first = await imported(bench, entry("b"), entry("a"), idempotency_key="k")
    assert await imported(bench, entry("b"), entry("a"), idempotency_key="k") == first
    assert bench.log.types(WORKSPACE) == ["connection.created"] * 2
    for others in ([entry("b")], [entry("b"), entry("a"), entry("c")], [entry("c"), entry("d")]):
        with refused() as refusal:
            await imported(bench, *others, idempotency_key="k")
        assert refusal.reason == "ALREADY_EXISTS" and refusal.metadata["resource"] == "idempotency_key"


@pytest.mark.parametrize("count", [0, 1001])
async def test_how_many_at_once(bench: SecretsBench, count: int) -> None:
    with refused() as refusal:
        await imported(bench, *[entry(f"c{number}") for number in range(count)])
    assert (refusal.reason, refusal.metadata["field"]) == ("INVALID_ARGUMENT", "entries")


async def test_how_much_at_once(bench: SecretsBench) -> None:
    long = orjson.dumps({"base_url": "https://db.example.org/" + "x" * 60_000}).decode()
    with refused() as refusal:
        await imported(bench, *[entry(f"c{number}", config_json=long) for number in range(55)])
    assert refusal.reason == "TOO_LARGE"


async def test_a_thousand_and_a_thousand_faults(bench: SecretsBench) -> None:
    many = [entry(f"c{number}") for number in range(1000)]
    assert len(await imported(bench, *many)) == 1000
    assert len(await dry(bench, *many)) == 1000
    with refused() as refusal:
        await imported(bench, *many)
    assert "1000 faults" in refusal.text and refusal.violations[0][0] == "entries[0].name"


@pytest.mark.parametrize("user", ["agent", "viewer", "auditor"])
async def test_who_may_not(bench: SecretsBench, user: str) -> None:
    with refused() as refusal:
        await imported(bench, entry("a"), user=user, validate_only=True)
    assert refusal.reason == "PERMISSION_DENIED"
