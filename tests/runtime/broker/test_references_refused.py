"""Bundles whose references make no sense: the whole bundle is refused, and what the runtime holds stays."""

import pytest

from spinapis.errors.v1 import reasons_pb2
from tests.fakes.control_plane import ControlPlane
from tests.runtime.broker.test_operations_refused import entry, refuse

GOOD = b'{"token":{"manager":"vault","path":"kv/app","key":"token","version":"3"}}'


@pytest.fixture
async def seat(plane: ControlPlane, make_runtime, take_seat):
    runtime = make_runtime(plane)
    await runtime.pair()
    await runtime.broker.accept_trust([], plane.trust_state())
    made = await take_seat(runtime)
    await made.give_bundle(1, entry(references_json=GOOD))
    return made


@pytest.mark.parametrize(
    "wrong",
    [
        b"[]",
        b"{",
        b'{"token":7}',
        b'{"token":{"manager":"vault"}}',
        b'{"token":{"manager":"vault","path":""}}',
        b'{"token":{"manager":"vault","path":7}}',
        b'{"token":{"manager":"vault","path":"p","address":"https://evil.example.org"}}',
        # The field is in the credential as well.
        b'{"password":{"manager":"vault","path":"p"}}',
    ],
)
async def test_a_reference_that_is_none(seat, wrong: bytes) -> None:
    await refuse(seat, reasons_pb2.ERROR_REASON_OPEN_FAILED, 9, entry(references_json=wrong))
    assert (await seat.runtime.hello(seat.client)).bundle_version == 1
