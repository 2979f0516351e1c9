"""Attacks by code in a kernel on the broker's socket, and on credentials; named for the attack. The processor is the test's own."""

import asyncio
import base64
import errno
import json
import os
import stat
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from spin_runtime.broker.api import BrokerError, BundleStored, Rejected, RunEnd
from spin_runtime.broker.refusals import reason_name
from spinapis.envelope.v1 import receipt_pb2, run_pb2, trust_pb2
from spinapis.errors.v1 import reasons_pb2
from spinapis.runtime.v1 import broker_pb2
from tests.fakes.broker_socket import CONNECTION, asked, failed, sent
from tests.fakes.control_plane import HOUR_MS, Client, ControlPlane, use
from tests.fakes.echo_processor import PASSWORD, Echo

DENIED, OPERATION_FAILED = reasons_pb2.ERROR_REASON_OPERATION_DENIED, reasons_pb2.ERROR_REASON_OPERATION_FAILED


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest.fixture
async def runtime(plane: ControlPlane, make_runtime, echo: Echo):
    environment = {"REGION": "north", "SPIN_TOKEN": plane.token.text, "spin_home": "/opt/spin"}
    made = make_runtime(plane, environment=environment, processors=lambda cell_type: echo if cell_type == "echo" else None)
    await made.pair()
    await made.broker.accept_trust([], plane.trust_state())
    return made


@pytest.fixture
async def seat(runtime, take_seat):
    made = await take_seat(runtime)
    await made.give_bundle(1, entry())
    return made


def entry(**changes: Any) -> run_pb2.CredentialEntry:
    fields: dict[str, Any] = {
        "connection_id": CONNECTION,
        "name": "the echo",
        "version": 1,
        "kind": "echo",
        "secret_json": b'{"password": "' + PASSWORD.encode() + b'"}',
        "allowed_hosts": ["api.example.org"],
        "allowed_operations": ["echo.say", "echo.wait", "echo.fail", "echo.crash", "echo.leak", "other.say"],
    }
    return run_pb2.CredentialEntry(**(fields | changes))


async def end(seat, run) -> receipt_pb2.Receipt:
    await seat.runtime.broker.run_ended(RunEnd(run.nonce, receipt_pb2.RUN_STATUS_OK, 0, bytes(32), False))
    return (await seat.runtime.receipts())[-1]


async def test_a_granted_operation_is_done_and_counted(seat) -> None:
    run = await seat.run(use(CONNECTION, "echo.say"))
    replies = await asked(run.socket_path, run.ticket, "echo.say", {"q": 1})
    assert [reply.WhichOneof("body") for reply in replies] == ["progress", "arrow", "arrow", "end"]
    assert replies[-1].end.result_json == b'{"params": {"q": 1}, "known": true}'
    count = receipt_pb2.OperationCount(connection_id=CONNECTION, operation="echo.say", count=1)
    assert list((await end(seat, run)).operations) == [count]


async def test_uses_and_denials_stand_in_the_end_receipt(seat) -> None:
    run = await seat.run(use(CONNECTION, "echo.say", params={"q": 1}))
    await asked(run.socket_path, run.ticket, "echo.say", {"q": 1})
    await asked(run.socket_path, run.ticket, "echo.say", {"q": 2})
    for made_up in range(5):
        await asked(run.socket_path, run.ticket, f"echo.invented{made_up}")
    assert list((await end(seat, run)).operations) == [
        receipt_pb2.OperationCount(denied=5),
        receipt_pb2.OperationCount(connection_id=CONNECTION, operation="echo.say", count=1, denied=1),
    ]


async def test_a_ticket_before_the_run_starts(seat) -> None:
    run = await seat.open(seat.sealed(seat.grant(connections=[use(CONNECTION, "echo.say")])))
    failed(await asked(run.socket_path, run.ticket, "echo.say"), DENIED)


async def test_a_ticket_after_the_run_has_ended(seat) -> None:
    run = await seat.run(use(CONNECTION, "echo.say"))
    await end(seat, run)
    failed(await asked(run.socket_path, run.ticket, "echo.say"), DENIED)


async def test_an_operation_that_outlives_its_run(seat, echo: Echo) -> None:
    """A thread that the cell left behind gets no more results."""
    run = await seat.run(use(CONNECTION, "echo.wait"))
    asking = asyncio.create_task(asked(run.socket_path, run.ticket, "echo.wait"))
    await echo.waiting.wait()
    await end(seat, run)
    assert await asking == []
    assert echo.stopped.is_set()


async def test_a_kernel_that_hangs_up_stops_its_operation(seat, echo: Echo) -> None:
    run = await seat.run(use(CONNECTION, "echo.wait"))
    request = broker_pb2.UseRequest(ticket=run.ticket, connection_id=CONNECTION, operation="echo.wait", params_json=b"{}").SerializeToString()
    _, writer = await asyncio.open_unix_connection(run.socket_path)
    writer.write(len(request).to_bytes(4) + request)
    await echo.waiting.wait()
    writer.close()
    await asyncio.wait_for(echo.stopped.wait(), 5)


async def test_another_runs_ticket(seat, take_seat) -> None:
    """A kernel that learned the ticket of another kernel's run cannot use it on its own socket."""
    other = await take_seat(seat.runtime, Client(user_id="user-b"))
    run, others = await seat.run(use(CONNECTION, "echo.say")), await other.run()
    failed(await asked(others.socket_path, run.ticket, "echo.say"), DENIED)
    # Nor does one's own ticket carry what the other run was granted.
    failed(await asked(others.socket_path, others.ticket, "echo.say"), DENIED)


async def test_a_made_up_ticket(seat) -> None:
    run = await seat.run(use(CONNECTION, "echo.say"))
    for ticket in (b"", bytes(32), os.urandom(32), run.ticket[:-1], run.ticket + b"\0"):
        failed(await asked(run.socket_path, ticket, "echo.say"), DENIED)


async def test_an_operation_that_was_not_granted(seat) -> None:
    run = await seat.run(use(CONNECTION, "echo.say"))
    failed(await asked(run.socket_path, run.ticket, "echo.wait"), DENIED)
    failed(await asked(run.socket_path, run.ticket, "echo.say", connection_id=bytes(16)), DENIED)
    failed(await asked(run.socket_path, run.ticket, "echo.say", connection_id=b""), DENIED)


@pytest.mark.parametrize("params", [{"q": 2}, {"q": "1"}, {"q": 1, "more": 1}, {}, b'{"q":1,"q":1}', b'{"q": 1}', b"[]", b"", b"\xff"])
async def test_changed_params(seat, params: Any) -> None:
    run = await seat.run(use(CONNECTION, "echo.say", params={"q": 1}))
    failed(await asked(run.socket_path, run.ticket, "echo.say", params), DENIED)


async def test_an_operation_that_the_connection_does_not_allow(seat) -> None:
    """Granted by auth, and the connection was narrowed since."""
    run = await seat.run(use(CONNECTION, "echo.say"))
    await seat.give_bundle(3, entry(allowed_operations=["echo.wait"]))
    failed(await asked(run.socket_path, run.ticket, "echo.say"), DENIED)


@pytest.mark.parametrize(
    ("allowed", "operation", "done"),
    [(["echo.wait"], "echo.test", True), (["echo.wait"], "other.test", False), ([], "echo.test", False)],
)
async def test_a_connection_that_allows_anything_allows_its_own_test(seat, allowed: list[str], operation: str, done: bool) -> None:
    await seat.give_bundle(3, entry(allowed_operations=allowed))
    run = await seat.run(use(CONNECTION, operation))
    replies = await asked(run.socket_path, run.ticket, operation)
    assert replies[-1].WhichOneof("body") == ("end" if done else "failure")


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/",
        "https://api.example.org.evil.example/",
        "https://api.example.org@evil.example/",
        "https://user:secret@api.example.org/",
        "https://api.example.org:8443/",
        "http://api.example.org/",
        "file:///etc/passwd",
        "//evil.example/",
        "https://[::1]/",
        "https://api.example.org:99999/",
    ],
)
async def test_an_address_on_another_host(seat, url: str) -> None:
    run = await seat.run(use(CONNECTION, "echo.say"))
    failed(await asked(run.socket_path, run.ticket, "echo.say", {"url": url}), DENIED)


@pytest.mark.parametrize("url", ["https://api.example.org/v1", "https://api.example.org:443/v1", "/relative"])
async def test_an_address_on_the_connections_host(seat, url: str) -> None:
    run = await seat.run(use(CONNECTION, "echo.say"))
    assert (await asked(run.socket_path, run.ticket, "echo.say", {"url": url}))[-1].HasField("end")


async def test_an_operation_of_a_cell_type_that_is_not_installed(seat) -> None:
    run = await seat.run(use(CONNECTION, "other.say", "..say", "echo.nothing"))
    for operation in ("other.say", "..say", "echo.nothing"):
        failed(await asked(run.socket_path, run.ticket, operation), DENIED)


async def test_a_failure_shows_the_name_and_never_the_credential(seat) -> None:
    run = await seat.run(use(CONNECTION, "echo.fail", "echo.crash"))
    assert failed(await asked(run.socket_path, run.ticket, "echo.fail"), OPERATION_FAILED) == "the echo answered 500 to [redacted the echo]"
    text = failed(await asked(run.socket_path, run.ticket, "echo.crash"), OPERATION_FAILED)
    assert "the echo" in text
    assert PASSWORD not in text


async def test_what_repeats_the_credential_reaches_the_kernel_without_it(seat) -> None:
    run = await seat.run(use(CONNECTION, "echo.leak"))
    progress, *rows, end = await asked(run.socket_path, run.ticket, "echo.leak")
    assert progress.progress.text == "signing in with [redacted the echo]"
    assert b"".join(reply.arrow for reply in rows) == b"row " + b"*" * len(PASSWORD) + b" row \xe4"
    shown = end.end.result_json.decode()
    assert PASSWORD not in shown and quote(PASSWORD) not in shown
    assert base64.b64encode(f"ann:{PASSWORD}".encode()).decode()[8:-4] not in shown
    assert json.loads(shown)["user"] == "ann"


# The runtime's environment


async def test_a_granted_variable(seat) -> None:
    run = await seat.run(use(b"", "runtime_env.get", params={"name": "REGION"}))
    (reply,) = await asked(run.socket_path, run.ticket, "runtime_env.get", {"name": "REGION"}, connection_id=b"")
    assert reply.end.result_json == b'{"value": "north"}'


@pytest.mark.parametrize("name", ["SPIN_TOKEN", "spin_home", "HOME"])
async def test_the_runtimes_own_variables(seat, name: str) -> None:
    """Not even with a grant."""
    run = await seat.run(use(b"", "runtime_env.get", params={"name": name}))
    replies = await asked(run.socket_path, run.ticket, "runtime_env.get", {"name": name}, connection_id=b"")
    failed(replies, reasons_pb2.ERROR_REASON_NOT_FOUND)


async def test_a_variable_that_was_not_granted(seat) -> None:
    run = await seat.run(use(b"", "runtime_env.get", params={"name": "OTHER"}))
    failed(await asked(run.socket_path, run.ticket, "runtime_env.get", {"name": "REGION"}, connection_id=b""), DENIED)
    free = await seat.run(use(b"", "runtime_env.get"))
    failed(await asked(free.socket_path, free.ticket, "runtime_env.get", {"name": "REGION"}, connection_id=b""), DENIED)


# The socket


async def test_a_request_of_a_gigabyte(seat) -> None:
    run = await seat.run(use(CONNECTION, "echo.say"))
    failed(await sent(run.socket_path, b"", length=1 << 30), reasons_pb2.ERROR_REASON_INVALID_ARGUMENT)


async def test_a_request_that_is_none(seat) -> None:
    run = await seat.run(use(CONNECTION, "echo.say"))
    failed(await sent(run.socket_path, b"\xff" * 50), reasons_pb2.ERROR_REASON_INVALID_ARGUMENT)


async def test_connections_are_bounded_and_waiting_is_short(seat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spin_runtime.broker.socket.REQUEST_SECONDS", 0.2)
    run = await seat.run(use(CONNECTION, "echo.say"))
    idle = [await asyncio.open_unix_connection(run.socket_path) for _ in range(32)]
    await asyncio.sleep(0.05)
    assert await asked(run.socket_path, run.ticket, "echo.say") == []
    await asyncio.gather(*(reader.read() for reader, _ in idle))
    for _, writer in idle:
        writer.close()
    assert (await asked(run.socket_path, run.ticket, "echo.say"))[-1].HasField("end")


async def test_the_socket_is_the_runtimes_own_and_goes_with_its_kernel(seat) -> None:
    path = Path((await seat.run()).socket_path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    await seat.runtime.broker.kernel_ended(seat.kernel.kernel_epoch, "stopped")
    assert not path.exists()


async def test_a_home_whose_path_is_too_long_for_a_socket(plane: ControlPlane, tmp_path: Path, take_seat, make_runtime) -> None:
    runtime = make_runtime(plane)
    await runtime.broker.close()
    runtime.home = tmp_path / ("long" * 40)
    runtime.broker = runtime.opened()
    await runtime.pair()
    await runtime.broker.accept_trust([], plane.trust_state())
    run = await (await take_seat(runtime)).run()
    assert Path(run.socket_path).is_socket()
    await runtime.broker.close()
    assert not Path(run.socket_path).parent.exists()
    runtime.broker = runtime.opened()


# Credentials


async def give(seat, *arguments, **changes) -> int:
    """The version that was stored."""
    stored = await seat.give_bundle(*arguments, **changes)
    assert isinstance(stored, BundleStored)
    return stored.bundle_version


async def refuse(seat, reason: int, *arguments, **changes) -> None:
    with pytest.raises(BrokerError) as caught:
        await seat.give_bundle(*arguments, **changes)
    assert reason_name(caught.value.reason) == reason_name(reason)


async def test_bundle_5_after_6(seat) -> None:
    assert await give(seat, 6, entry()) == 6
    await refuse(seat, reasons_pb2.ERROR_REASON_ROLLBACK_REFUSED, 5, entry())
    await seat.runtime.restart()
    await seat.attach_again()
    assert seat.hello.bundle_version == 6
    await refuse(seat, reasons_pb2.ERROR_REASON_ROLLBACK_REFUSED, 5, entry())
    await refuse(seat, reasons_pb2.ERROR_REASON_ROLLBACK_REFUSED, 6, entry(name="another"))


async def test_a_bundle_that_the_disk_refused_is_not_used(seat, plane: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its number was not kept: an older one would be taken after it."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("spin_runtime.broker.disk.replace_file", full)
        await refuse(seat, reasons_pb2.ERROR_REASON_UNAVAILABLE, 6, entry())
    hello, _ = await seat.runtime.attach(Client())
    assert hello.bundle_version == 1
    await give(seat, 6, entry())
    await refuse(seat, reasons_pb2.ERROR_REASON_ROLLBACK_REFUSED, 5, entry())


async def test_a_bundle_that_does_not_follow_the_known_one(seat) -> None:
    await give(seat, 6, entry())
    await refuse(seat, reasons_pb2.ERROR_REASON_ROLLBACK_REFUSED, 7, entry(), prev_digest=bytes(32))


async def test_a_bundle_for_something_else_or_for_too_long(seat, plane: ControlPlane) -> None:
    for changes in ({"runtime_id": bytes(16)}, {"workspace_id": bytes(16)}, {"expires_at_ms": plane.clock() + 8 * 24 * HOUR_MS}):
        await refuse(seat, reasons_pb2.ERROR_REASON_OPEN_FAILED, 9, entry(), **changes)
    await refuse(seat, reasons_pb2.ERROR_REASON_OPEN_FAILED, 9, entry(secret_json=b"[1]"))
    await refuse(seat, reasons_pb2.ERROR_REASON_TIME_REFUSED, 9, entry(), issued_at_ms=plane.clock() + HOUR_MS)


async def test_an_expired_bundle_is_wiped(seat, plane: ControlPlane) -> None:
    file = seat.runtime.home / "var" / "broker" / "bundle"
    assert file.exists()
    plane.clock.now_ms += 7 * 24 * HOUR_MS
    await seat.runtime.broker.accept_trust([], plane.trust_state())
    await seat.attach_again()
    assert seat.hello.bundle_version == 0
    assert not file.exists()
    answer = await seat.open(seat.sealed(seat.grant(connections=[use(CONNECTION, "echo.say")])))
    assert isinstance(answer, Rejected)
    assert answer.reason == reasons_pb2.ERROR_REASON_BUNDLE_STALE
    # The expired one does not come back as a new one.
    await refuse(seat, reasons_pb2.ERROR_REASON_ROLLBACK_REFUSED, 1, entry())


async def test_an_expired_bundle_is_wiped_though_nobody_asks(seat, take_seat, plane: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> None:
    await seat.runtime.restart()
    monkeypatch.setattr("spin_runtime.broker.upkeep.SECONDS", 0.01)
    await take_seat(seat.runtime)
    plane.clock.now_ms += 7 * 24 * HOUR_MS
    await asyncio.sleep(0.1)
    assert not (seat.runtime.home / "var" / "broker" / "bundle").exists()


async def test_a_revoked_connection_on_a_stale_runtime(seat, plane: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> None:
    """The platform raised the least bundle version; a client withholds the bundle that says so."""
    monkeypatch.setattr("spin_runtime.broker.operations.BUNDLE_PATIENCE_S", 0.01)
    run = await seat.run(use(CONNECTION, "echo.say"))
    await seat.runtime.broker.accept_trust([], plane.trust_state(min_bundle_version=2))
    failed(await asked(run.socket_path, run.ticket, "echo.say"), reasons_pb2.ERROR_REASON_BUNDLE_STALE)
    answer = await seat.open(seat.sealed(seat.grant(connections=[use(CONNECTION, "echo.say")])))
    assert isinstance(answer, Rejected)
    assert answer.reason == reasons_pb2.ERROR_REASON_BUNDLE_STALE


@pytest.mark.parametrize("forgotten", [[], [CONNECTION]])
async def test_a_use_waits_for_the_bundle_that_follows_a_trust_state(seat, plane: ControlPlane, forgotten: list[bytes]) -> None:
    run = await seat.run(use(CONNECTION, "echo.say"))
    await seat.runtime.broker.accept_trust([], plane.trust_state(min_bundle_version=2))
    asking = asyncio.create_task(asked(run.socket_path, run.ticket, "echo.say"))
    assert not (await asyncio.wait([asking], timeout=0.2))[0]
    await give(seat, 3, entry(), tombstones=forgotten)
    assert (await asking)[-1].WhichOneof("body") == ("failure" if forgotten else "end")


async def test_a_tombstone_wins(seat) -> None:
    run = await seat.run(use(CONNECTION, "echo.say"))
    await give(seat, 3, entry(), tombstones=[CONNECTION])
    failed(await asked(run.socket_path, run.ticket, "echo.say"), reasons_pb2.ERROR_REASON_CONNECTION_UNUSABLE)


async def test_trust_that_expires_in_the_middle_of_a_run(seat, plane: ControlPlane) -> None:
    run = await seat.run(use(CONNECTION, "echo.say"))
    plane.clock.now_ms += 24 * HOUR_MS
    failed(await asked(run.socket_path, run.ticket, "echo.say"), reasons_pb2.ERROR_REASON_TRUST_EXPIRED)


async def test_a_revoked_runtime_forgets_its_credentials(seat, plane: ControlPlane) -> None:
    run = await seat.run(use(CONNECTION, "echo.say"))
    await seat.runtime.broker.accept_trust([], plane.trust_state(runtime_status=trust_pb2.RUNTIME_STATUS_REVOKED))
    failed(await asked(run.socket_path, run.ticket, "echo.say"), reasons_pb2.ERROR_REASON_RUNTIME_REVOKED)
    assert not (seat.runtime.home / "var" / "broker" / "bundle").exists()
