"""Bundles: sealed to one boot of one confirmed runtime, rising, and complete."""

from typing import Any

import orjson
import pytest

from spin_envelope.errors import Refused
from spin_envelope.hpke_keys import RecipientKey, Suite
from spinapis.envelope.v1.trust_pb2 import RuntimeStatus
from spinapis.secrets.v1 import secrets_pb2 as pb
from tests.fakes.installation import refused
from tests.fakes.runtimes import FakeRuntime
from tests.fakes.secrets_bench import OTHER, PARENT, SECRET, WORKSPACE, SecretsBench

WEEK_MS = 7 * 86_400_000


async def test_the_runtime_gets_what_the_workspace_may_use(bench: SecretsBench) -> None:
    mine = await bench.create()
    shared = await bench.create("shared", workspace_id=PARENT, credential_json='{"token":"t"}')
    await bench.create("foreign", workspace_id=OTHER)
    runtime = bench.enrolment.add()
    answer = await bench.sync(runtime)
    bundle = bench.open(runtime, answer.sealed).message
    entries = {entry.connection_id.hex(): entry for entry in bundle.entries}
    assert set(entries) == {mine.id, shared.id}
    assert orjson.loads(entries[mine.id].secret_json) == {"username": "reader", "password": SECRET}
    assert (
        list(entries[mine.id].allowed_hosts) == ["db.example.org:5432"] and entries[mine.id].config_json == b'{"base_url":"https://db.example.org"}'
    )
    assert (bundle.workspace_id.hex(), bundle.runtime_id.hex(), bundle.bundle_version) == (WORKSPACE, runtime.runtime_id, answer.bundle_version)
    assert 0 < bundle.expires_at_ms - bundle.issued_at_ms <= WEEK_MS
    assert "connection.sealed" in bench.log.types(WORKSPACE)


async def test_a_runtime_that_holds_the_newest_bundle_gets_none(bench: SecretsBench) -> None:
    made = await bench.create()
    runtime = bench.enrolment.add()
    first = await bench.sync(runtime)
    again = await bench.sync(runtime, held=first.bundle_version)
    assert (again.sealed, again.bundle_version) == (b"", first.bundle_version)
    await bench.update(made, credential_json='{"password":"new"}')
    second = await bench.sync(runtime, held=first.bundle_version)
    assert second.sealed and second.bundle_version > first.bundle_version


async def test_a_workspace_without_connections_needs_no_bundle(bench: SecretsBench) -> None:
    answer = await bench.sync(bench.enrolment.add())
    assert (answer.sealed, answer.bundle_version) == (b"", 0)


async def test_versions_rise_and_name_what_the_runtime_holds(bench: SecretsBench) -> None:
    await bench.create()
    runtime = bench.enrolment.add()
    first = await bench.sync(runtime)
    lost = await bench.sync(runtime)
    assert lost.bundle_version > first.bundle_version + 1, "a runtime that got the first one must not take the second for its successor"
    await bench.create("second")
    third = await bench.sync(runtime, held=first.bundle_version)
    assert third.bundle_version > lost.bundle_version
    opened = bench.open(runtime, third.sealed).message
    assert opened.prev_digest == bench.open(runtime, first.sealed).digest
    assert bench.open(runtime, first.sealed).message.prev_digest == b""


async def test_a_compiled_program_asks_for_a_bundle_that_holds_its_connections(bench: SecretsBench) -> None:
    runtime = bench.enrolment.add()
    await bench.create()
    wanted = (await bench.resolve("warehouse", runtime=runtime)).bundle_version
    held = (await bench.sync(runtime)).bundle_version
    assert held >= wanted > 0
    assert (await bench.resolve("warehouse", runtime=runtime)).bundle_version == held
    await bench.create("parents", workspace_id=PARENT)
    newer = (await bench.resolve("parents", runtime=runtime)).bundle_version
    assert newer > held
    assert (await bench.sync(runtime, held=held)).bundle_version >= newer


async def test_a_deleted_connection_must_be_forgotten(bench: SecretsBench) -> None:
    gone, kept = await bench.create("gone"), await bench.create("kept")
    runtime = bench.enrolment.add()
    first = await bench.sync(runtime)
    await bench.delete(gone)
    bundle = bench.open(runtime, (await bench.sync(runtime, held=first.bundle_version)).sealed).message
    assert [entry.connection_id.hex() for entry in bundle.entries] == [kept.id]
    assert [connection_id.hex() for connection_id in bundle.tombstones] == [gone.id]


async def test_an_ageing_bundle_is_issued_anew(bench: SecretsBench) -> None:
    await bench.create()
    runtime = bench.enrolment.add()
    first = await bench.sync(runtime)
    bench.installation.clock.advance(4 * 86_400)
    second = await bench.sync(runtime, held=first.bundle_version)
    assert second.sealed and second.bundle_version == first.bundle_version + 1
    assert bench.open(runtime, second.sealed).message.prev_digest == bench.open(runtime, first.sealed).digest


async def test_only_that_boot_opens_it(bench: SecretsBench) -> None:
    await bench.create()
    runtime = bench.enrolment.add()
    answer = await bench.sync(runtime)
    assert SECRET.encode() not in answer.sealed
    runtime.boot_key = RecipientKey.generate(Suite(2))
    with pytest.raises(Refused):
        bench.open(runtime, answer.sealed)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (RuntimeStatus.RUNTIME_STATUS_PAIRED, "RUNTIME_NOT_CONFIRMED"),
        (RuntimeStatus.RUNTIME_STATUS_REVOKED, "RUNTIME_REVOKED"),
    ],
)
async def test_nothing_is_sealed_to_a_runtime_that_is_not_confirmed(bench: SecretsBench, status: Any, reason: str) -> None:
    await bench.create()
    runtime = bench.enrolment.add()
    runtime.status = status
    with refused() as refusal:
        await bench.sync(runtime)
    assert refusal.reason == reason


async def test_a_row_that_says_confirmed_convinces_nobody(bench: SecretsBench) -> None:
    await bench.create()
    rogue, honest = bench.enrolment.add(), bench.enrolment.add()
    rogue.confirmation = honest.confirmation
    with refused() as refusal:
        await bench.sync(rogue)
    assert refusal.reason == "SIGNATURE_INVALID"


async def test_a_boot_key_that_the_runtime_did_not_sign_gets_nothing(bench: SecretsBench) -> None:
    await bench.create()
    runtime = bench.enrolment.add()
    thief = FakeRuntime(bench.installation.keys, WORKSPACE)
    thief.runtime_id = runtime.runtime_id
    challenge, asked = bench.challenge(runtime)
    request = pb.SyncCredentialsRequest(
        workspace_id=WORKSPACE, runtime_id=runtime.runtime_id, hello=thief.hello(challenge, asked), challenge=challenge
    )
    with refused() as refusal:
        await bench.stub.SyncCredentials(request, metadata=bench.by("owner"))
    assert refusal.reason == "SIGNATURE_INVALID"


async def test_a_weaker_suite_than_the_pinned_one_gets_nothing(bench: SecretsBench) -> None:
    await bench.create()
    with refused() as refusal:
        await bench.sync(bench.enrolment.add(), boot_hpke_key=RecipientKey.generate(Suite(1)).public)
    assert refusal.reason == "SUITE_REFUSED"


async def test_a_hello_for_someone_else_gets_nothing(bench: SecretsBench) -> None:
    await bench.create()
    with refused() as refusal:
        await bench.sync(bench.enrolment.add(), user="editor")
    assert refusal.reason == "HELLO_STALE"


async def test_a_viewer_carries_no_credentials(bench: SecretsBench) -> None:
    await bench.create()
    with refused() as refusal:
        await bench.sync(bench.enrolment.add(), user="viewer")
    assert refusal.reason == "PERMISSION_DENIED"
