"""Kernel messages folded as Jupyter's clients fold them."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from spin_client.sdk import Kind, NotebookOutputs, Output
from spinapis.runtime.v1 import frames_pb2


def message(kind: Kind, content: dict[str, Any], cell_id: str = "a") -> Output:
    return Output(1, kind, frames_pb2.OutputBody(content=json.dumps(content).encode()).SerializeToString(), cell_id)


def text(value: str, name: str = "stdout") -> Output:
    return message(Kind.STREAM, {"name": name, "text": value})


def display(value: str, display_id: str = "", cell_id: str = "a") -> Output:
    content: dict[str, Any] = {"data": {"text/plain": value}, "metadata": {}}
    if display_id:
        content["transient"] = {"display_id": display_id}
    return message(Kind.DISPLAY_DATA, content, cell_id)


def folded(*messages: Output) -> list[dict[str, Any]]:
    outputs = NotebookOutputs()
    for each in messages:
        outputs.apply(each)
    return outputs.cells["a"].as_nbformat()


def test_neighbouring_texts_of_one_stream_are_one_output() -> None:
    assert folded(text("a"), text("b"), text("!", "stderr"), text("c")) == [
        {"output_type": "stream", "name": "stdout", "text": "ab"},
        {"output_type": "stream", "name": "stderr", "text": "!"},
        {"output_type": "stream", "name": "stdout", "text": "c"},
    ]


def test_reading_in_between_changes_nothing() -> None:
    outputs = NotebookOutputs()
    for part in ("a", "b", "c"):
        outputs.apply(text(part))
        outputs.cells["a"].as_nbformat()
    assert outputs.cells["a"].as_nbformat()[0]["text"] == "abc"


def test_clear_output_at_once_and_when_something_comes() -> None:
    clear, later = message(Kind.CLEAR_OUTPUT, {"wait": False}), message(Kind.CLEAR_OUTPUT, {"wait": True})
    assert folded(text("old"), clear) == []
    assert folded(text("old"), later)[0]["text"] == "old"
    assert folded(text("old"), later, text("new"))[0]["text"] == "new"


def test_an_update_changes_the_display_wherever_it_stands() -> None:
    outputs = NotebookOutputs()
    outputs.apply(display("0 %", "bar", "a"))
    update = message(Kind.UPDATE_DISPLAY_DATA, {"data": {"text/plain": "100 %"}, "metadata": {}, "transient": {"display_id": "bar"}}, "b")
    assert outputs.apply(update) == ["a"]
    assert outputs.cells["a"].as_nbformat()[0]["data"] == {"text/plain": "100 %"}


def test_an_update_after_a_rerun_touches_no_old_display() -> None:
    outputs = NotebookOutputs()
    outputs.apply(display("old", "bar"))
    outputs.begin("a")
    update = message(Kind.UPDATE_DISPLAY_DATA, {"data": {}, "transient": {"display_id": "bar"}}, "b")
    assert outputs.apply(update) == []


def test_results_errors_and_cut_output() -> None:
    result = message(Kind.EXECUTE_RESULT, {"data": {"text/plain": "2"}, "metadata": {}, "execution_count": 7})
    error = message(Kind.ERROR, {"ename": "E", "evalue": "v", "traceback": ["t"]})
    outputs = folded(result, error, message(Kind.TRUNCATED, {"limit_bytes": 10}))
    assert outputs[0] == {"output_type": "execute_result", "data": {"text/plain": "2"}, "metadata": {}, "execution_count": 7}
    assert outputs[1] == {"output_type": "error", "ename": "E", "evalue": "v", "traceback": ["t"]}
    assert "10 bytes" in outputs[2]["text"]


@given(st.lists(st.tuples(st.sampled_from(["stdout", "stderr"]), st.text(max_size=5)), max_size=30))
def test_no_text_is_lost_or_reordered_within_its_stream(parts: list[tuple[str, str]]) -> None:
    outputs = folded(*[text("", "stdout"), *[text(value, name) for name, value in parts]])
    for name in ("stdout", "stderr"):
        assert "".join(o["text"] for o in outputs if o["name"] == name) == "".join(value for stream, value in parts if stream == name)
