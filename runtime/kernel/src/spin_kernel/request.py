"""The execute request that is being served: whose ticket it carries, whose namespace it runs in.

A thread has the ticket of the cell that started it, for ever: what an earlier cell left running gets nothing of a later one's.
"""

import base64
import threading
from dataclasses import dataclass, field
from typing import Any

_KEPT = "_spin_ticket"


@dataclass(frozen=True)
class Ticket:
    """Where the broker listens, and what to show it."""

    socket: str
    secret: bytes = field(repr=False)


def interactive_shell() -> Any:
    """IPython's shell, or None outside a kernel."""
    from IPython.core.getipython import get_ipython

    return get_ipython()


def namespace() -> dict[str, Any]:
    """The notebook's variables."""
    shell = interactive_shell()
    if shell is None:
        raise RuntimeError("There is no notebook here: this works in a cell of a running kernel")
    return shell.user_ns  # type: ignore[no-any-return]


def current_ticket() -> Ticket:
    """The ticket of the cell that this code belongs to. Raises RuntimeError outside a run of the platform."""
    ticket = _own_ticket()
    if ticket is None:
        raise RuntimeError("Connections and the runtime's environment can be used in cells that run on a SPIN runtime, and this is none")
    return ticket


def keep_tickets() -> None:
    """Makes threads that start from now on keep the ticket of their cell."""
    start = threading.Thread.start
    if hasattr(start, "of_spin"):
        return  # done before

    def start_with_ticket(self: threading.Thread) -> None:
        setattr(self, _KEPT, _own_ticket())
        start(self)

    start_with_ticket.of_spin = True  # type: ignore[attr-defined]
    threading.Thread.start = start_with_ticket  # type: ignore[method-assign]


def _own_ticket() -> Ticket | None:
    thread = threading.current_thread()
    if thread is not threading.main_thread():
        kept: Ticket | None = getattr(thread, _KEPT, None)
        return kept
    kernel = getattr(interactive_shell(), "kernel", None)
    parent = kernel.get_parent() if kernel is not None else {}
    spin = (parent.get("metadata") or {}).get("spin") or {}
    if not spin.get("socket") or not spin.get("ticket"):
        return None
    return Ticket(spin["socket"], base64.b64decode(spin["ticket"]))
