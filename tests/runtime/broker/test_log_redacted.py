"""The log of the broker's own process has no secret in any form, whatever libraries, exceptions and answers of others say."""

import asyncio
import json
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from spin_kernel.redaction import forms
from spin_runtime.broker.known import MARK, KnownSecrets
from spin_runtime.broker.remote import RemoteBroker
from tests.fakes.broker_socket import asked, failed
from tests.fakes.control_plane import Clock, ControlPlane, use
from tests.fakes.loud_broker import LIBRARIES
from tests.fakes.vault_secrets import ROLE_ID, SECRET_ID, VaultSecretsDouble
from tests.runtime.broker.conftest import Runtime, Seat
from tests.runtime.broker.test_operations_refused import CONNECTION, OPERATION_FAILED, entry

# Each form of it is another one: quotes, spaces, letters beyond ASCII, signs of URLs.
PASSWORD = 'it\'s "s3cret" & näh/+%'
MANAGED = "from-the-mänager's <shelf>\nof two lines"
SHOUT, CRASH = use(CONNECTION, "echo.shout"), use(CONNECTION, "echo.crash")


@pytest.fixture
def plane() -> ControlPlane:
    """By the clock of the other process."""
    return ControlPlane(Clock(time.time_ns() // 1_000_000))


@dataclass
class Process(Runtime):
    """A broker that is a process of its own; `log` is all that it wrote."""

    remote: Any = None
    process: Any = None
    log: bytearray = field(default_factory=bytearray)

    def opened(self) -> Any:
        return self.remote


@asynccontextmanager
async def started(home: Path, plane: ControlPlane, log_format: str, variables: dict[str, str]) -> AsyncIterator[Process]:
    ours, theirs = socket.socketpair()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.fakes.loud_broker", str(theirs.fileno())),
        stdin=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        pass_fds=(theirs.fileno(),),
    )
    theirs.close()
    assert process.stdin is not None and process.stderr is not None
    environment = {"SPIN_TOKEN": plane.token.text, "SPIN_HOME": str(home), "SPIN_LOG_FORMAT": log_format, **variables}
    process.stdin.write(json.dumps(environment).encode())
    process.stdin.close()
    made = Process(home, plane, remote=await RemoteBroker.connect(ours), process=process)
    reading = asyncio.create_task(process.stderr.read())
    try:
        yield made
    finally:
        await made.broker.close()
        made.log += await reading
        await process.wait()


def shown(log: bytes, *secrets: str) -> list[str]:
    text = log.decode()
    # Also where a form stands in a string of JSON.
    written = {json.dumps(form, ensure_ascii=ascii_only)[1:-1] for secret in secrets for form in forms(secret) for ascii_only in (True, False)}
    return [form for form in written | {form for secret in secrets for form in forms(secret)} if form in text]


async def provoked(process: Process, take_seat: Callable[..., Any], **changes: Any) -> None:
    await process.pair()
    await process.broker.accept_trust([], process.plane.trust_state())
    seat: Seat = await take_seat(process)
    operations = ["echo.shout", "echo.crash"]
    await seat.give_bundle(1, entry(**({"secret_json": json.dumps({"password": PASSWORD}).encode(), "allowed_operations": operations} | changes)))
    run = await seat.run(SHOUT, CRASH)
    assert (await asked(run.socket_path, run.ticket, "echo.shout"))[-1].WhichOneof("body") == "end"
    failed(await asked(run.socket_path, run.ticket, "echo.crash"), OPERATION_FAILED)


@pytest.mark.parametrize("log_format", ["json", "console"])
async def test_a_credential_that_everything_quotes(plane: ControlPlane, take_seat, tmp_path: Path, log_format: str) -> None:
    async with started(tmp_path, plane, log_format, {}) as process:
        await provoked(process, take_seat)
    assert shown(process.log, PASSWORD, plane.token.text) == []
    text = process.log.decode()
    # It was all said, with a mark in the secret's place.
    for said in (*LIBRARIES, "it_failed", "insecure", "printed", "never retrieved", "Exception in thread", "processor_failed"):
        assert said in text, said
    assert text.count(MARK) > 30
    if log_format == "json":
        lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
        assert {"paired", "bundle_accepted", "refused", "it_failed"} <= {line["event"] for line in lines}


@pytest.mark.parametrize("log_format", ["json", "console"])
async def test_what_a_manager_gave_and_what_it_was_given(plane: ControlPlane, take_seat, tmp_path: Path, log_format: str) -> None:
    async with VaultSecretsDouble() as vault:
        vault.state.kv2["ci/echo"] = [{"password": MANAGED}]
        manager = {
            "kind": "vault",
            "address": vault.address,
            "kv2": ["secret"],
            "auth": {"method": "approle", "role_id": ROLE_ID, "secret_id_env": "ROLE_SECRET"},
            "allow": ["secret/ci/*"],
        }
        (tmp_path / "managers.json").write_text(json.dumps({"managers": {"vault": manager}}))
        variables = {"SPIN_SECRET_MANAGERS": str(tmp_path / "managers.json"), "ROLE_SECRET": SECRET_ID}
        reference = {"password": {"manager": "vault", "path": "secret/ci/echo", "key": "password"}}
        async with started(tmp_path, plane, log_format, variables) as process:
            await provoked(process, take_seat, secret_json=b"{}", references_json=json.dumps(reference).encode())
            tokens = list(vault.state.tokens)
    assert tokens and shown(process.log, MANAGED, SECRET_ID, plane.token.text, *tokens) == []
    assert process.log.decode().count(MARK) > 30


def test_nothing_is_searched_for_that_nobody_holds() -> None:
    known = KnownSecrets()
    known.hold("one", ["the-secret"])
    with known.holding(["another-secret", "short"]):
        assert known.redacted("the-secret, another-secret, short") == f"{MARK}, {MARK}, short"
    known.forget("one")
    assert known.redacted("the-secret, another-secret") == "the-secret, another-secret"


def test_a_secret_that_begins_another_is_taken_whole() -> None:
    known = KnownSecrets()
    known.hold("one", ["password", "password-of-the-other"])
    assert known.redacted("(password-of-the-other|password)") == f"({MARK}|{MARK})"
