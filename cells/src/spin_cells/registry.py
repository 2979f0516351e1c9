"""The installed cell types, and the installed kinds of connections.

- Ours and others' come the same way: entry points of the groups `spin.cells` and `spin.connections`. Ours come first and keep their names
  against anyone.
- A package that does not load costs one line in the log and its own types or kinds, nothing else.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Any, Protocol

from jsonschema import Draft202012Validator

from spin_cells.api import CellType, ConnectionKind

GROUP, KINDS_GROUP = "spin.cells", "spin.connections"
BUILT_IN = ("markdown", "python", "shell", "sql", "rest", "form", "code", "raw", "connection_test")
BUILT_IN_KINDS = ("rest", "secret")
_ATTRIBUTES = ("name", "display_name", "description", "language", "executable", "connection_kind", "form_schema")
_METHODS = ("references", "secrets", "validate", "compile")

log = logging.getLogger(__name__)


class LoadableEntryPoint(Protocol):
    """What is used of `importlib.metadata.EntryPoint`."""

    @property
    def name(self) -> str: ...
    @property
    def value(self) -> str: ...
    def load(self) -> Any: ...


Points = Iterable[EntryPoint | LoadableEntryPoint]


def installed() -> Mapping[str, CellType]:
    """Every cell type by its name: ours in the order of a toolbox, then others' by name."""
    return load(entry_points(group=GROUP))


def load(points: Points) -> Mapping[str, CellType]:
    return _load("cell type", points, BUILT_IN, _type_fault)


def connection_kinds() -> Mapping[str, ConnectionKind]:
    """Every kind of connection by its name."""
    return load_kinds(entry_points(group=KINDS_GROUP))


def load_kinds(points: Points) -> Mapping[str, ConnectionKind]:
    return _load("connection kind", points, BUILT_IN_KINDS, _kind_fault)


def _load(what: str, points: Points, ours: tuple[str, ...], fault: Callable[[Any], str]) -> Mapping[str, Any]:
    found: dict[str, Any] = {}
    for point in sorted(points, key=lambda point: _rank(point, ours)):
        candidate = _loaded(what, point, fault)
        if candidate is None:
            continue
        if candidate.name in found:
            log.error("%s %s of %s is left out: the name is taken", what, candidate.name, point.value)
            continue
        found[candidate.name] = candidate
    return MappingProxyType(found)


def _rank(point: EntryPoint | LoadableEntryPoint, ours: tuple[str, ...]) -> tuple[int, str, str]:
    is_ours = point.value.split(":")[0].split(".")[0] == "spin_cells" and point.name in ours
    return (ours.index(point.name) if is_ours else len(ours), point.name, point.value)


def _loaded(what: str, point: EntryPoint | LoadableEntryPoint, fault: Callable[[Any], str]) -> Any:
    """What is behind an entry point, or None. Another's package may raise anything while it is imported, so anything is caught."""
    try:
        candidate = point.load()
        wrong = fault(candidate) or ("" if candidate.name == point.name else f"it calls itself {candidate.name}")
    except Exception as error:
        wrong = f"{type(error).__name__}: {error}"
    if wrong:
        log.error("%s %s of %s is left out: %s", what, point.name, point.value, wrong)
        return None
    return candidate


def _type_fault(candidate: Any) -> str:
    missing = [member for member in _ATTRIBUTES if not hasattr(candidate, member)]
    missing += [member for member in _METHODS if not callable(getattr(candidate, member, None))]
    if missing:
        return f"it has no {', '.join(missing)}"
    if not isinstance(candidate.connection_kind, str):
        return "its connection_kind is no name"
    Draft202012Validator.check_schema(candidate.form_schema)
    return ""


def _kind_fault(candidate: Any) -> str:
    if not isinstance(candidate, ConnectionKind):
        return "it is no ConnectionKind"
    for schema in (candidate.config_schema, candidate.credential_schema):
        Draft202012Validator.check_schema(schema)
    return ""
