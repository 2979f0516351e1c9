"""Kernel messages folded into nbformat outputs, as Jupyter's clients do it.

Neighbouring texts of one stream are one output; clear_output empties the cell, with `wait` only when something new comes;
update_display_data changes every display of that id, in whichever cell it stands; error, result and display become outputs of their own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from spin_client.sdk.events import Kind, Output

NbOutput = dict[str, Any]


@dataclass
class CellOutputs:
    """One cell's outputs while it runs."""

    cell_id: str
    outputs: list[NbOutput] = field(default_factory=list)
    execution_count: int | None = None
    # Stream texts are gathered here and joined once: joining on every message would be quadratic.
    _texts: dict[int, list[str]] = field(default_factory=dict, repr=False)
    _clear_on_next: bool = False

    def as_nbformat(self) -> list[NbOutput]:
        """The outputs with their texts joined."""
        for index, texts in self._texts.items():
            if len(texts) > 1:
                texts[:] = ["".join(texts)]
            self.outputs[index]["text"] = texts[0]
        return self.outputs

    def clear(self, *, wait: bool) -> None:
        if wait:
            self._clear_on_next = True
        else:
            self._clear_on_next = False
            self.outputs.clear()
            self._texts.clear()

    def add_text(self, name: str, text: str) -> None:
        self._clear_if_due()
        if self.outputs and self.outputs[-1]["output_type"] == "stream" and self.outputs[-1]["name"] == name:
            self._texts[len(self.outputs) - 1].append(text)
            return
        self._texts[len(self.outputs)] = [text]
        self.outputs.append({"output_type": "stream", "name": name, "text": ""})

    def add(self, output: NbOutput) -> None:
        self._clear_if_due()
        self.outputs.append(output)

    def _clear_if_due(self) -> None:
        if self._clear_on_next:
            self.clear(wait=False)


class NotebookOutputs:
    """The outputs of all cells that ran in this session object, with the displays that can still change."""

    def __init__(self) -> None:
        self.cells: dict[str, CellOutputs] = {}
        self._displays: dict[str, list[tuple[str, NbOutput]]] = {}

    def begin(self, cell_id: str) -> CellOutputs:
        """Empties the cell: a new run of it starts."""
        cell = self.cells[cell_id] = CellOutputs(cell_id)
        self._forget_displays(cell_id)
        return cell

    def apply(self, output: Output) -> Sequence[str]:
        """Folds one message in; returns the ids of other cells that it changed."""
        cell = self.cells.get(output.cell_id) or self.begin(output.cell_id)
        content = output.content
        match output.kind:
            case Kind.STREAM:
                cell.add_text(str(content.get("name", "stdout")), str(content.get("text", "")))
            case Kind.DISPLAY_DATA | Kind.EXECUTE_RESULT:
                self._add_display(cell, output.kind, content)
            case Kind.UPDATE_DISPLAY_DATA:
                return self._update_displays(output.cell_id, content)
            case Kind.ERROR:
                cell.add(_error(content))
            case Kind.CLEAR_OUTPUT:
                self._clear(cell, wait=bool(content.get("wait")))
            case Kind.EXECUTE_INPUT | Kind.EXECUTE_REPLY:
                cell.execution_count = _count(content, cell.execution_count)
            case Kind.TRUNCATED:
                cell.add_text("stderr", truncation_text(content))
            case _:
                pass
        return ()

    def _clear(self, cell: CellOutputs, *, wait: bool) -> None:
        cell.clear(wait=wait)
        if not wait:
            self._forget_displays(cell.cell_id)

    def _add_display(self, cell: CellOutputs, kind: Kind, content: Mapping[str, Any]) -> None:
        output: NbOutput = {
            "output_type": "execute_result" if kind is Kind.EXECUTE_RESULT else "display_data",
            "data": _mapping(content, "data"),
            "metadata": _mapping(content, "metadata"),
        }
        if kind is Kind.EXECUTE_RESULT:
            output["execution_count"] = cell.execution_count = _count(content, cell.execution_count)
        cell.add(output)
        display_id = _display_id(content)
        if display_id:
            self._displays.setdefault(display_id, []).append((cell.cell_id, output))

    def _update_displays(self, by_cell: str, content: Mapping[str, Any]) -> Sequence[str]:
        changed: list[str] = []
        for cell_id, output in self._displays.get(_display_id(content), ()):
            output["data"] = _mapping(content, "data")
            output["metadata"] = _mapping(content, "metadata")
            if cell_id != by_cell and cell_id not in changed:
                changed.append(cell_id)
        return changed

    def _forget_displays(self, cell_id: str) -> None:
        for display_id, shown in list(self._displays.items()):
            self._displays[display_id] = [entry for entry in shown if entry[0] != cell_id]


def truncation_text(content: Mapping[str, Any]) -> str:
    return str(content.get("text") or f"Output cut off at {content.get('limit_bytes', 'the')} bytes.") + "\n"


def _mapping(content: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = content.get(name)
    return dict(value) if isinstance(value, dict) else {}


def _error(content: Mapping[str, Any]) -> NbOutput:
    lines = content.get("traceback")
    return {
        "output_type": "error",
        "ename": str(content.get("ename", "")),
        "evalue": str(content.get("evalue", "")),
        "traceback": [str(line) for line in lines] if isinstance(lines, list) else [],
    }


def _display_id(content: Mapping[str, Any]) -> str:
    return str(_mapping(content, "transient").get("display_id") or "")


def _count(content: Mapping[str, Any], otherwise: int | None) -> int | None:
    count = content.get("execution_count")
    return count if isinstance(count, int) else otherwise
