"""What a kernel gets when it starts.

Others cannot look into it, DataFrames show themselves as tables, printing is quick, and threads stay with their cell.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from spin_kernel.request import interactive_shell, keep_tickets

_PR_SET_DUMPABLE = 4
# Where each library says that its class lives; looked up by name, so that none of them is imported for this.
FRAMES = (
    ("pandas", "DataFrame"),
    ("pandas.core.frame", "DataFrame"),
    ("polars.dataframe.frame", "DataFrame"),
    ("pyarrow.lib", "Table"),
)


def load() -> None:
    """Makes this kernel show DataFrames as tables; does nothing outside a kernel."""
    shell = interactive_shell()
    if shell is not None:
        load_ipython_extension(shell)


def load_ipython_extension(shell: Any) -> None:
    """IPython's hook: `%load_ext spin_kernel`, or the kernel's own `extensions` option."""
    formatter = shell.display_formatter.mimebundle_formatter
    for module, name in FRAMES:
        formatter.for_type_by_name(module, name, _bundle)
    _hide()
    _quicken_print(shell)
    _keep_parents(shell)
    keep_tickets()


def _hide() -> None:
    """No other process without root's rights traces this one or reads its memory: not another kernel of the same user either."""
    import ctypes

    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0)


def _keep_parents(shell: Any) -> None:
    from spin_kernel.parents import keep_parents

    keep_parents(shell)


def _quicken_print(shell: Any) -> None:
    from spin_kernel.stdout import quicken

    quicken(sys.stdout)
    quicken(sys.stderr)
    # IPython wraps every write to keep all text that cells printed, for its `%notebook` export. It costs more than the print, and memory without end;
    # the notebook has the outputs already.
    if hasattr(shell, "_tee"):
        shell._tee = _kept_nowhere


@contextmanager
def _kept_nowhere(channel: str) -> Iterator[None]:
    yield


def _bundle(frame: Any, include: Any = None, exclude: Any = None) -> dict[str, Any]:
    from spin_kernel.tables import bundle_of

    return bundle_of(frame)
