"""Connections whose credential is in a secret manager, as the broker uses them; named for the attack, or for what a user sees."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from spin_runtime.broker.managers.configuration import load
from spin_runtime.broker.managers.resolve import SecretManagers
from spinapis.envelope.v1 import trust_pb2
from spinapis.errors.v1 import reasons_pb2
from tests.fakes.broker_socket import asked, failed
from tests.fakes.control_plane import HOUR_MS, ControlPlane, use
from tests.fakes.echo_processor import PASSWORD, Echo
from tests.fakes.vault_secrets import STATIC_TOKEN, VaultSecretsDouble
from tests.runtime.broker.test_operations_refused import CONNECTION, end, entry

REFUSED, FAILED = reasons_pb2.ERROR_REASON_SECRET_REFERENCE_REFUSED, reasons_pb2.ERROR_REASON_SECRET_MANAGER_FAILED


class Showing(Echo):
    """Has the operation that shows a program the value."""

    operations = Echo.operations | {"secret.read"}


@pytest.fixture
async def vault() -> AsyncIterator[VaultSecretsDouble]:
    async with VaultSecretsDouble() as double:
        double.state.kv2 |= {"ci/echo": [{"password": PASSWORD}], "root": [{"password": "the crown jewels"}]}
        yield double


@pytest.fixture
async def runtime(plane: ControlPlane, make_runtime, vault: VaultSecretsDouble, tmp_path: Path):
    (tmp_path / "token").write_text(STATIC_TOKEN)
    manager = {
        "kind": "vault",
        "address": vault.address,
        "kv2": ["secret"],
        "auth": {"method": "token", "token_file": str(tmp_path / "token")},
        "allow": ["secret/ci/*", {"path": "secret/bound", "hosts": ["api.github.com"]}],
    }
    file = tmp_path / "secret-managers.json"
    file.write_text(json.dumps({"managers": {"vault": manager}}))
    echo = Showing()
    made = make_runtime(
        plane, processors=lambda cell_type: echo if cell_type in ("echo", "secret") else None, managers=SecretManagers(load(file, {}))
    )
    await made.pair()
    await made.broker.accept_trust([], plane.trust_state())
    return made


@pytest.fixture
async def seat(runtime, take_seat):
    made = await take_seat(runtime)
    await made.give_bundle(1, referring())
    return made


def referring(path: str = "secret/ci/echo", manager: str = "vault", **changes: Any):
    reference = {"password": {"manager": manager, "path": path, "key": "password"}}
    return entry(secret_json=b"{}", references_json=json.dumps(reference).encode(), **changes)


async def said(seat, operation: str = "echo.say", params: Any = None):
    run = await seat.run(use(CONNECTION, operation))
    return await asked(run.socket_path, run.ticket, operation, params)


async def test_the_operation_gets_the_value_and_the_kernel_does_not(seat, vault: VaultSecretsDouble) -> None:
    assert json.loads((await said(seat))[-1].end.result_json)["known"] is True
    assert PASSWORD not in str(await said(seat, "echo.leak"))
    assert failed(await said(seat, "echo.fail"), reasons_pb2.ERROR_REASON_OPERATION_FAILED) == "the echo answered 500 to [redacted the echo]"
    # Once for all, as long as it is kept.
    assert [call for call in vault.calls if "data" in call] == ["GET /v1/secret/data/ci/echo"]


async def test_a_path_that_the_operator_does_not_allow(seat, vault: VaultSecretsDouble) -> None:
    """A control plane that is taken over leads a reference elsewhere."""
    await seat.give_bundle(3, referring("secret/root"))
    text = failed(await said(seat), REFUSED)
    assert "'secret/root' of the secret manager 'vault'" in text and "secret-managers.json" in text
    assert vault.calls == []


async def test_a_manager_that_the_operator_does_not_have(seat) -> None:
    await seat.give_bundle(3, referring(manager="other"))
    assert "no secret manager 'other'" in failed(await said(seat), REFUSED)


@pytest.mark.parametrize("hosts", [["evil.example"], ["api.github.com", "evil.example"], []])
async def test_a_value_is_led_to_a_host_that_its_rule_does_not_name(seat, vault: VaultSecretsDouble, hosts: list[str]) -> None:
    await seat.give_bundle(3, referring("secret/bound", allowed_hosts=hosts))
    assert "api.github.com alone" in failed(await said(seat), REFUSED)
    assert vault.calls == []


async def test_a_value_is_shown_to_cells_though_its_rule_does_not_say_so(seat, vault: VaultSecretsDouble) -> None:
    """A control plane that is taken over makes the connection exposable."""
    await seat.give_bundle(3, referring(kind="secret", exposable=True, allowed_operations=["secret.read"]))
    assert "may not be shown to cells" in failed(await said(seat, "secret.read"), REFUSED)
    assert vault.calls == []


async def test_a_manager_that_refuses_is_named_and_quoted_nowhere(seat, vault: VaultSecretsDouble) -> None:
    vault.denied = True
    text = failed(await said(seat), FAILED)
    assert text.startswith("The connection 'the echo' gets no value from the secret manager 'vault': it refuses this runtime")


async def test_a_key_that_is_not_there(seat, vault: VaultSecretsDouble) -> None:
    vault.state.kv2["ci/echo"] = [{"other": "find-me"}]
    text = failed(await said(seat), FAILED)
    assert "no value for password" in text and "no such key" in text and "find-me" not in text


async def test_refusals_are_counted_in_the_receipt(seat) -> None:
    await seat.give_bundle(3, referring("secret/root"))
    run = await seat.run(use(CONNECTION, "echo.say"))
    await asked(run.socket_path, run.ticket, "echo.say")
    (count,) = (await end(seat, run)).operations
    assert (count.count, count.denied) == (0, 1)


async def test_a_connection_that_is_taken_away_while_its_value_is_read(seat, vault: VaultSecretsDouble) -> None:
    vault.trouble = "slow"
    run = await seat.run(use(CONNECTION, "echo.say"))
    asking = asyncio.create_task(asked(run.socket_path, run.ticket, "echo.say"))
    while not vault.calls:
        await asyncio.sleep(0.01)
    await seat.give_bundle(3, entry(secret_json=b"{}"), tombstones=[CONNECTION])
    assert "taken away meanwhile" in failed(await asking, FAILED)


@pytest.mark.parametrize("lost", ["revoked", "replaced", "expired"])
async def test_values_go_with_the_trust_or_the_bundle_that_named_them(
    seat, plane: ControlPlane, runtime, lost: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await said(seat)
    leases = runtime.options["managers"].leases
    assert len(leases) == 1
    if lost == "revoked":
        await runtime.broker.accept_trust([], plane.trust_state(runtime_status=trust_pb2.RUNTIME_STATUS_REVOKED))
    elif lost == "replaced":
        await seat.give_bundle(3, referring("secret/ci/another"))
    else:
        plane.clock.now_ms += 7 * 24 * HOUR_MS
        await runtime.hello(seat.client, plane.trust_state())
    assert len(leases) == 0


async def test_values_are_on_no_disk(seat, runtime, tmp_path: Path) -> None:
    await said(seat)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files and not any(PASSWORD.encode() in path.read_bytes() for path in files)
