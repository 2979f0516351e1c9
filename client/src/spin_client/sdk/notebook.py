"""Runs a whole notebook in a session, cell by cell, and gathers its outputs in nbformat's form."""

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from spin_client.sdk import tracing
from spin_client.sdk.chain import Chain, Outcome
from spin_client.sdk.errors import SpinError
from spin_client.sdk.events import InputRequest, Output, Phase, RunState, Status
from spin_client.sdk.outputs import NotebookOutputs
from spin_client.sdk.parameters import CELL_ID, with_parameters
from spin_client.sdk.platform import every_page
from spin_client.sdk.session import RuntimeSession
from spinapis.compiler.v1 import compiler_pb2
from spinapis.workspace.v1 import notebooks_pb2

# After these there is no kernel to go on with.
_KERNEL_GONE = (Status.KERNEL_DIED, Status.LOST)


@dataclass(frozen=True)
class CellStarted:
    cell: notebooks_pb2.Cell
    number: int
    total: int


@dataclass(frozen=True)
class CellFinished:
    cell: notebooks_pb2.Cell
    state: RunState

    @property
    def ok(self) -> bool:
        return self.state.ok


@dataclass(frozen=True)
class NotebookFinished:
    """outcomes: cell id to what became of it; cells that cannot run are absent."""

    outcomes: Mapping[str, Outcome]

    @property
    def ok(self) -> bool:
        return all(outcome is Outcome.OK for outcome in self.outcomes.values())

    def count(self, outcome: Outcome) -> int:
        return sum(1 for each in self.outcomes.values() if each is outcome)


NotebookEvent = CellStarted | CellFinished | NotebookFinished | Output | InputRequest | RunState


class NotebookRun:
    """One pass over a notebook. Iterate `events()`; `outputs` grows meanwhile."""

    def __init__(
        self,
        session: RuntimeSession,
        notebook: notebooks_pb2.Notebook,
        *,
        parameters: Mapping[str, Any] | None = None,
        keep_going: bool = False,
        allow_stdin: bool = False,
    ) -> None:
        self.session = session
        self.notebook = notebook
        self.outputs = NotebookOutputs()
        self._parameters = parameters or {}
        self._keep_going = keep_going
        self._allow_stdin = allow_stdin
        self._chain: Chain | None = None

    async def events(self) -> AsyncIterator[NotebookEvent]:
        """Everything that happens, ending with `NotebookFinished`."""
        await self.session.start_kernel(kernel_of(self.notebook))
        cells = with_parameters(self.notebook.cells, self._parameters, self.session.kernel.language)
        chain = self._chain = Chain(cells, self._keep_going, rendered=await _rendered(self.session))
        number = 0
        while (cell := chain.next()) is not None:
            number += 1
            yield CellStarted(cell, number, chain.runnable)
            async for event in self._one(cell, chain):
                yield event
        yield NotebookFinished(chain.outcomes)

    def stop(self) -> None:
        """No further cell starts; the running one is not touched (see RuntimeSession.interrupt)."""
        if self._chain is not None:
            self._chain.stop()

    async def save(self) -> None:
        """Writes each cell's outputs to the notebook on the platform, without making a version."""
        for cell_id, folded in self.outputs.cells.items():
            if cell_id == CELL_ID:
                continue
            request = notebooks_pb2.SaveCellOutputsRequest(
                workspace_id=self.notebook.workspace_id,
                notebook_id=self.notebook.id,
                cell_id=cell_id,
                outputs_json=json.dumps(folded.as_nbformat()),
                execution_count=folded.execution_count,
            )
            await self.session.platform.notebooks.SaveCellOutputs(request)

    async def _one(self, cell: notebooks_pb2.Cell, chain: Chain) -> AsyncIterator[NotebookEvent]:
        self.outputs.begin(cell.id)
        final = RunState(Phase.ENDED, Status.LOST, cell.id)
        with tracing.operation("spin.cell"):
            try:
                async for event in self.session.run(cell, allow_stdin=self._allow_stdin):
                    if isinstance(event, Output):
                        self.outputs.apply(event)
                    if isinstance(event, RunState) and event.final:
                        final = event
                    yield event
            except SpinError as error:
                # A cell that does not compile has failed like one that raised; anything else stops the notebook.
                if error.reason not in ("CELL_INVALID", "CELL_TYPE_UNKNOWN", "CONNECTION_UNUSABLE", "SOURCE_NOT_SAVED"):
                    raise
                final = RunState(Phase.REJECTED, Status.UNSPECIFIED, cell.id, reason=error.reason, message=_with_problems(error))
                yield final
        chain.finished(ok=final.ok)
        if final.status in _KERNEL_GONE or final.status is Status.INTERRUPTED:
            chain.stop()
        yield CellFinished(cell, final)


def kernel_of(notebook: notebooks_pb2.Notebook) -> str:
    """The kernelspec's name in the notebook's metadata; empty when it names none."""
    try:
        return str(json.loads(notebook.metadata_json or "{}").get("kernelspec", {}).get("name", ""))
    except (ValueError, AttributeError):
        return ""


async def _rendered(session: RuntimeSession) -> frozenset[str]:
    """Names of the cell types that clients render themselves."""
    names = {"raw"}
    async for cell_type in every_page(session.platform.compiler.ListCellTypes, compiler_pb2.ListCellTypesRequest(), "cell_types"):
        if not cell_type.executable:
            names.add(cell_type.name)
    return frozenset(names | {"markdown"})


def _with_problems(error: SpinError) -> str:
    return "\n".join([error.text, *(f"{p.field}: {p.text}" if p.field else p.text for p in error.problems)])
