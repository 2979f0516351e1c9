"""Credentials at rest: only in their own place, under their own key."""

import os
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spin_services.keys import KeysUnusable
from spin_services.keys.kek import MemoryKek
from spin_services.secrets.domain import next_version
from spin_services.secrets.records import Place, Record, RecordUnreadable, WorkspaceKey, read_record, write_record

PLACE = Place("ab" * 16, "cd" * 16, 3)


@pytest.fixture
def key() -> WorkspaceKey:
    return WorkspaceKey(7, MemoryKek(os.urandom(32), "the test's key"))


async def test_a_record_opens_where_it_was_written(key: WorkspaceKey) -> None:
    record = write_record(key, PLACE, b"secret")
    assert read_record(key, PLACE, record) == b"secret"
    assert b"secret" not in record.sealed + record.wrapped_key and "sealed" not in repr(record)


async def test_equal_credentials_look_different(key: WorkspaceKey) -> None:
    first, second = write_record(key, PLACE, b"secret"), write_record(key, PLACE, b"secret")
    assert {first.sealed, first.wrapped_key, first.commitment}.isdisjoint({second.sealed, second.wrapped_key, second.commitment})


@pytest.mark.parametrize("moved", [replace(PLACE, workspace_id="ff" * 16), replace(PLACE, connection_id="ff" * 16), replace(PLACE, version=4)])
async def test_a_record_in_another_place_does_not_open(key: WorkspaceKey, moved: Place) -> None:
    with pytest.raises((RecordUnreadable, KeysUnusable)):
        read_record(key, moved, write_record(key, PLACE, b"secret"))


@pytest.mark.parametrize("part", ["sealed", "commitment", "wrapped_key"])
async def test_a_changed_record_does_not_open(key: WorkspaceKey, part: str) -> None:
    record = write_record(key, PLACE, b"secret")
    changed = bytearray(getattr(record, part))
    changed[-1] ^= 1
    with pytest.raises((RecordUnreadable, KeysUnusable)):
        read_record(key, PLACE, replace(record, **{part: bytes(changed)}))


async def test_a_key_that_the_record_was_not_written_with_is_refused_before_decrypting(key: WorkspaceKey) -> None:
    record = write_record(key, PLACE, b"secret")
    other = Record(key.version, key.kek.wrap(os.urandom(32), PLACE.aad(key.version)), record.commitment, record.sealed)
    with pytest.raises(RecordUnreadable):
        read_record(key, PLACE, other)


async def test_a_record_does_not_open_as_one_of_another_key_version(key: WorkspaceKey) -> None:
    record = write_record(key, PLACE, b"secret")
    with pytest.raises((RecordUnreadable, KeysUnusable)):
        read_record(WorkspaceKey(8, key.kek), PLACE, record)


@given(st.lists(st.sampled_from(["newest", "older", "none"]), min_size=1, max_size=40))
def test_bundle_versions_always_rise_and_follow_only_what_is_held(steps: list[str]) -> None:
    issued = [0]
    for what in steps:
        held = {"newest": issued[-1], "older": issued[len(issued) // 2], "none": 0}[what]
        version = next_version(issued[-1], held)
        assert version > issued[-1]
        assert all(version != before + 1 or before == held for before in issued)
        issued.append(version)
