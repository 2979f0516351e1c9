"""Python goes to the kernel as it was written; templates alone are replaced, where they stand, so that lines keep their numbers."""

import ast
from collections.abc import Sequence

from spin_cells import connections, generate
from spin_cells.api import Cell, Compiled, Context, Problem
from spin_cells.code.compile import connection_uses, refer, secret_problems
from spin_cells.python.syntax import PythonTemplate, Reading, read
from spin_cells.templates import Place, Template


def check(cell: Cell, context: Context) -> Sequence[Problem]:
    return [
        *connections.needs_python(context, "Python cells"),
        *connections.problems(refer(cell), context, "connections"),
        *secret_problems(cell, context),
        *read(cell.source).problems,
    ]


def reads(cell: Cell) -> Sequence[Place]:
    return [template.place for template in read(cell.source).templates]


def build(cell: Cell, context: Context) -> Compiled:
    reading = read(cell.source)
    code = _spliced(reading, context) if reading.templates else cell.source
    names = sorted({template.name for template in reading.templates if template.kind == "runtime_env"})
    return Compiled(code, (*generate.environment_uses(names), *connection_uses(cell, context)), _assigned(reading.tree))


def _spliced(reading: Reading, context: Context) -> str:
    pieces: list[str] = []
    done = 0
    for template in sorted(reading.templates, key=lambda found: found.start):
        written = reading.text[template.start : template.end]
        pieces += (reading.text[done : template.start], _expression(template, context, written.count("\n")))
        done = template.end
    text = "".join((*pieces, reading.text[done:]))
    needs_import = any(template.kind != "variable" for template in reading.templates)
    return _with_import(text, reading) if needs_import and reading.tree is not None else text


def _expression(template: PythonTemplate, context: Context, lines: int) -> str:
    """The replacement, in parentheses: the braces were a delimiter, and a template over several lines keeps its number of lines."""
    value = generate.value_of(Template(template.kind, template.name, template.start, template.end), context)
    return "(" + ast.unparse(ast.fix_missing_locations(value)) + "\n" * lines + ")"


def _with_import(text: str, reading: Reading) -> str:
    """Puts the import where no line moves: on an empty line or comment before the first statement, else before it or after it on its line.

    A first statement that takes no neighbour (compound, decorated, a magic) gets the import on a line of its own above.
    """
    if reading.tree is None or not reading.tree.body:
        return text
    statement = f"import spin_kernel as {generate.SPIN}"
    lines = text.split("\n")
    first = reading.tree.body[0]
    if _first_line(first) > 1 and not _is_future(first):
        return "\n".join([statement, *lines[1:]])
    if first.lineno in reading.magic_lines or isinstance(first, _COMPOUND) or _is_future(first):
        return _own_line(lines, statement, reading.tree)
    lines[first.lineno - 1] = f"{statement}; {lines[first.lineno - 1]}"
    return "\n".join(lines)


_COMPOUND = (
    ast.If,
    ast.For,
    ast.While,
    ast.With,
    ast.Try,
    ast.TryStar,
    ast.Match,
    ast.FunctionDef,
    ast.ClassDef,
    ast.AsyncFunctionDef,
    ast.AsyncFor,
    ast.AsyncWith,
)


def _first_line(statement: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(statement, "decorator_list", [])
    return min([statement.lineno, *(decorator.lineno for decorator in decorators)])


def _is_future(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.ImportFrom) and statement.module == "__future__"


def _own_line(lines: list[str], statement: str, tree: ast.Module) -> str:
    """A line of its own: after the last `from __future__` import, else at the top."""
    after = max((node.end_lineno or node.lineno for node in tree.body if _is_future(node)), default=0)
    return "\n".join([*lines[:after], statement, *lines[after:]])


def _assigned(tree: ast.Module | None) -> tuple[str, ...]:
    """Names that top-level statements bind: variables, functions, classes, imports; names with a leading underscore are the cell's own."""
    if tree is None:
        return ()
    names = {name for statement in tree.body for name in _bound(statement)}
    return tuple(sorted(name for name in names if not name.startswith("_")))[:256]


def _bound(statement: ast.stmt) -> set[str]:
    match statement:
        case ast.Assign(targets=targets):
            return {name for target in targets for name in _targets(target)}
        case ast.AnnAssign(target=target) | ast.AugAssign(target=target) | ast.For(target=target):
            return _targets(target)
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return {name}
        case ast.With(items=items) | ast.AsyncWith(items=items):
            return {name for item in items if item.optional_vars is not None for name in _targets(item.optional_vars)}
    return set()


def _targets(target: ast.expr) -> set[str]:
    if isinstance(target, ast.Name):
        return {target.id}
    return {node.id for node in ast.walk(target) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
