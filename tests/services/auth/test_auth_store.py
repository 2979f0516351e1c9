"""The contract of auth's stores, on SQLite and on PostgreSQL."""

import asyncio
import contextlib
import secrets
from dataclasses import replace

import pytest
from sqlalchemy import Connection, inspect

from spin_services.auth import domain
from spin_services.auth.principals import Principal
from spin_services.auth.store import Accounts, Members, Runtimes
from spin_services.auth.store.accounts import Rotation
from spin_services.auth.store.runtimes import COUNTER_LIFE_MS, KernelStart
from spin_services.auth.tables import METADATA_REGISTRY, ApiKeyRow, MemberRow, OidcStateRow, PairingRow, RuntimeRow, SignInRow, UserRow
from spin_services.database import Database, upgrade
from spin_services.rpc.errors import ServiceError
from spinapis.envelope.v1.trust_pb2 import RuntimeStatus

NOW = 1_800_000_000_000
WORKSPACE = "a1" * 16
ANN = Principal("ann")
CONFIRMED = RuntimeStatus.RUNTIME_STATUS_CONFIRMED


async def person(database: Database, email: str = "ada@example.org") -> UserRow:
    row = UserRow(id=domain.new_id(), email=email, created_at_ms=NOW)
    assert await Accounts(database).add_user(row)
    return row


async def sign_in(database: Database, user: UserRow, token: str) -> SignInRow:
    row = SignInRow(id=domain.new_id(), user_id=user.id, created_at_ms=NOW, expires_at_ms=NOW + 1000)
    await Accounts(database).begin_sign_in(row, token, NOW + 500)
    return row


async def test_the_migrations_make_the_tables_that_the_rows_expect(database: Database) -> None:
    await upgrade(database, "spin_services.auth.migrations")

    def tables(connection: Connection) -> dict[str, set[str]]:
        found = inspect(connection)
        return {name: {column["name"] for column in found.get_columns(name)} for name in found.get_table_names()}

    async with database.engine.connect() as connection:
        found = await connection.run_sync(tables)
    expected = {table.name: {column.name for column in table.columns} for table in METADATA_REGISTRY.metadata.sorted_tables}
    assert {name: columns for name, columns in found.items() if name != "alembic_version"} == expected


async def test_an_email_belongs_to_one_person(database: Database) -> None:
    await person(database)
    assert not await Accounts(database).add_user(UserRow(id=domain.new_id(), email="ada@example.org"))


async def test_a_link_is_taken_once_however_many_try(database: Database) -> None:
    accounts, user = Accounts(database), await person(database)
    await accounts.add_link("link", user.id, NOW + 10)
    taken = await asyncio.gather(*(accounts.take_link("link", NOW) for _ in range(8)))
    assert (taken.count(user.id), taken.count(None)) == (1, 7)


async def test_an_expired_link_is_not_taken(database: Database) -> None:
    accounts, user = Accounts(database), await person(database)
    await accounts.add_link("link", user.id, NOW)
    assert await accounts.take_link("link", NOW) is None
    assert await accounts.take_link("another", NOW) is None


async def test_refresh_tokens_rotate(database: Database) -> None:
    accounts, user = Accounts(database), await person(database)
    row = await sign_in(database, user, "first")
    rotated = await accounts.rotate("first", "second", NOW, NOW + 500)
    assert (rotated.outcome, rotated.sign_in_id) == (Rotation.DONE, row.id)
    assert rotated.user is not None and rotated.user.id == user.id
    assert (await accounts.rotate("second", "third", NOW, NOW + 500)).outcome is Rotation.DONE


async def test_a_refresh_token_that_comes_twice_kills_its_family_and_no_other(database: Database) -> None:
    accounts, user = Accounts(database), await person(database)
    victim, bystander = await sign_in(database, user, "first"), await sign_in(database, user, "other")
    await accounts.rotate("first", "second", NOW, NOW + 500)
    assert (await accounts.rotate("first", "third", NOW, NOW + 500)).outcome is Rotation.REUSED
    assert (await accounts.rotate("second", "fourth", NOW, NOW + 500)).outcome is Rotation.UNKNOWN
    assert not await accounts.sign_in_lives(victim.id, NOW)
    assert await accounts.sign_in_lives(bystander.id, NOW)


async def test_of_parallel_refreshes_one_wins(database: Database) -> None:
    accounts, user = Accounts(database), await person(database)
    await sign_in(database, user, "first")
    outcomes = [r.outcome for r in await asyncio.gather(*(accounts.rotate("first", f"next{n}", NOW, NOW + 500) for n in range(6)))]
    assert outcomes.count(Rotation.DONE) == 1
    assert set(outcomes) == {Rotation.DONE, Rotation.REUSED}


async def test_expired_and_unknown_refresh_tokens(database: Database) -> None:
    accounts, user = Accounts(database), await person(database)
    row = await sign_in(database, user, "first")
    assert (await accounts.rotate("first", "second", NOW + 500, NOW + 900)).outcome is Rotation.UNKNOWN
    assert (await accounts.rotate("never", "second", NOW, NOW + 900)).outcome is Rotation.UNKNOWN
    assert not await accounts.sign_in_lives(row.id, NOW + 1000)


async def test_ending_a_sign_in(database: Database) -> None:
    accounts, user = Accounts(database), await person(database)
    row = await sign_in(database, user, "first")
    assert await accounts.end_sign_in("first", NOW) == row.id
    assert await accounts.end_sign_in("never", NOW) is None
    assert not await accounts.sign_in_lives(row.id, NOW)


async def test_attempts_block_an_account_and_survive_a_restart(database: Database) -> None:
    account = domain.account_of("ada@example.org")
    waits = [await Accounts(database).begin_attempt(account, NOW) for _ in range(domain.FREE_ATTEMPTS)]
    assert waits == [0] * domain.FREE_ATTEMPTS
    assert await Accounts(database).begin_attempt(account, NOW) == domain.FIRST_BLOCK_MS
    assert await Accounts(database).begin_attempt(domain.account_of("eve@example.org"), NOW) == 0
    later = NOW + domain.FIRST_BLOCK_MS
    assert await Accounts(database).begin_attempt(account, later) == 0
    assert await Accounts(database).begin_attempt(account, later) == 2 * domain.FIRST_BLOCK_MS
    await Accounts(database).forget_attempts(account)
    assert await Accounts(database).begin_attempt(account, later) == 0


async def test_parallel_guesses_all_count(database: Database) -> None:
    accounts, account = Accounts(database), domain.account_of("ada@example.org")
    await accounts.begin_attempt(account, NOW)
    waits = await asyncio.gather(*(accounts.begin_attempt(account, NOW) for _ in range(12)))
    assert waits.count(0) == domain.FREE_ATTEMPTS - 1


async def test_a_new_password_ends_the_other_sign_ins(database: Database) -> None:
    accounts, user = Accounts(database), await person(database)
    kept, gone = await sign_in(database, user, "one"), await sign_in(database, user, "two")
    assert await accounts.set_password(user.id, "hash", kept.id, NOW) == [gone.id]
    assert await accounts.sign_in_lives(kept.id, NOW) and not await accounts.sign_in_lives(gone.id, NOW)


async def test_an_oidc_state_is_taken_once(database: Database) -> None:
    accounts = Accounts(database)

    def state() -> OidcStateRow:
        return OidcStateRow(state_digest=domain.digest("state"), provider_id="p", nonce="n", verifier="v", redirect_uri="r", expires_at_ms=NOW + 10)

    await accounts.add_oidc_state(state())
    taken = await asyncio.gather(*(accounts.take_oidc_state("state", NOW) for _ in range(5)))
    assert [row.verifier for row in taken if row] == ["v"]
    await accounts.add_oidc_state(state())
    assert await accounts.take_oidc_state("state", NOW + 10) is None


async def test_sweeping_removes_what_expired_and_nothing_else(database: Database) -> None:
    accounts, user = Accounts(database), await person(database)
    row = await sign_in(database, user, "first")
    await accounts.add_link("old", user.id, NOW - 1)
    await accounts.add_link("new", user.id, NOW + 10)
    assert await accounts.sweep(NOW) == 1
    assert await accounts.take_link("new", NOW) == user.id
    assert await accounts.sign_in_lives(row.id, NOW)
    assert await accounts.sweep(NOW + 5000) == 3


async def test_two_owners_cannot_both_leave(database: Database) -> None:
    members = Members(database)
    owners = [await person(database, f"owner{n}@example.org") for n in range(2)]
    async with members.changing() as change:
        for owner in owners:
            await change.add(MemberRow(workspace_id=WORKSPACE, user_id=owner.id, role=domain.OWNER, added_at_ms=NOW))

    async def leave(user_id: str) -> None:
        async with members.changing() as change:
            there = await change.owners(WORKSPACE)
            domain.check_owner_stays(there, user_id)
            await asyncio.sleep(0.05)
            member = await change.member(WORKSPACE, user_id)
            assert member is not None
            await change.remove(member)

    results = await asyncio.gather(*(leave(owner.id) for owner in owners), return_exceptions=True)
    assert sum(isinstance(result, Exception) for result in results) == 1
    assert len(await members.members(WORKSPACE, None, 10)) == 1


async def test_a_change_that_fails_changes_nothing(database: Database) -> None:
    members, user = Members(database), await person(database)
    with contextlib.suppress(RuntimeError):
        async with members.changing() as change:
            await change.add(MemberRow(workspace_id=WORKSPACE, user_id=user.id, role=1, added_at_ms=NOW))
            raise RuntimeError
    assert await members.role(WORKSPACE, user.id) is None


async def test_members_come_in_pages(database: Database) -> None:
    members = Members(database)
    for number in range(7):
        user = await person(database, f"u{number}@example.org")
        async with members.changing() as change:
            # Several joined in the same millisecond.
            await change.add(MemberRow(workspace_id=WORKSPACE, user_id=user.id, role=4, added_at_ms=NOW + number // 3))
    seen: list[str] = []
    after = None
    while page := await members.members(WORKSPACE, after, 2):
        seen += [member.user.id for member in page]
        after = (page[-1].row.added_at_ms, page[-1].user.id)
    assert len(seen) == len(set(seen)) == 7


async def test_an_api_key_lives_until_it_is_revoked_or_expires(database: Database) -> None:
    members, user = Members(database), await person(database)
    row = ApiKeyRow(
        id=domain.new_id(), workspace_id=WORKSPACE, name="ci", role=3, secret_digest=domain.digest("key"), created_by=user.id, expires_at_ms=NOW + 10
    )
    async with members.changing() as change:
        await change.add(row)
    used = await members.use_api_key("key", NOW)
    assert used is not None and used.last_used_at_ms == NOW
    assert await members.use_api_key("kex", NOW) is None
    assert await members.use_api_key("key", NOW + 10) is None
    async with members.changing() as change:
        key = await change.api_key(WORKSPACE, row.id)
        assert key is not None
        key.revoked_at_ms = NOW
        assert await change.api_key("b2" * 16, row.id) is None
    assert await members.use_api_key("key", NOW) is None


async def runtime(database: Database, status: int = CONFIRMED) -> RuntimeRow:
    row = RuntimeRow(workspace_id=WORKSPACE, runtime_id=secrets.token_hex(16), status=status, enrol_grant=b"grant", grant_digest="digest")
    async with Runtimes(database).changing() as change:
        await change.add_runtime(row)
    return row


async def test_seq_rises_without_gaps_or_repeats_under_concurrency(database: Database) -> None:
    runtimes, row = Runtimes(database), await runtime(database)
    numbers = await asyncio.gather(*(runtimes.allocate_seq(KernelStart(WORKSPACE, row.runtime_id, "boot", 1), "digest", ANN, NOW) for _ in range(40)))
    assert sorted(number for number in numbers if number) == list(range(1, 41))
    assert await runtimes.allocate_seq(KernelStart(WORKSPACE, row.runtime_id, "boot", 2), "digest", ANN, NOW) == 1
    assert await runtimes.allocate_seq(KernelStart(WORKSPACE, row.runtime_id, "boot2", 2**63 - 1), "digest", ANN, NOW) == 1


@pytest.mark.parametrize("status", [RuntimeStatus.RUNTIME_STATUS_PAIRED, RuntimeStatus.RUNTIME_STATUS_REVOKED])
async def test_no_seq_for_a_runtime_that_is_not_confirmed(database: Database, status: int) -> None:
    row = await runtime(database, status)
    assert await Runtimes(database).allocate_seq(KernelStart(WORKSPACE, row.runtime_id, "boot", 1), "digest", ANN, NOW) is None


async def test_no_seq_for_another_enrolment_or_workspace(database: Database) -> None:
    runtimes, row = Runtimes(database), await runtime(database)
    assert await runtimes.allocate_seq(KernelStart(WORKSPACE, row.runtime_id, "boot", 1), "earlier digest", ANN, NOW) is None
    assert await runtimes.allocate_seq(KernelStart("b2" * 16, row.runtime_id, "boot", 1), "digest", ANN, NOW) is None


async def test_whoever_gets_a_number_is_remembered_for_that_start_of_the_kernel_alone(database: Database) -> None:
    runtimes, row = Runtimes(database), await runtime(database)
    first, second = (KernelStart(WORKSPACE, row.runtime_id, "boot", epoch) for epoch in (1, 2))
    agent = Principal("ann", ("api_key:1",))
    for principal in (ANN, agent, ANN):
        await runtimes.allocate_seq(first, "digest", principal, NOW)
    assert await runtimes.allocate_seq(second, "another digest", ANN, NOW) is None
    assert await runtimes.principals(first) == [ANN, agent]
    assert await runtimes.principals(second) == await runtimes.principals(replace(first, boot_id="next")) == []


async def test_who_ran_in_a_kernel_is_forgotten_with_its_counter(database: Database) -> None:
    runtimes, row = Runtimes(database), await runtime(database)
    old, living = (KernelStart(WORKSPACE, row.runtime_id, boot, 1) for boot in ("old", "living"))
    await runtimes.allocate_seq(old, "digest", ANN, NOW)
    await runtimes.allocate_seq(living, "digest", ANN, NOW)
    await runtimes.allocate_seq(living, "digest", Principal("ben"), NOW + COUNTER_LIFE_MS)
    await runtimes.sweep(NOW + COUNTER_LIFE_MS + 1)
    assert (await runtimes.principals(old), await runtimes.principals(living)) == ([], [ANN, Principal("ben")])


async def test_trust_versions_rise(database: Database) -> None:
    runtimes, row = Runtimes(database), await runtime(database)
    found = await asyncio.gather(*(runtimes.next_trust(WORKSPACE, row.runtime_id, 0) for _ in range(10)))
    assert sorted(following.version for following in found if following) == list(range(1, 11))
    assert await runtimes.next_trust(WORKSPACE, "absent", 0) is None


async def test_the_least_bundle_version_never_falls_from_one_trust_state_to_the_next(database: Database) -> None:
    runtimes, row = Runtimes(database), await runtime(database)
    asked = [3, 0, 7, 5, 2**40, 1, 7, 0]
    found = await asyncio.gather(*(runtimes.next_trust(WORKSPACE, row.runtime_id, least) for least in asked))
    by_version = [following.min_bundle_version for following in sorted((one for one in found if one), key=lambda one: one.version)]
    assert by_version == sorted(by_version) and by_version[-1] == 2**40


async def test_a_pairing_is_taken_once(database: Database) -> None:
    runtimes = Runtimes(database)
    row = PairingRow(workspace_id=WORKSPACE, pairing_id="p1", runtime_id="r", user_id="u", public_key=b"k", expires_at_ms=NOW + 10)
    async with runtimes.changing() as change:
        await change.add_pairing(row)
    with pytest.raises(ServiceError, match="ALREADY_EXISTS"):
        async with runtimes.changing() as change:
            again = PairingRow(workspace_id=WORKSPACE, pairing_id="p1", runtime_id="x", user_id="u", public_key=b"k", expires_at_ms=NOW + 10)
            await change.add_pairing(again)

    async def take(now: int) -> bool:
        async with runtimes.changing() as change:
            return await change.take_pairing(WORKSPACE, "p1", now)

    assert not await take(NOW + 10)
    assert sum(await asyncio.gather(*(take(NOW) for _ in range(5)))) == 1
