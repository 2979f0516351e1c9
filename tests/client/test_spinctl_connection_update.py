"""spinctl connection create and update: what is not named stays, credentials come by file or standard input, and never out again."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from spinapis.secrets.v1 import secrets_pb2
from tests.client.conftest import Spinctl
from tests.fakes.platform import FakePlatform

SECRET = "s3cret-of-the-file"
REFERENCES = {"token": {"manager": "vault", "path": "kv/app", "key": "token"}}
MADE = (
    "connection",
    "create",
    "api",
    "--kind",
    "rest",
    "--set",
    "base_url=https://a.example.org",
    "--host",
    "a.example.org",
    "--operation",
    "rest.request",
)


@pytest.fixture
async def made(signed_in: Spinctl, control_plane: FakePlatform) -> secrets_pb2.Connection:
    control_plane.add_workspace()
    assert (await signed_in(*MADE, stdin=json.dumps({"token": "first"}))).status == 0
    (connection,) = control_plane.connections.values()
    return connection


async def test_a_connection_is_made_with_all_that_it_has(signed_in: Spinctl, control_plane: FakePlatform, tmp_path: Path) -> None:
    control_plane.add_workspace()
    file = tmp_path / "references.json"
    file.write_text(json.dumps(REFERENCES))
    options = ("--no-credential", "--references-from", str(file), "--exposable", "--use", "editor", "--manage", "0a1b", "--expires", "2040-01-31")
    shown: Any = (await signed_in(*MADE, *options, "--json")).json()
    assert shown["references"] == REFERENCES and shown["exposable"] and shown["expires_at_ms"] == 2211580800000
    assert [(one["level"], one["role"], one["user_id"]) for one in shown["grants"]] == [("use", "editor", ""), ("manage", "unspecified", "0a1b")]


async def test_what_is_not_named_stays(signed_in: Spinctl, made: secrets_pb2.Connection) -> None:
    ran = await signed_in("connection", "update", "api", "--set", "auth=bearer", "--default")
    assert ran.status == 0 and json.loads(made.config_json) == {"base_url": "https://a.example.org", "auth": "bearer"} and made.is_default
    assert (made.name, list(made.allowed_hosts), list(made.allowed_operations)) == ("api", ["a.example.org"], ["rest.request"])
    assert (await signed_in("connection", "update", "api", "--host", "b.example.org", "--name", "other")).status == 0
    assert (made.name, list(made.allowed_hosts), list(made.allowed_operations)) == ("other", ["b.example.org"], ["rest.request"])
    assert (await signed_in("connection", "update", "other", "--any-host", "--not-default", "--exposable")).status == 0
    assert (list(made.allowed_hosts), list(made.allowed_operations), made.is_default, made.exposable) == ([], ["rest.request"], False, True)


@pytest.mark.parametrize("how", ["file", "standard input"])
async def test_a_credential_goes_in_with_where_it_leads(
    signed_in: Spinctl, control_plane: FakePlatform, made: secrets_pb2.Connection, tmp_path: Path, how: str
) -> None:
    file = tmp_path / "credential.json"
    file.write_text(json.dumps({"token": SECRET}))
    source = {"file": str(file), "standard input": "-"}[how]
    stdin = json.dumps({"token": SECRET}) if how == "standard input" else ""
    ran = await signed_in("connection", "update", "api", "--set", "base_url=https://b.example.org", "--credential-from", source, stdin=stdin)
    assert ran.status == 0 and SECRET not in ran.out + ran.err
    assert control_plane.credentials[made.id] == {"token": SECRET} and "b.example.org" in made.config_json


async def test_references_come_and_go(signed_in: Spinctl, made: secrets_pb2.Connection) -> None:
    assert (await signed_in("connection", "update", "api", "--references-from", "-", stdin=json.dumps(REFERENCES))).status == 0
    assert json.loads(made.references_json) == REFERENCES
    assert (await signed_in("connection", "update", "api", "--no-references", "--never-expires")).status == 0
    assert made.references_json == ""


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "say what to change"),
        (("--host", "h", "--any-host"), "--host or --any-host"),
        (("--references-from", "-", "--no-references"), "not both"),
        (("--references-from", "-", "--credential-from", "-"), "standard input"),
        (("--credential-from", "-"), "must be a JSON object"),
        (("--references-from", "nowhere.json"), "nowhere.json"),
    ],
)
async def test_wrong_usage_changes_nothing(signed_in: Spinctl, made: secrets_pb2.Connection, options: tuple[str, ...], said: str) -> None:
    before = made.SerializeToString()
    ran = await signed_in("connection", "update", "api", *options, stdin=SECRET)
    assert ran.status == 2 and said in ran.err and SECRET not in ran.out + ran.err
    assert made.SerializeToString() == before


async def test_the_list_says_when_each_was_last_used(signed_in: Spinctl, made: secrets_pb2.Connection) -> None:
    now_ms, hour_ms = time.time_ns() // 1_000_000, 3600 * 1000
    for at_ms, said in (
        (None, ""),
        (0, "never"),
        (now_ms, "today"),
        (now_ms - 30 * hour_ms, "yesterday"),
        (now_ms - 80 * hour_ms, "3 days ago"),
    ):
        made.ClearField("last_used_at_ms")
        if at_ms is not None:
            made.last_used_at_ms = at_ms
        assert (await signed_in("connection", "list")).out.rstrip("\n").split("\t")[-1] == said
