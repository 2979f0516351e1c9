"""What every test of a cell type does: validate and compile a cell of a type by its name."""

from typing import Any

import pytest

from spin_cells.api import Cell, CellInvalid, Compiled, ConnectionInfo, Context, Problem
from spin_cells.registry import installed

TICKETS = ConnectionInfo(b"\x12" * 16, "tickets", "rest", frozenset({"rest.request"}))
WAREHOUSE = ConnectionInfo(b"\x34" * 16, "warehouse", "postgresql", frozenset({"sql.query", "sql.schema"}))
CONNECTIONS = {key: info for info in (TICKETS, WAREHOUSE) for key in (info.name, info.id.hex())}


class Workbench:
    """One cell type."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.type = installed()[name]

    def context(self, **changes: Any) -> Context:
        return Context(**{"connections": CONNECTIONS, **changes})

    def cell(self, source: str = "", **fields: Any) -> Cell:
        return Cell(self.name, source, fields)

    def problems(self, source: str = "", *, kernel: str = "python", **fields: Any) -> list[Problem]:
        return [*self.type.validate(self.cell(source, **fields), self.context(kernel_language=kernel))]

    def errors(self, source: str = "", **fields: Any) -> list[Problem]:
        return [problem for problem in self.problems(source, **fields) if not problem.warning]

    def compile(self, source: str = "", **fields: Any) -> Compiled:
        return self.type.compile(self.cell(source, **fields), self.context())

    def refuses(self, source: str = "", **fields: Any) -> str:
        """The texts of what stands in the way of compiling."""
        with pytest.raises(CellInvalid) as refusal:
            self.compile(source, **fields)
        return str(refusal.value)


@pytest.fixture
def bench(request: pytest.FixtureRequest) -> Workbench:
    """The type that the test's file is named after: test_cell_<type>.py."""
    return Workbench(request.path.stem.removeprefix("test_cell_"))
