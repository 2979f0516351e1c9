"""The pinned root: kept on first use, followed through rotations, held against everything else."""

from pathlib import Path

import pytest

from spin_client.sdk import MemoryStore, Platform, SpinError, pairing
from spin_envelope.digests import signed_digest
from spin_envelope.pairing import SpinToken
from tests.client.conftest import Bench
from tests.fakes.documents import Signers
from tests.fakes.platform import FakePlatform


async def test_the_first_root_is_pinned_and_a_rotation_followed(control_plane: FakePlatform) -> None:
    async with await Platform.connect(control_plane.url, store=MemoryStore()) as platform:
        assert (await platform.trust.root()).version == 1
    control_plane.signers.rotate("auth")
    async with await Platform.connect(control_plane.url, store=MemoryStore()) as platform:
        assert (await platform.trust.root()).version == 2


async def test_another_platform_at_the_address_is_refused(control_plane: FakePlatform) -> None:
    async with await Platform.connect(control_plane.url, store=MemoryStore()) as platform:
        await platform.trust.root()
    control_plane.signers = Signers()
    control_plane.signers.rotate("auth")
    async with await Platform.connect(control_plane.url, store=MemoryStore()) as platform:
        with pytest.raises(SpinError) as caught:
            await platform.trust.root()
    assert caught.value.reason == "TRUST_REFUSED" and "--forget-trust" in caught.value.hint


async def test_a_known_digest_is_demanded(control_plane: FakePlatform, tmp_path: Path) -> None:
    right = signed_digest(control_plane.signers.documents[0])
    for digest, accepted in ((right, True), (bytes(32), False)):
        async with await Platform.connect(control_plane.url, store=MemoryStore(), root_digest=digest, pins=tmp_path / digest.hex()) as platform:
            if accepted:
                assert (await platform.trust.root()).digest == right
            else:
                with pytest.raises(SpinError):
                    await platform.trust.root()


async def test_a_grant_that_auth_did_not_sign_is_refused(bench: Bench) -> None:
    forged = Signers()
    bench.control_plane.confirmations[bench.registered.id] = forged.confirmation(bench.control_plane.grants[bench.registered.id], "mallory")
    with pytest.raises(SpinError, match="not signed by this platform"):
        await pairing.fingerprint(bench.platform, bench.workspace_id, bench.registered.id, (bench.workspace_id,))


async def test_a_pairing_token_names_the_pinned_root_and_works_once(bench: Bench) -> None:
    begun = await pairing.begin(bench.platform, bench.registered)
    assert SpinToken.parse(begun.token).root_digest == (await bench.platform.trust.root()).digest
    assert begun.token not in repr(begun)
    bench.runtime.token = SpinToken.parse(begun.token)
    await pairing.enrol(bench.platform, begun)
    with pytest.raises(SpinError) as caught:
        await pairing.enrol(bench.platform, begun)
    assert caught.value.reason == "PAIRING_INVALID"


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("https://runtime.example.com", ["runtime.example.com", "runtime.example.com:443"]),
        ("http://10.0.0.7:8888", ["10.0.0.7:8888"]),
        ("http://127.0.0.1:8888", ["127.0.0.1:8888", "localhost:8888", "[::1]:8888"]),
    ],
)
def test_hosts_are_what_clients_send(url: str, hosts: list[str]) -> None:
    assert pairing.hosts_of(url) == hosts
