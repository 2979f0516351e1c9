"""The root kept off-line: keys in encrypted files, and documents that gather signatures from hand to hand."""

import stat
from pathlib import Path

import pytest

from spin_envelope.keys import SigningKey
from spin_envelope.root import TrustedRoot, build_root_document
from spin_envelope.signing import sign
from spinapis.envelope.v1.trust_pb2 import ROLE_AUDIT, ROLE_AUTH, ROLE_COMPILER, ROLE_ROOT, ROLE_SECRETS
from tests.client.conftest import Spinctl
from tests.fakes.platform import FakePlatform

PASSPHRASE = "five words and some more"
# A key on the curve that nobody holds.
STRANGER = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"


@pytest.fixture
async def now(signed_in: Spinctl, control_plane: FakePlatform, tmp_path: Path) -> Path:
    file = tmp_path / "now.root"
    assert (await signed_in("root", "fetch", str(file))).status == 0
    return file


async def new_key(spinctl: Spinctl, tmp_path: Path, name: str) -> tuple[Path, str]:
    file = tmp_path / f"{name}.pem"
    made = await spinctl("root", "new-key", str(file), "--passphrase-file", "-", "--json", stdin=PASSPHRASE)
    assert made.status == 0, made.err
    return file, made.json()["public_key"]


async def test_a_key_file_is_private_encrypted_and_never_replaced(spinctl: Spinctl, tmp_path: Path) -> None:
    file, public = await new_key(spinctl, tmp_path, "alice")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert b"ENCRYPTED PRIVATE KEY" in file.read_bytes()
    kept = file.read_bytes()
    again = await spinctl("root", "new-key", str(file), "--passphrase-file", "-", stdin=PASSPHRASE)
    assert again.status == 2 and "never written over" in again.err
    assert file.read_bytes() == kept
    assert len(bytes.fromhex(public)) == 32


async def test_a_short_passphrase_makes_no_file(spinctl: Spinctl, tmp_path: Path) -> None:
    ran = await spinctl("root", "new-key", str(tmp_path / "x.pem"), "--passphrase-file", "-", stdin="short")
    assert ran.status == 2 and "12 or more" in ran.err
    assert not (tmp_path / "x.pem").exists()


async def test_two_of_three_people_take_the_root_over(spinctl: Spinctl, now: Path, control_plane: FakePlatform, tmp_path: Path) -> None:
    people = [await new_key(spinctl, tmp_path, name) for name in ("alice", "bob", "carol")]
    proposal = tmp_path / "next.root"
    roots = [word for _, public in people for word in ("--root-key", public)]
    made = await spinctl("root", "propose", str(proposal), "--current", str(now), "--threshold", "2", *roots, "--json")
    assert made.json()["changes"][0] == "root threshold: 1 becomes 2"
    assert not made.json()["complete"]
    for file, _ in people[1:]:
        signing = ("root", "sign", str(proposal), "--current", str(now), "--key", str(file), "--passphrase-file", "-", "--yes", "--json")
        signed = (await spinctl(*signing, stdin=PASSPHRASE)).json()
    assert signed["new_root"]["complete"] and not signed["old_root"]["complete"] and not signed["complete"]
    shown = await spinctl("root", "show", str(proposal), "--current", str(now))
    assert shown.status == 1 and "old root: 0 of 1 signatures" in shown.out and "may sign: " in shown.out
    control_plane.signers.sign_as_root(proposal)
    shown = await spinctl("root", "show", str(proposal), "--current", str(now))
    assert shown.status == 0 and "spin-service keys install" in shown.out
    assert TrustedRoot.pinned(now.read_bytes(), None).updated(proposal.read_bytes()).version == 2


async def test_a_forged_current_document_does_not_hide_a_stranger(spinctl: Spinctl, now: Path, tmp_path: Path) -> None:
    """Against a document that lists the attacker's key already, that key is no change; who signs sees it all the same, and another digest."""
    (file, public), genuine, attacker = await new_key(spinctl, tmp_path, "alice"), TrustedRoot.pinned(now.read_bytes(), None), SigningKey.generate()
    roles = {ROLE_ROOT: [bytes.fromhex(public), attacker.public]} | {
        role: [key.public for key in genuine.keys(role)] for role in (ROLE_AUTH, ROLE_COMPILER, ROLE_SECRETS, ROLE_AUDIT)
    }
    forged, proposal = tmp_path / "forged.root", tmp_path / "next.root"
    expires = genuine.expires_at_ms
    forged.write_bytes(sign(build_root_document(1, expires, roles), attacker))
    proposal.write_bytes(sign(build_root_document(2, expires, roles)))
    signing = ("root", "sign", str(proposal), "--current", str(forged), "--key", str(file), "--passphrase-file", "-", "--yes")
    signed = await spinctl(*signing, stdin=PASSPHRASE)
    assert signed.status == 0 and attacker.key_id.hex() in signed.err
    assert TrustedRoot.pinned(forged.read_bytes(), None).digest.hex() in signed.err
    assert genuine.digest.hex() in (await spinctl("root", "fetch", str(tmp_path / "again.root"))).out


async def test_a_key_that_is_no_root_signs_nothing(spinctl: Spinctl, now: Path, tmp_path: Path) -> None:
    (alice, public), (mallory, _) = [await new_key(spinctl, tmp_path, name) for name in ("alice", "mallory")]
    proposal = tmp_path / "next.root"
    await spinctl("root", "propose", str(proposal), "--current", str(now), "--root-key", public)
    before = proposal.read_bytes()
    signing = ("root", "sign", str(proposal), "--current", str(now), "--passphrase-file", "-", "--yes", "--key")
    ran = await spinctl(*signing, str(mallory), stdin=PASSPHRASE)
    assert ran.status == 2 and "root key neither of document 1 nor of the proposal" in ran.err
    ran = await spinctl(*signing, str(alice), stdin="another passphrase")
    assert ran.status == 2 and "another passphrase" in ran.err
    assert proposal.read_bytes() == before


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--root-key", "zz"), "no Ed25519 public key"),
        (("--root-key", "00" * 32), "no Ed25519 public key"),
        (("--root-key", STRANGER, "--threshold", "2"), "2 of 1 root keys"),
        (("--root-key", STRANGER, "--root-key", STRANGER), "given twice"),
    ],
)
async def test_a_proposal_that_could_never_count_is_refused(spinctl: Spinctl, now: Path, tmp_path: Path, options: tuple[str, ...], text: str) -> None:
    ran = await spinctl("root", "propose", str(tmp_path / "next.root"), "--current", str(now), *options)
    assert ran.status == 2 and text in ran.err
    assert not (tmp_path / "next.root").exists()


async def test_files_that_are_no_root_documents(spinctl: Spinctl, now: Path, tmp_path: Path) -> None:
    other = tmp_path / "notes.txt"
    other.write_text("hello")
    for arguments in ((other, now), (now, other), (tmp_path / "absent", now)):
        ran = await spinctl("root", "show", str(arguments[0]), "--current", str(arguments[1]))
        assert ran.status == 2 and "Traceback" not in ran.err and len(ran.err.splitlines()) == 1
    ran = await spinctl("root", "show", str(now), "--current", str(now))
    assert ran.status == 2 and "does not follow" in ran.err
