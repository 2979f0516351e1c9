"""PAE, and digests of cells and parameters."""

from typing import Any

import pytest

from spin_envelope.digests import canonical_json, pae, params_digest, read_json, sealed_digest, source_digest
from spin_envelope.errors import Refused


@pytest.mark.vectors("formats", "pae")
def test_pre_authentication_encoding(case: Any) -> None:
    assert pae(case["payload_type"], bytes.fromhex(case["payload"])).hex() == case["pae"]


def test_the_published_example_of_dsse() -> None:
    assert pae("http://example.com/HelloWorld", b"hello world") == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"


@pytest.mark.vectors("formats", "cells")
def test_a_cells_digest_does_not_depend_on_how_its_fields_are_written(case: Any) -> None:
    fields = case["fields_json"]
    assert source_digest(case["cell_type"], case["source"], fields).hex() == case["digest"]
    assert source_digest(case["cell_type"], case["source"], canonical_json(read_json(fields)).decode()).hex() == case["digest"]


def test_whatever_is_changed_changes_a_cells_digest() -> None:
    cells = [("sql", "x", "{}"), ("sqlx", "", "{}"), ("sql", "y", "{}"), ("sql", "x", '{"a":1}')]
    assert len({source_digest(*cell) for cell in cells}) == 4


@pytest.mark.vectors("formats", "params")
def test_parameters(case: Any) -> None:
    assert canonical_json(read_json(case["json"])).decode() == case["canonical"]
    assert params_digest(read_json(case["json"])).hex() == case["digest"]


@pytest.mark.vectors("formats", "json_refused")
def test_json_that_cannot_be_canonical_is_refused(case: Any) -> None:
    with pytest.raises(Refused):
        source_digest("python", "", case["json"])


def test_text_that_is_no_unicode_and_nesting_without_end_are_refused() -> None:
    nested: Any = {}
    for _ in range(100_000):
        nested = [nested]
    for attempt in (lambda: source_digest("python", "\ud800", "{}"), lambda: canonical_json(nested), lambda: read_json("[" * 100_000)):
        with pytest.raises(Refused):
            attempt()


def test_the_digest_of_a_sealed_is_over_its_bytes() -> None:
    assert sealed_digest(b"").hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
