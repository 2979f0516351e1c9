"""What runs inside a kernel: connections through the broker, tables, progress, shell, SQL and REST cells.

- Importing this costs next to nothing: every part is imported when it is first used.
- Nothing here holds a key or a credential. A run's ticket comes with its request and is useless after the run.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spin_kernel import rest, shell, sql
    from spin_kernel.bars import Progress, progress
    from spin_kernel.broker import UseFailed, UseResult, runtime_env, secret, secret_named, test_connection, use
    from spin_kernel.extension import load, load_ipython_extension
    from spin_kernel.namespace import variables
    from spin_kernel.shell import ShellFailed
    from spin_kernel.tables import show_table

__all__ = [
    "Progress",
    "ShellFailed",
    "UseFailed",
    "UseResult",
    "load",
    "load_ipython_extension",
    "progress",
    "rest",
    "runtime_env",
    "secret",
    "secret_named",
    "shell",
    "show_table",
    "sql",
    "test_connection",
    "use",
    "variables",
]

_MODULES = frozenset({"rest", "shell", "sql"})
_HOMES = {
    "Progress": "bars",
    "ShellFailed": "shell",
    "UseFailed": "broker",
    "UseResult": "broker",
    "load": "extension",
    "load_ipython_extension": "extension",
    "progress": "bars",
    "runtime_env": "broker",
    "secret": "broker",
    "secret_named": "broker",
    "show_table": "tables",
    "test_connection": "broker",
    "use": "broker",
    "variables": "namespace",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
