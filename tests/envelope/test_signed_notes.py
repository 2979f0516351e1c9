"""Checkpoints as signed notes."""

from collections.abc import Callable
from typing import Any

import pytest

from spin_envelope.errors import Refused
from spin_envelope.keys import SigningKey, VerifyKey
from spin_envelope.note import MAX_NOTE, Checkpoint, open_note, origin_of, sign_note, unverified_checkpoint


@pytest.fixture
def keys(vectors_of: Callable[..., Any]) -> list[VerifyKey]:
    return [VerifyKey(bytes.fromhex(public)) for public in vectors_of("logs", "notes", "keys")]


@pytest.mark.vectors("logs", "notes", "accepted")
def test_accepted(case: Any, keys: list[VerifyKey]) -> None:
    checkpoint = open_note(case["note"], keys, case["origin"])
    assert checkpoint == Checkpoint(case["origin"], case["size"], bytes.fromhex(case["root_hash"]))
    assert open_note(case["note"].encode(), keys, case["origin"]) == checkpoint


@pytest.mark.vectors("logs", "notes", "refused")
def test_refused(case: Any, keys: list[VerifyKey]) -> None:
    with pytest.raises(Refused):
        open_note(case["note"], keys, case["origin"])


def test_either_key_of_a_rotation_opens_a_note(auth: SigningKey, compiler: SigningKey) -> None:
    checkpoint = Checkpoint(origin_of(bytes(16)), 3, bytes(32))
    for key in (auth, compiler):
        assert open_note(sign_note(checkpoint, key), [auth.verify_key, compiler.verify_key], checkpoint.origin) == checkpoint


def test_what_a_note_says_can_be_read_without_its_keys(auth: SigningKey) -> None:
    checkpoint = Checkpoint(origin_of(bytes(16)), 3, bytes(32))
    assert unverified_checkpoint(sign_note(checkpoint, auth), checkpoint.origin) == checkpoint
    for bad in ("", "no note", sign_note(checkpoint, auth).replace("\n3\n", "\n-3\n")):
        with pytest.raises(Refused):
            unverified_checkpoint(bad, checkpoint.origin)
    with pytest.raises(Refused):
        unverified_checkpoint(sign_note(checkpoint, auth), origin_of(b"\1" * 16))


def test_bytes_that_are_not_utf8_and_notes_without_end_are_refused(auth: SigningKey) -> None:
    note = sign_note(Checkpoint(origin_of(bytes(16)), 3, bytes(32)), auth)
    for bad in (b"\xff" + note.encode(), "\ud800" + note, note + note.split("\n\n")[1] * (MAX_NOTE // 100)):
        with pytest.raises(Refused):
            open_note(bad, [auth.verify_key], origin_of(bytes(16)))


@pytest.mark.parametrize(
    ("origin", "size", "root"), [("spin/x", 1, bytes(32)), (origin_of(bytes(16)), -1, bytes(32)), (origin_of(bytes(16)), 1, bytes(31))]
)
def test_a_checkpoint_that_makes_no_sense_is_not_made(origin: str, size: int, root: bytes) -> None:
    with pytest.raises(Refused):
        Checkpoint(origin, size, root)
