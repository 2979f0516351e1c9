"""Which cells run, and what parameters become."""

import ast
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spin_client.sdk import Chain, Outcome, SpinError
from spin_client.sdk.parameters import parse_parameter, with_parameters
from spinapis.workspace.v1 import notebooks_pb2


def cells(*specs: str) -> list[notebooks_pb2.Cell]:
    """ "p" Python, "m" Markdown, "l" linked Python; "f" and "lf" fail."""
    kinds = {"m": "markdown"}
    return [
        notebooks_pb2.Cell(id=f"{i}", cell_type=kinds.get(s, "python"), source="fail" if s.endswith("f") else "ok", linked=s.startswith("l"))
        for i, s in enumerate(specs)
    ]


def outcomes(*specs: str, keep_going: bool = False) -> str:
    chain = Chain(cells(*specs), keep_going)
    while (cell := chain.next()) is not None:
        chain.finished(ok=cell.source != "fail")
    short = {Outcome.OK: "o", Outcome.FAILED: "f", Outcome.SKIPPED: "s"}
    return "".join(short[o] for o in chain.outcomes.values())


@pytest.mark.parametrize(
    ("specs", "stopping", "going"),
    [
        (["p", "p"], "oo", "oo"),
        (["f", "p"], "fs", "fo"),
        (["f", "l", "l", "p"], "fsss", "fsso"),
        (["p", "lf", "l", "p", "l"], "ofsss", "ofsoo"),
        (["f", "m", "l", "p"], "fss", "fso"),
        (["l", "m", "p"], "oo", "oo"),
    ],
)
def test_linked_cells_run_only_after_success(specs: list[str], stopping: str, going: str) -> None:
    assert outcomes(*specs) == stopping
    assert outcomes(*specs, keep_going=True) == going


def test_empty_cells_do_not_run() -> None:
    chain = Chain([notebooks_pb2.Cell(id="a", cell_type="python", source="  \n")])
    assert chain.next() is None and chain.ok


@given(st.lists(st.sampled_from(["p", "f", "l", "lf", "m"]), max_size=12), st.booleans())
def test_every_cell_gets_one_outcome_and_no_linked_cell_follows_a_failure(specs: list[str], keep_going: bool) -> None:
    result = outcomes(*specs, keep_going=keep_going)
    runnable = [s for s in specs if s != "m"]
    assert len(result) == len(runnable)
    for above, (spec, outcome) in zip(result, list(zip(runnable, result, strict=True))[1:], strict=False):
        assert not (spec.startswith("l") and above != "o" and outcome != "s")


@pytest.mark.parametrize(("text", "value"), [("a=1", 1), ("a=x y", "x y"), ('a={"b": [1, null]}', {"b": [1, None]}), ("a=", ""), ("a=b=c", "b=c")])
def test_values_are_json_or_text(text: str, value: object) -> None:
    assert parse_parameter(text) == ("a", value)


@pytest.mark.parametrize("text", ["a", "1a=2", "for=1", "a;b=1", "=1"])
def test_names_that_are_none(text: str) -> None:
    with pytest.raises(SpinError):
        parse_parameter(text)


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(json_values)
def test_values_stay_values_whatever_they_hold(value: object) -> None:
    injected = with_parameters([], {"value": value})[0]
    (assignment,) = ast.parse(injected.source).body
    assert isinstance(assignment, ast.Assign) and ast.literal_eval(assignment.value) == value


def test_parameters_go_after_the_tagged_cell_and_replace_earlier_ones() -> None:
    tagged = notebooks_pb2.Cell(id="t", cell_type="python", source="x = 1", metadata_json='{"tags": ["parameters"]}')
    old = notebooks_pb2.Cell(id="injected-parameters", cell_type="python", source="x = 2", metadata_json='{"tags": ["injected-parameters"]}')
    rest = notebooks_pb2.Cell(id="r", cell_type="python", source="x")
    got = with_parameters([tagged, old, rest], {"x": 3})
    assert [c.id for c in got] == ["t", "injected-parameters", "r"] and got[1].source.endswith("x = 3")
    assert [c.id for c in with_parameters([rest], {"x": 3})] == ["injected-parameters", "r"]
    assert with_parameters([rest], {}) == [rest]
    with pytest.raises(SpinError, match="bash"):
        with_parameters([rest], {"x": 3}, "bash")
