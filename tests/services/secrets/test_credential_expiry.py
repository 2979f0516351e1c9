"""Dates of credentials: listed, remembered to the log once, forgotten with the credential that they were of."""

import pytest

from spin_services.secrets.credentials import Credentials
from spin_services.secrets.key_store import KeyVersions
from spin_services.secrets.keyring import Keyring
from spin_services.secrets.reminders import Reminders
from spin_services.secrets.store import ConnectionStore
from tests.fakes.installation import refused
from tests.fakes.secrets_bench import OTHER, PARENT, WORKSPACE, SecretsBench

DAY_MS = 86_400_000


async def test_credentials_that_expire_soon_are_listed(bench: SecretsBench) -> None:
    now = bench.installation.clock()
    await bench.create("soon", expires_at_ms=now + 3 * DAY_MS)
    await bench.create("later", expires_at_ms=now + 300 * DAY_MS)
    await bench.create("never")
    assert [one.name for one in await bench.list(expires_before_ms=now + 30 * DAY_MS)] == ["soon"]
    assert len(await bench.list()) == 3


async def test_a_new_credential_has_its_own_date(bench: SecretsBench) -> None:
    made = await bench.create(expires_at_ms=bench.installation.clock() + DAY_MS)
    renamed = await bench.update(made, name="renamed")
    assert renamed.expires_at_ms == made.expires_at_ms
    replaced = await bench.update(renamed, credential_json='{"password":"new"}')
    assert replaced.expires_at_ms == 0
    assert (await bench.update(replaced, expires_at_ms=9 * DAY_MS)).expires_at_ms == 9 * DAY_MS


@pytest.mark.parametrize("wrong", [-1, 2**62])
async def test_a_time_that_is_none_is_refused(bench: SecretsBench, wrong: int) -> None:
    with refused() as refusal:
        await bench.create(expires_at_ms=wrong)
    assert refusal.reason == "INVALID_ARGUMENT" and refusal.error is not None and refusal.error.metadata["field"] == "expires_at_ms"


def reminders_of(bench: SecretsBench) -> Reminders:
    wiring, keyring = bench.wiring, Keyring(bench.wiring.kek)
    store = ConnectionStore(wiring.database, Credentials(wiring.database, keyring, KeyVersions(wiring.database, keyring, wiring.clock)))
    return Reminders(store, wiring.peers, bench.installation.clock)


async def test_a_log_that_takes_nothing_does_not_silence_the_others(bench: SecretsBench) -> None:
    soon = bench.installation.clock() + 3 * DAY_MS
    for workspace_id in (PARENT, WORKSPACE, OTHER):
        await bench.create("soon", workspace_id=workspace_id, expires_at_ms=soon)
    for refusing, told in ((PARENT, WORKSPACE), (WORKSPACE, PARENT)):
        bench.log.refuses = {refusing}
        await reminders_of(bench).once()
        assert "connection.expiring" in bench.log.types(told)
        assert "connection.expiring" in bench.log.types(OTHER)
        bench.log.entries.clear()


async def test_the_log_is_told_under_one_key_for_each_date(bench: SecretsBench) -> None:
    now = bench.installation.clock()
    made = await bench.create("soon", expires_at_ms=now + 3 * DAY_MS)
    await bench.create("later", expires_at_ms=now + 300 * DAY_MS)
    reminders = reminders_of(bench)
    await reminders.once()
    await reminders.once()
    keys = [entry.idempotency_key for entry in bench.log.entries[WORKSPACE] if entry.type == "connection.expiring"]
    assert keys == [f"connection.expiring:{made.id}:{made.expires_at_ms}"] * 2
    bench.installation.clock.advance(290 * 24 * 3600)
    await reminders.once()
    assert len({entry.idempotency_key for entry in bench.log.entries[WORKSPACE] if entry.type == "connection.expiring"}) == 2
