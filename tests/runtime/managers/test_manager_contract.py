"""One contract for every secret manager, on the vendors' real SDKs against doubles of their APIs."""

import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import structlog

from spin_cells.api import Credential, SecretReference
from spin_runtime.broker.managers.configuration import Configuration, ManagerConfiguration
from spin_runtime.broker.managers.interface import Failure, ManagerFailed
from spin_runtime.broker.managers.leases import Bounds, Leases
from spin_runtime.broker.managers.permission import Rule
from spin_runtime.broker.managers.references import select
from spin_runtime.broker.managers.resolve import SecretManagers
from tests.fakes.manager_places import LOCAL, REMOTE, ManagerPlace, manager_place

VALUE = "find-me-als-Wert-ä"
VERSIONED = ("vault_kv2_approle", "vault_kv2_token", "aws_secrets_manager", "aws_ssm", "gcp_secret_manager", "azure_key_vault")
everywhere = pytest.mark.parametrize("kind", [*REMOTE, *LOCAL])
remotely = pytest.mark.parametrize("kind", REMOTE)


@pytest.fixture
def bounds() -> Bounds:
    return Bounds(timeout_s=20.0)


@pytest.fixture
async def place(kind: str, tmp_path: Path, bounds: Bounds) -> AsyncIterator[ManagerPlace]:
    async with manager_place(kind, tmp_path, bounds) as made:
        yield made


async def refused(place: ManagerPlace, path: str = "", version: str = "") -> ManagerFailed:
    with pytest.raises(ManagerFailed) as caught:
        await place.manager.read(path or place.path, version)
    return caught.value


@everywhere
async def test_a_text(place: ManagerPlace) -> None:
    place.put(VALUE)
    secret = await place.manager.read(place.path, "")
    assert select(secret, "") == VALUE
    assert secret.lease_id == "" and VALUE not in repr(secret)


@everywhere
async def test_a_key_of_several_values(place: ManagerPlace) -> None:
    place.put({"username": "ann", "password": VALUE})
    secret = await place.manager.read(place.path, "")
    assert (select(secret, "username"), select(secret, "password")) == ("ann", VALUE)
    with pytest.raises(ManagerFailed) as caught:
        select(secret, "token")
    assert caught.value.failure is Failure.WRONG_KEY


@everywhere
async def test_what_is_not_there(place: ManagerPlace) -> None:
    place.put(VALUE)
    assert (await refused(place, place.absent)).failure is Failure.MISSING


@everywhere
async def test_the_newest_value_is_read(place: ManagerPlace) -> None:
    place.put("older")
    place.put(VALUE)
    assert select(await place.manager.read(place.path, ""), "") == VALUE


@pytest.mark.parametrize("kind", VERSIONED)
async def test_a_pinned_version(place: ManagerPlace) -> None:
    first, second = place.put("older"), place.put(VALUE)
    assert select(await place.manager.read(place.path, first), "") == "older"
    assert select(await place.manager.read(place.path, second), "") == VALUE
    assert (await refused(place, version="99" if first.isdigit() else "0" * 32)).failure is Failure.MISSING


@pytest.mark.parametrize("kind", sorted({*REMOTE, *LOCAL} - set(VERSIONED) - {"vault_kv1_kubernetes"}))
async def test_a_version_where_there_are_none(place: ManagerPlace) -> None:
    place.put(VALUE)
    assert (await refused(place, version="1")).failure is Failure.MISSING


@remotely
async def test_denied(place: ManagerPlace, caplog: pytest.LogCaptureFixture) -> None:
    place.put(VALUE)
    place.deny()
    assert (await refused(place)).failure in (Failure.DENIED, Failure.NO_IDENTITY)


@remotely
async def test_an_identity_that_is_not_accepted(place: ManagerPlace) -> None:
    place.put(VALUE)
    place.lose_identity()
    assert (await refused(place)).failure in (Failure.DENIED, Failure.NO_IDENTITY)


@remotely
async def test_a_manager_that_is_down(place: ManagerPlace) -> None:
    await place.go_away()
    failed = await refused(place)
    assert failed.failure is Failure.UNREACHABLE
    assert failed.__suppress_context__


@pytest.mark.parametrize("bounds", [Bounds(timeout_s=0.3)])
@remotely
async def test_a_manager_that_is_slow(place: ManagerPlace) -> None:
    assert place.trouble is not None
    with pytest.raises((ManagerFailed, TimeoutError)) as caught:
        await place.trouble("slow").read(place.path, "")
    assert isinstance(caught.value, TimeoutError) or caught.value.failure is Failure.SLOW


@remotely
async def test_an_answer_without_end(place: ManagerPlace) -> None:
    assert place.trouble is not None
    with pytest.raises(ManagerFailed) as caught:
        await place.trouble("large").read(place.path, "")
    assert caught.value.failure is Failure.TOO_LARGE


@pytest.mark.parametrize("kind", ["gcp_secret_manager", "kubernetes", *LOCAL])
async def test_bytes_that_are_no_text(place: ManagerPlace) -> None:
    place.put(b"\xff\xfe\x00")
    assert (await refused(place)).failure is Failure.NOT_TEXT


@everywhere
async def test_nothing_on_disk_and_nothing_in_the_log(place: ManagerPlace, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Not even at the level at which SDKs tell everything but what was read."""
    caplog.set_level(logging.INFO)
    before = set(tmp_path.rglob("*"))
    place.put(VALUE)
    with structlog.testing.capture_logs() as lines:
        await place.manager.read(place.path, "")
        place.deny()
        if place.trouble is not None:
            await refused(place)
    assert VALUE not in caplog.text + str(lines)
    assert set(tmp_path.rglob("*")) - before <= {tmp_path / "app"}


class Rotated:
    """A connection whose token a manager holds, as an operation gets it."""

    def __init__(self, place: ManagerPlace, kind: str, bounds: Bounds) -> None:
        self.managers = SecretManagers(Configuration({"m": ManagerConfiguration("m", kind, (Rule("**"),), bounds)}))
        self.managers.leases = Leases({"m": place.manager}, {"m": bounds})
        self.credential = Credential(b"c" * 16, "tickets", "rest", {}, {}, references={"token": SecretReference("m", place.path)})

    async def token(self) -> str:
        async with self.managers.resolved(self.credential, (), exposes=False) as credential:
            return str(credential.secret["token"])


@everywhere
async def test_a_rotated_value_is_read_anew_once_the_old_one_was_refused(place: ManagerPlace, kind: str, bounds: Bounds) -> None:
    rotated = Rotated(place, kind, bounds)
    place.put("older-value")
    assert await rotated.token() == "older-value"
    place.put(VALUE)
    assert await rotated.token() == "older-value"
    rotated.managers.refused(rotated.credential)
    assert await rotated.token() == VALUE


@everywhere
async def test_a_remote_system_that_refuses_everything_does_not_make_the_runtime_ask_without_end(
    place: ManagerPlace, kind: str, bounds: Bounds
) -> None:
    rotated = Rotated(place, kind, bounds)
    for value in ("older-value", VALUE, "newest-value"):
        place.put(value)
        assert await rotated.token() == (VALUE if value == "newest-value" else value)
        rotated.managers.refused(rotated.credential)


@everywhere
async def test_a_value_that_an_operation_holds_stays_with_it_when_it_is_refused(place: ManagerPlace, kind: str, bounds: Bounds) -> None:
    rotated = Rotated(place, kind, bounds)
    place.put("older-value")
    async with rotated.managers.resolved(rotated.credential, (), exposes=False) as held:
        place.put(VALUE)
        rotated.managers.refused(rotated.credential)
        assert await rotated.token() == VALUE
        assert held.secret["token"] == "older-value"
