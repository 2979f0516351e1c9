"""What `spinctl run` shows while a notebook runs: for people on a terminal, or JSON Lines for programs.

A display that changes is shown as it begins, and once more as it is when the cell ends. A progress bar moves on a terminal; in a log it is one line.
"""

import shutil
import sys
from collections.abc import Mapping
from typing import Any, TextIO

from spin_client.cli.printing import Printer
from spin_client.cli.rendering import PROGRESS, display_text, error_text, progress_text
from spin_client.cli.terminal_text import TerminalText, clean
from spin_client.sdk.chain import Outcome
from spin_client.sdk.events import Kind, Output, Phase, RunState, Status
from spin_client.sdk.notebook import CellFinished, CellStarted, NotebookEvent, NotebookFinished
from spin_client.sdk.outputs import truncation_text

_ENDS = {
    Status.INTERRUPTED: "was interrupted",
    Status.LIMIT: "was ended by a limit",
    Status.KERNEL_DIED: "killed its kernel",
    Status.LOST: "was lost with its runtime",
    Status.ABORTED: "was taken out of the queue",
}


class LiveOutput:
    """Cells' output goes to standard output (their stderr to standard error); headings and verdicts go to standard error."""

    def __init__(self, printer: Printer) -> None:
        self._printer = printer
        self._streams: dict[str, TextIO] = {"stdout": sys.stdout, "stderr": sys.stderr}
        self._texts = {name: TerminalText(colour=stream.isatty()) for name, stream in self._streams.items()}
        self._at_line_start = True
        self._progress_shown = False
        # The last state of displays that have changed since they were shown, by their ids.
        self._changed: dict[str, Mapping[str, Any]] = {}

    def show(self, event: NotebookEvent) -> None:
        match event:
            case CellStarted():
                self._printer.note(f"[{event.number}/{event.total}] {event.cell.cell_type} {event.cell.id}")
            case Output():
                self._output(event)
            case CellFinished():
                self._show_changed()
                self._fresh_line()
                self._verdict(event)
            case NotebookFinished():
                self._printer.note(summary(event))
            case _:
                pass

    def _output(self, output: Output) -> None:
        content = output.content
        match output.kind:
            case Kind.STREAM:
                self._write(str(content.get("name", "stdout")), str(content.get("text", "")))
            case Kind.DISPLAY_DATA | Kind.EXECUTE_RESULT | Kind.UPDATE_DISPLAY_DATA:
                self._display(content, update=output.kind is Kind.UPDATE_DISPLAY_DATA)
            case Kind.CLEAR_OUTPUT:
                self._changed.clear()
            case Kind.ERROR:
                self._block(error_text(content, colour=sys.stdout.isatty()))
            case Kind.TRUNCATED:
                self._fresh_line()
                self._printer.note(truncation_text(content).rstrip())
            case Kind.EXECUTE_REPLY:
                for page in content.get("payload") or ():
                    if isinstance(page, dict) and page.get("source") == "page":
                        self._display(page, update=False)
            case _:
                pass

    def _display(self, content: Mapping[str, Any], *, update: bool) -> None:
        data: Mapping[str, Any] = content.get("data") or {}
        name = str((content.get("transient") or {}).get("display_id") or "")
        is_bar = isinstance(data.get(PROGRESS), dict)
        if is_bar and sys.stderr.isatty():
            # Drawn over itself.
            sys.stderr.write("\r" + progress_text(data[PROGRESS]) + "\x1b[K")
            sys.stderr.flush()
            self._progress_shown = True
        elif is_bar or update:
            self._changed[name] = data
        else:
            self._changed.pop(name, None)
            self._show_display(data)

    def _show_display(self, data: Mapping[str, Any]) -> None:
        self._block(display_text(data, colour=sys.stdout.isatty(), width=shutil.get_terminal_size((120, 40)).columns))

    def _show_changed(self) -> None:
        changed, self._changed = self._changed, {}
        for data in changed.values():
            if isinstance(data.get(PROGRESS), dict):
                self._fresh_line()
                sys.stderr.write(progress_text(data[PROGRESS]) + "\n")
            else:
                self._show_display(data)

    def _block(self, text: str) -> None:
        self._fresh_line()
        sys.stdout.write(text.rstrip("\n") + "\n")
        sys.stdout.flush()

    def _write(self, name: str, text: str) -> None:
        self._end_progress()
        stream = self._streams.get(name, sys.stdout)
        cleaned = self._texts["stderr" if stream is sys.stderr else "stdout"].feed(text)
        stream.write(cleaned)
        stream.flush()
        if cleaned:
            self._at_line_start = cleaned.endswith("\n")

    def _end_progress(self) -> None:
        if self._progress_shown:
            self._progress_shown = False
            sys.stderr.write("\n")

    def _fresh_line(self) -> None:
        self._end_progress()
        if not self._at_line_start:
            sys.stdout.write("\n")
            sys.stdout.flush()
            self._at_line_start = True

    def _verdict(self, event: CellFinished) -> None:
        state = event.state
        if state.phase is Phase.REJECTED:
            self._printer.note(clean(f"cell {event.cell.id} was refused: {state.message or state.reason}", colour=False))
        elif state.status in _ENDS:
            reason = f": {state.message}" if state.message else ""
            self._printer.note(clean(f"cell {event.cell.id} {_ENDS[state.status]}{reason}", colour=False))


class JsonOutput:
    """One JSON object per event."""

    def __init__(self, printer: Printer) -> None:
        self._printer = printer

    def show(self, event: NotebookEvent) -> None:
        match event:
            case CellStarted():
                fields: dict[str, Any] = {"event": "cell_started", "cell_id": event.cell.id, "cell_type": event.cell.cell_type}
            case Output(kind=Kind.STATUS | Kind.EXECUTE_INPUT):
                return
            case Output():
                fields = {"event": "output", "cell_id": event.cell_id, "kind": event.kind.name.lower(), "content": dict(event.content)}
            case CellFinished():
                fields = {"event": "cell_finished", "cell_id": event.cell.id, **_state(event.state)}
            case NotebookFinished():
                fields = {"event": "finished", "ok": event.ok, "cells": {cell: outcome.value for cell, outcome in event.outcomes.items()}}
            case _:
                return
        self._printer.line(fields)


def summary(event: NotebookFinished) -> str:
    counts = {outcome: event.count(outcome) for outcome in Outcome}
    text = f"{counts[Outcome.OK]} of {len(event.outcomes)} cells ok"
    if counts[Outcome.FAILED]:
        failed = ", ".join(cell for cell, outcome in event.outcomes.items() if outcome is Outcome.FAILED)
        text += f", failed: {failed}"
    if counts[Outcome.SKIPPED]:
        text += f", {counts[Outcome.SKIPPED]} skipped"
    return text


def _state(state: RunState) -> dict[str, Any]:
    return {"ok": state.ok, "status": (state.status if state.phase is Phase.ENDED else state.phase).name.lower(), "reason": state.reason,
            "message": state.message, "truncated": state.truncated}  # fmt: skip
