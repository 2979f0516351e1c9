"""A credential that was rotated in a secret manager: what the remote side refuses is fetched anew, and repeated only where that does no harm."""

import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from spin_cells.api import Arrow, Credential, CredentialRefused, Progress, Result
from spin_cells.rest.process import RestProcessor
from spin_runtime.broker.managers.configuration import load
from spin_runtime.broker.managers.resolve import SecretManagers
from spin_runtime.broker.taint import Principal
from spinapis.errors.v1 import reasons_pb2
from tests.fakes.broker_socket import CONNECTION, asked, failed
from tests.fakes.control_plane import use
from tests.fakes.vault_secrets import STATIC_TOKEN, VaultSecretsDouble
from tests.runtime.broker.test_operations_refused import end, entry

FAILED = reasons_pb2.ERROR_REASON_OPERATION_FAILED
OLD, NEW = "the-older-token", "the-newer-token"


class Database:
    """Takes one password, and remembers who tried which."""

    operations = frozenset({"echo.query", "echo.insert", "echo.stream"})

    def __init__(self) -> None:
        self.password, self.tried = OLD, list[tuple[str, str]]()

    async def run(self, operation: str, params: Mapping[str, Any], credential: Credential) -> AsyncIterator[Arrow | Progress | Result]:
        given = credential.secret["token"]
        self.tried.append((operation, given))
        if operation == "echo.stream":
            yield Progress(0.1, "begun")
        if given != self.password:
            raise CredentialRefused(f"{credential.name}: password authentication failed with {given}", repeatable=operation != "echo.insert")
        yield Result({"done": operation})


class Site:
    """An API with a bearer token."""

    def __init__(self) -> None:
        self.token, self.host, self.status = OLD, "", 401
        self.calls: list[tuple[str, int]] = []

    async def answer(self, request: web.Request) -> web.Response:
        known = request.headers.get("authorization") == f"Bearer {self.token}"
        self.calls.append((request.method, 200 if known else self.status))
        return web.json_response({"known": known}, status=200 if known else self.status)


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    made = Site()
    application = web.Application()
    application.router.add_route("*", "/{tail:.*}", made.answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.host = f"127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


@pytest.fixture
async def vault() -> AsyncIterator[VaultSecretsDouble]:
    async with VaultSecretsDouble() as double:
        double.state.kv2["ci/app"] = [{"token": OLD}]
        yield double


@pytest.fixture
def database() -> Database:
    return Database()


@pytest.fixture
async def runtime(plane, make_runtime, vault: VaultSecretsDouble, tmp_path: Path, database: Database):
    (tmp_path / "token").write_text(STATIC_TOKEN)
    auth = {"method": "token", "token_file": str(tmp_path / "token")}
    manager = {"kind": "vault", "address": vault.address, "kv2": ["secret"], "auth": auth, "allow": ["secret/ci/*"]}
    (tmp_path / "managers.json").write_text(json.dumps({"managers": {"vault": manager}}))
    processors = {"echo": database, "rest": RestProcessor()}
    made = make_runtime(plane, processors=processors.get, managers=SecretManagers(load(tmp_path / "managers.json", {})))
    await made.pair()
    await made.broker.accept_trust([], plane.trust_state())
    return made


@pytest.fixture
async def seat(runtime, take_seat, site: Site):
    reference = {"token": {"manager": "vault", "path": "secret/ci/app", "key": "token"}}
    made = await take_seat(runtime)
    rest = {"kind": "rest", "allowed_operations": ["rest.request"], "allowed_hosts": [site.host]}
    rest |= {"config_json": json.dumps({"base_url": f"http://{site.host}", "auth": "bearer"}).encode()}
    shared = {"secret_json": b"{}", "references_json": json.dumps(reference).encode()}
    await made.give_bundle(
        1,
        entry(**shared, allowed_operations=["echo.query", "echo.insert", "echo.stream"]),
        entry(**shared, **rest, connection_id=b"r" * 16, name="the api"),
    )
    return made


async def query(seat, operation: str = "echo.query"):
    run = await seat.run(use(CONNECTION, operation))
    return await asked(run.socket_path, run.ticket, operation), run


async def rest(seat, method: str = "GET"):
    run = await seat.run(use(b"r" * 16, "rest.request"))
    replies = await asked(run.socket_path, run.ticket, "rest.request", {"method": method, "url": "/"}, connection_id=b"r" * 16)
    return json.loads(replies[-1].end.result_json)


def rotate(vault: VaultSecretsDouble, database: Database, site: Site) -> None:
    vault.state.kv2["ci/app"].append({"token": NEW})
    database.password = site.token = NEW


async def test_what_only_reads_is_done_once_more_with_the_new_value(seat, vault, database: Database, site: Site) -> None:
    assert (await query(seat))[0][-1].WhichOneof("body") == "end"
    rotate(vault, database, site)
    replies, run = await query(seat)
    assert [reply.WhichOneof("body") for reply in replies] == ["end"]
    assert database.tried == [("echo.query", OLD), ("echo.query", OLD), ("echo.query", NEW)]
    # One use, as far as the log is concerned.
    assert [(count.count, count.denied) for count in (await end(seat, run)).operations] == [(1, 0)]


async def test_what_may_have_changed_something_fails_once_and_works_the_next_time(seat, vault, database: Database, site: Site) -> None:
    await query(seat)
    rotate(vault, database, site)
    text = failed((await query(seat, "echo.insert"))[0], FAILED)
    assert "authentication failed" in text and OLD not in text
    assert database.tried[1:] == [("echo.insert", OLD)]
    assert (await query(seat, "echo.insert"))[0][-1].WhichOneof("body") == "end"


async def test_what_has_shown_something_is_not_begun_anew(seat, vault, database: Database, site: Site) -> None:
    await query(seat)
    rotate(vault, database, site)
    replies, _ = await query(seat, "echo.stream")
    assert [reply.WhichOneof("body") for reply in replies] == ["progress", "failure"]
    assert (await query(seat, "echo.stream"))[0][-1].WhichOneof("body") == "end"


async def test_a_value_that_is_the_same_is_not_tried_again(seat, database: Database) -> None:
    database.password = "something else"
    failed((await query(seat))[0], FAILED)
    assert database.tried == [("echo.query", OLD)]


async def test_a_manager_that_fails_meanwhile_leaves_the_remote_sides_own_answer(seat, vault, database: Database, site: Site) -> None:
    await query(seat)
    rotate(vault, database, site)
    vault.denied = True
    assert "password authentication failed" in failed((await query(seat))[0], FAILED)


async def test_a_connection_that_is_taken_away_meanwhile_is_not_used_again(seat, vault, database: Database, site: Site, plane) -> None:
    await query(seat)
    rotate(vault, database, site)
    honest = seat.runtime.options["managers"].refused

    def revoked(credential: Credential) -> None:
        honest(credential)
        seat.runtime.broker._kernels.admitted(seat.kernel.kernel_epoch, Principal("somebody who may not"))

    seat.runtime.options["managers"].refused = revoked
    failed((await query(seat))[0], FAILED)
    assert database.tried[1:] == [("echo.query", OLD)]


@pytest.mark.parametrize("status", [401, 403])
async def test_rest(seat, vault, database: Database, site: Site, status: int) -> None:
    site.status = status
    assert (await rest(seat))["json"] == {"known": True}
    rotate(vault, database, site)
    assert (await rest(seat))["json"] == {"known": True}
    assert site.calls == [("GET", 200), ("GET", status), ("GET", 200)]


async def test_rest_that_posts_shows_the_refusal_and_has_the_new_value_the_next_time(seat, vault, database: Database, site: Site) -> None:
    await rest(seat)
    rotate(vault, database, site)
    assert (await rest(seat, "POST"))["status"] == 401
    assert (await rest(seat, "POST"))["status"] == 200
    assert site.calls[1:] == [("POST", 401), ("POST", 200)]
