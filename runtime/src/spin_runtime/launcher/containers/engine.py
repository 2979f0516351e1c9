"""The calls of the Docker Engine API that the launcher makes, over the engine's Unix socket.

Every call ends: with an answer, with the engine's own words (EngineRefused), or because it cannot be reached or does not answer (EngineGone).
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import aiohttp

UNIX = "unix://"
# Docker 20.10 speaks 1.41. What is used here has not changed up to NEWEST.
OLDEST, NEWEST = (1, 41), (1, 51)
SECONDS = 60.0
ODD = "its answer is none of Docker's Engine API: DOCKER_HOST leads to something else"


class EngineGone(Exception):
    """The text says why it cannot be reached."""


class EngineRefused(Exception):
    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status

    @property
    def absent(self) -> bool:
        return self.status == HTTPStatus.NOT_FOUND

    @property
    def already(self) -> bool:
        """What was asked for is so: not running, being removed."""
        return self.status in (HTTPStatus.NOT_MODIFIED, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)


class Engine:
    def __init__(self, address: str) -> None:
        self._connector = aiohttp.UnixConnector(path=address.removeprefix(UNIX), limit=0)
        # The host's name is not looked up: everything goes to the socket.
        self._session = aiohttp.ClientSession("http://docker", connector=self._connector, timeout=aiohttp.ClientTimeout(total=SECONDS))
        self._version = ""

    async def agree(self) -> str:
        """Chooses the API's version. Raises EngineGone, EngineRefused."""
        theirs = object_of(await self.get("/version"))
        offered = _version(str(theirs.get("ApiVersion", "0.0")))
        if offered < OLDEST:
            raise EngineRefused(
                0, f"it speaks version {theirs.get('ApiVersion')} of the API, and {OLDEST[0]}.{OLDEST[1]} (Docker 20.10) is the least"
            )
        self._version = "/v{}.{}".format(*min(offered, NEWEST))
        return str(theirs.get("Version", ""))

    async def get(self, path: str, **query: str) -> Any:
        return await self._call("GET", path, None, query)

    async def post(self, path: str, body: Mapping[str, Any] | None = None, **query: str) -> Any:
        return await self._call("POST", path, body, query)

    async def delete(self, path: str, **query: str) -> Any:
        return await self._call("DELETE", path, None, query)

    async def wait(self, container: str) -> None:
        """Returns when it is not running any more, however long that takes."""
        await self._call("POST", f"/containers/{container}/wait", None, {}, timeout=aiohttp.ClientTimeout(total=None, sock_connect=SECONDS))

    async def remove(self, container: str) -> None:
        """With what it holds, and whether it runs or not."""
        try:
            await self.delete(f"/containers/{container}", force="1", v="1")
        except EngineRefused as error:
            if not error.already:
                raise

    async def _call(
        self, method: str, path: str, body: Mapping[str, Any] | None, query: Mapping[str, str], timeout: aiohttp.ClientTimeout | None = None
    ) -> Any:
        try:
            async with self._session.request(
                method, f"{self._version}{path}", json=body, params=query, timeout=timeout or self._session.timeout
            ) as answer:
                said = await answer.json(content_type=None) if answer.status != HTTPStatus.NO_CONTENT else None
                if answer.status >= HTTPStatus.MULTIPLE_CHOICES:
                    raise EngineRefused(answer.status, str(said.get("message", said) if isinstance(said, dict) else said))
                return said
        except TimeoutError:
            raise EngineGone(f"it does not answer within {SECONDS:.0f} s") from None
        except aiohttp.ClientConnectorError as error:
            raise EngineGone(error.os_error.strerror or str(error.os_error)) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise EngineGone(f"{type(error).__name__}: {error}") from error

    async def close(self) -> None:
        await self._session.close()


def object_of(said: Any) -> Mapping[str, Any]:
    """Raises EngineRefused for what is none."""
    if not isinstance(said, dict):
        raise EngineRefused(0, ODD)
    return said


def objects_of(said: Any) -> list[Mapping[str, Any]]:
    """Raises EngineRefused for what is no list of them."""
    if not isinstance(said, list):
        raise EngineRefused(0, ODD)
    return [object_of(each) for each in said]


def _version(text: str) -> tuple[int, int]:
    major, _, minor = text.partition(".")
    return (int(major), int(minor)) if major.isdigit() and minor.isdigit() else (0, 0)
