"""Markdown is rendered by the client and never runs."""

from spin_cells.api import Cell, CellInvalid, Compiled, Context, Problem


def build(cell: Cell, context: Context) -> Compiled:
    raise CellInvalid((Problem("Markdown is shown, not run"),))
