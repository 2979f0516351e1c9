"""Form cells: inputs become variables, whatever is entered."""

import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spin_cells.form.inputs import values_schema
from tests.fakes.kernel_calls import run

INPUTS = [
    {"name": "service", "type": "select", "options": ["api", "worker"], "default": "api", "label": "Service"},
    {"name": "minutes", "type": "integer", "default": 30, "minimum": 1},
    {"name": "note"},
]


def test_values_defaults_and_nothing(bench) -> None:
    compiled = bench.compile(inputs=INPUTS, values={"minutes": 5})
    _, variables = run(compiled.code)
    assert variables == {"service": "api", "minutes": 5, "note": None}
    assert compiled.outputs_to == ("service", "minutes", "note")


@given(
    text=st.text(), tags=st.lists(st.sampled_from(["a'", 'b"', "c\n", "{{d}}"]), unique=True), number=st.floats(allow_nan=False, allow_infinity=False)
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_entered_never_becomes_code(bench, text: str, tags: list[str], number: float) -> None:
    inputs = [{"name": "t"}, {"name": "m", "type": "multiselect", "options": ["a'", 'b"', "c\n", "{{d}}"]}, {"name": "n", "type": "number"}]
    _, variables = run(bench.compile(inputs=inputs, values={"t": text, "m": tags, "n": number}).code)
    assert variables == {"t": text, "m": tags, "n": number}


def test_values_are_checked_against_the_inputs(bench) -> None:
    def fields(values: dict, inputs: list = INPUTS) -> set[str]:
        return {problem.field for problem in bench.errors(inputs=inputs, values=values)}

    assert fields({"service": "db"}) == {"values.service"}
    assert fields({"minutes": 0}) == {"values.minutes"}
    assert fields({"minutes": "5"}) == {"values.minutes"}
    assert fields({"unknown": 1}) == {"values"}
    assert fields({}, [{"name": "who", "required": True}]) == {"values.who"}
    assert fields({"day": "tomorrow"}, [{"name": "day", "type": "date"}]) == {"values.day"}


def test_inputs_are_variables_of_their_own(bench) -> None:
    assert "Two inputs" in bench.refuses(inputs=[{"name": "a"}, {"name": "a"}])
    assert "word of Python" in bench.refuses(inputs=[{"name": "class"}])
    assert "options" in bench.refuses(inputs=[{"name": "a", "type": "select"}])
    assert bench.refuses(inputs=[{"name": "a b"}])
    assert bench.refuses()


def test_the_page_gets_a_schema_of_the_values() -> None:
    schema = values_schema(INPUTS)
    assert schema["properties"]["service"] == {"enum": ["api", "worker"], "title": "Service", "default": "api"}
    assert json.loads(json.dumps(schema)) == schema
