"""A test is one operation, KIND.test, which every connection allows that allows anything. It has no parameters: what is tried is configuration."""

import ast
from collections.abc import Sequence

from spin_cells import connections, generate
from spin_cells.api import Cell, CellInvalid, Compiled, Context, Problem, Use
from spin_envelope.digests import params_digest


def refer(cell: Cell) -> Sequence[str]:
    return (cell.fields["connection"],)


def check(cell: Cell, context: Context) -> Sequence[Problem]:
    return [*connections.needs_python(context, "Connection tests"), *connections.problems(refer(cell), context, "connection")]


def build(cell: Cell, context: Context) -> Compiled:
    found = connections.find(cell.fields["connection"], context, "connection")
    if isinstance(found, Problem):
        raise CellInvalid([found])
    operation = f"{found.kind}.test"
    call = generate.spin_call("test_connection", ast.Constant(found.id.hex()), ast.Constant(operation))
    return Compiled(generate.program(ast.Expr(call)), (Use(found.id, (operation,), params_digest({})),))
