"""The broker's half of a REST cell: makes the request with the connection's credential.

- Every hop is checked before a byte is sent: the host by the connection's list, the address by what it resolves to.
- The answer is read up to a limit. What it repeats of the credential is the broker's to take out.
"""

import asyncio
import base64
import json
import os
import ssl
import time
import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from spin_cells.api import Arrow, Credential, CredentialRefused, Progress, Result
from spin_cells.outbound import AddressRefused, resolve, tls_context
from spin_cells.rest.kind import OPERATION, TEST
from spin_cells.rest.request import Request, origin_of, redirected, refused, request

if TYPE_CHECKING:
    import httpx

MAX_RESPONSE = 16 * 1024 * 1024
MAX_REDIRECTS = 5
TEST_TIMEOUT_S = 15
# Some answer 403 to a token that they do not know.
_REFUSED = frozenset({401, 403})
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
# What hosts write there although the answer is as it is: names of a charset, and what S3 says of how a file came in.
_PACKS_NOTHING = frozenset({"", "identity", "none", "utf-8", "utf8", "us-ascii", "iso-8859-1", "binary", "8bit", "aws-chunked"})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class RestProcessor:
    """Satisfies `api.Processor`."""

    operations = frozenset({OPERATION, TEST})

    async def run(self, operation: str, params: Mapping[str, Any], credential: Credential) -> AsyncIterator[Arrow | Progress | Result]:
        if operation not in self.operations:
            raise refused(credential, f"REST has no operation {operation}")
        made = request(_tested(credential) if operation == TEST else params, credential)
        started = time.monotonic()
        try:
            async with asyncio.timeout(made.timeout_s):
                value = await _answer(made, credential)
        except TimeoutError as error:
            raise refused(credential, f"no answer within {made.timeout_s:g} s") from error
        verdict = _verdict(value, made, credential, time.monotonic() - started) if operation == TEST else value
        yield Result(verdict, refused=value["status"] in _REFUSED, repeatable=made.method in _SAFE)


PROCESSOR = RestProcessor()


async def _answer(made: Request, credential: Credential) -> dict[str, Any]:
    import httpx  # The vendor half is imported when it is first used.

    async with httpx.AsyncClient(verify=_tls(), trust_env=False, timeout=None, follow_redirects=False) as client:  # noqa: S113 - the whole run has one
        for _ in range(MAX_REDIRECTS + 1):
            try:
                response, content = await _exchange(client, made, credential)
            except (httpx.HTTPError, httpx.InvalidURL, OSError, zlib.error) as error:
                raise refused(credential, _fault(error)) from error
            location = response.headers.get("location", "")
            if response.status_code not in _REDIRECTS or not location:
                return _value(response, content, made)
            made = redirected(made, response.status_code, location, credential)
    raise refused(credential, f"more than {MAX_REDIRECTS} redirects")


async def _exchange(client: "httpx.AsyncClient", made: Request, credential: Credential) -> tuple["httpx.Response", bytes]:
    _, host, port = origin_of(made.url, credential)
    parts = urlsplit(made.url)
    try:
        address = await resolve(host, port)
    except AddressRefused as error:
        raise refused(credential, str(error)) from error
    target = parts._replace(netloc=f"[{address}]:{port}" if ":" in address else f"{address}:{port}", fragment="").geturl()
    headers = {**made.headers, "host": parts.netloc}
    async with client.stream(made.method, target, headers=headers, content=made.content, extensions={"sni_hostname": host}) as response:
        content, unpack = bytearray(), _unpacker(response.headers.get("content-encoding", ""), credential)
        async for chunk in response.aiter_raw():
            content += unpack(chunk, MAX_RESPONSE + 1 - len(content))
            if len(content) > MAX_RESPONSE:
                raise refused(credential, f"the answer is over {MAX_RESPONSE // 1024 // 1024} MiB")
        return response, bytes(content)


def _unpacker(encoding: str, credential: Credential) -> Callable[[bytes, int], bytes]:
    """Gives at most so many bytes of a piece: the library unpacks whatever comes, and a kilobyte can be a gigabyte."""
    match [name for part in encoding.split(",") if (name := part.strip().lower()) not in _PACKS_NOTHING]:
        case []:
            return lambda data, limit: data[:limit]
        case ["gzip" | "x-gzip"]:
            return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress
    raise refused(
        credential,
        f"the answer's Content-Encoding is {encoding[:80]!r}, and only gzip and identity are read here: ask the host for the header "
        'Accept-Encoding with "identity", or have the host obey it',
    )


def _tested(credential: Credential) -> dict[str, Any]:
    """What a test asks for: configuration alone decides."""
    where = credential.config.get("test_path") or credential.config.get("base_url") or ""
    if not where or ("base_url" not in credential.config):
        raise refused(credential, "it has no base_url, so a test has nothing to ask for")
    return {"method": "GET", "url": where, "timeout_s": TEST_TIMEOUT_S}


def _verdict(value: Mapping[str, Any], made: Request, credential: Credential, took_s: float) -> dict[str, Any]:
    """What was reached. Raises OperationFailed for an answer with which no cell could work."""
    _, host, port = origin_of(made.url, credential)
    status, answered = value["status"], f"{host}:{port} answered {value['status']} {value['reason']}".rstrip()
    if status in _REFUSED:
        text = str(refused(credential, f"{answered}: the credential is refused, or may not do this"))
        raise CredentialRefused(text, repeatable=made.method in _SAFE)
    if status >= 500:
        raise refused(credential, answered)
    return {"reached": answered, "took_ms": round(took_s * 1000)}


def _value(response: "httpx.Response", content: bytes, made: Request) -> dict[str, Any]:
    return {
        "status": response.status_code,
        "reason": response.reason_phrase,
        "url": made.url,
        "headers": {name: text for name, text in response.headers.items() if name != "set-cookie"},
        **_content(response, content),
    }


def _content(response: "httpx.Response", content: bytes) -> dict[str, Any]:
    kind = response.headers.get("content-type", "").split(";")[0].strip().lower()
    try:
        text = content.decode(response.charset_encoding or "utf-8")
    except (UnicodeDecodeError, LookupError):
        return {"base64": base64.b64encode(content).decode()}
    if kind.endswith(("/json", "+json")):
        try:
            return {"text": text, "json": json.loads(text)}
        except (ValueError, RecursionError):
            return {"text": text}
    return {"text": text}


def _fault(error: Exception) -> str:
    """A text by the kind of failure: the library's own may hold addresses and headers."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return "the host's certificate is not trusted (see REQUESTS_CA_BUNDLE)"
        if isinstance(cause, ssl.SSLError):
            return "the host does not speak TLS as it should"
        cause = cause.__cause__ or cause.__context__
    names = {
        "ConnectError": "the host cannot be reached: nobody answers at its port",
        "UnsupportedProtocol": "the URL is malformed",
        "gaierror": "the host's name cannot be resolved",
        "RemoteProtocolError": "the host's answer is not HTTP",
        "error": "the host's answer is not packed as it says",
    }
    return names.get(type(error).__name__, "the request failed on its way")


@lru_cache(maxsize=1)
def _tls() -> Any:
    return tls_context(os.environ)
