"""Answers of a bounded size, within a bounded time, for the libraries under the vendors' SDKs.

- requests blocks: such an SDK gets a few threads of its own, so that a slow manager keeps nobody else waiting.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import aiohttp
import requests
from requests.adapters import HTTPAdapter

from spin_runtime.broker.managers.interface import MAXIMUM_ANSWER, Failure, ManagerFailed

T = TypeVar("T")
THREADS = 4
PIECE = 1 << 16


class BoundedAdapter(HTTPAdapter):
    """For sessions of requests: reads the answer itself, up to the bound."""

    def __init__(self, timeout_s: float) -> None:
        super().__init__()
        self._timeout_s = timeout_s

    def send(self, request: requests.PreparedRequest, *arguments: Any, **options: Any) -> requests.Response:
        until = time.monotonic() + self._timeout_s
        options["timeout"] = self._timeout_s
        response = super().send(request, *arguments, **options)
        content = b""
        for piece in response.iter_content(PIECE):
            content += piece
            if len(content) > MAXIMUM_ANSWER or time.monotonic() > until:
                response.close()
                raise ManagerFailed(Failure.TOO_LARGE if len(content) > MAXIMUM_ANSWER else Failure.SLOW)
        # Where requests itself keeps what `content` has read.
        response._content = content
        return response


class Threads:
    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(THREADS, "secret-manager")

    async def run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    def close(self) -> None:
        """Threads that wait for an answer end with their timeout."""
        self._pool.shutdown(wait=False, cancel_futures=True)


class BoundedResponse(aiohttp.ClientResponse):
    """For sessions of aiohttp."""

    async def read(self) -> bytes:
        if self._body is None:
            self._body = await bounded(self)
        return self._body


async def bounded(response: aiohttp.ClientResponse) -> bytes:
    content = b""
    async for piece in response.content.iter_chunked(PIECE):
        content += piece
        if len(content) > MAXIMUM_ANSWER:
            response.close()
            raise ManagerFailed(Failure.TOO_LARGE)
    response.release()
    return content
