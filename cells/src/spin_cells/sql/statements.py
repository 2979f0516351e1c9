"""Reading SQL: its statements, the places of its templates, its problems with positions.

- A template is a bound parameter, so it stands where SQL allows a value. Inside quotes it would be text, and a name cannot be
  bound: both are refused.
- A statement's text reaches the engine as it was written; only templates change, each to `$N` and as many spaces as keep the columns.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import cast

import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError, SqlglotError, TokenError
from sqlglot.tokenizer_core import Token, TokenType

from spin_cells import templates
from spin_cells.api import Problem
from spin_cells.templates import Template, Text

DIALECT = "duckdb"


@dataclass(frozen=True)
class Statement:
    """One statement with its parameters in order; `rows` says that it gives rows, which a limit may cut."""

    text: str
    parameters: tuple[Template, ...]
    rows: bool


@dataclass(frozen=True)
class Reading:
    statements: tuple[Statement, ...] = ()
    problems: tuple[Problem, ...] = ()


@lru_cache(maxsize=128)
def read(source: str) -> Reading:
    try:
        tokens = sqlglot.tokenize(_masked(source), read=DIALECT)
    except TokenError:
        return Reading(problems=(_unterminated(source),))
    found = templates.find(source)
    parts = [_Part(source, span, found) for span in _spans(tokens)]
    refused = tuple(problem for part in parts for problem in (*_misplaced(part), *_foreign_parameters(part)))
    if refused:
        return Reading(problems=refused)
    try:
        trees = [_tree(part) for part in parts]
    except _Unreadable as error:
        return Reading(problems=(error.problem,))
    problems = tuple(problem for part, tree in zip(parts, trees, strict=True) for problem in _bound_names(part, tree))
    return Reading(tuple(_statement(part, tree) for part, tree in zip(parts, trees, strict=True)), problems)


class _Unreadable(Exception):
    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


class _Part:
    """One statement's tokens, and its templates: those that a token surrounds, and those that no token does, which are in comments."""

    def __init__(self, source: str, tokens: list[Token], found: Sequence[Template]) -> None:
        """`found` are the templates of the whole source, in their order."""
        self.source, self.tokens = source, tokens
        self.start, self.end = tokens[0].start, tokens[-1].end + 1
        self._starts = [token.start for token in tokens]
        first, end = (bisect_left(found, offset, key=lambda template: template.start) for offset in (self.start, self.end))
        self.around = {template: token for template in found[first:end] if (token := self._around(template)) is not None}
        self._bound = {template.start - self.start for template in self.around}

    def _around(self, template: Template) -> Token | None:
        before = bisect_right(self._starts, template.start) - 1
        token = self.tokens[before] if before >= 0 else None
        return token if token is not None and template.end - 1 <= token.end else None

    def bound(self) -> tuple[str, list[Template]]:
        """The text with `$1`, `$2`, … for its templates; a variable that comes twice is one parameter."""
        text: list[str] = []
        parameters: list[Template] = []
        numbers: dict[tuple[str, str], int] = {}
        for piece in templates.pieces(self.source[self.start : self.end]):
            if isinstance(piece, Text):
                text.append(piece.text)
            elif piece.start not in self._bound:
                # In a comment.
                text.append(" " * (piece.end - piece.start))
            else:
                if (piece.kind, piece.name) not in numbers:
                    numbers[piece.kind, piece.name] = len(numbers) + 1
                    parameters.append(piece)
                text.append(f"${numbers[piece.kind, piece.name]}".ljust(piece.end - piece.start))
        return "".join(text), parameters


def _masked(source: str) -> str:
    """The source with a word in each template's place, of the same length: what the tokenizer makes of the word says where it stands."""
    return "".join(
        "x" * (piece.end - piece.start) if isinstance(piece, Template) else source[piece.start : piece.end] for piece in templates.pieces(source)
    )


def _spans(tokens: list[Token]) -> Iterator[list[Token]]:
    """The tokens of each statement."""
    current: list[Token] = []
    for token in tokens:
        if token.token_type is not TokenType.SEMICOLON:
            current.append(token)
        elif current:
            yield current
            current = []
    if current:
        yield current


def _misplaced(part: _Part) -> Iterator[Problem]:
    for template, token in part.around.items():
        if (token.start, token.end) == (template.start, template.end - 1):
            continue
        written = part.source[template.start : template.end]
        if token.token_type is TokenType.STRING:
            message = f"{written} is a value: write it outside the quotes, as in '%' || {written} || '%'"
        else:
            message = f"{written} is a value and cannot be part of a name"
        yield templates.at(part.source, template.start, template.end, message)


def _foreign_parameters(part: _Part) -> Iterator[Problem]:
    for token in part.tokens:
        if token.token_type in (TokenType.PLACEHOLDER, TokenType.PARAMETER):
            yield templates.at(part.source, token.start, token.end + 1, "Write parameters as {{name}}, with the name of the variable")


def _tree(part: _Part) -> exp.Expression:
    text, _ = part.bound()
    line, column = templates.position(part.source, part.start)
    try:
        return cast(exp.Expression, sqlglot.parse_one(text, read=DIALECT))
    except ParseError as error:
        raise _Unreadable(_placed(_parse_problem(error, text), line, column)) from error
    except SqlglotError as error:
        raise _Unreadable(Problem(f"Invalid SQL: {error}"[:300], line, column, line, column)) from error


def _placed(problem: Problem, line: int, column: int) -> Problem:
    """Of a statement, which begins there in the cell."""
    shift, end_shift = (column - 1 if at == 1 else 0 for at in (problem.line, problem.end_line))
    return replace(
        problem,
        line=problem.line + line - 1,
        end_line=problem.end_line + line - 1,
        column=problem.column + shift,
        end_column=problem.end_column + end_shift,
    )


def _parse_problem(error: ParseError, text: str) -> Problem:
    """The parser counts a line break after a parameter twice, so the place is found by the text around it instead."""
    first = error.errors[0] if error.errors else {}
    before, highlight = str(first.get("start_context") or ""), str(first.get("highlight") or "")
    offset = len(before) + max(0, text.find(before + highlight))
    return templates.at(text, offset, offset + max(1, len(highlight)), f"Invalid SQL: {_readable(str(first.get('description') or error))}")


def _readable(description: str) -> str:
    """The parser's text without the names of its own classes."""
    if "missing for <class" in description:
        return "something is missing here"
    return re.sub(r" but got <Token.*", "", description, flags=re.DOTALL)[:300]


def _statement(part: _Part, tree: exp.Expression) -> Statement:
    text, parameters = part.bound()
    return Statement(text, tuple(parameters), isinstance(tree, exp.Query | exp.Values | exp.Pivot))


def _bound_names(part: _Part, tree: exp.Expression) -> Iterator[Problem]:
    """`FROM {{x}}`: a table has a name, and names cannot be bound."""
    _, parameters = part.bound()
    for table in tree.find_all(exp.Table):
        if isinstance(table.this, exp.Parameter | exp.Placeholder):
            bound = parameters[int(str(table.this.this)) - 1]
            start, end = part.start + bound.start, part.start + bound.end
            yield templates.at(part.source, start, end, f"A table is written by its name: FROM {bound.name}")


def _unterminated(source: str) -> Problem:
    """A quote or comment that never closes: it is the last one that opens."""
    offset = max(source.rfind("'"), source.rfind('"'), source.rfind("/*"), source.rfind("$$"), 0)
    return templates.at(source, offset, len(source), "Invalid SQL: a quote or comment that starts here is never closed")
