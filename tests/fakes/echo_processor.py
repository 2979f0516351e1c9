"""A processor for tests of the broker: it shows what it was given, fails on request, and can be made to wait."""

import asyncio
import base64
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import quote

from spin_cells.api import Arrow, Credential, OperationFailed, Progress, Result

PASSWORD = "the password"


class Echo:
    """A processor that shows what it was given, fails on request, and can be made to wait."""

    operations = frozenset({"echo.say", "echo.wait", "echo.fail", "echo.crash", "echo.leak", "echo.test"})

    def __init__(self) -> None:
        self.waiting, self.stopped = asyncio.Event(), asyncio.Event()

    async def run(self, operation: str, params: Mapping[str, Any], credential: Credential) -> AsyncIterator[Arrow | Progress | Result]:
        if operation == "echo.fail":
            raise OperationFailed(f"{credential.name} answered 500 to {credential.secret['password']}")
        if operation == "echo.crash":
            raise ValueError(f"login with {credential.secret['password']} failed")
        if operation == "echo.wait":
            try:
                self.waiting.set()
                await asyncio.sleep(60)
            finally:
                self.stopped.set()
        if operation == "echo.leak":
            async for item in self._leak(credential.secret["password"]):
                yield item
            return
        yield Progress(0.5, "half")
        yield Arrow(b"a" * (2 << 20))
        yield Result({"params": dict(params), "known": credential.secret["password"] == PASSWORD})

    async def _leak(self, password: str) -> AsyncIterator[Arrow | Progress | Result]:
        """The credential in everything that a processor can give."""
        yield Progress(0.1, f"signing in with {password}")
        yield Arrow(f"row {password[:5]}".encode())
        yield Arrow(f"{password[5:]} row \xe4".encode("latin-1"))
        basic = base64.b64encode(f"ann:{password}".encode()).decode()
        yield Result({"headers": [{"Authorization": f"Basic {basic}"}], "url": f"https://x/?key={quote(password)}", password: 1, "user": "ann"})
