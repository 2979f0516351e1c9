"""Under which cell the output of a notebook's threads stands.

- ipykernel puts what threads print, and the connections that they use, under the request that came last. A completion that somebody asks for
  while a cell runs would take both away from the cell.
- So a request that runs no code of the notebook is the parent of its own answer and of nothing else.
"""

from collections.abc import Mapping
from typing import Any

READS = frozenset(
    {"complete_request", "inspect_request", "history_request", "is_complete_request", "kernel_info_request", "comm_info_request", "connect_request"}
)
# What of ipykernel is relied on here; a version without it keeps its own way.
_OF_KERNEL, _OF_SHELL = ("_shell_parent", "_shell_parent_ident", "set_parent"), ("set_thread_parent",)


def keep_parents(shell: Any) -> None:
    """Makes the kernel behind this shell keep a cell's threads with their cell."""
    kernel: Any = getattr(shell, "kernel", None)
    if not all(hasattr(kernel, name) for name in _OF_KERNEL) or not all(hasattr(shell, name) for name in _OF_SHELL):
        return
    if "set_parent" in vars(kernel):
        return  # done before
    everywhere = kernel.set_parent

    def set_parent(ident: Any, parent: Mapping[str, Any], channel: str = "shell") -> None:
        reads = (parent.get("header") or {}).get("msg_type") in READS
        if channel == "shell" and reads:
            kernel._shell_parent_ident.set(ident)
            kernel._shell_parent.set(parent)
        else:
            everywhere(ident, parent, channel)
        if reads:
            # For this thread and this request alone.
            shell.set_thread_parent(parent)

    kernel.set_parent = set_parent
