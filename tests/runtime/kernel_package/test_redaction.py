"""Known values are taken out of text, however it is cut into pieces; everything else stays as it is."""

import base64
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spin_kernel.redaction import SHORTEST, Redactor

VALUE = 'p@ss/w+rd "ä" =tail'
MARK = "[redacted db]"
REDACTOR = Redactor({"db": VALUE})


@pytest.mark.parametrize(
    "written",
    [
        VALUE,
        json.dumps(VALUE)[1:-1],
        json.dumps(VALUE, ensure_ascii=False)[1:-1],
        quote(VALUE, safe=""),
        quote(VALUE),
        quote_plus(VALUE),
        quote(VALUE, safe="").lower(),
    ],
)
def test_value_is_found_however_it_is_written(written: str) -> None:
    shown = REDACTOR.text(f"before {written} after")
    assert MARK in shown
    assert written not in shown


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("before", ["", "u", "us", "user:"])
def test_value_inside_base64_cannot_be_decoded_from_what_is_shown(before: str, encode: object) -> None:
    encoded = encode((before + VALUE + ":x").encode()).decode()  # type: ignore[operator]
    shown = REDACTOR.text(f"Authorization: Basic {encoded}")
    left = shown.removeprefix("Authorization: Basic ").split(MARK)
    assert len(left) == 2
    assert max(map(len, left)) <= len(before + ":x") * 2 + 4


def test_each_line_of_a_long_value_is_found_alone() -> None:
    redactor = Redactor({"key": "-----BEGIN-----\nMIIEvQIBADAN\nBgkqhkiG9w0B\n-----END-----"})
    assert redactor.text("line MIIEvQIBADAN!") == "line [redacted key]!"


def test_short_value_is_left_alone() -> None:
    assert Redactor({"pin": "1234"}).text("1234 of 12345") == "1234 of 12345"


def test_value_that_contains_another_is_taken_whole() -> None:
    redactor = Redactor({"short": "secret", "long": "secret-and-more"})
    assert redactor.text("secret-and-more secret") == "[redacted long] [redacted short]"


@given(st.text(alphabet="äbcs 😀", max_size=40), st.text(alphabet="äbcs 😀", max_size=40), st.lists(st.integers(0, 120), max_size=12))
def test_cut_anywhere_the_stream_shows_what_the_whole_shows(before: str, after: str, cuts: list[int]) -> None:
    secret = "äbcäbcäb-secret"
    redactor = Redactor({"name": secret})
    text = before + secret + after + secret
    stream, shown, at = redactor.stream(), "", 0
    for cut in sorted(cuts):
        shown += stream.feed(text[at:cut])
        at = max(at, cut)
        assert secret[:-1] not in shown
    shown += stream.feed(text[at:]) + stream.flush()
    assert shown == redactor.text(text)


def test_value_that_begins_like_a_longer_one_waits_for_the_rest() -> None:
    stream = Redactor({"short": "secret", "long": "secret-and-more"}).stream()
    assert stream.feed("a secret") == "a "
    assert stream.feed("-and-more") + stream.flush() == "[redacted long]"


@given(st.text(max_size=200), st.text(min_size=SHORTEST, max_size=30))
def test_other_text_is_unchanged(text: str, secret: str) -> None:
    redactor = Redactor({"name": secret})
    shown = redactor.text(text)
    assert shown == text or "[redacted name]" in shown
    if secret not in text:
        stream = redactor.stream()
        assert stream.feed(text) + stream.flush() == shown


def test_half_a_character_beside_a_value_is_kept() -> None:
    assert REDACTOR.text(f"\ud83d{VALUE}\ude00") == f"\ud83d{MARK}\ude00"


def test_nothing_known_holds_nothing_back() -> None:
    assert Redactor({}).stream().feed("anything") == "anything"
