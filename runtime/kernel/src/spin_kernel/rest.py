"""A request without a connection: the kernel makes it, as Python code would, with no credential. And an answer, whoever made the request.

TLS is verified by REQUESTS_CA_BUNDLE (a file, or a directory prepared with c_rehash). Where that is not set it is not verified: the runtime
says so when it starts and in the web app.
"""

import base64
import json as jsonlib
import os
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spin_kernel.broker import UseResult

MAX_RESPONSE = 64 * 1024 * 1024
CHUNK = 64 * 1024


class RestFailed(Exception):
    """There was no answer, or none that can be used. An answer with an error status is no failure."""


class Headers(Mapping[str, str]):
    """An answer's headers; their names have no case."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._values = {name.lower(): value for name, value in headers.items()}

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return repr(self._values)


@dataclass(frozen=True)
class RestResult:
    status: int
    reason: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    content: bytes = field(repr=False)
    encoding: str = "utf-8"

    @property
    def text(self) -> str:
        return self.content.decode(self.encoding, errors="replace")

    @property
    def ok(self) -> bool:
        return self.status < 400

    def json(self) -> Any:
        """The answer's JSON. Raises ValueError when it is none."""
        return jsonlib.loads(self.text)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        first = f"{self.status} {self.reason}  {self.url}"
        bundle: dict[str, Any] = {"text/plain": f"{first}\n\n{self.text[:20_000]}"}
        try:
            value = self.json()
        except (ValueError, RecursionError):
            return bundle
        return {**bundle, "application/json": value} if isinstance(value, dict | list) else bundle


def request(
    method: str,
    url: str,
    *,
    params: Mapping[str, Any] | None = None,
    headers: Mapping[str, Any] | None = None,
    json: Any = None,
    body: str | bytes | None = None,
    timeout: float | None = 30,
) -> RestResult:
    """Makes one request and gives the answer, whatever its status. Raises RestFailed."""
    import requests

    from spin_kernel.plain import plain

    data = body.encode() if isinstance(body, str) else body
    named = {name: str(value) for name, value in (headers or {}).items()}
    with requests.Session() as session, warnings.catch_warnings():
        # Said once by the runtime, not by every request.
        warnings.filterwarnings("ignore", "Unverified HTTPS request")
        # No credentials of a .netrc file that the cell does not mention.
        session.trust_env = False
        session.verify = os.environ.get("REQUESTS_CA_BUNDLE") or False
        try:
            with session.request(
                method, url, params=plain(params), headers=named, json=plain(json), data=data, timeout=timeout, stream=True
            ) as response:
                return _result(response)
        except requests.RequestException as error:
            raise RestFailed(f"{method} {url} failed: {error}") from None


def from_result(result: "UseResult") -> RestResult:
    """The answer that a connection's `rest.request` gave."""
    value = result.value
    # The broker decodes what is text and takes out of it what repeats the credential.
    content = base64.b64decode(value["base64"]) if "base64" in value else str(value.get("text", "")).encode()
    headers = Headers(value.get("headers") or {})
    return RestResult(int(value["status"]), str(value.get("reason", "")), str(value.get("url", "")), headers, content)


def _result(response: Any) -> RestResult:
    content = bytearray()
    for chunk in response.iter_content(CHUNK):
        content += chunk
        if len(content) > MAX_RESPONSE:
            raise RestFailed(f"the answer is over {MAX_RESPONSE // 1024 // 1024} MiB")
    kind = response.headers.get("content-type", "")
    # JSON is UTF-8 whatever the header says; for text without a charset, UTF-8 is likelier than the standard's Latin-1.
    encoding = response.encoding if "charset" in kind and "json" not in kind and response.encoding else "utf-8"
    return RestResult(response.status_code, response.reason or "", response.url, Headers(response.headers), bytes(content), encoding)
