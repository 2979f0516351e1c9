"""How long values are kept, what is asked of a manager and when; the clock is the test's."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from spin_runtime.broker.managers import leases as leases_module
from spin_runtime.broker.managers.interface import Failure, ManagerFailed, Secret
from spin_runtime.broker.managers.leases import Bounds, Leases
from spin_runtime.broker.managers.references import Place, select
from spin_runtime.broker.managers.vault import Vault
from tests.fakes.vault_secrets import ROLE_ID, SECRET_ID, VaultSecretsDouble

PLACE = Place("vault", "secret/app")
DATABASE = Place("vault", "database/creds/reader")


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Scripted:
    """A manager whose answers the test gives."""

    secret: Secret = field(default_factory=lambda: Secret("value"))
    reads: int = 0
    gate: asyncio.Event | None = None

    async def read(self, path: str, version: str) -> Secret:
        self.reads += 1
        if self.gate is not None:
            await self.gate.wait()
        return self.secret

    async def renew(self, lease_id: str) -> float:
        raise ManagerFailed(Failure.OTHER)

    async def give_back(self, lease_id: str) -> None: ...

    async def keep_identity(self) -> None: ...

    async def close(self) -> None: ...


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def make(clock: Clock) -> AsyncIterator[Callable[..., Leases]]:
    made: list[Leases] = []

    def build(manager: object, keep_s: float = 60.0) -> Leases:
        made.append(Leases({"vault": manager}, {"vault": Bounds(keep_s, 5.0)}, clock))  # type: ignore[dict-item]
        return made[-1]

    yield build
    for leases in made:
        await leases.close()


@pytest.fixture
async def vault(clock: Clock) -> AsyncIterator[VaultSecretsDouble]:
    async with VaultSecretsDouble(clock) as double:
        double.state.kv2["app"] = [{"value": "first"}]
        yield double


@pytest.fixture
def opened(vault: VaultSecretsDouble, tmp_path: Path, clock: Clock) -> Vault:
    (tmp_path / "secret-id").write_text(SECRET_ID)
    auth = {"method": "approle", "role_id": ROLE_ID, "secret_id_file": str(tmp_path / "secret-id")}
    return Vault({"address": vault.address, "kv2": ["secret"], "auth": auth}, Bounds(), {}, clock)


async def value(leases: Leases, place: Place = PLACE, key: str = "") -> str:
    async with leases.holding(place) as secret:
        return select(secret, key)


async def test_a_rotated_value_is_seen_after_the_time_and_the_old_one_not_served_then(
    make: Callable[..., Leases], opened: Vault, vault: VaultSecretsDouble, clock: Clock
) -> None:
    leases = make(opened, keep_s=30)
    assert await value(leases) == "first"
    vault.state.kv2["app"].append({"value": "second"})
    clock.now += 29
    assert await value(leases) == "first"
    clock.now += 1
    assert await value(leases) == "second"


async def test_a_pinned_version_is_kept_apart(make: Callable[..., Leases], opened: Vault, vault: VaultSecretsDouble) -> None:
    leases = make(opened)
    vault.state.kv2["app"].append({"value": "second"})
    assert [await value(leases), await value(leases, Place("vault", "secret/app", "1"))] == ["second", "first"]


async def test_the_hint_of_kv1_keeps_nothing_longer_than_configured(
    make: Callable[..., Leases], opened: Vault, vault: VaultSecretsDouble, clock: Clock
) -> None:
    vault.state.kv1["app"] = {"value": "first"}
    leases, place = make(opened), Place("vault", "kv/app")
    assert await value(leases, place) == "first"
    vault.state.kv1["app"] = {"value": "second"}
    clock.now += 61
    assert await value(leases, place) == "second"


async def test_nothing_is_kept_where_that_is_configured(make: Callable[..., Leases]) -> None:
    manager = Scripted()
    leases = make(manager, keep_s=0)
    await value(leases)
    await value(leases)
    assert manager.reads == 2


async def test_a_value_leaves_the_memory_though_nobody_asks(make: Callable[..., Leases], clock: Clock) -> None:
    leases = make(Scripted())
    await value(leases)
    clock.now += 60
    await leases.keep_up()
    assert len(leases) == 0


async def test_who_asks_at_once_waits_for_one_answer(make: Callable[..., Leases]) -> None:
    manager = Scripted(gate=asyncio.Event())
    leases = make(manager)
    asking = [asyncio.create_task(value(leases)) for _ in range(20)]
    await asyncio.sleep(0)
    asking[0].cancel()
    assert manager.gate is not None
    manager.gate.set()
    answers = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError) and answers[1:] == ["value"] * 19
    assert manager.reads == 1


async def test_a_failure_is_not_kept(make: Callable[..., Leases], opened: Vault, vault: VaultSecretsDouble) -> None:
    leases = make(opened)
    vault.denied = True
    with pytest.raises(ManagerFailed):
        await value(leases)
    vault.denied = False
    assert await value(leases) == "first"


async def test_what_was_forgotten_while_it_was_read_is_not_kept(make: Callable[..., Leases]) -> None:
    manager = Scripted(gate=asyncio.Event())
    leases = make(manager)
    asking = asyncio.create_task(value(leases))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    leases.forget()
    with pytest.raises(ManagerFailed) as caught:
        await asking
    assert (caught.value.failure, len(leases)) == (Failure.FORGOTTEN, 0)


async def test_the_number_of_values_is_bounded(make: Callable[..., Leases], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases_module, "MAXIMUM_ENTRIES", 3)
    manager = Scripted()
    leases = make(manager)
    for number in range(5):
        await value(leases, Place("vault", f"secret/{number}"))
    assert len(leases) == 3
    await value(leases, Place("vault", "secret/4"))
    assert manager.reads == 5


async def test_a_manager_that_hangs_is_given_up(clock: Clock) -> None:
    leases = Leases({"vault": Scripted(gate=asyncio.Event())}, {"vault": Bounds(timeout_s=0.05)}, clock)
    with pytest.raises(ManagerFailed) as caught:
        await value(leases)
    assert caught.value.failure is Failure.SLOW
    await leases.close()


# Leases


async def test_name_and_password_are_of_one_lease(make: Callable[..., Leases], opened: Vault) -> None:
    leases = make(opened)
    assert [await value(leases, DATABASE, key) for key in ("username", "password")] == ["v-reader-1", "password-number-1"]


async def test_a_lease_is_renewed_while_it_is_in_use_and_replaced_at_its_last_end(
    make: Callable[..., Leases], opened: Vault, vault: VaultSecretsDouble, clock: Clock
) -> None:
    leases = make(opened)
    for _ in range(2):
        assert await value(leases, DATABASE, "username") == "v-reader-1"
        clock.now += 3000
        await leases.keep_up()
    # The engine's bound of two hours is near: the rest of it is too short, so another user is made.
    clock.now += 1150
    await leases.keep_up()
    assert await value(leases, DATABASE, "username") == "v-reader-2"
    await leases.close()
    assert vault.state.leases == {}


async def test_a_lease_that_nobody_uses_ends(make: Callable[..., Leases], opened: Vault, vault: VaultSecretsDouble, clock: Clock) -> None:
    leases = make(opened)
    await value(leases, DATABASE, "username")
    clock.now += 2500
    await leases.keep_up()  # renews once, for the use before
    clock.now += 3300
    await leases.keep_up()
    assert len(leases) == 0
    await leases.close()
    assert vault.state.leases == {} and "PUT /v1/sys/leases/revoke" in vault.calls


async def test_a_lease_in_use_is_not_given_back_before_the_operation_ends(
    make: Callable[..., Leases], opened: Vault, vault: VaultSecretsDouble
) -> None:
    leases = make(opened)
    async with leases.holding(DATABASE):
        leases.forget()
        await asyncio.sleep(0.05)
        assert len(vault.state.leases) == 1
    await leases.close()
    assert vault.state.leases == {}


async def test_the_token_is_prolonged_while_leases_hang_on_it(
    make: Callable[..., Leases], opened: Vault, vault: VaultSecretsDouble, clock: Clock
) -> None:
    vault.lease_s, vault.longest_s, vault.token_s = 36000, 36000, 600
    leases = make(opened)
    await value(leases, DATABASE, "username")
    for _ in range(5):
        clock.now += 450
        await leases.keep_up()
    assert await value(leases, DATABASE, "username") == "v-reader-1"
    assert vault.logins == 1 and len(vault.state.tokens) == 1


async def test_a_token_that_is_over_or_was_revoked_is_replaced(
    make: Callable[..., Leases], opened: Vault, vault: VaultSecretsDouble, clock: Clock
) -> None:
    leases = make(opened, keep_s=0)
    await value(leases)
    clock.now += 4000
    await value(leases)
    vault.revoke_tokens()
    assert await value(leases) == "first"
    assert vault.logins == 3


async def test_the_end_revokes_token_and_leases(make: Callable[..., Leases], opened: Vault, vault: VaultSecretsDouble) -> None:
    leases = make(opened)
    await value(leases, DATABASE, "username")
    await leases.close()
    assert vault.state.tokens == {} and vault.state.leases == {}
