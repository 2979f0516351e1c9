"""A processor for tests of the broker: it shows what it was given, fails on request, and can be made to wait."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

from spin_cells.api import Arrow, Credential, OperationFailed, Progress, Result

PASSWORD = "the password"


class Echo:
    """A processor that shows what it was given, fails on request, and can be made to wait."""

    operations = frozenset({"echo.say", "echo.wait", "echo.fail", "echo.crash"})

    def __init__(self) -> None:
        self.waiting, self.stopped = asyncio.Event(), asyncio.Event()

    async def run(self, operation: str, params: Mapping[str, Any], credential: Credential) -> AsyncIterator[Arrow | Progress | Result]:
        if operation == "echo.fail":
            raise OperationFailed(f"{credential.name} answered 500")
        if operation == "echo.crash":
            raise ValueError(f"login with {credential.secret['password']} failed")
        if operation == "echo.wait":
            try:
                self.waiting.set()
                await asyncio.sleep(60)
            finally:
                self.stopped.set()
        yield Progress(0.5, "half")
        yield Arrow(b"a" * (2 << 20))
        yield Result({"params": dict(params), "known": credential.secret["password"] == PASSWORD})
