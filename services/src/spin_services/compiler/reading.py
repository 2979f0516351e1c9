"""Reading large cells beside other calls.

What a cell type makes of a source takes as long as the source is, up to seconds for the largest. In the event loop all calls would wait for it;
in a thread they take turns with it, and large cells wait for one another.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

from spin_cells.api import Cell

# Characters: about 20 ms of reading.
LARGE = 16 << 10
P = ParamSpec("P")
R = TypeVar("R")
_thread = ThreadPoolExecutor(1, "large-cells")


async def reading(cell: Cell, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """What `work` gives, which is pure and reads the cell's source. Raises what it raises."""
    if len(cell.source) < LARGE:
        return work(*args, **kwargs)
    return await asyncio.get_running_loop().run_in_executor(_thread, partial(work, *args, **kwargs))
