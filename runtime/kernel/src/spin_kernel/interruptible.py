"""Work of a library that does not look at signals often enough: done in a thread of its own, so that interrupting the cell always ends it.

The cell goes on only when the work has ended, whatever interrupts it; so what the work uses is free again.
"""

import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

POLL_S = 0.1


def interruptible(work: Callable[[], T], stop: Callable[[], object]) -> T:
    """What `work` gives or raises. On an interrupt `stop` is called until it ends, because it may not have begun yet."""
    given: list[T] = []
    raised: list[BaseException] = []
    done = threading.Event()

    def act() -> None:
        try:
            given.append(work())
        except BaseException as error:
            raised.append(error)
        finally:
            done.set()

    threading.Thread(target=act, daemon=True).start()
    try:
        # Not for ever at once: a signal may reach another thread first, and then wakes nobody here.
        while not done.wait(POLL_S):
            pass
    except BaseException:
        while not done.is_set():
            with contextlib.suppress(KeyboardInterrupt):
                stop()
                done.wait(POLL_S)
        raise
    if raised:
        raise raised[0]
    return given[0]
