"""References to secret managers: their form, who may name one, and where a connection with one may be led."""

from typing import Any

import orjson
import pytest

from spinapis.secrets.v1 import secrets_pb2 as pb
from tests.fakes.installation import refused
from tests.fakes.secrets_bench import SECRET, WORKSPACE, SecretsBench

AT = {"manager": "vault", "path": "kv/app"}
REFERENCED: dict[str, Any] = {"credential_json": "", "references_json": orjson.dumps({"token": {**AT, "key": "token", "version": "3"}}).decode()}


def naming(**fields: Any) -> str:
    return orjson.dumps(fields).decode()


async def reason(attempt: Any) -> str:
    with refused() as refusal:
        await attempt
    return refusal.reason


async def test_editors_read_references_and_agents_do_not(bench: SecretsBench) -> None:
    made = await bench.create(**REFERENCED)
    assert orjson.loads(made.references_json) == {"token": {**AT, "key": "token", "version": "3"}} and not made.credential_fields
    assert [one.references_json for one in await bench.list("editor")] == [made.references_json]
    assert [one.references_json for one in await bench.list("agent")] == [""]
    assert b'"references_json"' in bench.log.entries[WORKSPACE][0].body_json.encode()


async def test_a_bundle_carries_them_beside_the_credential(bench: SecretsBench) -> None:
    runtime = bench.enrolment.add()
    await bench.create(credential_json='{"username":"reader"}', references_json=naming(password=AT), exposable=True)
    (entry,) = bench.open(runtime, (await bench.sync(runtime)).sealed).message.entries
    assert orjson.loads(entry.secret_json) == {"username": "reader"} and orjson.loads(entry.references_json) == {"password": AT}
    assert entry.exposable


@pytest.mark.parametrize(
    ("said", "field", "text"),
    [
        ("[]", "references_json", "not a JSON object"),
        (SECRET, "references_json", "not JSON"),
        (naming(token=SECRET), "references_json.token", '{"manager": "…", "path": "…"}'),
        (naming(token={"manager": "vault"}), "references_json.token.path", "missing"),
        (naming(token={**AT, "manager": f"../{SECRET}"}), "references_json.token.manager", "runtime's operator"),
        (naming(token={**AT, "path": ""}), "references_json.token.path", "1024"),
        (naming(token={**AT, "path": "a\n"}), "references_json.token.path", "one line"),
        (naming(token={**AT, "version": 3}), "references_json.token.version", "text"),
        (naming(token={**AT, "value": SECRET}), "references_json.token", '"key" and "version"'),
        (naming(tokem=AT), "references_json.tokem", "password, token, username, value"),
        (naming(password=AT), "references_json.password", "leave the reference away"),
        (naming(**{f"f{number}": AT for number in range(51)}), "references_json", "50"),
    ],
)
async def test_a_wrong_reference_is_named_and_not_repeated(bench: SecretsBench, said: str, field: str, text: str) -> None:
    made = await bench.create()
    for attempt in (bench.create("other", references_json=said), bench.update(made, references_json=said)):
        with refused() as refusal:
            await attempt
        assert refusal.reason == "INVALID_ARGUMENT" and refusal.metadata["field"] == field
        assert text in refusal.text and SECRET not in refusal.text + str(refusal.violations)
    assert await bench.list() == [made]


async def test_the_same_references_are_the_same_text(bench: SecretsBench) -> None:
    made = await bench.create(credential_json="", references_json='{ "token": {"path": "kv/app", "manager": "vault"} }')
    assert made.references_json == '{"token":{"manager":"vault","path":"kv/app"}}'
    assert (await bench.update(made, references_json="{}")).references_json == ""


async def test_only_an_owner_names_a_reference(bench: SecretsBench) -> None:
    """The runtime reads there with its own identity: an editor could lead what it reads to a host of theirs."""
    assert await reason(bench.create(user="editor", **REFERENCED)) == "PERMISSION_DENIED"
    entry = pb.ConnectionEntry(name="a", kind="rest", references_json=naming(token=AT))
    for dry in (True, False):
        request = pb.ImportConnectionsRequest(workspace_id=WORKSPACE, entries=[entry], validate_only=dry)
        assert await reason(bench.stub.ImportConnections(request, metadata=bench.by("editor"))) == "PERMISSION_DENIED"
    made = await bench.create(**REFERENCED)
    for other in (naming(token={**AT, "path": "kv/other"}), naming(token=AT, username=AT)):
        assert await reason(bench.update(made, user="editor", references_json=other)) == "PERMISSION_DENIED"
    assert await bench.list() == [made]


@pytest.mark.parametrize(
    "change",
    [
        {"config_json": '{"base_url":"https://evil.example.org"}'},
        {"replace_allowed": True, "allowed_hosts": ["evil.example.org"], "allowed_operations": ["rest.request"]},
        {"replace_allowed": True, "allowed_operations": ["rest.request"]},
        {"exposable": True},
    ],
)
async def test_only_an_owner_leads_or_shows_what_references_name_elsewhere(bench: SecretsBench, change: dict[str, Any]) -> None:
    made = await bench.create(**REFERENCED)
    for sent in ({}, {"references_json": made.references_json}, {"credential_json": "{}"}):
        assert await reason(bench.update(made, user="editor", **change, **sent)) == "PERMISSION_DENIED"
    changed = await bench.update(made, **change)
    assert changed.references_json == made.references_json and changed.version == 2


async def test_an_editor_changes_what_leads_nowhere_and_takes_references_away(bench: SecretsBench) -> None:
    made = await bench.create(**REFERENCED)
    renamed = await bench.update(made, user="editor", name="renamed", references_json=made.references_json)
    own = {
        "references_json": "",
        "credential_json": '{"token":"their-own"}',
        "config_json": '{"base_url":"https://mine.example.org"}',
        "exposable": True,
    }
    moved = await bench.update(renamed, user="editor", **own)
    assert (moved.references_json, list(moved.credential_fields), moved.exposable) == ("", ["token"], True)


async def test_an_owner_still_sends_a_stored_credential_again(bench: SecretsBench) -> None:
    made = await bench.create(credential_json='{"username":"reader"}', references_json=naming(password=AT))
    with refused() as refusal:
        await bench.update(made, config_json='{"base_url":"https://elsewhere.example.org"}')
    assert refusal.metadata["field"] == "credential_json"
    # New references alone need nothing entered again.
    changed = await bench.update(made, references_json=naming(password={**AT, "path": "kv/new"}))
    assert list(changed.credential_fields) == ["username"]


async def test_a_field_moves_between_credential_and_references(bench: SecretsBench) -> None:
    made = await bench.create(credential_json='{"token":"x"}')
    with refused() as refusal:
        await bench.update(made, references_json=naming(token=AT))
    assert refusal.metadata["field"] == "references_json.token"
    moved = await bench.update(made, references_json=naming(token=AT), credential_json="{}")
    with refused() as refusal:
        await bench.update(moved, credential_json='{"token":"x"}')
    assert refusal.metadata["field"] == "references_json.token"
    back = await bench.update(moved, credential_json='{"token":"x"}', references_json="")
    assert (list(back.credential_fields), back.references_json) == (["token"], "")


async def test_whoever_exposes_a_credential_enters_it(bench: SecretsBench) -> None:
    made = await bench.create(user="editor")
    for user in ("editor", "owner"):
        with refused() as refusal:
            await bench.update(made, user=user, exposable=True)
        assert refusal.metadata["field"] == "credential_json" and "entered" in refusal.text
    shown = await bench.update(made, user="editor", exposable=True, credential_json='{"token":"new"}')
    assert shown.exposable and not (await bench.update(shown, user="editor", exposable=False)).exposable
    assert [one.exposable for one in await bench.list("agent")] == [False]
    assert [one.exposable for one in (await bench.resolve("warehouse")).connections] == [False]


async def test_the_compiler_learns_what_may_be_exposed(bench: SecretsBench) -> None:
    await bench.create(exposable=True)
    assert [one.exposable for one in (await bench.resolve("warehouse")).connections] == [True]
