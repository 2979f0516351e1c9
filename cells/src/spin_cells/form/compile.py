"""A form is assignments: each input's name gets its value as a literal."""

import keyword
from collections import Counter
from collections.abc import Sequence

from jsonschema import Draft202012Validator

from spin_cells import connections, generate, templates
from spin_cells.api import Cell, Compiled, Context, Problem
from spin_cells.form.inputs import value_of, values_schema


def check(cell: Cell, context: Context) -> Sequence[Problem]:
    return [*connections.needs_python(context, "Form cells"), *(_declaration_problems(cell) or _value_problems(cell)), *_text(cell)]


def build(cell: Cell, context: Context) -> Compiled:
    inputs, values = cell.fields["inputs"], cell.fields.get("values", {})
    assignments = [generate.assign(declared["name"], generate.constant(value_of(declared, values))) for declared in inputs]
    return Compiled(generate.source_of(*assignments), (), tuple(declared["name"] for declared in inputs))


def _text(cell: Cell) -> list[Problem]:
    message = "A form sets what was entered, so a template is text in it: write it in the cell that uses the value"
    found = ((name, text) for name in ("inputs", "values") for text in generate.strings(cell.fields.get(name)))
    return [Problem(message, field=name, warning=True) for name, text in found if any(found.kind != "variable" for found in templates.find(text))]


def _declaration_problems(cell: Cell) -> list[Problem]:
    inputs = cell.fields["inputs"]
    counts = Counter(declared["name"] for declared in inputs)
    found = []
    for index, declared in enumerate(inputs):
        field = f"inputs.{index}"
        if keyword.iskeyword(declared["name"]):
            found.append(Problem(f"{declared['name']} is a word of Python and not a variable", field=f"{field}.name"))
        if counts[declared["name"]] > 1:
            found.append(Problem(f"Two inputs are called {declared['name']}", field=f"{field}.name"))
        if declared.get("type") in ("select", "multiselect") and not declared.get("options"):
            found.append(Problem("Give the options to choose from", field=f"{field}.options"))
    return found


def _value_problems(cell: Cell) -> list[Problem]:
    inputs, values = cell.fields["inputs"], cell.fields.get("values", {})
    given = {declared["name"]: value for declared in inputs if (value := value_of(declared, values)) is not None}
    unknown = {name: value for name, value in values.items() if name not in given and value is not None}
    errors = Draft202012Validator(values_schema(inputs)).iter_errors({**given, **unknown})
    missing = [declared["name"] for declared in inputs if declared.get("required") and given.get(declared["name"]) in (None, "", [])]
    return [
        *(Problem(error.message[:300], field=".".join(["values", *map(str, error.absolute_path)])) for error in errors),
        *(Problem(f"{name} needs a value", field=f"values.{name}") for name in missing),
    ]
