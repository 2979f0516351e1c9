"""SPIN_TOKEN: one spelling, clear errors that repeat nothing of it, and the keys derived from it."""

from typing import Any

import pytest

from spin_envelope.errors import Refused
from spin_envelope.pairing import SpinToken, TokenInvalid


@pytest.mark.vectors("formats", "token", "accepted")
def test_accepted(case: Any) -> None:
    token = SpinToken.parse(case["text"])
    parts = [bytes.fromhex(case[name]) for name in ("workspace_id", "pairing_id", "secret", "root_digest")]
    assert token == SpinToken.mint(*parts)
    assert token.text == case["text"]
    assert token.pairing_key().public.hex() == case["pairing_key"]
    assert token.disk_key().hex() == case["disk_key"]
    assert repr(token.secret) not in repr(token)


@pytest.mark.vectors("formats", "token", "refused")
def test_refused(case: Any) -> None:
    with pytest.raises(TokenInvalid) as invalid:
        SpinToken.parse(case["text"])
    assert "SPIN_TOKEN" in str(invalid.value)
    repeated = [case["text"][start : start + 8] for start in range(6, len(case["text"]) - 8)]
    assert not any(part in str(invalid.value) for part in repeated)
    assert invalid.value.__cause__ is None


def test_a_token_of_wrong_parts_is_not_minted() -> None:
    with pytest.raises(Refused):
        SpinToken.mint(bytes(16), bytes(16), bytes(31), bytes(32))
