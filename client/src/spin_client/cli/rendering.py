"""A cell's outputs for a terminal: text as it is, tables as tables, images as a line that says what they are."""

import base64
import binascii
import json
import struct
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from spin_client.cli.terminal_text import clean

TABLE = "application/vnd.spin.table.v1+json"
PROGRESS = "application/vnd.spin.progress.v1+json"
ROWS_SHOWN = 50
_BAR = 30


def display_text(data: Mapping[str, Any], *, colour: bool, width: int) -> str:
    """The best of a MIME bundle that a terminal can show."""
    if isinstance(data.get(TABLE), dict):
        return table_text(data[TABLE], colour=colour, width=width)
    if isinstance(data.get(PROGRESS), dict):
        return progress_text(data[PROGRESS])
    for mime in data:
        if mime.startswith("image/") and mime != "image/svg+xml":
            return image_text(mime, _text(data[mime]))
    if "text/markdown" in data:
        return clean(_text(data["text/markdown"]), colour=colour)
    if "text/plain" in data:
        return clean(_text(data["text/plain"]), colour=colour)
    if "application/json" in data:
        return clean(json.dumps(data["application/json"], indent=2, ensure_ascii=False), colour=colour)
    return f"[{', '.join(data) or 'empty'}]"


def table_text(table: Mapping[str, Any], *, colour: bool, width: int) -> str:
    """At most ROWS_SHOWN rows, and a line that says how many there are."""
    rows = table.get("rows") or []
    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for column in table.get("columns") or []:
        drawn.add_column(clean(str(column.get("name", "")), colour=False), justify="right" if _numeric(str(column.get("type", ""))) else "left")
    for row in rows[:ROWS_SHOWN]:
        drawn.add_row(*[clean("" if value is None else str(value), colour=False) for value in row])
    console = Console(width=width, force_terminal=colour, no_color=not colour, highlight=False, markup=False)
    with console.capture() as captured:
        console.print(drawn)
    return captured.get() + _rows_note(min(len(rows), ROWS_SHOWN), table.get("total", len(rows)), truncated=table.get("truncated") is True)


def _rows_note(shown: int, total: object, *, truncated: bool) -> str:
    """`total` is None where a query was cut at its row limit: nobody counted the rest."""
    if total is None:
        return f"[the first {shown} rows, truncated]"
    return f"[{shown} of {total} rows]" if shown != total or truncated else f"[{total} rows]"


def progress_text(progress: Mapping[str, Any]) -> str:
    """A fraction of None is that of a bar whose end is not known."""
    text = clean(str(progress.get("text") or ""), colour=False)
    if progress.get("fraction") is None:
        return f"[{'.' * _BAR}]      {text}".rstrip()
    try:
        fraction = min(max(float(progress["fraction"]), 0.0), 1.0)
    except (TypeError, ValueError):
        fraction = 0.0
    done = round(fraction * _BAR)
    return f"[{'#' * done}{'.' * (_BAR - done)}] {fraction:4.0%} {text}".rstrip()


def image_text(mime: str, encoded: str) -> str:
    try:
        data = base64.b64decode(encoded, validate=False)
    except (binascii.Error, ValueError):
        return f"[{mime}, unreadable]"
    size = _pixels(data)
    return f"[{mime}, {f'{size[0]}×{size[1]}, ' if size else ''}{_bytes(len(data))}]"


def error_text(content: Mapping[str, Any], *, colour: bool) -> str:
    lines = content.get("traceback") or [f"{content.get('ename', 'Error')}: {content.get('evalue', '')}"]
    return clean("\n".join(str(line) for line in lines), colour=colour)


def _pixels(data: bytes) -> tuple[int, int] | None:
    if data[:8] == b"\x89PNG\r\n\x1a\n" and len(data) >= 24:
        width, height = struct.unpack(">II", data[16:24])
        return width, height
    if data[:6] in (b"GIF87a", b"GIF89a") and len(data) >= 10:
        width, height = struct.unpack("<HH", data[6:10])
        return width, height
    return None


def _bytes(count: int) -> str:
    return f"{count / 1024:.0f} KB" if count >= 1024 else f"{count} bytes"


def _numeric(kind: str) -> bool:
    return kind.startswith(("int", "uint", "float", "double", "decimal", "number"))


def _text(value: Any) -> str:
    return "".join(value) if isinstance(value, list) else str(value)
