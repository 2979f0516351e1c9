"""DataFrames as tables that a client can sort, filter and export; and as HTML and text for clients that cannot.

- What is shown is bounded in rows and cells, and says how many rows there are.
- JSON has no place for NaN and for integers over 2^53: the first become null, the others text.
"""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from spin_kernel.sql import TRUNCATED

MIME = "application/vnd.spin.table.v1+json"
MAX_ROWS = 10_000
MAX_CELLS = 200_000
MAX_TEXT = 10_000
FALLBACK_ROWS = 20
SAFE_INTEGER = 2**53 - 1


def show_table(frame: Any) -> None:
    """Displays a pandas or Polars DataFrame, or a pyarrow.Table."""
    from IPython.display import display

    display(bundle_of(frame), raw=True)  # type: ignore[no-untyped-call]


def bundle_of(frame: Any) -> dict[str, Any]:
    """The table for our own clients, and what others can show of it."""
    table = table_of(frame)
    columns, rows = [column["name"] for column in table["columns"]], table["rows"]
    note = _note(table)
    return {MIME: table, "text/plain": _text(columns, rows, note), "text/html": _html(columns, rows, note)}


def table_of(frame: Any) -> dict[str, Any]:
    """{columns: [{name, type}], rows, total, truncated}; `total` is null where only the first rows of a result are known."""
    columns, total = _columns(frame), len(frame)
    shown = min(total, MAX_ROWS, max(1, MAX_CELLS // max(1, len(columns))))
    cut = bool(getattr(frame, "attrs", {}).get(TRUNCATED))
    return {
        "columns": [{"name": name, "type": kind} for name, kind in columns],
        "rows": [[cell(value) for value in row] for row in _rows(frame, shown)],
        "total": None if cut else total,
        "truncated": cut or shown < total,
    }


def cell(value: Any) -> Any:
    """One value as JSON can hold it."""
    match value:
        case None | bool():
            return value
        case int():
            return value if -SAFE_INTEGER <= value <= SAFE_INTEGER else str(value)
        case float():
            return value if value - value == 0 else None if value != value else str(value)
        case str():
            return value if len(value) <= MAX_TEXT else value[:MAX_TEXT] + "…"
    if type(value).__name__ in ("NaTType", "NAType"):
        return None
    if type(value).__module__ == "numpy" and hasattr(value, "item") and not getattr(value, "ndim", 0):
        # A time of numpy gives nanoseconds since 1970 by `item`: its text is what people mean.
        return str(value) if type(value).__name__ in ("datetime64", "timedelta64") else cell(value.item())
    return cell(value.isoformat() if hasattr(value, "isoformat") else str(value))


def _columns(frame: Any) -> list[tuple[str, str]]:
    if _is_arrow(frame):
        return [(field.name, str(field.type)) for field in frame.schema]
    own = [(str(name), str(kind)) for name, kind in zip(frame.columns, frame.dtypes, strict=True)]
    return [*_index_columns(frame), *own]


def _index_columns(frame: Any) -> list[tuple[str, str]]:
    """The index of a pandas.DataFrame, unless it only counts the rows."""
    index = getattr(frame, "index", None)
    if index is None or (type(index).__name__ == "RangeIndex" and (index.start, index.step, index.name) == (0, 1, None)):
        return []
    kinds = list(index.dtypes) if hasattr(index, "dtypes") else [index.dtype]
    return [("" if name is None else str(name), str(kind)) for name, kind in zip(index.names, kinds, strict=True)]


def _rows(frame: Any, count: int) -> Iterable[Sequence[Any]]:
    if _is_arrow(frame):
        return zip(*(column.to_pylist() for column in frame.slice(0, count).columns), strict=True)
    if not hasattr(frame, "itertuples"):
        return frame.head(count).iter_rows()  # type: ignore[no-any-return]  # Polars
    index = _index_columns(frame)
    rows = frame.head(count).itertuples(index=bool(index), name=None)
    return ([*row[0], *row[1:]] for row in rows) if len(index) > 1 else rows


def _is_arrow(frame: Any) -> bool:
    return type(frame).__module__.split(".")[0] == "pyarrow"


def _note(table: dict[str, Any]) -> str:
    if table["total"] is None:
        return f"truncated: the first {len(table['rows'])} rows, the result was cut at its row limit"
    return f"{table['total']} rows" + (f", truncated: the first {len(table['rows'])} of them are kept" if table["truncated"] else "")


def _html(columns: Sequence[str], rows: Sequence[Sequence[Any]], note: str) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    body = "".join("<tr>" + "".join(f"<td>{escape(_shown(value))}</td>" for value in row) + "</tr>" for row in rows[:FALLBACK_ROWS])
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table><p>{escape(note)}</p>"


def _text(columns: Sequence[str], rows: Sequence[Sequence[Any]], note: str) -> str:
    lines = [list(columns), *([_shown(value)[:60] for value in row] for row in rows[:FALLBACK_ROWS])]
    widths = [max(len(line[at]) for line in lines) for at in range(len(columns))]
    table = "\n".join("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in lines)
    return f"{table}\n{note}"


def _shown(value: Any) -> str:
    return "" if value is None else str(value)
