"""The execute request that is being served: whose ticket it carries, whose namespace it runs in."""

import base64
from dataclasses import dataclass, field
from typing import Any


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
    """The running cell's ticket. Raises RuntimeError outside a run of the platform."""
    kernel = getattr(interactive_shell(), "kernel", None)
    parent = kernel.get_parent() if kernel is not None else {}
    spin = (parent.get("metadata") or {}).get("spin") or {}
    if not spin.get("socket") or not spin.get("ticket"):
        raise RuntimeError("Connections and the runtime's environment can be used in cells that run on a SPIN runtime, and this is none")
    return Ticket(spin["socket"], base64.b64decode(spin["ticket"]))
