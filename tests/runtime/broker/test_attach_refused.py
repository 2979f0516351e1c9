"""Attacks on attaching a client to a runtime; named for the attack."""

from hashlib import sha256

import pytest

from spin_envelope.digests import signed_digest
from spin_envelope.keys import SigningKey, VerifyKey
from spin_envelope.signing import sign, unverified, verify
from spin_runtime.broker.api import BrokerError
from spin_runtime.broker.refusals import reason_name
from spinapis.envelope.v1 import attach_pb2, enrol_pb2, trust_pb2
from spinapis.envelope.v1.signed_pb2 import KEY_ALGORITHM_ED25519
from spinapis.errors.v1 import reasons_pb2
from tests.fakes.control_plane import HOUR_MS, MINUTE_MS, ORIGIN, Client, ControlPlane


async def refused(call, reason: int = reasons_pb2.ERROR_REASON_CAPABILITY_INVALID) -> None:
    with pytest.raises(BrokerError) as caught:
        await call
    assert reason_name(caught.value.reason) == reason_name(reason)


async def begun(runtime, plane: ControlPlane, client: Client, origin: str = ORIGIN, **changes):
    """Hello as carried, and what waits for ClientAuth."""
    capability = plane.capability(client, origin=origin, **changes)
    return await runtime.broker.hello(capability, plane.challenge(client), client.nonce, client.key.public, origin, [], b"")


async def test_an_honest_client_attaches(runtime, plane: ControlPlane) -> None:
    client, challenge = Client(), None
    challenge = plane.challenge(client)
    data, pending = await runtime.broker.hello(plane.capability(client), challenge, client.nonce, client.key.public, ORIGIN, [], b"")
    hello = unverified(data, attach_pb2.Hello)
    assert hello.challenge_digest == signed_digest(challenge)
    assert (hello.nonce_b, hello.origin, hello.session_id) == (client.nonce, ORIGIN, client.session_id)
    assert (hello.trust_version, hello.root_version, hello.last_receipt_seq) == (1, 1, 1)
    auth = attach_pb2.ClientAuth(hello_digest=signed_digest(data), origin=ORIGIN)
    attachment = await runtime.broker.attach(pending, sign(auth, client.key))
    assert attachment.session_id == client.session_id
    assert attachment.scopes == {attach_pb2.SCOPE_VIEW, attach_pb2.SCOPE_RUN}


async def test_hello_is_signed_by_the_enrolled_identity(plane: ControlPlane, make_runtime) -> None:
    runtime = make_runtime(plane)
    request = await runtime.broker.pairing_start()
    await runtime.broker.pairing_finish(plane.enrol(request), plane.root_documents)
    identity = VerifyKey(unverified(request, enrol_pb2.EnrolRequest).identity_key)
    await runtime.restart()
    data, _ = await begun(runtime, plane, Client())
    verify(data, attach_pb2.Hello, [identity])


async def test_a_client_that_is_no_browser_has_no_origin(runtime, plane: ControlPlane) -> None:
    data, _ = await begun(runtime, plane, Client(), origin="")
    assert unverified(data, attach_pb2.Hello).origin == ""


@pytest.mark.parametrize("origin", [f"{ORIGIN}.evil.com", "null", f"{ORIGIN}/", ORIGIN.upper(), "http" + ORIGIN.removeprefix("https")])
async def test_an_origin_that_is_not_enrolled(runtime, plane: ControlPlane, origin: str) -> None:
    await refused(begun(runtime, plane, Client(), origin=origin), reasons_pb2.ERROR_REASON_ORIGIN_REFUSED)


async def test_a_capability_used_from_another_origin(runtime, plane: ControlPlane) -> None:
    client = Client()
    for said, actual in (("", ORIGIN), (ORIGIN, "")):
        capability = plane.capability(client, origin=said)
        await refused(runtime.hello(client, capability=capability, origin=actual))


@pytest.mark.parametrize(
    "changes",
    [
        {"runtime_id": bytes(16)},
        {"workspace_id": bytes(16)},
        {"session_id": b""},
        {"cnf": bytes(32)},
        {"cnf": b""},
        {"scopes": []},
        {"user_id": "user-b"},
        {"expires_at_ms": 1_700_000_000_000 + 24 * HOUR_MS},
        {"issued_at_ms": 1_700_000_000_000 + 2 * MINUTE_MS, "expires_at_ms": 1_700_000_000_000 + 3 * MINUTE_MS},
    ],
    ids=str,
)
async def test_a_capability_for_something_else(runtime, plane: ControlPlane, changes: dict) -> None:
    client = Client()
    await refused(runtime.hello(client, capability=plane.capability(client, **changes)))


async def test_a_capability_that_has_expired(runtime, plane: ControlPlane) -> None:
    client = Client()
    capability, challenge = plane.capability(client), plane.challenge(client)
    plane.clock.now_ms += 7 * MINUTE_MS
    await refused(runtime.hello(client, capability=capability, challenge=challenge))
    await refused(runtime.hello(client, challenge=challenge))


async def test_a_stolen_capability_with_the_thiefs_key(runtime, plane: ControlPlane) -> None:
    client, thief = Client(), SigningKey.generate()
    capability = plane.capability(client)
    await refused(runtime.hello(client, capability=capability, session_key=thief.public))
    data, pending = await runtime.broker.hello(capability, plane.challenge(client), client.nonce, client.key.public, ORIGIN, [], b"")
    auth = attach_pb2.ClientAuth(hello_digest=signed_digest(data), origin=ORIGIN)
    await refused(runtime.broker.attach(pending, sign(auth, thief)))


async def test_a_challenge_of_another_session_or_user(runtime, plane: ControlPlane) -> None:
    client = Client()
    await refused(runtime.hello(client, challenge=plane.challenge(Client())))
    await refused(runtime.hello(client, challenge=plane.challenge(client, user_id="user-b")))


async def test_documents_signed_by_the_wrong_role(runtime, plane: ControlPlane) -> None:
    client, compiler = Client(), plane.keys[trust_pb2.ROLE_COMPILER]
    forged = sign(unverified(plane.capability(client), attach_pb2.CapabilityToken), compiler)
    await refused(runtime.hello(client, capability=forged))
    await refused(runtime.hello(client, challenge=sign(unverified(plane.challenge(client), attach_pb2.Challenge), compiler)))
    # One document of auth in the place of the other.
    await refused(runtime.hello(client, capability=plane.challenge(client), challenge=plane.capability(client)))


async def test_documents_signed_by_a_revoked_key(runtime, plane: ControlPlane) -> None:
    """Each of the two: whoever stole auth's key before it was replaced attaches no more."""
    stolen = plane.keys[trust_pb2.ROLE_AUTH]
    both = plane.root_document(2)
    renewed = SigningKey.generate()
    both.keys.add(algorithm=KEY_ALGORITHM_ED25519, public_key=renewed.public)
    next(role for role in both.roles if role.role == trust_pb2.ROLE_AUTH).key_ids.append(renewed.key_id)
    await runtime.broker.accept_trust([*plane.root_documents, sign(both, plane.keys[trust_pb2.ROLE_ROOT])], b"")
    plane.keys[trust_pb2.ROLE_AUTH] = renewed
    await runtime.broker.accept_trust([], plane.trust_state(revoked_key_ids=[stolen.key_id]))
    client = Client()
    await runtime.hello(client)
    for name, document in (("capability", plane.capability(client)), ("challenge", plane.challenge(client))):
        forged = sign(unverified(document, attach_pb2.CapabilityToken if name == "capability" else attach_pb2.Challenge), stolen)
        await refused(runtime.hello(client, **{name: forged}))


@pytest.mark.parametrize("key", [b"", bytes(32), b"\1" + bytes(31), b"\xff" * 32])
async def test_a_session_key_that_any_signature_fits(runtime, plane: ControlPlane, key: bytes) -> None:
    client = Client()
    await refused(runtime.hello(client, capability=plane.capability(client, cnf=sha256(key).digest()), session_key=key))


async def test_a_nonce_that_is_too_short(runtime) -> None:
    await refused(runtime.hello(Client(), nonce_b=b"short"))


async def test_client_auth_for_another_hello(runtime, plane: ControlPlane) -> None:
    client = Client()
    first, _ = await begun(runtime, plane, client)
    _, pending = await begun(runtime, plane, client)
    await refused(runtime.broker.attach(pending, sign(attach_pb2.ClientAuth(hello_digest=signed_digest(first), origin=ORIGIN), client.key)))


async def test_client_auth_with_another_origin(runtime, plane: ControlPlane) -> None:
    client = Client()
    data, pending = await begun(runtime, plane, client)
    auth = attach_pb2.ClientAuth(hello_digest=signed_digest(data), origin="https://evil.example")
    await refused(runtime.broker.attach(pending, sign(auth, client.key)))


async def test_hello_takes_newer_trust_and_ignores_older(runtime, plane: ControlPlane) -> None:
    older, newer = plane.trust_state(), plane.trust_state()
    assert (await runtime.hello(Client(), newer)).trust_version == 3
    assert (await runtime.hello(Client(), older)).trust_version == 3


async def test_hello_with_a_forged_trust_state(runtime, plane: ControlPlane) -> None:
    other = ControlPlane(clock=plane.clock, workspace_id=plane.workspace_id, runtime_id=plane.runtime_id, trust_version=5)
    await refused(runtime.hello(Client(), other.trust_state()), reasons_pb2.ERROR_REASON_OPEN_FAILED)


async def test_a_revoked_runtime_admits_nobody(runtime, plane: ControlPlane) -> None:
    state = plane.trust_state(runtime_status=trust_pb2.RUNTIME_STATUS_REVOKED)
    await refused(runtime.hello(Client(), state), reasons_pb2.ERROR_REASON_RUNTIME_REVOKED)


async def test_an_unpaired_runtime_admits_nobody(plane: ControlPlane, make_runtime) -> None:
    await refused(make_runtime(plane).hello(Client()), reasons_pb2.ERROR_REASON_NOT_PAIRED)
