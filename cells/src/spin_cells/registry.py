"""The installed cell types.

- Ours and others' come the same way: entry points of the group `spin.cells`. Ours come first and keep their names against anyone.
- A package that does not load costs one line in the log and its own types, nothing else.
"""

import logging
from collections.abc import Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Any, Protocol

from jsonschema import Draft202012Validator

from spin_cells.api import CellType, ConnectionKind

GROUP = "spin.cells"
BUILT_IN = ("markdown", "python", "shell", "sql", "rest", "form", "code", "raw")
_ATTRIBUTES = ("name", "display_name", "description", "language", "executable", "connection_kind", "form_schema")
_METHODS = ("references", "validate", "compile")

log = logging.getLogger(__name__)


class LoadableEntryPoint(Protocol):
    """What is used of `importlib.metadata.EntryPoint`."""

    @property
    def name(self) -> str: ...
    @property
    def value(self) -> str: ...
    def load(self) -> Any: ...


def installed() -> Mapping[str, CellType]:
    """Every cell type by its name: ours in the order of a toolbox, then others' by name."""
    return load(entry_points(group=GROUP))


def load(points: Iterable[EntryPoint | LoadableEntryPoint]) -> Mapping[str, CellType]:
    found: dict[str, CellType] = {}
    for point in sorted(points, key=_rank):
        cell_type = _loaded(point)
        if cell_type is None:
            continue
        if cell_type.name in found:
            log.error("cell type %s of %s is left out: the name is taken", cell_type.name, point.value)
            continue
        found[cell_type.name] = cell_type
    return MappingProxyType(found)


def connection_kinds(types: Mapping[str, CellType]) -> Mapping[str, ConnectionKind]:
    """The kinds that the types connect to, by name. Types may share one; the first type's stands."""
    found: dict[str, ConnectionKind] = {}
    for cell_type in types.values():
        kind = cell_type.connection_kind
        if kind is not None and found.setdefault(kind.name, kind) != kind:
            log.error("the connection kind %s of the cell type %s is left out: it differs from another type's", kind.name, cell_type.name)
    return MappingProxyType(found)


def _rank(point: EntryPoint | LoadableEntryPoint) -> tuple[int, str, str]:
    ours = point.value.split(":")[0].split(".")[0] == "spin_cells" and point.name in BUILT_IN
    return (BUILT_IN.index(point.name) if ours else len(BUILT_IN), point.name, point.value)


def _loaded(point: EntryPoint | LoadableEntryPoint) -> CellType | None:
    """The cell type behind an entry point. Another's package may raise anything while it is imported, so anything is caught."""
    try:
        candidate = point.load()
        fault = _fault(point.name, candidate)
    except Exception as error:
        fault = f"{type(error).__name__}: {error}"
    if fault:
        log.error("cell type %s of %s is left out: %s", point.name, point.value, fault)
        return None
    return candidate  # type: ignore[no-any-return]  # _fault looked at every member


def _fault(expected: str, candidate: Any) -> str:
    missing = [member for member in _ATTRIBUTES if not hasattr(candidate, member)]
    missing += [member for member in _METHODS if not callable(getattr(candidate, member, None))]
    if missing:
        return f"it has no {', '.join(missing)}"
    if candidate.name != expected:
        return f"it calls itself {candidate.name}"
    kind = candidate.connection_kind
    if kind is not None and not isinstance(kind, ConnectionKind):
        return "its connection_kind is no ConnectionKind"
    for schema in (candidate.form_schema, *((kind.config_schema, kind.credential_schema) if kind else ())):
        Draft202012Validator.check_schema(schema)
    return ""
