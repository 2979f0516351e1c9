"""Work in a thread: its result, its error, and an interrupt that ends it."""

import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from spin_kernel.interruptible import interruptible


@pytest.fixture(autouse=True)
def heard() -> Iterator[None]:
    """A shell has what it starts in the background ignore interrupts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def nothing() -> None:
    return None


def test_a_result_and_an_error_come_through() -> None:
    assert interruptible(lambda: 5, nothing) == 5
    with pytest.raises(ZeroDivisionError):
        interruptible(lambda: 1 // 0, nothing)


def test_it_works_outside_the_main_thread() -> None:
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(interruptible(lambda: 5, nothing)))
    thread.start()
    thread.join()
    assert found == [5]


@pytest.mark.parametrize("interrupts", [1, 3])
def test_an_interrupt_stops_the_work_and_waits_for_its_end(interrupts: int) -> None:
    stopped, ended = threading.Event(), threading.Event()

    def work() -> None:
        stopped.wait(20)
        time.sleep(0.3)
        ended.set()

    def interrupt() -> None:
        for _ in range(interrupts):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.05)

    timer = threading.Timer(0.1, interrupt)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        interruptible(work, stopped.set)
    assert ended.is_set()
    timer.join()
