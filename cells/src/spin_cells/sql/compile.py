"""SQL over the notebook's DataFrames: each statement is one constant, each template one bound parameter."""

import ast
import re
from collections.abc import Sequence

from spin_cells import connections, generate, templates
from spin_cells.api import Cell, Compiled, Context, Problem
from spin_cells.sql.form import DEFAULT_ROW_LIMIT
from spin_cells.sql.statements import Statement, read
from spin_cells.templates import Place

_LABEL = re.compile(r"[A-Za-z0-9_.:@-]{1,80}\Z")


def check(cell: Cell, context: Context) -> Sequence[Problem]:
    first = [*connections.needs_python(context, "SQL cells over DataFrames"), *templates.problems(cell.source)]
    reading = read(cell.source)
    empty = [] if reading.statements or reading.problems else [Problem("Write a statement", 1, 1, 1, 1)]
    return first or [*reading.problems, *empty]


def reads(cell: Cell) -> Sequence[Place]:
    bound = {(parameter.kind, parameter.name) for statement in read(cell.source).statements for parameter in statement.parameters}
    return [place for place in templates.places(cell.source) if (place.kind, place.name) in bound]


def build(cell: Cell, context: Context) -> Compiled:
    statements = read(cell.source).statements
    limit = cell.fields.get("row_limit", DEFAULT_ROW_LIMIT)
    calls = [_call(statement, context, limit) for statement in statements]
    variable = cell.fields.get("variable", "")
    last = [generate.assign(variable, calls[-1]), generate.shown(generate.name(variable))] if variable else [generate.shown(calls[-1])]
    body = [*(generate.assign("_spin_result", call) for call in calls[:-1]), *last]
    names = sorted({parameter.name for statement in statements for parameter in statement.parameters if parameter.kind == "runtime_env"})
    return Compiled(generate.program(*body), generate.environment_uses(names), (variable,) if variable else ())


def _call(statement: Statement, context: Context, limit: int) -> ast.expr:
    text = ast.Constant(f"{statement.text}\n{audit_comment(context)}")
    parameters = ast.List([generate.value_of(parameter, context) for parameter in statement.parameters], ast.Load())
    keywords = {"row_limit": ast.Constant(limit)} if statement.rows else {}
    return generate.spin_call("sql.query", text, parameters, **keywords)


def audit_comment(context: Context) -> str:
    """Names the run in the engine's own log. Only plain words get in, so that nothing in it can end the comment."""
    labels = [f"{key}={value}" for key, value in sorted(context.labels.items()) if _LABEL.match(key) and _LABEL.match(value)]
    return f"/* {' '.join(['spin', *labels])} */"
