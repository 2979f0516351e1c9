"""What all built-in cell types share: one frozen object made from a form and three functions.

- A cell's fields are checked against the form's schema before any other function of the type sees them.
- `compile` never returns code for a cell that `validate` refuses.
- A type says which templates its program reads; which secrets those may be, and what the program needs for them, is decided here for all types.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from jsonschema import Draft202012Validator

from spin_cells import exposure
from spin_cells.api import Cell, CellInvalid, Compiled, Context, Problem, Secrets
from spin_cells.templates import Place

SCHEMA = "https://json-schema.org/draft/2020-12/schema"
ID_PATTERN = r"^[^\s\x00-\x1f](?:[^\x00-\x1f]{0,198}[^\s\x00-\x1f])?$"
VARIABLE_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]*$"


def form(properties: Mapping[str, Any], **keywords: Any) -> Mapping[str, Any]:
    """A form's schema: the order of `properties` is the order in which an editor shows them."""
    return {"$schema": SCHEMA, "type": "object", "properties": dict(properties), "additionalProperties": False, **keywords}


def no_references(cell: Cell) -> Sequence[str]:
    return ()


def no_places(cell: Cell) -> Sequence[Place]:
    return ()


def no_problems(cell: Cell, context: Context) -> Sequence[Problem]:
    return ()


@dataclass(frozen=True)
class Definition:
    """Satisfies `api.CellType`."""

    name: str
    display_name: str
    description: str
    language: str
    form_schema: Mapping[str, Any]
    build: Callable[[Cell, Context], Compiled]
    check: Callable[[Cell, Context], Sequence[Problem]] = no_problems
    refer: Callable[[Cell], Sequence[str]] = no_references
    # The templates that the cell's program reads.
    reads: Callable[[Cell], Sequence[Place]] = no_places
    executable: bool = True
    connection_kind: str = ""

    @cached_property
    def _validator(self) -> Draft202012Validator:
        return Draft202012Validator(dict(self.form_schema))

    def references(self, cell: Cell) -> Sequence[str]:
        """References of a cell whose fields do not satisfy the form are empty: validate says what is wrong with them."""
        return () if self._field_problems(cell) else self.refer(cell)

    def secrets(self, cell: Cell) -> Secrets:
        try:
            return Secrets() if self._field_problems(cell) else exposure.wanted(self.reads(cell))
        except RecursionError:
            return Secrets()

    def validate(self, cell: Cell, context: Context) -> Sequence[Problem]:
        try:
            return self._field_problems(cell) or (*self.check(cell, context), *exposure.problems(self.reads(cell), context))
        except RecursionError:
            return (Problem("The cell is nested too deeply"),)

    def compile(self, cell: Cell, context: Context) -> Compiled:
        problems = self.validate(cell, context)
        if any(not problem.warning for problem in problems):
            raise CellInvalid(problems)
        try:
            built = self.build(cell, context)
            return replace(built, uses=(*built.uses, *exposure.uses(self.reads(cell), context)))
        except RecursionError as error:
            raise CellInvalid((Problem("The cell is nested too deeply"),)) from error

    def _field_problems(self, cell: Cell) -> tuple[Problem, ...]:
        errors = sorted(self._validator.iter_errors(cell.fields), key=lambda error: [str(part) for part in error.absolute_path])
        return tuple(Problem(_sentence(error.message), field=".".join(str(part) for part in error.absolute_path)) for error in errors)


def _sentence(message: str) -> str:
    return message if len(message) <= 300 else message[:297] + "…"
