"""The broker's own process, with a processor that quotes its credential wherever a library might: `python -m tests.fakes.loud_broker FD`."""

import asyncio
import base64
import gc
import json
import logging
import sys
import threading
import warnings
from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import Any
from urllib.parse import quote, quote_plus

import structlog

from spin_cells.api import Arrow, Credential, Progress, Result
from spin_runtime.broker import local, process

LIBRARIES = ("aiohttp.client", "botocore.hooks", "hvac", "kubernetes_asyncio", "google.auth", "azure.core", "asyncssh", "urllib3")


class Loud:
    operations = frozenset({"echo.shout", "echo.crash"})

    async def run(self, operation: str, params: Mapping[str, Any], credential: Credential) -> AsyncIterator[Arrow | Progress | Result]:
        password = credential.secret["password"]
        if operation == "echo.crash":
            raise ValueError(f"login with {password} failed")
        for name in LIBRARIES:
            _log(logging.getLogger(name), password)
        structlog.get_logger("spin.other").warning("refused", answer=json.dumps({"quoted": password}), nested={"list": [password, password.encode()]})
        warnings.warn(f"insecure: {password}", UserWarning, stacklevel=2)
        thread = threading.Thread(target=_raise, args=(password,))
        thread.start()
        thread.join()
        task = asyncio.create_task(_fail(password))
        await asyncio.sleep(0)
        del task
        gc.collect()
        asyncio.get_running_loop().call_soon(_raise, password)
        await asyncio.sleep(0)
        sys.stderr.write(f"printed {password}\n")
        yield Result({"done": True})


def _log(log: logging.Logger, password: str) -> None:
    basic = base64.b64encode(f"ann:{password}".encode()).decode()
    log.error("401 for Authorization: Basic %s", basic)
    log.error("POST /?key=%s&other=%s", quote(password, safe=""), quote_plus(password))
    log.error("body %s", json.dumps({"password": password}))
    try:
        _raise(password)
    except ValueError as error:
        log.exception("it failed: %s", error)
        structlog.get_logger(log.name).exception("it_failed", error=str(error), cause=error)


def _raise(password: str) -> None:
    held = password  # noqa: F841 - for tracebacks that would show the values of variables
    raise ValueError(f"the server says that {password} is wrong")


async def _fail(password: str) -> None:
    _raise(password)


if __name__ == "__main__":
    local.open_broker = partial(local.open_broker, processors=lambda cell_type: Loud() if cell_type == "echo" else None)  # type: ignore[assignment]
    process.main()
