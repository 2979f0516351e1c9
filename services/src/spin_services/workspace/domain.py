"""What a workspace holds, and the rules that need no database.

- A revision counts a resource's changes; clients see it as an etag. Saving outputs changes none, so that running a cell never conflicts with editing.
- Ids of resources that were made under an idempotency key follow from it: repeating the call finds the same resource, on any replica.
"""

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256

MAXIMUM_DEPTH = 8
MAXIMUM_CELLS = 2000
# What a notebook may weigh with its outputs, so that it fits a message of the API.
MAXIMUM_NOTEBOOK = 4_000_000
EMPTY_OBJECT = "{}"
EMPTY_LIST = "[]"
UNTITLED = "Untitled"
# Types whose cells nbformat knows as its own; all others are code cells there.
TEXT_TYPES = frozenset({"markdown", "raw"})


@dataclass(frozen=True)
class Workspace:
    id: str
    name: str
    parent_id: str
    revision: int
    created_at_ms: int
    updated_at_ms: int


@dataclass(frozen=True)
class Cell:
    """JSON members are texts, as checked when they came in. `outputs_json` empty means: what is stored for this cell."""

    id: str
    cell_type: str
    source: str = ""
    fields_json: str = EMPTY_OBJECT
    linked: bool = False
    metadata_json: str = EMPTY_OBJECT
    outputs_json: str = ""
    execution_count: int | None = None
    attachments_json: str = ""

    def weight(self) -> int:
        """About its size in a message, in bytes."""
        texts = (self.source, self.fields_json, self.metadata_json, self.outputs_json, self.attachments_json)
        return 128 + sum(len(text.encode()) for text in texts)


@dataclass(frozen=True)
class Content:
    """What a version of a notebook is."""

    title: str
    cells: tuple[Cell, ...] = ()
    metadata_json: str = EMPTY_OBJECT

    def weight(self) -> int:
        return len(self.metadata_json.encode()) + sum(cell.weight() for cell in self.cells)


@dataclass(frozen=True)
class Notebook:
    id: str
    workspace_id: str
    content: Content
    version: int
    revision: int
    created_at_ms: int
    updated_at_ms: int
    updated_by: str


@dataclass(frozen=True)
class Version:
    version: int
    title: str
    created_by: str
    created_at_ms: int


@dataclass(frozen=True)
class Runtime:
    id: str
    workspace_id: str
    name: str
    url: str
    labels: Mapping[str, str] = field(default_factory=dict)
    is_default: bool = False
    revision: int = 1
    created_at_ms: int = 0
    updated_at_ms: int = 0


@dataclass(frozen=True)
class RuntimeChange:
    """None leaves a member as it is."""

    name: str | None = None
    url: str | None = None
    labels: Mapping[str, str] | None = None
    is_default: bool | None = None

    def applied(self, runtime: Runtime, now_ms: int) -> Runtime:
        given = {name: value for name, value in vars(self).items() if value is not None}
        return replace(runtime, **given, revision=runtime.revision + 1, updated_at_ms=now_ms)


@dataclass(frozen=True)
class Session:
    id: str
    workspace_id: str
    notebook_id: str
    runtime_id: str
    kernel_name: str
    opened_by: str
    opened_at_ms: int
    ended_at_ms: int = 0


def etag(revision: int) -> str:
    return f"r{revision}"


def new_id(kind: str, scope: str, idempotency_key: str) -> str:
    """Random, or what the key stands for within its scope (a workspace and a person)."""
    if not idempotency_key:
        return secrets.token_hex(16)
    named = "\0".join(("spin/id/v1", kind, scope, idempotency_key))
    return sha256(named.encode()).hexdigest()[:32]


def new_cell_id() -> str:
    return secrets.token_hex(4)


def with_stored_outputs(cells: Sequence[Cell], stored: Mapping[str, Cell]) -> tuple[Cell, ...]:
    """The cells with what is stored for those that came without outputs."""
    return tuple(_with_outputs(cell, stored.get(cell.id)) for cell in cells)


def _with_outputs(cell: Cell, stored: Cell | None) -> Cell:
    if cell.outputs_json:
        return cell
    if stored is None or cell.cell_type in TEXT_TYPES:
        return replace(cell, outputs_json=EMPTY_LIST)
    count = stored.execution_count if cell.execution_count is None else cell.execution_count
    return replace(cell, outputs_json=stored.outputs_json, execution_count=count)


def filename(title: str) -> str:
    """A file name that every system takes, from a title."""
    cleaned = re.sub(r"[\s]+", " ", re.sub(r'[\x00-\x1f\x7f<>:"/\\|?*]+', " ", title)).strip(" .")
    return f"{cleaned[:120].rstrip(' .') or 'notebook'}.ipynb"


def default_runtime(ancestors: Sequence[str], runtimes: Sequence[Runtime]) -> Runtime | None:
    """The workspace's default runtime, else its parent's, and so on."""
    defaults = {runtime.workspace_id: runtime for runtime in runtimes if runtime.is_default}
    return next((defaults[workspace_id] for workspace_id in ancestors if workspace_id in defaults), None)
