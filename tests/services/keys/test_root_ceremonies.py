"""Who is the root, and how that changes: every step by the real commands and by files, for an installation of its own."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from spin_envelope.errors import Refused
from spin_envelope.root import TrustedRoot, build_root_document
from spin_envelope.signing import sign
from spin_services.keys import FileKek, KeyStore
from spin_services.keys.store import ROOT_LIFE_MS, ROTATING_ROLES
from spin_services.rpc.wiring import system_clock
from spinapis.envelope.v1.trust_pb2 import ROLE_ROOT
from tests.fakes.root_ceremony import Ceremony

DAY_MS = 24 * 3600 * 1000


def keys_of(ceremony: Ceremony, clock: Callable[[], int] = system_clock) -> KeyStore:
    return KeyStore(ceremony.data / "keys", FileKek(ceremony.data / "kek"), clock)


@pytest.fixture
def ceremony(tmp_path: Path) -> Ceremony:
    """An installation that holds its one root key itself."""
    made = Ceremony(tmp_path / "data", tmp_path / "carried")
    made.folder.mkdir()
    assert made.keys("init").status == 0
    return made


def aged(ceremony: Ceremony, left_ms: int) -> None:
    """The same installation, made so long ago that its document has so much time left."""
    shutil.rmtree(ceremony.data / "keys")
    keys_of(ceremony, lambda: system_clock() - ROOT_LIFE_MS + left_ms).init()


def test_nothing_is_signed_before_somebody_has_seen_what_it_changes(ceremony: Ceremony) -> None:
    ceremony.propose("next.root", ceremony.person("alice"), threshold=1)
    proposal = Path(ceremony.path("next.root")).read_bytes()
    shown = ceremony.keys("sign-as-root", ceremony.path("next.root"))
    assert shown.status == 2 and "nothing was signed" in shown.err and "--yes" in shown.err
    assert any("root" in line for line in shown.out.splitlines())
    assert Path(ceremony.path("next.root")).read_bytes() == proposal
    absent = ceremony.keys("sign-as-root", "--yes", ceremony.path("absent.root"))
    assert absent.status != 0 and "absent.root" in absent.err and "Traceback" not in absent.err


def test_from_one_of_one_to_two_of_three_and_on_to_one_of_two(ceremony: Ceremony) -> None:
    pinned = ceremony.root()
    alice, bob, carol, dave = (ceremony.person(name) for name in ("alice", "bob", "carol", "dave"))
    assert ceremony.propose("next.root", alice, bob, carol, threshold=2).status == 0
    ceremony.sign("next.root", "alice", "carol")
    assert ceremony.install("next.root").status == 2
    shown = ceremony.keys("sign-as-root", "--yes", ceremony.path("next.root"))
    assert "root threshold: 1 becomes 2" in shown.out and pinned.digest.hex() in shown.out
    assert "2 of 3 root keys" in ceremony.install("next.root").out
    assert not list((ceremony.data / "keys/root").glob("*.key"))
    assert ceremony.propose("last.root", bob, dave, threshold=1).status == 0
    # One of the two new ones is enough for them, and not for the three of before.
    ceremony.sign("last.root", "dave", "alice")
    refused = ceremony.install("last.root")
    assert refused.status == 2 and "does not count" in refused.err
    ceremony.sign("last.root", "carol")
    assert "1 of 2 root keys" in ceremony.install("last.root").out
    root = pinned
    for file in sorted((ceremony.data / "keys/root-documents").glob("*.bin"))[1:]:
        root = root.updated(file.read_bytes())
    assert (root.version, root.threshold(ROLE_ROOT), len(root.keys(ROLE_ROOT))) == (3, 1, 2)


def test_a_lost_key_is_replaced_by_those_who_are_left(ceremony: Ceremony) -> None:
    ceremony.handed_over(2, "alice", "bob", "carol")
    (Path(ceremony.path("bob.pem"))).unlink()
    dave, root = ceremony.person("dave"), ceremony.root().keys(ROLE_ROOT)
    ceremony.propose("next.root", root[0].public.hex(), root[2].public.hex(), dave, threshold=2)
    ceremony.sign("next.root", "alice", "carol")
    assert ceremony.install("next.root").status == 0


def test_a_threshold_that_is_out_of_reach_says_what_that_means(ceremony: Ceremony) -> None:
    alice, bob = ceremony.person("alice"), ceremony.person("bob")
    assert "each of the 2 root keys must sign" in ceremony.propose("both.root", alice, bob, threshold=2).err
    assert "there is one root key" in ceremony.propose("one.root", alice, threshold=1).err
    ceremony.sign("both.root", "alice", "bob")
    ceremony.keys("sign-as-root", "--yes", ceremony.path("both.root"))
    assert ceremony.install("both.root").status == 0
    ceremony.propose("after.root", alice, threshold=1)
    (last,) = ceremony.sign("after.root", "alice")
    assert "old root: 1 of 2 signatures" in last.out and "no document can follow" in last.out
    assert ceremony.install("after.root").status == 2
    assert ceremony.keys("list").status == 0


def test_whoever_was_removed_signs_on_in_vain(ceremony: Ceremony) -> None:
    ceremony.handed_over(1, "alice", "bob")
    alice, bob = (key.public.hex() for key in ceremony.root().keys(ROLE_ROOT))
    ceremony.propose("without.root", alice, threshold=1)
    ceremony.sign("without.root", "alice")
    assert ceremony.install("without.root").status == 0
    ceremony.propose("again.root", alice, bob, threshold=1)
    # With bob in the new root his signature is one of the new, and none of the old.
    (signed,) = ceremony.sign("again.root", "bob")
    assert "old root: 0 of 1" in signed.out
    assert ceremony.install("again.root").status == 2
    ceremony.keys("propose", "auth", ceremony.path("auth.root"))
    (refused,) = ceremony.sign("auth.root", "bob")
    assert refused.status == 2 and "root key neither of document" in refused.err


def test_one_person_who_signs_twice_counts_once(ceremony: Ceremony) -> None:
    ceremony.handed_over(2, "alice", "bob", "carol")
    ceremony.keys("propose", "auth", ceremony.path("auth.root"))
    *_, last = ceremony.sign("auth.root", "alice", "alice")
    assert "old root: 1 of 2 signatures" in last.out
    assert ceremony.install("auth.root").status == 2


@pytest.mark.parametrize("version", [1, 2, 4], ids=["N-1", "N", "N+2 without N+1"])
def test_a_document_that_is_not_the_next_one(ceremony: Ceremony, version: int) -> None:
    ceremony.handed_over(1, "alice")
    root = ceremony.root()
    roles = {role: [key.public for key in root.keys(role)] for role in (ROLE_ROOT, *ROTATING_ROLES)}
    Path(ceremony.path("odd.root")).write_bytes(sign(build_root_document(version, system_clock() + DAY_MS, roles)))
    (refused,) = ceremony.sign("odd.root", "alice")
    assert refused.status == 2 and f"root document {version} does not follow 2" in refused.err
    assert ceremony.install("odd.root").status == 2
    assert ceremony.root().version == 2


def test_the_next_document_signed_by_its_own_roots_alone(ceremony: Ceremony) -> None:
    ceremony.handed_over(1, "alice")
    ceremony.propose("coup.root", ceremony.person("mallory"), threshold=1)
    (signed,) = ceremony.sign("coup.root", "mallory")
    assert "old root: 0 of 1 signatures" in signed.out and "new root: 1 of 1 signatures" in signed.out
    assert ceremony.install("coup.root").status == 2
    with pytest.raises(Refused):
        ceremony.root().updated(Path(ceremony.path("coup.root")).read_bytes())


def test_one_who_may_sign_alone_beside_the_installation_stays_when_its_key_rotates(ceremony: Ceremony) -> None:
    """The installation's key wherever it stands in the list, and the other one is somebody's copy in a safe."""
    alice, own = ceremony.person("alice"), ceremony.root().keys(ROLE_ROOT)[0]
    ceremony.propose("shared.root", alice, own.public.hex(), threshold=1)
    ceremony.sign("shared.root", "alice")
    ceremony.keys("sign-as-root", "--yes", ceremony.path("shared.root"))
    assert ceremony.install("shared.root").status == 0
    assert "auth signs with" in ceremony.keys("rotate", "auth").out
    rotated = ceremony.keys("rotate", "root")
    first, second = ceremony.root().keys(ROLE_ROOT)
    assert rotated.status == 0 and f"root signs with {second.key_id.hex()}" in rotated.out
    assert first.public.hex() == alice and second != own
    assert ceremony.keys("rotate", "auth").status == 0


def test_signing_as_root_shows_what_is_signed_and_signs_no_other_document(ceremony: Ceremony) -> None:
    mallory = ceremony.person("mallory")
    ceremony.propose("next.root", mallory, threshold=1)
    shown = ceremony.keys("sign-as-root", "--yes", ceremony.path("next.root"))
    root = TrustedRoot.pinned(Path(ceremony.now()).read_bytes(), None)
    assert f"root: {root.keys(ROLE_ROOT)[0].key_id.hex()} is removed" in shown.out
    ceremony.sign("next.root", "mallory")
    assert ceremony.install("next.root").status == 0
    refused = ceremony.keys("sign-as-root", "--yes", ceremony.path("next.root"))
    assert refused.status == 2 and "does not follow" in refused.err


def test_a_document_without_a_next_key_is_refused_in_words(ceremony: Ceremony) -> None:
    ceremony.handed_over(1, "alice")
    root = ceremony.root()
    roles = {role: [key.public for key in root.keys(role)][:1] for role in (ROLE_ROOT, *ROTATING_ROLES)}
    Path(ceremony.path("thin.root")).write_bytes(sign(build_root_document(3, system_clock() + DAY_MS, roles)))
    ceremony.sign("thin.root", "alice")
    refused = ceremony.install("thin.root")
    assert refused.status == 2 and "no next key for auth" in refused.err


def test_an_expired_document_is_told_and_renewed_by_the_installation_itself(ceremony: Ceremony) -> None:
    aged(ceremony, -DAY_MS)
    listed = ceremony.keys("list")
    assert listed.status == 0 and "expired on" in listed.err and "spin-service keys rotate root" in listed.err
    assert ceremony.keys("rotate", "root").status == 0
    assert "expire" not in ceremony.keys("list").err
    assert ceremony.root().version == 2
    ceremony.root().check_time(system_clock())


def test_an_expired_document_is_renewed_by_people_who_keep_the_root(ceremony: Ceremony) -> None:
    aged(ceremony, DAY_MS)
    alice, bob = ceremony.person("alice"), ceremony.person("bob")
    root = ceremony.root()
    roles = {role: [key.public for key in root.keys(role)] for role in ROTATING_ROLES} | {ROLE_ROOT: [bytes.fromhex(alice), bytes.fromhex(bob)]}
    Path(ceremony.path("short.root")).write_bytes(sign(build_root_document(2, system_clock() + 8000, roles, threshold=2)))
    assert "expires on" in ceremony.sign("short.root", "alice", "bob")[-1].err
    ceremony.keys("sign-as-root", "--yes", ceremony.path("short.root"))
    keys_of(ceremony).install(Path(ceremony.path("short.root")).read_bytes())
    while system_clock() < ceremony.root().expires_at_ms:
        assert ceremony.keys("list").status == 0
    ceremony.keys("propose", "auth", ceremony.path("auth.root"))
    shown = ceremony.spinctl("show", ceremony.path("auth.root"), "--current", ceremony.now())
    assert "root document 2 expired on" in shown.err
    ceremony.sign("auth.root", "alice", "bob")
    assert ceremony.install("auth.root").status == 0
    ceremony.root().check_time(system_clock())


def test_a_document_that_ends_soon_is_told_to_whoever_looks(ceremony: Ceremony) -> None:
    aged(ceremony, 30 * DAY_MS)
    assert "expires on" in ceremony.keys("list").err
    ceremony.propose("next.root", ceremony.person("alice"), threshold=1)
    shown = ceremony.spinctl("show", ceremony.path("next.root"), "--current", ceremony.now())
    assert "root document 1 expires on" in shown.err and "proposed" not in shown.err
