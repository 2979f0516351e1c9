"""The notebook's variables, for people who look at them: names, types, sizes and a short preview."""

import reprlib
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from spin_kernel.request import interactive_shell

MIME = "application/vnd.spin.variables.v1+json"
PREVIEW = 200
MAX_VARIABLES = 1000
_BUILTIN = (bool, int, float, complex, str, bytes, list, tuple, dict, set, frozenset, type(None))


class Variables(list[dict[str, Any]]):
    """A list that clients can show as a table."""

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        plain = "\n".join(f"{item['name']}: {item['type']} {item['size']}  {item['preview']}".rstrip() for item in self)
        return {MIME: list(self), "text/plain": plain}


def variables() -> Variables:
    """[{name, type, size, preview}] of what the notebook defined, by name."""
    shell = interactive_shell()
    if shell is None:
        return Variables()
    return Variables(described(shell.user_ns, shell.user_ns_hidden))


def described(names: Mapping[str, Any], hidden: Mapping[str, Any]) -> list[dict[str, Any]]:
    own = [name for name in names if not name.startswith("_") and not (name in hidden and hidden[name] is names[name])]
    shown = sorted(name for name in own if not isinstance(names[name], ModuleType))[:MAX_VARIABLES]
    return [{"name": name, "type": type(names[name]).__name__, "size": _size(names[name]), "preview": _preview(names[name])} for name in shown]


def _size(value: Any) -> str:
    """Rows and columns, or length, where a value has them."""
    try:
        shape = getattr(value, "shape", None)
        if isinstance(shape, tuple):
            return " × ".join(str(part) for part in shape)
        return str(len(value)) if isinstance(value, (*_BUILTIN[4:-1],)) or hasattr(type(value), "__len__") else ""
    except Exception:  # a variable of the notebook may do anything when it is asked for its size
        return ""


def _preview(value: Any) -> str:
    """Only of types whose text is cheap: that of a DataFrame or of a foreign object may take seconds."""
    if callable(value):
        return ""
    if not isinstance(value, _BUILTIN):
        return ""
    short = reprlib.Repr()
    short.maxstring = short.maxother = PREVIEW
    return short.repr(value)[:PREVIEW]
