"""A stolen key signs the highest versions, to shut out every later document. Once the root lists it no more, they count for nothing."""

import pytest

from spin_envelope.keys import SigningKey
from spin_runtime.broker.api import BrokerError
from spinapis.envelope.v1 import trust_pb2
from spinapis.errors.v1 import reasons_pb2
from tests.fakes.control_plane import ControlPlane

HIGHEST = 2**64 - 1
ROLLBACK = reasons_pb2.ERROR_REASON_ROLLBACK_REFUSED


async def refused(call) -> int:
    with pytest.raises(BrokerError) as caught:
        await call
    return caught.value.reason


async def test_a_trust_state_of_the_highest_version(plane: ControlPlane, make_runtime) -> None:
    runtime = make_runtime(plane)
    await runtime.pair()
    await runtime.broker.accept_trust([], plane.trust_state())
    forged = plane.trust_state(version=HIGHEST, min_bundle_version=HIGHEST)
    await runtime.broker.accept_trust([], forged)
    assert await refused(runtime.broker.accept_trust([], plane.trust_state(version=7))) == ROLLBACK
    plane.rotate(auth=SigningKey.generate())
    stored = await runtime.broker.accept_trust(plane.root_documents, plane.trust_state(version=7))
    assert stored.trust_version == 7
    await runtime.restart()
    # From here on versions rise again, and what the stolen key signed is refused.
    assert await refused(runtime.broker.accept_trust([], plane.trust_state(version=6))) == ROLLBACK
    assert await refused(runtime.broker.accept_trust([], forged)) == reasons_pb2.ERROR_REASON_OPEN_FAILED


async def test_versions_count_while_their_key_is_listed(plane: ControlPlane, make_runtime) -> None:
    """A rotation of another role, or a restart, makes no old document new."""
    runtime = make_runtime(plane)
    await runtime.pair()
    await runtime.broker.accept_trust([], plane.trust_state(version=9))
    plane.rotate(compiler=SigningKey.generate())
    await runtime.restart()
    assert await refused(runtime.broker.accept_trust(plane.root_documents, plane.trust_state(version=8))) == ROLLBACK


async def test_a_bundle_of_the_highest_version(plane: ControlPlane, make_runtime, take_seat) -> None:
    runtime = make_runtime(plane)
    await runtime.pair()
    await runtime.broker.accept_trust([], plane.trust_state())
    seat = await take_seat(runtime)
    await seat.give_bundle(HIGHEST)
    assert await refused(seat.give_bundle(7)) == ROLLBACK
    stolen = plane.keys[trust_pb2.ROLE_SECRETS]
    plane.rotate(secrets=SigningKey.generate())
    await runtime.broker.accept_trust(plane.root_documents, plane.trust_state(revoked_key_ids=[stolen.key_id]))
    assert not (runtime.home / "var" / "broker" / "bundle").exists()
    await runtime.restart()
    await seat.attach_again()
    assert (await seat.give_bundle(7)).bundle_version == 7
    assert await refused(seat.give_bundle(6)) == ROLLBACK
