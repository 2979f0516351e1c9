"""Which cells of a notebook run, pure.

A linked cell runs only if the cell above it succeeded; "above" skips what cannot run (Markdown, raw). By default the first failure stops the whole
notebook, as Jupyter's "run all" does. With `keep_going`, the failed cell's chain is skipped and the next cell that is not linked goes on.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from enum import Enum

from spinapis.workspace.v1 import notebooks_pb2

# What the platform itself does not compile; the compiler's list of cell types has the whole truth.
RENDERED = frozenset({"markdown", "raw"})


class Outcome(Enum):
    OK = "ok"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass
class Chain:
    """Ask `next`, run that cell, tell `finished`; until `next` is None."""

    cells: Sequence[notebooks_pb2.Cell]
    keep_going: bool = False
    rendered: Collection[str] = RENDERED
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    _at: int = 0
    _above: Outcome = Outcome.OK
    _stopped: bool = False

    def next(self) -> notebooks_pb2.Cell | None:
        """The next cell to run; those that are passed over because of a failure are marked SKIPPED."""
        while self._at < len(self.cells):
            cell = self.cells[self._at]
            if not self._runs(cell):
                self._at += 1
                continue
            if self._stopped or (cell.linked and self._above is not Outcome.OK):
                self._note(cell, Outcome.SKIPPED)
                continue
            return cell
        return None

    def finished(self, *, ok: bool) -> None:
        """Of the cell that `next` gave."""
        self._note(self.cells[self._at], Outcome.OK if ok else Outcome.FAILED)
        if not ok and not self.keep_going:
            self._stopped = True

    def stop(self) -> None:
        """Nothing more runs: the person interrupted, or the kernel is gone."""
        self._stopped = True

    @property
    def runnable(self) -> int:
        """How many cells there are to run."""
        return sum(1 for cell in self.cells if self._runs(cell))

    @property
    def ok(self) -> bool:
        return all(outcome is Outcome.OK for outcome in self.outcomes.values())

    def _runs(self, cell: notebooks_pb2.Cell) -> bool:
        # A request or a form may say everything in its fields; a cell with neither source nor fields says nothing.
        return cell.cell_type not in self.rendered and (bool(cell.source.strip()) or cell.fields_json not in ("", "{}"))

    def _note(self, cell: notebooks_pb2.Cell, outcome: Outcome) -> None:
        self.outcomes[cell.id] = outcome
        self._above = outcome
        self._at += 1
