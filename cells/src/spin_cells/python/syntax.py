"""Reading a Python cell: its tree, its problems with positions, and the templates in it.

- `{{name}}` is Python already: a set of a set, which no program can build, because sets do not hash. So templates are found in the
  tree, never in strings or comments, and no meaning of valid Python is lost.
- What this interpreter's grammar is too old for is a warning: kernels may be newer than the compiler.
"""

import ast
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import cast

from spin_cells import templates
from spin_cells.api import Problem
from spin_cells.python import ipython

_KINDS = ("runtime_env", "secret", "secret_var")
# Syntax of Python 3.12 and later: nested quotes in f-strings, t-strings, type statements and parameters, except without parentheses.
_NEWER = re.compile(r"""[fFtT][rR]?["']|[rR][fFtT]["']|^\s*type\s+\w+|^\s*(?:async\s+)?(?:def|class)\s+\w+\s*\[|^\s*except\*?\s+[^:(]+,""")


@dataclass(frozen=True)
class PythonTemplate:
    """A template with the offsets, in the text that was read, that its replacement takes."""

    kind: templates.Kind
    name: str
    start: int
    end: int
    place: templates.Place


@dataclass(frozen=True)
class Reading:
    """What is known of a cell; `tree` is None where the cell does not read as Python or is IPython's as a whole."""

    text: str
    tree: ast.Module | None = None
    templates: tuple[PythonTemplate, ...] = ()
    problems: tuple[Problem, ...] = ()
    magic_lines: frozenset[int] = field(default_factory=frozenset)


@lru_cache(maxsize=256)
def read(source: str) -> Reading:
    # Python counts a carriage return as the end of a line, alone or before a line feed.
    source = source.replace("\r\n", "\n").replace("\r", "\n")
    if "\0" in source:
        return Reading(source, problems=(templates.at(source, source.index("\0"), source.index("\0") + 1, "Python reads no null characters"),))
    if ipython.belongs_to_ipython(source):
        return Reading(source, problems=_unreplaced(source))
    text, widths = _unindented(source)
    plain, error = text, None
    tree = _parsed(text)
    if isinstance(tree, Exception):
        plain, error = ipython.without_magics(text), tree
        tree = _parsed(plain) if plain != text else tree
    if isinstance(tree, Exception):
        return Reading(text, problems=_verdict(text, tree if plain != text else error or tree, widths))
    found = tuple(_templates(tree, _Offsets(plain), widths))
    late = () if found else _late_problems(tree, widths)
    magic = frozenset(number for number, pair in enumerate(zip(text.split("\n"), plain.split("\n"), strict=True), 1) if pair[0] != pair[1])
    return Reading(text, tree, found, (*_template_problems(found), *_quoted(tree, widths), *late), magic)


def _unindented(source: str) -> tuple[str, dict[int, int]]:
    """IPython strips the first line's indentation from every line that has it; what it took, by line."""
    indent = ipython.indentation(source)
    if not indent:
        return source, {}
    lines = source.split("\n")
    widths = {number: len(indent) for number, line in enumerate(lines, 1) if line.startswith(indent)}
    return "\n".join(line.removeprefix(indent) for line in lines), widths


def _parsed(text: str) -> ast.Module | Exception:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return cast(ast.Module, compile(text, "<cell>", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True))
        except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError) as error:
            return error


def _verdict(text: str, error: Exception, widths: dict[int, int]) -> tuple[Problem, ...]:
    if ipython.is_automagic(text):
        return ()
    if not isinstance(error, SyntaxError):
        return (Problem("Python cannot read this cell: it is nested too deeply"),)
    return (_syntax_problem(error, widths, ipython.may_be_automagic(text) or _is_newer(text, error)),)


def _is_newer(text: str, error: SyntaxError) -> bool:
    lines = text.split("\n")[(error.lineno or 1) - 1 : (error.end_lineno or error.lineno or 1)]
    return any(_NEWER.search(line) for line in lines)


def _syntax_problem(error: SyntaxError, widths: dict[int, int], warning: bool = False) -> Problem:
    line = max(error.lineno or 1, 1)
    column = max(error.offset or 1, 1)
    end_line = max(error.end_lineno or line, line)
    end_column = max(error.end_offset or 1, column + 1 if end_line == line else 1)
    message = f"Invalid Python: {error.msg}" + _about_secrets(error)
    return Problem(message, line, column + widths.get(line, 0), end_line, end_column + widths.get(end_line, 0), warning=warning)


def _about_secrets(error: SyntaxError) -> str:
    """What to do about `{{secret:my db}}`, whose name Python cannot read."""
    named = [found.name for found in templates.find(error.text or "") if found.kind == "secret"]
    return f'. A name with such characters stands in quotes: {{{{secret:"{named[0]}"}}}}' if named else ""


def _late_problems(tree: ast.Module, widths: dict[int, int]) -> tuple[Problem, ...]:
    """What the grammar allows and the compiler refuses, such as `return` outside a function; statement by statement, as IPython compiles."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for statement in tree.body:
            try:
                compile(ast.Module([statement], []), "<cell>", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
            except SyntaxError as error:
                return (_syntax_problem(error, widths),)
            except (ValueError, MemoryError, OverflowError):
                return (Problem("Python cannot compile this cell"),)
    return ()


class _Offsets:
    """From the tree's positions (line, UTF-8 bytes) to offsets in the text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._lines = text.split("\n")
        self._starts = [0]
        for line in self._lines:
            self._starts.append(self._starts[-1] + len(line) + 1)
        # Where in which line one was last: templates come in their order, and a line may hold many.
        self._line, self._encoded, self._bytes, self._characters = 0, b"", 0, 0

    def of(self, line: int, byte_column: int) -> int:
        if line != self._line:
            self._line, self._encoded, self._bytes, self._characters = line, self._lines[line - 1].encode(), 0, 0
        begin, characters = (self._bytes, self._characters) if byte_column >= self._bytes else (0, 0)
        self._bytes, self._characters = byte_column, characters + len(self._encoded[begin:byte_column].decode())
        return self._starts[line - 1] + self._characters

    def span(self, node: ast.expr) -> tuple[int, int]:
        return self.of(node.lineno, node.col_offset), self.of(node.end_lineno or node.lineno, node.end_col_offset or node.col_offset)


def _templates(tree: ast.AST, offsets: _Offsets, widths: dict[int, int]) -> Iterator[PythonTemplate]:
    def template(kind: str, name: str, node: ast.expr) -> PythonTemplate:
        start, end = offsets.span(node)
        at = templates.at(offsets.text, start, end, "")
        shift, end_shift = widths.get(at.line, 0), widths.get(at.end_line, 0)
        at = replace(at, column=at.column + shift, end_column=at.end_column + end_shift)
        said = cast(templates.Kind, kind)
        return PythonTemplate(said, name, start, end, templates.Place(said, name, at))

    for node in _outside_strings(tree):
        match node:
            case ast.Set(elts=[ast.Set(elts=[ast.Name(id=variable)])]):
                yield template("variable", variable, node)
            case ast.Set(elts=[ast.Dict(keys=[ast.Name(id=kind)], values=[value])]) if kind in _KINDS:
                start, end = offsets.span(value)
                yield template(kind, templates.unquoted(offsets.text[start:end]), node)


def _outside_strings(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes in the order of the source, without what stands inside f-strings, whose positions are not exact before Python 3.12."""
    yield node
    if not isinstance(node, ast.JoinedStr):
        for child in ast.iter_child_nodes(node):
            yield from _outside_strings(child)


def _template_problems(found: tuple[PythonTemplate, ...]) -> Iterator[Problem]:
    for template in found:
        if message := templates.fault(template.kind, template.name):
            yield template.place.problem(message)


def _quoted(tree: ast.Module, widths: dict[int, int]) -> Iterator[Problem]:
    """Warnings for `"{{runtime_env:X}}"`: text for Python, and surely not meant so."""
    for node in _outside_strings(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            for template in templates.find(node.value):
                if template.kind != "variable":
                    written = node.value[template.start : template.end]
                    column = node.col_offset + 1 + widths.get(node.lineno, 0)
                    message = f"In Python, templates are not replaced inside quotes: write {written} without them"
                    yield Problem(message, node.lineno, column, node.lineno, column, warning=True)


def _unreplaced(source: str) -> tuple[Problem, ...]:
    """Templates of a cell that IPython rewrites as a whole stay text, except for the refused kinds, which are said to be refused."""
    return tuple(
        templates.at(source, found.start, found.end, "Templates are not replaced in cells that start with a cell magic or a prompt", warning=True)
        for found in templates.find(source)
    )
