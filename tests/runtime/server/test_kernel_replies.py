"""A kernel's answers are anybody's: whoever asked gets a frame of bounded size, or a refusal, and never nothing."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spin_runtime.server import replies
from spinapis.errors.v1 import reasons_pb2
from spinapis.runtime.v1 import frames_pb2

MOST = 4096
# As Python's own decoder reads them: numbers without bounds and lone surrogates, too.
TEXTS = st.text(st.characters(exclude_categories=())) | st.sampled_from(["", "\ud800", "x" * 5000])
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4), max_leaves=12)
CONTENTS = st.fixed_dictionaries({}, optional=dict.fromkeys(("matches", "cursor_start", "cursor_end", "metadata", "found", "data"), VALUES))


@given(CONTENTS, TEXTS, st.binary(max_size=5000))
def test_any_answer_becomes_a_frame_or_a_refusal(content: dict[str, Any], msg_type: str, data: bytes) -> None:
    for make in (
        lambda: replies.completion(7, content, MOST),
        lambda: replies.inspection(7, content, MOST),
        lambda: replies.kernel_reply(7, msg_type, data, MOST),
    ):
        try:
            frame = make()
        except replies.ReplyRefused as refused:
            assert refused.reason in (reasons_pb2.ERROR_REASON_UNAVAILABLE, reasons_pb2.ERROR_REASON_TOO_LARGE)
            continue
        sent = frame.SerializeToString()
        assert len(sent) <= MOST and frames_pb2.RuntimeFrame.FromString(sent) == frame


@pytest.mark.parametrize("odd", [{"cursor_start": "x"}, {"cursor_end": -1}, {"cursor_end": 1 << 32}, {"matches": 3}, {"matches": ["\ud800"]}])
def test_odd_completions_are_refused_with_what_is_odd(odd: dict[str, Any]) -> None:
    with pytest.raises(replies.ReplyRefused, match="The kernel's answer cannot be used"):
        replies.completion(1, odd, MOST)


def test_an_ordinary_completion_is_passed_on_whole() -> None:
    frame = replies.completion(3, {"matches": ["print", "property"], "cursor_start": 1, "cursor_end": 2, "metadata": {"a": [1]}}, MOST)
    reply = frame.complete_reply
    assert (reply.request_id, list(reply.matches), reply.cursor_start, reply.cursor_end) == (3, ["print", "property"], 1, 2)
    assert json.loads(reply.metadata_json) == {"a": [1]}


def test_an_answer_over_the_limit_is_refused_with_the_limit() -> None:
    with pytest.raises(replies.ReplyRefused, match="4096") as caught:
        replies.inspection(1, {"found": True, "data": {"text/plain": "x" * 5000}}, MOST)
    assert caught.value.reason == reasons_pb2.ERROR_REASON_TOO_LARGE and caught.value.metadata == {"limit": "4096"}
