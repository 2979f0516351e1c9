"""Raw text is kept for other tools and never runs."""

from spin_cells.api import Cell, CellInvalid, Compiled, Context, Problem


def build(cell: Cell, context: Context) -> Compiled:
    raise CellInvalid((Problem("A raw cell is kept as it is and not run"),))
