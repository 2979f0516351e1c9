"""The installation's keys: made once, encrypted at rest, rotated without anyone losing trust who should keep it."""

import os
import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from spin_envelope.errors import Refused
from spin_envelope.keys import SigningKey
from spin_envelope.root import TrustedRoot, build_root_document
from spin_envelope.signing import countersigned, sign
from spin_services.keys import FileKek, KeyStore, KeysUnusable
from spin_services.keys import store as store_module
from spin_services.keys.store import NotShownYet
from spin_services.rpc.wiring import system_clock
from spinapis.envelope.v1.attach_pb2 import Challenge
from spinapis.envelope.v1.trust_pb2 import Role, RootDocument

AUTH, ROOT = Role.ROLE_AUTH, Role.ROLE_ROOT
OpenStore = Callable[[], KeyStore]


@pytest.fixture
def open_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OpenStore:
    """Each call opens the same folder, as another process would; what is on disk is looked at every time."""
    monkeypatch.setattr(store_module, "LOOK_AGAIN_S", -1.0)

    FileKek(tmp_path / "kek").create()

    def opened() -> KeyStore:
        return KeyStore(tmp_path / "keys", FileKek(tmp_path / "kek"), system_clock)

    opened().init()
    return opened


def signed_by_auth(store: KeyStore) -> bytes:
    return sign(Challenge(nonce=b"n"), store.role_key(AUTH))


def test_keys_are_made_once(open_store: OpenStore) -> None:
    first = open_store().role_key(AUTH).key_id
    assert open_store().init() is False
    assert open_store().role_key(AUTH).key_id == first


def test_without_keys_it_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(KeysUnusable, match="spin-service keys init"):
        KeyStore(tmp_path, FileKek(tmp_path / "kek"), system_clock).root()


def test_private_files_are_private_and_hold_no_key(open_store: OpenStore, tmp_path: Path) -> None:
    store = open_store()
    files = [path for path in tmp_path.rglob("*") if path.is_file() and (path.suffix == ".key" or path.name == "kek")]
    assert len(files) == 12
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in files)
    seed = store.role_key(AUTH).seed
    assert not any(seed in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_another_kek_opens_nothing(open_store: OpenStore, tmp_path: Path) -> None:
    (tmp_path / "kek").write_bytes(b"\0" * 32)
    with pytest.raises(KeysUnusable, match="does not open"):
        open_store().role_key(AUTH)


def test_a_kek_that_everyone_may_read_is_refused(open_store: OpenStore, tmp_path: Path) -> None:
    (tmp_path / "kek").chmod(0o644)
    with pytest.raises(KeysUnusable, match="chmod 600"):
        open_store().role_key(AUTH)


def test_a_key_file_in_anothers_place_is_refused(open_store: OpenStore, tmp_path: Path) -> None:
    store = open_store()
    own = tmp_path / "keys/auth" / f"{store.role_key(AUTH).key_id.hex()}.key"
    foreign = tmp_path / "keys/compiler" / f"{store.role_key(Role.ROLE_COMPILER).key_id.hex()}.key"
    own.write_bytes(foreign.read_bytes())
    with pytest.raises(KeysUnusable):
        open_store().role_key(AUTH)


def test_a_rotation_is_trusted_by_whoever_holds_the_document_before_it(open_store: OpenStore) -> None:
    store = open_store()
    before, old = store.root(), store.role_key(AUTH).key_id
    after = open_store().rotate(AUTH).root
    assert after.version == 2
    assert store.role_key(AUTH).key_id != old
    before.verify(signed_by_auth(store), Challenge, system_clock())
    assert TrustedRoot.pinned(before.data, before.digest).updated(store.root_documents()[1]).digest == after.digest


def test_the_old_key_stays_accepted_until_the_rotation_after(open_store: OpenStore) -> None:
    store = open_store()
    message = signed_by_auth(store)
    store.rotate(AUTH).root.verify(message, Challenge, system_clock())
    with pytest.raises(Refused):
        store.rotate(AUTH).root.verify(message, Challenge, system_clock())


def test_a_key_does_not_sign_before_it_was_shown_long_enough(open_store: OpenStore, tmp_path: Path) -> None:
    store = open_store()
    # Of the first document everybody knows both keys.
    store.rotate(AUTH, shown_s=7)
    before = sorted((tmp_path / "keys/auth").iterdir())
    with pytest.raises(NotShownYet) as early:
        store.rotate(AUTH, shown_s=7)
    assert 0 < early.value.wait_s <= 7
    assert sorted((tmp_path / "keys/auth").iterdir()) == before and len(store.root_documents()) == 2
    # Another role's keys are known since the first document, and a key that was stolen is not waited for.
    store.rotate(Role.ROLE_COMPILER, shown_s=7)
    assert store.rotate(AUTH, compromised=True).root.version == 4


@pytest.mark.parametrize("age_s", [8, -3600], ids=["shown long enough", "installed before the clock was set back"])
def test_a_key_that_was_shown_signs(open_store: OpenStore, tmp_path: Path, age_s: int) -> None:
    store = open_store()
    store.rotate(AUTH)
    installed = time.time() - age_s
    os.utime(tmp_path / "keys/root-documents/00000002.bin", (installed, installed))
    assert store.rotate(AUTH, shown_s=7).root.version == 3


def test_a_compromised_key_is_refused_at_once(open_store: OpenStore) -> None:
    store = open_store()
    message, old = signed_by_auth(store), store.role_key(AUTH).key_id
    root = store.rotate(AUTH, compromised=True).root
    with pytest.raises(Refused):
        root.verify(message, Challenge, system_clock())
    assert store.revoked_key_ids() == {old}
    assert old not in {key.key_id for key in store.every_key(AUTH)}


def test_every_key_remembers_what_documents_forgot(open_store: OpenStore) -> None:
    store = open_store()
    first = store.role_key(AUTH).key_id
    for _ in range(3):
        store.rotate(AUTH)
    assert first not in {key.key_id for key in store.root().keys(AUTH)}
    assert first in {key.key_id for key in store.every_key(AUTH)}


def test_the_root_rotates_with_both_signatures(open_store: OpenStore) -> None:
    store = open_store()
    pinned = store.root()
    store.rotate(ROOT)
    store.rotate(AUTH)
    root = TrustedRoot.pinned(pinned.data, pinned.digest)
    for document in store.root_documents()[1:]:
        root = root.updated(document)
    assert root.version == 3
    assert root.keys(ROOT) != pinned.keys(ROOT)


def test_keys_that_sign_no_more_are_deleted(open_store: OpenStore, tmp_path: Path) -> None:
    store = open_store()
    first = store.role_key(AUTH).key_id
    store.rotate(AUTH)
    store.rotate(AUTH)
    store.rotate(AUTH)
    assert not (tmp_path / "keys/auth" / f"{first.hex()}.key").exists()
    signed_by_auth(open_store())


def test_an_expired_root_document_is_refused(open_store: OpenStore, tmp_path: Path) -> None:
    late = KeyStore(tmp_path / "keys", FileKek(tmp_path / "kek"), lambda: system_clock() + store_module.ROOT_LIFE_MS)
    with pytest.raises((Refused, KeysUnusable)):
        late.root()


@pytest.fixture
def offline(open_store: OpenStore) -> list[SigningKey]:
    """Three root keys that are kept elsewhere; two of them must sign."""
    keys = [SigningKey.generate() for _ in range(3)]
    store = open_store()
    now = store.root()
    roles = {role: [key.public for key in now.keys(role)] for role in store_module.ROTATING_ROLES} | {ROOT: [key.public for key in keys]}
    document = build_root_document(2, system_clock() + 1_000_000, roles, threshold=2)
    store.install(sign(document, store.role_key(ROOT), *keys[:2]))
    return keys


def test_a_root_that_went_off_line_leaves_no_key_behind(open_store: OpenStore, offline: list[SigningKey], tmp_path: Path) -> None:
    assert not list((tmp_path / "keys/root").glob("*.key"))
    with pytest.raises(KeysUnusable, match="spin-service keys propose"):
        open_store().rotate(AUTH)
    signed_by_auth(open_store())


def test_a_rotation_counts_when_enough_roots_signed_it(open_store: OpenStore, offline: list[SigningKey]) -> None:
    store = open_store()
    before, old = store.root(), store.role_key(AUTH).key_id
    proposal = store.propose(AUTH)
    for signed in (
        proposal,
        countersigned(proposal, RootDocument, offline[0]),
        countersigned(proposal, RootDocument, SigningKey.generate(), offline[0]),
    ):
        with pytest.raises(KeysUnusable, match="does not count"):
            store.install(signed)
    assert store.role_key(AUTH).key_id == old
    after = store.install(countersigned(proposal, RootDocument, offline[2], offline[0]))
    assert after.version == 3
    assert store.role_key(AUTH).key_id == before.keys(AUTH)[1].key_id
    before.verify(signed_by_auth(store), Challenge, system_clock())


def test_an_installed_document_waits_for_the_key_that_it_makes_current(open_store: OpenStore, offline: list[SigningKey]) -> None:
    store = open_store()
    store.install(countersigned(store.propose(AUTH), RootDocument, *offline), shown_s=0)
    with pytest.raises(NotShownYet):
        store.install(countersigned(store.propose(AUTH), RootDocument, *offline), shown_s=7)


def test_an_installed_document_that_drops_a_compromised_key_revokes_it(open_store: OpenStore, offline: list[SigningKey]) -> None:
    store = open_store()
    message, old = signed_by_auth(store), store.role_key(AUTH).key_id
    root = store.install(countersigned(store.propose(AUTH, compromised=True), RootDocument, *offline), compromised=True)
    with pytest.raises(Refused):
        root.verify(message, Challenge, system_clock())
    assert store.revoked_key_ids() == {old}


def test_a_document_with_keys_from_elsewhere_is_not_installed(open_store: OpenStore, offline: list[SigningKey]) -> None:
    """Who has the roots' signatures and not this host would otherwise leave the services without a key to sign with."""
    store = open_store()
    root = store.root()
    roles = {role: [key.public for key in root.keys(role)] for role in (ROOT, *store_module.ROTATING_ROLES)}
    roles[AUTH] = [SigningKey.generate().public, SigningKey.generate().public]
    document = build_root_document(3, system_clock() + 1_000_000, roles, threshold=2)
    with pytest.raises(KeysUnusable, match="not in"):
        store.install(sign(document, *offline))
    signed_by_auth(open_store())
