"""Every template in every type of cell: a value, or an error in its place, or text of which the person is told so. It never becomes code."""

import ast
from typing import Any

import pytest

from spin_cells.api import Cell, CellInvalid, ConnectionInfo, Context, Problem
from spin_cells.registry import installed

SALT = ConnectionInfo(b"\x01" * 16, "salt", "secret", frozenset({"secret.read"}), exposable=True)
CONTEXT = Context(secrets={"salt": SALT, SALT.id.hex(): SALT})
VALUES = ("{{secret:salt}}", "{{secret_var:which}}", "{{runtime_env:REGION}}")
RESERVED = ("{{runtime_env:SPIN_TOKEN}}", "{{runtime_env:spin_token}}", "{{runtime_env:Spin_Home}}", "{{ runtime_env : sPiN_x }}")
# Those that read templates, those in which they are text, and those that run nothing.
READS: dict[str, tuple[str, dict[str, Any]]] = {
    "python": ("x = {}", {}),
    "shell": ("echo {}", {}),
    "sql": ("SELECT {}", {}),
    "rest": ("", {"url": "https://h/{}"}),
}
TEXT: dict[str, tuple[str, dict[str, Any]]] = {
    "code": ("x = {}", {}),
    "form": ("", {"inputs": [{"name": "a", "label": "{}"}]}),
}
SHOWN = ("markdown", "raw")
# A connection's name is all that it takes.
NAMED = "connection_test"


def filled(value: Any, template: str) -> Any:
    if isinstance(value, dict):
        return {key: filled(item, template) for key, item in value.items()}
    if isinstance(value, list):
        return [filled(item, template) for item in value]
    return value.replace("{}", template) if isinstance(value, str) else value


def cell(kind: str, made: tuple[str, dict[str, Any]], template: str) -> Cell:
    return Cell(kind, filled(made[0], template), filled(made[1], template))


def problems(of: Cell) -> list[Problem]:
    return [*installed()[of.cell_type].validate(of, CONTEXT)]


def placed(problem: Problem) -> bool:
    return bool(problem.field) or problem.line > 0


def test_every_type_is_among_these() -> None:
    assert set(installed()) == {*READS, *TEXT, *SHOWN, NAMED}


@pytest.mark.parametrize("template", VALUES)
@pytest.mark.parametrize("kind", READS)
def test_where_templates_are_read_they_are_values(kind: str, template: str) -> None:
    of = cell(kind, READS[kind], template)
    assert problems(of) == []
    compiled = installed()[kind].compile(of, CONTEXT)
    assert "{{" not in compiled.code and "_spin." in compiled.code
    ast.parse(compiled.code)
    assert len(compiled.uses) == 1


@pytest.mark.parametrize("template", RESERVED)
@pytest.mark.parametrize("kind", READS)
def test_the_runtimes_own_variables_are_refused_in_their_place_however_they_are_written(kind: str, template: str) -> None:
    of = cell(kind, READS[kind], template)
    (problem,) = problems(of)
    assert "belong to the runtime itself" in problem.message and placed(problem) and not problem.warning
    with pytest.raises(CellInvalid):
        installed()[kind].compile(of, CONTEXT)


@pytest.mark.parametrize("template", [*VALUES, *RESERVED])
@pytest.mark.parametrize("kind", TEXT)
def test_where_they_are_text_the_person_is_told_what_to_do(kind: str, template: str) -> None:
    of = cell(kind, TEXT[kind], template)
    (problem,) = problems(of)
    assert problem.warning and placed(problem) and "text in" in problem.message
    assert "use a Python cell" in problem.message or "cell that uses" in problem.message
    compiled = installed()[kind].compile(of, CONTEXT)
    assert compiled.uses == () and "_spin." not in compiled.code


@pytest.mark.parametrize("template", [*VALUES, *RESERVED])
@pytest.mark.parametrize("kind", SHOWN)
def test_what_is_shown_shows_them(kind: str, template: str) -> None:
    of = Cell(kind, f"use {template}", {})
    assert problems(of) == [] and not installed()[kind].executable
    with pytest.raises(CellInvalid, match="not run"):
        installed()[kind].compile(of, CONTEXT)


@pytest.mark.parametrize("template", [*VALUES, *RESERVED])
def test_a_test_takes_the_name_of_a_connection_alone(template: str) -> None:
    of = Cell(NAMED, "", {"connection": template})
    assert any(problem.field == "connection" and not problem.warning for problem in problems(of))
    with pytest.raises(CellInvalid):
        installed()[NAMED].compile(of, CONTEXT)
