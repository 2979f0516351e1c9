"""A shell script is one argument of the shell, the same whatever the values are; values travel in environment variables.

The program is `bash -c SCRIPT` with NAME=value in its environment: the value of a template cannot add a word, a quote or a command to the script.
Where the shell evaluates what stands in a variable, as arithmetic does, the value must be a number, and in a script that evaluates anything
no value may hold what would run there: the kernel checks both first.
"""

import ast
from collections.abc import Sequence
from functools import lru_cache

from spin_cells import connections, generate, templates
from spin_cells.api import Cell, Compiled, Context, Problem
from spin_cells.shell.evaluation import Care
from spin_cells.shell.quoting import Slot, slots
from spin_cells.templates import Place, Text

# Keeps the kernel from showing the result; its underscore keeps it out of the list of variables.
_RESULT = "_spin_result"


def check(cell: Cell, context: Context) -> Sequence[Problem]:
    return [
        *connections.needs_python(context, "Shell cells"),
        *templates.problems(cell.source),
        *templates.problems(cell.fields.get("working_directory", ""), "working_directory"),
        *_unexpandable(cell),
        *([] if cell.source.strip() else [Problem("Write a command", 1, 1, 1, 1)]),
        *([Problem("A script cannot hold null bytes")] if "\0" in cell.source else []),
    ]


def reads(cell: Cell) -> Sequence[Place]:
    in_script = [templates.place(cell.source, part.template) for part in _parts(cell) if isinstance(part, Slot) and part.variable]
    return [*in_script, *templates.places(cell.fields.get("working_directory", ""), "working_directory")]


def build(cell: Cell, context: Context) -> Compiled:
    parts = _parts(cell)
    script = "".join(part if isinstance(part, str) else part.written or cell.source[part.template.start : part.template.end] for part in parts)
    argv: list[ast.expr] = [ast.Constant(word) for word in (_shell(cell), "-c", script)]
    call = generate.spin_call("shell.run", ast.List(argv, ast.Load()), **_keywords(cell, parts, context))
    variable = cell.fields.get("variable", "")
    statement = generate.assign(variable, ast.Attribute(call, "stdout", ast.Load())) if variable else generate.assign(_RESULT, call)
    return Compiled(generate.program(statement), generate.environment_uses(_environment_names(cell, parts)), (variable,) if variable else ())


def _shell(cell: Cell) -> str:
    return str(cell.fields.get("shell", "bash"))


def _parts(cell: Cell) -> tuple[str | Slot, ...]:
    return _read(cell.source, _shell(cell))


@lru_cache(maxsize=8)
def _read(source: str, shell: str) -> tuple[str | Slot, ...]:
    """A cell is validated, then built: reading its script once is enough."""
    found = templates.pieces(source)
    return tuple(slots(found, shell)) if templates.has_template(found) else tuple(piece.text for piece in found if isinstance(piece, Text))


def _keywords(cell: Cell, parts: Sequence[str | Slot], context: Context) -> dict[str, ast.expr]:
    keywords: dict[str, ast.expr] = {}
    placed = [part for part in parts if isinstance(part, Slot) and part.variable]
    if values := {slot.variable: _value(slot, cell, context) for slot in placed}:
        keywords["env"] = ast.Dict([ast.Constant(name) for name in values], list(values.values()))
    if directory := cell.fields.get("working_directory"):
        keywords["cwd"] = generate.text_of(templates.pieces(directory), context)
    if timeout := cell.fields.get("timeout_s"):
        keywords["timeout"] = generate.constant(timeout)
    return keywords


def _value(slot: Slot, cell: Cell, context: Context) -> ast.expr:
    value = generate.value_of(slot.template, context)
    written = ast.Constant(cell.source[slot.template.start : slot.template.end])
    match slot.care:
        case Care.NONE:
            return generate.joined([value])
        case Care.GUARDED:
            return generate.spin_call("shell.guarded", value, written)
    lost = [ast.Constant(slot.lost_at)] if slot.lost_at else []
    return generate.spin_call("shell.number", value, written, *lost)


def _environment_names(cell: Cell, parts: Sequence[str | Slot]) -> list[str]:
    in_script = {part.template.name for part in parts if isinstance(part, Slot) and part.variable and part.template.kind == "runtime_env"}
    return sorted(in_script | {*templates.environment_names([cell.fields.get("working_directory", "")])})


def _unexpandable(cell: Cell) -> list[Problem]:
    message = "A here-document with a quoted word expands nothing: write the word without quotes to use values in it"
    return [
        templates.at(cell.source, part.template.start, part.template.end, message)
        for part in _parts(cell)
        if isinstance(part, Slot) and not part.variable and not part.in_comment
    ]
