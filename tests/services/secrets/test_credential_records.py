"""Credentials at rest: only in their own place, under their own key."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spin_services.keys import FileKek, KeysUnusable
from spin_services.keys.providers import KekProvider
from spin_services.keys.providers.local import LocalKek
from spin_services.secrets.domain import next_version
from spin_services.secrets.records import Place, Record, RecordUnreadable, read_record, write_record

PLACE = Place("ab" * 16, "cd" * 16, 3)


@pytest.fixture
def kek(tmp_path: Path) -> KekProvider:
    file = FileKek(tmp_path / "kek")
    file.create()
    return LocalKek("file:///kek", file)


async def test_a_record_opens_where_it_was_written(kek: KekProvider) -> None:
    record = await write_record(kek, PLACE, b"secret")
    assert await read_record(kek, PLACE, record) == b"secret"
    assert b"secret" not in record.sealed + record.wrapped_key and "sealed" not in repr(record)


async def test_equal_credentials_look_different(kek: KekProvider) -> None:
    first, second = await write_record(kek, PLACE, b"secret"), await write_record(kek, PLACE, b"secret")
    assert {first.sealed, first.wrapped_key, first.commitment}.isdisjoint({second.sealed, second.wrapped_key, second.commitment})


@pytest.mark.parametrize("moved", [replace(PLACE, workspace_id="ff" * 16), replace(PLACE, connection_id="ff" * 16), replace(PLACE, version=4)])
async def test_a_record_in_another_place_does_not_open(kek: KekProvider, moved: Place) -> None:
    with pytest.raises((RecordUnreadable, KeysUnusable)):
        await read_record(kek, moved, await write_record(kek, PLACE, b"secret"))


@pytest.mark.parametrize("part", ["sealed", "commitment", "wrapped_key"])
async def test_a_changed_record_does_not_open(kek: KekProvider, part: str) -> None:
    record = await write_record(kek, PLACE, b"secret")
    changed = bytearray(getattr(record, part))
    changed[-1] ^= 1
    with pytest.raises((RecordUnreadable, KeysUnusable)):
        await read_record(kek, PLACE, replace(record, **{part: bytes(changed)}))


async def test_a_key_that_the_record_was_not_written_with_is_refused_before_decrypting(kek: KekProvider) -> None:
    record = await write_record(kek, PLACE, b"secret")
    other = Record(await kek.wrap(os.urandom(32), PLACE.aad()), record.commitment, record.sealed)
    with pytest.raises(RecordUnreadable):
        await read_record(kek, PLACE, other)


@given(st.lists(st.sampled_from(["newest", "older", "none"]), min_size=1, max_size=40))
def test_bundle_versions_always_rise_and_follow_only_what_is_held(steps: list[str]) -> None:
    issued = [0]
    for what in steps:
        held = {"newest": issued[-1], "older": issued[len(issued) // 2], "none": 0}[what]
        version = next_version(issued[-1], held)
        assert version > issued[-1]
        assert all(version != before + 1 or before == held for before in issued)
        issued.append(version)
