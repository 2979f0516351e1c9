"""One contract for every place of a key-encryption key: what it wraps opens there, for that use alone, and its failures say what to do."""

import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from spin_services.keys import KeysUnusable
from spin_services.keys.installation_kek import installation_kek
from spin_services.keys.providers import open_provider
from tests.fakes.kek_places import LOCAL, REMOTE, KekPlace, kek_place

KEY, AAD = bytes(range(32)), b"spin/test\0workspace"
everywhere = pytest.mark.parametrize("kind", [*LOCAL, *REMOTE])
remotely = pytest.mark.parametrize("kind", REMOTE)


@pytest.fixture
async def place(kind: str, tmp_path: Path) -> AsyncIterator[KekPlace]:
    async with kek_place(kind, tmp_path) as made:
        yield made


@everywhere
async def test_what_it_wraps_it_unwraps(place: KekPlace) -> None:
    first, second = await place.provider.wrap(KEY, AAD), await place.provider.wrap(KEY, AAD)
    assert await place.provider.unwrap(first, AAD) == await place.provider.unwrap(second, AAD) == KEY
    assert first != second and KEY not in first


@everywhere
async def test_another_use_opens_nothing(place: KekPlace) -> None:
    wrapped = await place.provider.wrap(KEY, AAD)
    with pytest.raises(KeysUnusable, match="does not open"):
        await place.provider.unwrap(wrapped, AAD + b"2")


@everywhere
async def test_a_changed_wrapped_key_does_not_open(place: KekPlace) -> None:
    changed = bytearray(await place.provider.wrap(KEY, AAD))
    changed[-5] = ord("A") if changed[-5] != ord("A") else ord("B")
    for bad in (bytes(changed), b"", b"\x07" + bytes(80), b"not a wrapped key"):
        with pytest.raises(KeysUnusable):
            await place.provider.unwrap(bad, AAD)


@everywhere
async def test_a_key_that_is_not_there_is_named(place: KekPlace) -> None:
    wrapped = await place.provider.wrap(KEY, AAD)
    with pytest.raises(KeysUnusable, match=r"there is no key .*none|there is no key aws-kms://eu-west-1/0000|cannot be read"):
        await place.absent.unwrap(wrapped, AAD)
    with pytest.raises(KeysUnusable):
        await place.absent.wrap(KEY, AAD)


@remotely
async def test_a_rotation_at_the_key_service_leaves_older_keys_readable(place: KekPlace) -> None:
    before = await place.provider.wrap(KEY, AAD)
    place.rotate()
    after = await place.provider.wrap(KEY, AAD)
    assert await place.provider.unwrap(before, AAD) == await place.provider.unwrap(after, AAD) == KEY


@remotely
async def test_a_missing_permission_says_which_one_to_grant(place: KekPlace) -> None:
    wrapped = await place.provider.wrap(KEY, AAD)
    place.deny()
    for attempt in (place.provider.wrap(KEY, AAD), place.provider.unwrap(wrapped, AAD)):
        with pytest.raises(KeysUnusable, match=f"refuses this service the key {place.provider.uri}: grant"):
            await attempt


@remotely
async def test_a_disabled_key_says_so(place: KekPlace) -> None:
    wrapped = await place.provider.wrap(KEY, AAD)
    place.disable()
    with pytest.raises(KeysUnusable, match=f"{place.provider.uri} is disabled"):
        await place.provider.unwrap(wrapped, AAD)


@remotely
async def test_a_key_service_that_does_not_answer_is_named_and_tells_no_secret(place: KekPlace, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "spin")
    assert place.go_away is not None
    await place.go_away()
    with pytest.raises(KeysUnusable, match="does not answer") as failure:
        await place.provider.wrap(b"find-me-" * 4, AAD)
    assert place.provider.uri in str(failure.value) and "find-me" not in str(failure.value) + caplog.text
    assert failure.value.__suppress_context__


@everywhere
async def test_the_installations_key_opens_at_the_next_start(place: KekPlace, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    wrapped = (await installation_kek(place.provider, keys, create=True)).wrap(KEY, AAD)
    assert (await installation_kek(place.provider, keys, create=True)).unwrap(wrapped, AAD) == KEY
    assert (await installation_kek(place.provider, keys)).unwrap(wrapped, AAD) == KEY


@remotely
async def test_without_the_installations_key_it_says_what_to_run(place: KekPlace, tmp_path: Path) -> None:
    with pytest.raises(KeysUnusable, match="spin-service keys init"):
        await installation_kek(place.provider, tmp_path / "keys")


@pytest.mark.parametrize(
    ("uri", "complaint"),
    [
        ("", "unknown scheme"),
        ("/etc/spin/kek", "unknown scheme"),
        ("file://relative", "file:///var"),
        ("env:", "env:SPIN"),
        ("env:NOT_SET", "NOT_SET, which is empty"),
        ("env:SHORT", "SHORT is not 64 hexadecimal digits"),
        ("env:ODD", "neither 32 bytes nor 64"),
        ("aws-kms://eu-west-1", "aws-kms://eu-west-1/alias"),
        ("gcp-kms://projects/p/cryptoKeys/k", "gcp-kms://projects"),
        ("azure-key-vault://vault/key/version", "azure-key-vault://my-vault"),
        ("vault-transit://transit", "vault-transit://transit/spin"),
        ("vault-transit://transit/key", "VAULT_ADDR"),
    ],
)
def test_a_wrong_address_says_what_a_right_one_looks_like(uri: str, complaint: str) -> None:
    secret = "deadbeef-is-secret"
    with pytest.raises(KeysUnusable, match=complaint) as failure:
        open_provider(uri, {"SHORT": secret, "ODD": secret.ljust(64, "x")})
    assert secret not in str(failure.value)


def test_every_address_opens_its_provider(tmp_path: Path) -> None:
    environment = {"KEK": "ab" * 32, "VAULT_ADDR": "https://vault.example.org", "SPIN_VAULT_TOKEN_FILE": str(tmp_path / "token")}
    uris = (
        f"file://{tmp_path}/kek",
        "env:KEK",
        "aws-kms://eu-west-1/alias/spin",
        "aws-kms://eu-west-1/arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
        "gcp-kms://projects/p/locations/global/keyRings/r/cryptoKeys/k",
        "azure-key-vault://my-vault/my-key",
        "vault-transit://team/transit/key",
    )
    assert [open_provider(uri, environment).uri for uri in uris] == list(uris)
