"""Reading and writing .ipynb files without loss.

- Any nbformat comes in (older ones are converted as Jupyter does); 4.5 goes out. Ids stay where they are valid and single; others get new ones.
- What nbformat has no place for stands in `metadata.spin`: of a cell its `cell_type`, `fields` and `linked`, of a notebook its `title`. Everything
  else in metadata is kept as it came, unknown members of `metadata.spin` included.
- A code cell without a `cell_type` of ours is `python` under a Python kernel, and `code` under any other.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

import nbformat
from nbformat import converter
from nbformat.v4 import rwbase

from spin_services.workspace import notebook_format
from spin_services.workspace.domain import EMPTY_LIST, MAXIMUM_CELLS, TEXT_TYPES, UNTITLED, Cell, Content, new_cell_id
from spin_services.workspace.notebook_format import MAJOR, MINOR, NotAllowed, check_text, written

OURS = "spin"
# nbformat's functions carry no types.
_convert: Any = converter.convert
_from_dict: Any = nbformat.from_dict
_split_lines: Any = rwbase.split_lines
_versions: Mapping[int, Any] = nbformat.versions
_CELL_ID = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_CELL_TYPE = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}\Z")


def imported(data: bytes, title: str = "") -> Content:
    """Raises NotAllowed with what is wrong and where."""
    notebook = _current(data)
    if len(notebook["cells"]) > MAXIMUM_CELLS:
        raise NotAllowed("cells", f"more than {MAXIMUM_CELLS} cells")
    metadata = dict(notebook["metadata"])
    own_title = _take(metadata, "title", str)
    language = _language(metadata)
    cells = tuple(_cell(cell, language, index) for index, cell in enumerate(notebook["cells"]))
    named = title or own_title or (metadata["title"] if isinstance(metadata.get("title"), str) else "") or UNTITLED
    check_text(named, "metadata.title")
    return Content(named[:500], cells, written(metadata))


def exported(content: Content) -> bytes:
    """A file of nbformat 4.5 that imports to the same notebook."""
    metadata = json.loads(content.metadata_json)
    language = _language(metadata)
    cells = [_node(cell, language) for cell in content.cells]
    notebook = {"nbformat": MAJOR, "nbformat_minor": MINOR, "metadata": _with_own(metadata, {"title": content.title}), "cells": cells}
    split = _split_lines(_from_dict(notebook))
    text = json.dumps(split, ensure_ascii=False, indent=1, sort_keys=True) + "\n"
    try:
        return text.encode()
    except UnicodeEncodeError:
        return (json.dumps(split, indent=1, sort_keys=True) + "\n").encode()


def _current(data: bytes) -> dict[str, Any]:
    """The notebook as nbformat 4.5, checked, with lines joined and ids that are valid and single."""
    raw = notebook_format.read(data)
    if not isinstance(raw, dict):
        raise NotAllowed("", "not a notebook: the file is not a JSON object")
    major, minor = raw.get("nbformat", 1), raw.get("nbformat_minor", 0)
    if not isinstance(major, int) or not isinstance(minor, int) or (major, minor) > (MAJOR, MINOR):
        raise NotAllowed("nbformat", f"version {major}.{minor} is not known; {MAJOR}.{MINOR} is the newest")
    if major == 1 and "cells" not in raw:
        raise NotAllowed("", "not a notebook: it has neither nbformat nor cells")
    if major == MAJOR and not isinstance(raw.get("cells"), list):
        raise NotAllowed("cells", "not a list of cells")
    notebook = raw if major == MAJOR else _converted(raw, major, minor)
    notebook["nbformat_minor"] = MINOR
    _mend_ids(notebook.get("cells", []))
    notebook_format.check_notebook(notebook)
    return dict(_node_of(notebook, MAJOR, MINOR))


def _converted(raw: dict[str, Any], major: int, minor: int) -> Any:
    """An old notebook as Jupyter converts it."""
    try:
        return _convert(_node_of(raw, major, minor), MAJOR)
    except NotAllowed:
        raise
    except Exception as error:
        # Converters of old versions meet malformed notebooks with whatever their code happens to raise.
        raise NotAllowed(f"nbformat {major}.{minor}", f"cannot be converted ({type(error).__name__}: {str(error)[:120]})") from None


def _node_of(raw: dict[str, Any], major: int, minor: int) -> Any:
    if major not in _versions:
        raise NotAllowed("nbformat", f"version {major} is not known")
    return _versions[major].to_notebook_json(raw, minor=minor)


def _mend_ids(cells: list[Any]) -> None:
    seen: set[str] = set()
    for cell in cells:
        if not isinstance(cell, dict):
            continue
        if not isinstance(cell.get("id"), str) or not _CELL_ID.match(cell["id"]) or cell["id"] in seen:
            cell["id"] = new_cell_id()
        seen.add(cell["id"])


def _cell(cell: Mapping[str, Any], language: str, index: int) -> Cell:
    where = f"cells[{index}]"
    metadata = dict(cell["metadata"])
    kind = _inferred(cell["cell_type"], language)
    if cell["cell_type"] == "code":
        kind = _take(metadata, "cell_type", str, lambda value: bool(_CELL_TYPE.match(value)) and value not in TEXT_TYPES) or kind
    fields = _take(metadata, "fields", dict) or {}
    linked = _take(metadata, "linked", bool) or False
    source = cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])
    check_text(source, f"{where}.source")
    return Cell(
        id=cell["id"],
        cell_type=kind,
        source=source,
        fields_json=written(fields),
        linked=linked,
        metadata_json=written(metadata),
        outputs_json=written(cell.get("outputs", [])),
        execution_count=cell.get("execution_count"),
        attachments_json=written(cell["attachments"]) if "attachments" in cell else "",
    )


def _node(cell: Cell, language: str) -> dict[str, Any]:
    kind = cell.cell_type if cell.cell_type in TEXT_TYPES else "code"
    own: dict[str, Any] = {} if cell.cell_type == _inferred(kind, language) else {"cell_type": cell.cell_type}
    if (fields := json.loads(cell.fields_json)) != {}:
        own["fields"] = fields
    if cell.linked:
        own["linked"] = True
    node = {"id": cell.id, "cell_type": kind, "source": cell.source, "metadata": _with_own(json.loads(cell.metadata_json), own)}
    if kind == "code":
        return {**node, "outputs": json.loads(cell.outputs_json or EMPTY_LIST), "execution_count": cell.execution_count}
    return {**node, "attachments": json.loads(cell.attachments_json)} if cell.attachments_json else node


def _inferred(nbformat_type: str, language: str) -> str:
    if nbformat_type != "code":
        return nbformat_type
    return "python" if language == "python" else "code"


def _language(metadata: Mapping[str, Any]) -> str:
    """The kernel's language; Python where the file does not say."""
    kernel, info = metadata.get("kernelspec"), metadata.get("language_info")
    named = [kernel.get("language"), kernel.get("name")] if isinstance(kernel, dict) else []
    named += [info.get("name")] if isinstance(info, dict) else []
    first = next((name for name in named if isinstance(name, str) and name), "python").lower()
    return "python" if first.startswith(("python", "ipython")) else first


def _take(metadata: dict[str, Any], name: str, kind: type, fits: Any = lambda value: True) -> Any:
    """Takes one of our members out of the metadata; one that is not of our making stays where it is."""
    own = metadata.get(OURS)
    if not isinstance(own, dict) or not isinstance(own.get(name), kind) or not fits(own[name]):
        return None
    rest = {key: value for key, value in own.items() if key != name}
    taken = own[name]
    if rest:
        metadata[OURS] = rest
    else:
        del metadata[OURS]
    return taken


def _with_own(metadata: dict[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """The metadata with our members; where someone else's `spin` is not an object, theirs stays and ours has no place."""
    if not own or not isinstance(metadata.get(OURS, {}), dict):
        return metadata
    return {**metadata, OURS: {**metadata.get(OURS, {}), **own}}
