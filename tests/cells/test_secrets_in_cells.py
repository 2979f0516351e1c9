"""`{{secret:NAME}}` and `{{secret_var:variable}}` in every type that reads templates: what is granted, where values stand, what is refused."""

import ast
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from spin_cells.api import Cell, CellInvalid, Compiled, ConnectionInfo, Context, Problem, Secrets, Use
from spin_cells.registry import installed
from spin_envelope.digests import params_digest

READ = frozenset({"secret.read"})
SALT = ConnectionInfo(b"\x01" * 16, "salt", "secret", READ, exposable=True)
HIDDEN = ConnectionInfo(b"\x02" * 16, "hidden", "secret", READ)
GUARDED = ConnectionInfo(b"\x03" * 16, "guarded", "secret", READ, approval_operations=READ, exposable=True)
TICKETS = ConnectionInfo(b"\x04" * 16, "tickets", "rest", frozenset({"rest.request"}), exposable=True)
PEPPER = ConnectionInfo(b"\x05" * 16, "my pepper", "secret", READ, exposable=True)


def by_name(*secrets: ConnectionInfo) -> Mapping[str, ConnectionInfo]:
    return {key: secret for secret in secrets for key in (secret.name, secret.id.hex())}


ALL = by_name(SALT, HIDDEN, GUARDED, TICKETS, PEPPER)

# A cell of each type with a template in the place of {}, and the position of that place; 0 in a field.
CELLS: list[tuple[str, str, dict[str, Any], int]] = [
    ("python", "x = {}", {}, 5),
    ("python", "print(1); f({}, 2)", {}, 13),
    ("shell", "login {}", {}, 7),
    ("shell", "cat <<END\n", {"working_directory": "/srv/{}"}, 0),
    ("sql", "SELECT {} AS x", {}, 8),
    ("rest", "", {"url": "https://h/{}"}, 0),
    ("rest", "", {"url": "https://h/", "query": {"key": "{}"}}, 0),
    ("rest", "", {"url": "https://h/", "headers": {"x-key": "k {}"}}, 0),
    ("rest", "", {"url": "https://h/", "json": {"a": ["{}"]}}, 0),
    ("rest", "", {"url": "https://h/", "body": "k={}"}, 0),
    ("rest", '{"key": {}}'.replace("{}}", "{} }"), {"url": "https://h/"}, 9),
]


def filled(value: Any, template: str) -> Any:
    match value:
        case str():
            return value.replace("{}", template)
        case dict():
            return {key: filled(item, template) for key, item in value.items()}
        case list():
            return [filled(item, template) for item in value]
    return value


def cell(made: tuple[str, str, dict[str, Any], int], template: str) -> Cell:
    return Cell(made[0], filled(made[1], template), filled(made[2], template))


def errors(of: Cell, secrets: Mapping[str, ConnectionInfo] = ALL) -> list[Problem]:
    return [problem for problem in installed()[of.cell_type].validate(of, Context(secrets=secrets)) if not problem.warning]


def compiled(of: Cell, secrets: Mapping[str, ConnectionInfo] = ALL) -> Compiled:
    return installed()[of.cell_type].compile(of, Context(secrets=secrets))


def reading(*secrets: ConnectionInfo, at_use: bool = False) -> tuple[Use, ...]:
    return tuple(Use(secret.id, ("secret.read",), params_digest({}), at_use) for secret in secrets)


@pytest.mark.parametrize("made", CELLS)
def test_a_secret_is_one_call_and_one_grant_of_its_value_alone(made: tuple[str, str, dict[str, Any], int]) -> None:
    of = cell(made, "{{secret:salt}}")
    assert installed()[of.cell_type].secrets(of) == Secrets(("salt",))
    built = compiled(of)
    assert built.uses == reading(SALT)
    assert f"_spin.secret('{SALT.id.hex()}')" in built.code
    assert "{{" not in built.code
    ast.parse(built.code)


@pytest.mark.parametrize("made", CELLS)
def test_a_secret_named_by_a_variable_is_a_grant_of_every_exposable_one(made: tuple[str, str, dict[str, Any], int]) -> None:
    of = cell(made, "{{secret_var:which}}")
    assert installed()[of.cell_type].secrets(of) == Secrets(every=True)
    built = compiled(of)
    # Neither the one that is not exposable, nor the one that somebody has to approve, nor another kind of connection.
    assert built.uses == reading(SALT, PEPPER, at_use=True)
    assert f"_spin.secret_named(which, {{'my pepper': '{PEPPER.id.hex()}', 'salt': '{SALT.id.hex()}'}})" in built.code


@pytest.mark.parametrize("made", CELLS)
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nowhere", "no secret nowhere that you may use"),
        ("hidden", "not exposable"),
        ("hidden", "Use a connection"),
        ("hidden", "who manages the secret"),
        ("tickets", "of the kind rest"),
    ],
)
def test_what_may_not_be_read_is_refused_in_its_place(made: tuple[str, str, dict[str, Any], int], name: str, says: str) -> None:
    of = cell(made, f"{{{{secret:{name}}}}}")
    (problem,) = errors(of)
    assert says in problem.message
    assert (problem.line, problem.column) == ((1, made[3]) if made[3] else (0, 0))
    assert bool(problem.field) is not bool(made[3])
    with pytest.raises(CellInvalid):
        compiled(of)


def test_a_guarded_secret_can_be_named() -> None:
    assert compiled(Cell("python", "{{secret:guarded}}")).uses == reading(GUARDED)


def test_more_secrets_than_a_program_may_hold() -> None:
    many = by_name(*(replace(SALT, id=bytes([9, number]) * 8, name=f"s{number}") for number in range(33)))
    (problem,) = errors(Cell("python", "a = {{secret_var:which}}"), many)
    assert "more than 32 exposable secrets" in problem.message
    assert (problem.line, problem.column) == (1, 5)
    assert len(compiled(Cell("python", "{{secret_var:which}}"), dict([*many.items()][:64])).uses) == 32


def test_no_secret_for_a_variable_to_name() -> None:
    (problem,) = errors(Cell("python", "{{secret_var:which}}"), by_name(HIDDEN))
    assert "no exposable secret" in problem.message


@pytest.mark.parametrize("quote", ["'", '"'])
def test_a_name_that_python_cannot_read_stands_in_quotes(quote: str) -> None:
    assert compiled(Cell("python", f"x = {{{{secret:{quote}my pepper{quote}}}}}")).uses == reading(PEPPER)
    (problem,) = errors(Cell("python", "x = {{secret:my pepper}}"))
    assert '{{secret:"my pepper"}}' in problem.message


def test_only_what_the_program_reads_is_granted() -> None:
    assert compiled(Cell("shell", "true # {{secret:hidden}}\ncat <<'END'\nx\nEND")).uses == ()
    assert compiled(Cell("sql", "SELECT 1 -- {{secret:hidden}}")).uses == ()
    assert compiled(Cell("python", "x = '{{secret:hidden}}' # {{secret:hidden}}")).uses == ()


def test_a_value_is_no_code_where_it_stands() -> None:
    shell = compiled(Cell("shell", "login '{{secret:salt}}'"))
    assert "${spin_value_1}" in shell.code
    assert shell.code.index("env=") < shell.code.index("_spin.secret(")
    assert "$1" in compiled(Cell("sql", "SELECT {{secret:salt}}")).code
    assert "_spin_quote(" in compiled(Cell("rest", "", {"url": "https://h/{{secret:salt}}"})).code


@pytest.mark.parametrize("cell_type", ["code", "form"])
def test_types_that_read_no_templates_say_so(cell_type: str) -> None:
    fields = {"inputs": [{"name": "a", "default": "{{secret:salt}}"}]} if cell_type == "form" else {}
    of = Cell(cell_type, "" if fields else "{{secret:salt}}", fields)
    (problem,) = installed()[cell_type].validate(of, Context(secrets=ALL))
    assert problem.warning
    assert "text" in problem.message


@pytest.mark.parametrize("cell_type", ["code", "python"])
def test_a_secret_among_the_connections_must_be_exposable(cell_type: str) -> None:
    of = Cell(cell_type, "1", {"connections": ["hidden"]})
    (problem,) = installed()[cell_type].validate(of, Context(connections=ALL))
    assert (problem.field, "not exposable" in problem.message) == ("connections", True)
    built = installed()[cell_type].compile(replace(of, fields={"connections": ["salt"]}), Context(connections=ALL))
    assert built.uses == (Use(SALT.id, ("secret.read",)),)
