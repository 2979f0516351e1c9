"""Attacks on the way in which a runtime comes to a workspace: wrong tokens, tokens twice, old grants, foreign roots."""

import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.platform.apart import RunningPlatform
from spin_client.sdk import Platform, SpinError, pairing
from spin_client.sdk.wire import ConnectionLost, Wire, dial
from spin_envelope.keys import SigningKey
from spin_envelope.pairing import SpinToken
from spin_envelope.root import TrustedRoot, build_root_document
from spin_envelope.signing import sign
from spinapis.auth.v1 import trust_pb2
from spinapis.envelope.v1.trust_pb2 import Role
from spinapis.errors.v1 import reasons_pb2
from spinapis.runtime.v1 import frames_pb2
from spinapis.workspace.v1 import workspaces_pb2
from tests.fakes.extra_runtime import ExtraRuntime
from tests.fakes.hand_client import HandClient, new_session
from tests.fakes.history import until
from tests.fakes.key_rotation import rotate
from tests.fakes.stolen_keys import now_ms, stolen

Frame = frames_pb2.ClientFrame


@pytest.fixture
def runtime(running: RunningPlatform, tmp_path: Path) -> Iterator[ExtraRuntime]:
    """Not started, and not paired."""
    made = ExtraRuntime(tmp_path, running.settings.service_port_base + 14)
    yield made
    made.stop()


def a_token() -> str:
    return SpinToken.mint(secrets.token_bytes(16), secrets.token_bytes(16), secrets.token_bytes(32), secrets.token_bytes(32)).text


def a_letter_changed(token: str) -> str:
    return token[:60] + ("A" if token[60] != "A" else "B") + token[61:]


@pytest.mark.parametrize(
    ("token", "told"),
    [
        ("changeme", "does not start with 'spin1.'"),
        ("", "is not set"),
        (a_letter_changed(a_token()), "wrong checksum"),
        (a_token()[:-1], "characters and must have"),
        (a_token() + "x", "characters and must have"),
        ("spin1." + "!" * 134, "other than letters"),
    ],
    ids=["changeme", "missing", "wrong-checksum", "cut-off", "too-long", "other-letters"],
)
def test_a_token_that_is_none(runtime: ExtraRuntime, token: str, told: str) -> None:
    status, said = runtime.refused(token)
    assert status == 2
    assert told in said and "SPIN_TOKEN" in said
    assert len(said.splitlines()) == 1
    assert not token or token not in said.replace("'spin1.'", "")


async def asked(runtime: ExtraRuntime) -> tuple[Wire, bytes]:
    """The unpaired runtime's signed request, on a socket that waits for the grant."""
    wire = await dialled(runtime)
    await wire.send(Frame(pairing_start=frames_pb2.PairingStart()))
    return wire, (await wire.receive(15)).enrol_request


async def dialled(runtime: ExtraRuntime) -> Wire:
    async def attempt() -> Wire | None:
        try:
            return await dial(runtime.url)
        except ConnectionLost:
            return None

    found = await until(attempt, 30)
    assert found is not None
    return found


async def enrolled(owner: Platform, runtime: ExtraRuntime, request: bytes) -> bytes:
    where = {"workspace_id": runtime.record.workspace_id, "runtime_id": runtime.record.id}
    return bytes((await owner.enrolment.EnrolRuntime(trust_pb2.EnrolRuntimeRequest(**where, enrol_request=request))).enrol_grant)


async def test_a_token_used_twice(owner: Platform, runtime: ExtraRuntime, tmp_path: Path) -> None:
    pending = await pairing.begin(owner, await runtime.register(owner, "Sample"))
    runtime.start(pending.token)
    await pairing.enrol(owner, pending, wait_s=30)
    assert runtime.stop() == 0
    thief = ExtraRuntime(tmp_path / "thief", runtime.port)
    thief.home.mkdir()
    thief.start(pending.token)
    try:
        with pytest.raises(SpinError) as refused:
            await pairing.enrol(owner, pending, wait_s=30)
        assert refused.value.reason == "PAIRING_USED"
    finally:
        thief.stop()


async def test_a_stolen_token_used_first_is_stopped_by_the_fingerprint(owner: Platform, runtime: ExtraRuntime) -> None:
    pending = await pairing.begin(owner, await runtime.register(owner, "Sample"))
    runtime.start(pending.token)
    rogue = await pairing.enrol(owner, pending, wait_s=30)
    # The person looks at the log of the runtime that they started, which has another identity.
    theirs = bytes(reversed(rogue))
    with pytest.raises(SpinError) as refused:
        await pairing.confirm(owner, runtime.record.workspace_id, runtime.record.id, theirs)
    assert refused.value.reason == "INVALID_ARGUMENT"
    session = await new_session(owner, runtime.record.workspace_id, runtime.record.id)
    with pytest.raises(SpinError) as unsealed:
        await HandClient.attach(owner, session)
    assert unsealed.value.reason == "RUNTIME_NOT_CONFIRMED"


async def test_a_stale_enrol_grant(owner: Platform, runtime: ExtraRuntime, tmp_path: Path) -> None:
    """The grant for a request that the runtime does not wait on any more pairs nothing."""
    pending = await pairing.begin(owner, await runtime.register(owner, "Sample"))
    runtime.start(pending.token)
    wire, request = await asked(runtime)
    stale = await enrolled(owner, runtime, request)
    await wire.close()
    assert runtime.stop() == 0
    runtime.home = tmp_path / "again"
    runtime.home.mkdir()
    runtime.start(pending.token)
    wire, newer = await asked(runtime)
    assert newer != request
    await wire.send(Frame(pairing_finish=frames_pb2.PairingFinish(enrol_grant=stale, root_documents=await owner.trust.documents())))
    assert (await wire.receive(15)).WhichOneof("body") == "error"
    await wire.close()
    wire, _ = await asked(runtime)
    await wire.close()


def thiefs_root(version: int) -> bytes:
    """A root document in perfect order, of somebody else's keys."""
    keys = {role: SigningKey.generate() for role in Role.values() if role}
    document = build_root_document(version, now_ms() + 10**9, {role: [key.public] for role, key in keys.items()})
    return sign(document, keys[Role.ROLE_ROOT])


async def test_a_platform_whose_root_is_not_in_the_token(owner: Platform, runtime: ExtraRuntime) -> None:
    """Whoever answers in the platform's place has keys of its own, and the token names the root."""
    pending = await pairing.begin(owner, await runtime.register(owner, "Sample"))
    runtime.start(pending.token)
    wire, request = await asked(runtime)
    grant = await enrolled(owner, runtime, request)
    document = thiefs_root(1)
    await wire.send(Frame(pairing_finish=frames_pb2.PairingFinish(enrol_grant=grant, root_documents=[document])))
    error = (await wire.receive(15)).error
    assert error.fatal
    await wire.close()


async def test_a_paired_runtime_is_not_paired_again(running: RunningPlatform) -> None:
    wire = await dial(running.settings.runtime_url)
    await wire.send(Frame(pairing_start=frames_pb2.PairingStart()))
    assert "paired already" in (await wire.receive(10)).error.message
    await wire.close()


async def told(client: HandClient, *documents: bytes, state: bytes = b"") -> str:
    await client.send(trust_documents=frames_pb2.TrustDocuments(root_documents=documents, trust_state=state))
    frame = await client.next_of("trust_accepted", "error")
    if frame.HasField("trust_accepted"):
        return "accepted"
    return reasons_pb2.ErrorReason.Name(frame.error.reason).removeprefix("ERROR_REASON_")


async def test_root_document_n_minus_1(running: RunningPlatform, owner: Platform, client: HandClient) -> None:
    rotate(running.settings, "workspace")
    documents = await owner.trust.documents()
    assert len(documents) > 1
    assert await told(client, *documents) == "accepted"
    assert await told(client, *documents[:-1]) == "ROLLBACK_REFUSED"


async def test_root_document_n_plus_1_signed_by_new_keys_only(owner: Platform, client: HandClient) -> None:
    root = TrustedRoot.pinned((await owner.trust.documents())[-1], None)
    assert await told(client, thiefs_root(root.version + 1)) == "OPEN_FAILED"
    assert await client.outcome((await client.compile("print('fine')")).sealed) == "OK"


async def test_root_document_n_plus_1_signed_by_a_stolen_service_key(running: RunningPlatform, owner: Platform, client: HandClient) -> None:
    root = TrustedRoot.pinned((await owner.trust.documents())[-1], None)
    roles = {role: [key.public for key in root.keys(role)] for role in Role.values() if role}
    document = build_root_document(root.version + 1, now_ms() + 10**9, roles)
    for service in ("auth", "compiler", "secrets", "audit", "workspace"):
        assert await told(client, sign(document, stolen(running.settings, service))) == "OPEN_FAILED"


async def test_an_older_trust_state(owner: Platform, client: HandClient) -> None:
    where = trust_pb2.GetTrustStateRequest(workspace_id=client.session.workspace_id, runtime_id=client.session.runtime_id)
    older = (await owner.enrolment.GetTrustState(where)).trust_state
    newer = (await owner.enrolment.GetTrustState(where)).trust_state
    assert await told(client, *await owner.trust.documents(), state=newer) == "accepted"
    assert await told(client, state=older) == "ROLLBACK_REFUSED"


async def test_a_trust_state_of_another_runtime(owner: Platform, client: HandClient, second_runtime: ExtraRuntime) -> None:
    record = second_runtime.record
    where = trust_pb2.GetTrustStateRequest(workspace_id=record.workspace_id, runtime_id=record.id)
    assert await told(client, state=(await owner.enrolment.GetTrustState(where)).trust_state) == "OPEN_FAILED"


async def test_a_runtime_revoked_in_the_workspace_runs_nothing(owner: Platform, runtime: ExtraRuntime) -> None:
    await runtime.pair(owner, "Sample")
    session = await new_session(owner, runtime.record.workspace_id, runtime.record.id)
    async with await HandClient.attach(owner, session) as client:
        await client.start_kernel()
        kept = (await client.compile("print('kept from before')")).sealed
        where = {"workspace_id": runtime.record.workspace_id, "runtime_id": runtime.record.id}
        await owner.enrolment.RevokeRuntime(trust_pb2.RevokeRuntimeRequest(**where))
        with pytest.raises(SpinError) as refused:
            await client.compile("print('after')")
        assert refused.value.reason == "RUNTIME_REVOKED"
        state = (await owner.enrolment.GetTrustState(trust_pb2.GetTrustStateRequest(**where))).trust_state
        assert await told(client, state=state) == "accepted"
        assert await client.outcome(kept) == "RUNTIME_REVOKED"


async def test_another_process_on_a_stolen_disk(running: RunningPlatform, runtime: ExtraRuntime) -> None:
    """The files of a paired runtime open with its own token alone."""
    shutil.copytree(running.settings.runtime_home / "var" / "broker", runtime.home / "home" / "var" / "broker")
    status, said = runtime.refused(a_token())
    assert status == 2 and "Traceback" not in said


async def test_no_record_of_a_runtime_in_another_workspace(
    owner: Platform, foreign_runtime: ExtraRuntime, workspace: workspaces_pb2.Workspace
) -> None:
    where = trust_pb2.GetRuntimeTrustRequest(workspace_id=workspace.id, runtime_id=foreign_runtime.record.id)
    with pytest.raises(SpinError) as refused:
        await owner.enrolment.GetRuntimeTrust(where)
    assert refused.value.reason == "NOT_FOUND"
