"""What commands print: tables and sentences for people, JSON for programs.

With --json, a command prints one document, or JSON Lines where it streams; everything else, prompts and progress, goes to standard error. Where
standard output is no terminal, tables are tab-separated without a heading, for cut and awk.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from spin_client.cli.messages import moment
from spin_client.cli.terminal_text import visible
from spin_client.sdk.errors import SpinError


class Printer:
    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.terminal = sys.stdout.isatty()
        # Consoles made here see the streams of this call, also where a test replaced them.
        self._out = Console(highlight=False, soft_wrap=True, markup=False)
        self._err = Console(stderr=True, highlight=False, soft_wrap=True)

    def rows(self, columns: Sequence[str], items: Sequence[Mapping[str, Any]], *, empty: str = "nothing found") -> None:
        """A list. `columns` are keys of the items; JSON has every key."""
        if self.as_json:
            self.document(list(items))
        elif not items:
            self.note(empty)
        elif not self.terminal:
            for item in items:
                self.text("\t".join(_cell(item.get(column)) for column in columns))
        else:
            table = Table(box=None, pad_edge=False, header_style="bold")
            for column in columns:
                table.add_column(column.replace("_", " "))
            for item in items:
                table.add_row(*[_cell(item.get(column)) for column in columns])
            self._out.print(table)

    def item(self, fields: Mapping[str, Any]) -> None:
        """One thing with its fields."""
        if self.as_json:
            self.document(fields)
            return
        shown = {name.removesuffix("_ms"): moment(value) if name.endswith("_at_ms") else value for name, value in fields.items()}
        width = max((len(name) for name in shown), default=0)
        for name, value in shown.items():
            self.text(f"{name.replace('_', ' '):<{width}}  {_cell(value)}")

    def done(self, text: str, fields: Mapping[str, Any]) -> None:
        """Something was done: a sentence, or the fields."""
        if self.as_json:
            self.document(fields)
        else:
            self.text(text)

    def document(self, value: Any) -> None:
        sys.stdout.write(json.dumps(value, indent=2 if self.terminal else None, ensure_ascii=False) + "\n")

    def line(self, value: Mapping[str, Any]) -> None:
        """One of JSON Lines, at once."""
        sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
        sys.stdout.flush()

    def text(self, text: str) -> None:
        sys.stdout.write(text + "\n")

    def note(self, text: str) -> None:
        """Beside the result: progress, warnings, questions."""
        self._err.print(text, markup=False)

    def error(self, error: SpinError) -> None:
        """At most three lines: what, where, how to go on."""
        if self.as_json:
            document: dict[str, Any] = {"reason": error.reason, "text": error.text, "hint": error.hint, "metadata": error.metadata}
            document["problems"] = [{"field": p.field, "text": p.text} for p in error.problems]
            sys.stderr.write(json.dumps({"error": document}, ensure_ascii=False) + "\n")
            return
        where = _one_line(_where(error))
        lines = [f"spinctl: {_one_line(error.text)}", f"  {where}" if where else "", f"  {error.hint}" if error.hint else ""]
        sys.stderr.write("".join(f"{line}\n" for line in lines if line))


def _where(error: SpinError) -> str:
    """The place that the text leaves out: fields, lines, the permission, the resource."""
    if error.problems:
        return "; ".join(p.field if p.text in error.text else f"{p.field}: {p.text}".lstrip(": ") for p in error.problems)
    metadata = error.metadata
    if "permission" in metadata:
        return f"It needs {metadata['permission']}; your role is {metadata.get('role') or 'unknown'}."
    named = [metadata.get(key, "") for key in ("resource", "id", "name", "trace_id")]
    return " ".join(value for value in named if value and value not in error.text)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return visible(json.dumps(value, ensure_ascii=False)) if any(isinstance(v, dict | list) for v in value.values()) else _pairs(value)
    if isinstance(value, list | tuple):
        return ", ".join(_cell(item) for item in value)
    return visible(str(value))


def _pairs(value: Mapping[str, Any]) -> str:
    return ", ".join(visible(f"{key}={item}") for key, item in value.items())


def _one_line(text: str) -> str:
    return " ".join(text.split())
