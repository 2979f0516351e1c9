"""The installed types: complete, in a stable order, and not brought down by someone else's package."""

import ast
import logging
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

import spin_cells
from spin_cells.api import Cell, CellInvalid, ConnectionKind, Context, Secrets
from spin_cells.definition import form
from spin_cells.registry import BUILT_IN, BUILT_IN_KINDS, connection_kinds, installed, load, load_kinds

FOLDER = Path(spin_cells.__file__).parent
TESTS = Path(__file__).parent


def theirs(point: str, **members) -> SimpleNamespace:
    """A point whose type is complete unless members say otherwise."""
    complete = {"name": point, "display_name": point, "description": "", "language": "", "executable": True, "connection_kind": ""}
    methods = {
        "form_schema": {},
        "references": lambda cell: (),
        "secrets": lambda cell: Secrets(),
        "validate": lambda cell, context: (),
        "compile": lambda cell, context: None,
    }
    return SimpleNamespace(name=point, value=f"{point}_package:TYPE", load=lambda: SimpleNamespace(**{**complete, **methods, **members}))


def raising(name: str, error: BaseException) -> SimpleNamespace:
    def fail() -> None:
        raise error

    return SimpleNamespace(name=name, value=f"{name}_package:TYPE", load=fail)


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_type_has_a_form_a_compiler_a_description_and_tests(name: str) -> None:
    for file in ("form.py", "compile.py", "README.md"):
        assert (FOLDER / name / file).is_file(), file
    assert (TESTS / f"test_cell_{name}.py").is_file()
    cell_type = installed()[name]
    Draft202012Validator.check_schema(cell_type.form_schema)
    assert cell_type.form_schema["$schema"].endswith("2020-12/schema")
    described = (FOLDER / name / "README.md").read_text()
    assert all(f"`{field}`" in described for field in cell_type.form_schema["properties"]), "README names each field"


def test_ours_come_first_and_others_by_name() -> None:
    points = [
        theirs("zebra"),
        theirs("ant"),
        EntryPoint("sql", "spin_cells.sql:CELL_TYPE", "spin.cells"),
        EntryPoint("raw", "spin_cells.raw:CELL_TYPE", "spin.cells"),
    ]
    assert list(load(points)) == ["sql", "raw", "ant", "zebra"]
    assert list(installed())[: len(BUILT_IN)] == list(BUILT_IN)


@pytest.mark.parametrize(
    "broken",
    [
        raising("broken", ImportError("no module named vendor")),
        raising("broken", RuntimeError("boom")),
        raising("broken", SystemError("worse")),
        theirs("broken", compile=None),
        theirs("broken", name="other"),
        theirs("broken", connection_kind=None),
        theirs("broken", form_schema={"type": "nonsense"}),
        SimpleNamespace(name="broken", value="broken_package:TYPE", load=lambda: None),
    ],
)
def test_a_broken_package_costs_one_line_in_the_log(broken: SimpleNamespace, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        assert list(load([theirs("good"), broken])) == ["good"]
    (record,) = caplog.records
    assert "broken" in record.getMessage()


def test_nobody_takes_a_name_of_ours(caplog: pytest.LogCaptureFixture) -> None:
    found = load([theirs("python"), EntryPoint("python", "spin_cells.python:CELL_TYPE", "spin.cells")])
    assert found["python"] is installed()["python"]
    assert "name is taken" in caplog.text


PIECES = [
    "{{a}}",
    "{{runtime_env:B}}",
    "{{secret:c}}",
    "\\{{d}}",
    "'",
    '"',
    "\n",
    " ",
    "(",
    ")",
    "SELECT ",
    "$1",
    "?",
    "--",
    "/*",
    "<<EOF",
    "$(",
    "`",
    "\\",
    ";",
    "{",
    "}",
    "%",
    "!",
    "é",
    "#",
]
REQUIRED = {"rest": {"url": "http://h/"}, "form": {"inputs": [{"name": "a"}]}}


@pytest.mark.parametrize("name", [name for name in BUILT_IN if name not in ("markdown", "raw")])
@example(source="\r0{{a}}")
@example(source="\r{{a}}\r\n1")
@given(source=st.lists(st.sampled_from(PIECES) | st.text(max_size=4), max_size=14).map("".join))
@settings(max_examples=60, deadline=None)
def test_any_source_gets_problems_or_a_program(name: str, source: str) -> None:
    cell, context = Cell(name, source, REQUIRED.get(name, {})), Context()
    problems = installed()[name].validate(cell, context)
    lines = source.replace("\r\n", "\n").replace("\r", "\n").count("\n") + 1
    assert all(problem.message and 0 <= problem.line <= lines for problem in problems)
    if not any(not problem.warning for problem in problems):
        code = installed()[name].compile(cell, context).code
        if name not in ("code", "python"):
            ast.parse(code)


@pytest.mark.parametrize("name", BUILT_IN)
def test_fields_that_do_not_fit_are_problems_and_never_reach_the_compiler(name: str) -> None:
    cell = Cell(name, "x", {"no such field": 1})
    assert any("no such field" in problem.message for problem in installed()[name].validate(cell, Context()))
    assert installed()[name].references(cell) == ()
    with pytest.raises(CellInvalid):
        installed()[name].compile(cell, Context())


def kind(point: str, value: object, package: str = "their_package") -> SimpleNamespace:
    return SimpleNamespace(name=point, value=f"{package}:KIND", load=lambda: value)


def test_a_kind_of_connection_needs_no_cell_type() -> None:
    queue = ConnectionKind("queue", form({}), form({}), frozenset({"queue.put"}))
    assert load_kinds([kind("queue", queue)]) == {"queue": queue}
    assert list(connection_kinds())[: len(BUILT_IN_KINDS)] == list(BUILT_IN_KINDS)
    assert {cell_type.connection_kind for cell_type in installed().values()} - {""} <= set(connection_kinds())


def test_nobody_takes_the_name_of_a_kind_of_ours(caplog: pytest.LogCaptureFixture) -> None:
    theirs_, ours = (ConnectionKind("secret", form({}), form({}), frozenset({name})) for name in ("secret.steal", "secret.read"))
    found = load_kinds([kind("secret", theirs_, "a_package"), kind("secret", ours, "spin_cells.secret.kind")])
    assert found == {"secret": ours}
    assert "name is taken" in caplog.text


@pytest.mark.parametrize(
    "broken",
    ["rest", None, ConnectionKind("broken", {"type": "nonsense"}, form({}), frozenset()), ConnectionKind("other", form({}), form({}), frozenset())],
)
def test_a_broken_kind_of_connection_costs_one_line_in_the_log(broken: object, caplog: pytest.LogCaptureFixture) -> None:
    assert load_kinds([kind("broken", broken)]) == {}
    (record,) = caplog.records
    assert "connection kind broken" in record.getMessage()
