"""Between the workspace service's messages and its domain; the only file that knows both.

Rules: what comes in is checked here, once, with a text for the person who sent it; JSON members are stored as they came when they hold.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from spin_services.rpc.errors import ErrorReason, ServiceError, invalid
from spin_services.workspace import notebook_format
from spin_services.workspace.domain import (
    EMPTY_LIST,
    EMPTY_OBJECT,
    MAXIMUM_CELLS,
    MAXIMUM_NOTEBOOK,
    TEXT_TYPES,
    UNTITLED,
    Cell,
    Content,
    Notebook,
    Runtime,
    Session,
    Version,
    Workspace,
    etag,
    new_cell_id,
)
from spin_services.workspace.notebook_format import NotAllowed
from spinapis.workspace.v1 import notebooks_pb2, workspaces_pb2

MAXIMUM_NAME = 200
MAXIMUM_TITLE = 500
MAXIMUM_KEY = 200
MAXIMUM_LABELS = 64
_ID = re.compile(r"[0-9a-f]{32}\Z")
_CELL_ID = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_CELL_TYPE = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}\Z")
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,62}\Z")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def id_in(field: str, text: str) -> str:
    if not _ID.match(text):
        raise invalid(field, "An id is 32 hexadecimal digits in lower case.")
    return text


def key_in(text: str) -> str:
    if len(text) > MAXIMUM_KEY:
        raise invalid("idempotency_key", f"An idempotency key has at most {MAXIMUM_KEY} characters.")
    return text


def name_in(field: str, text: str, maximum: int = MAXIMUM_NAME) -> str:
    name = text.strip()
    if not name or len(name) > maximum or _CONTROL.search(name):
        raise invalid(field, f"Give 1 to {maximum} characters, without line breaks.")
    return name


def title_in(text: str) -> str:
    return name_in("title", text or UNTITLED, MAXIMUM_TITLE)


def url_in(text: str) -> str:
    """An origin: scheme, host, port. Raises INVALID_ARGUMENT."""
    url = text.strip().rstrip("/")
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.path or parts.query or parts.fragment or "@" in parts.netloc or re.search(r"[\s\\]", url) or len(url) > 300:
        raise invalid("url", "Write the runtime's address as http://host:8888 or https://host:8888, without a path.")
    return f"{parts.scheme}://{parts.netloc.lower()}"


def labels_in(labels: Mapping[str, str]) -> dict[str, str]:
    if len(labels) > MAXIMUM_LABELS:
        raise invalid("labels", f"A runtime has at most {MAXIMUM_LABELS} labels.")
    for key, value in labels.items():
        if not _LABEL.match(key) or len(value) > MAXIMUM_NAME or _CONTROL.search(value):
            raise invalid("labels", "A label's name is 1 to 63 of A-Z a-z 0-9 . _ / -, its value at most 200 characters in one line.")
    return dict(labels)


def kernel_in(text: str) -> str:
    if len(text) > MAXIMUM_NAME or _CONTROL.search(text):
        raise invalid("kernel_name", "A kernel's name has at most 200 characters in one line.")
    return text


def content_in(title: str, cells: Iterable[notebooks_pb2.Cell], metadata_json: str) -> Content:
    read = [cell_in(cell, index) for index, cell in enumerate(cells)]
    if len(read) > MAXIMUM_CELLS:
        raise invalid("cells", f"A notebook has at most {MAXIMUM_CELLS} cells.")
    seen: set[str] = set()
    for index, cell in enumerate(read):
        if cell.id in seen:
            raise invalid(f"cells[{index}].id", f"Two cells have the id {cell.id}.")
        seen.add(cell.id)
    return Content(title_in(title), tuple(read), object_in("metadata_json", metadata_json))


def cell_in(cell: notebooks_pb2.Cell, index: int) -> Cell:
    where = f"cells[{index}]"
    if cell.id and not _CELL_ID.match(cell.id):
        raise invalid(f"{where}.id", "A cell's id is 1 to 64 of A-Z a-z 0-9 - _.")
    if not _CELL_TYPE.match(cell.cell_type):
        raise invalid(f"{where}.cell_type", "A cell type is 1 to 64 of a-z 0-9 . _ -.")
    is_text = cell.cell_type in TEXT_TYPES
    if cell.attachments_json and not is_text:
        raise invalid(f"{where}.attachments_json", "Only Markdown and raw cells have attachments.")
    if is_text and (cell.outputs_json not in ("", EMPTY_LIST) or cell.HasField("execution_count")):
        raise invalid(f"{where}.outputs_json", "Markdown and raw cells have no outputs.")
    if "\0" in cell.source:
        raise invalid(f"{where}.source", "A source holds no null characters.")
    return Cell(
        id=cell.id or new_cell_id(),
        cell_type=cell.cell_type,
        source=cell.source,
        fields_json=object_in(f"{where}.fields_json", cell.fields_json),
        linked=cell.linked,
        metadata_json=object_in(f"{where}.metadata_json", cell.metadata_json),
        outputs_json=outputs_in(f"{where}.outputs_json", cell.outputs_json) if cell.outputs_json else "",
        execution_count=count_in(f"{where}.execution_count", cell.execution_count) if cell.HasField("execution_count") else None,
        attachments_json=attachments_in(f"{where}.attachments_json", cell.attachments_json),
    )


def object_in(field: str, text: str) -> str:
    """A JSON object; empty means an empty one."""
    if not isinstance(_json_in(field, text or EMPTY_OBJECT), dict):
        raise invalid(field, "This is not a JSON object.")
    return text or EMPTY_OBJECT


def outputs_in(field: str, text: str) -> str:
    """A JSON array of nbformat outputs."""
    if len(text) > MAXIMUM_NOTEBOOK:
        raise ServiceError(ErrorReason.ERROR_REASON_TOO_LARGE, "The outputs are over 4 MB.", limit=str(MAXIMUM_NOTEBOOK))
    try:
        notebook_format.check_outputs(_json_in(field, text or EMPTY_LIST))
    except NotAllowed as error:
        raise invalid(f"{field}{error.where}", f"This is not an output of nbformat 4.5: {error.text}") from None
    return text or EMPTY_LIST


def attachments_in(field: str, text: str) -> str:
    if text:
        try:
            notebook_format.check_attachments(_json_in(field, text))
        except NotAllowed as error:
            raise invalid(field, f"These are not attachments of nbformat 4.5: {error}") from None
    return text


def count_in(field: str, count: int) -> int:
    if count < 0:
        raise invalid(field, "An execution count is not negative.")
    return count


def _json_in(field: str, text: str) -> Any:
    try:
        return notebook_format.read(text)
    except NotAllowed as error:
        raise invalid(field, f"This is {error.text}" + (f" ({error.where})." if error.where else ".")) from None


def notebook_invalid(error: NotAllowed) -> ServiceError:
    text = f"The file is no notebook that can be read: {error}."
    return ServiceError(ErrorReason.ERROR_REASON_NOTEBOOK_INVALID, text, where=error.where)


def workspace_out(workspace: Workspace) -> workspaces_pb2.Workspace:
    return workspaces_pb2.Workspace(
        id=workspace.id,
        name=workspace.name,
        parent_id=workspace.parent_id,
        etag=etag(workspace.revision),
        created_at_ms=workspace.created_at_ms,
        updated_at_ms=workspace.updated_at_ms,
    )


def cell_out(cell: Cell) -> notebooks_pb2.Cell:
    return notebooks_pb2.Cell(**vars(cell))


def notebook_out(notebook: Notebook) -> notebooks_pb2.Notebook:
    return notebooks_pb2.Notebook(
        id=notebook.id,
        workspace_id=notebook.workspace_id,
        title=notebook.content.title,
        cells=[cell_out(cell) for cell in notebook.content.cells],
        metadata_json=notebook.content.metadata_json,
        version=notebook.version,
        etag=etag(notebook.revision),
        created_at_ms=notebook.created_at_ms,
        updated_at_ms=notebook.updated_at_ms,
        updated_by=notebook.updated_by,
    )


def version_out(version: Version) -> notebooks_pb2.NotebookVersion:
    return notebooks_pb2.NotebookVersion(**vars(version))


def runtime_out(runtime: Runtime, workspace_id: str) -> workspaces_pb2.Runtime:
    return workspaces_pb2.Runtime(
        id=runtime.id,
        workspace_id=runtime.workspace_id,
        name=runtime.name,
        url=runtime.url,
        labels=runtime.labels,
        is_default=runtime.is_default,
        etag=etag(runtime.revision),
        created_at_ms=runtime.created_at_ms,
        updated_at_ms=runtime.updated_at_ms,
        inherited=runtime.workspace_id != workspace_id,
    )


def session_out(session: Session) -> notebooks_pb2.Session:
    return notebooks_pb2.Session(**vars(session))


def kernel_of(content: Content) -> str:
    """The kernel that the notebook names; empty when it names none."""
    spec = json.loads(content.metadata_json).get("kernelspec")
    name = spec.get("name") if isinstance(spec, dict) else None
    return name if isinstance(name, str) and len(name) <= MAXIMUM_NAME and not _CONTROL.search(name) else ""
