"""What a request may be: parameters and the connection in, one checked request out. No I/O.

- Only hosts that the connection allows, with their scheme and port (`hosts`): a credential for https never travels by http.
- The credential's header is the connection's: parameters cannot set it, nor any header that frames the message.
- Texts of refusals name the connection and the host, never the credential.
"""

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

from spin_cells import hosts
from spin_cells.api import Credential, OperationFailed
from spin_cells.rest.form import DEFAULT_TIMEOUT_S, METHODS

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+\Z")
_OURS = frozenset({"host", "content-length", "transfer-encoding", "connection", "proxy-authorization", "authorization", "te", "trailer", "upgrade"})
_ACCEPTED = frozenset({"gzip", "identity"})
_KNOWN = frozenset({"method", "url", "query", "headers", "json", "body", "timeout_s"})


@dataclass(frozen=True)
class Request:
    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    content: bytes
    timeout_s: float


def request(params: Mapping[str, Any], credential: Credential) -> Request:
    """Raises OperationFailed for what is not a request that this connection makes."""
    if unknown := sorted(set(params) - _KNOWN):
        raise refused(credential, f"there is no parameter {unknown[0]}")
    method = params.get("method", "GET")
    if method not in METHODS:
        raise refused(credential, "the method is none of " + ", ".join(METHODS))
    content, content_type = _content(params, credential)
    headers = {
        "accept": "application/json, */*;q=0.5",
        "accept-encoding": "gzip",
        **content_type,
        **_headers(params, credential),
        **_authorization(credential),
    }
    return Request(method, _url(params, credential), headers, content, _timeout(params, credential))


def redirected(made: Request, status: int, location: str, credential: Credential) -> Request:
    """The request that follows a redirect: on the same host and scheme alone, so the credential goes nowhere new."""
    try:
        target = urljoin(made.url, location)
    except ValueError as error:
        raise refused(credential, "the host redirects to a malformed URL") from error
    if origin_of(target, credential) != origin_of(made.url, credential):
        raise refused(credential, "the host redirects to another one, and redirects are followed on the same host alone")
    allowed_host(target, credential)
    to_get = status == 303 or (status in (301, 302) and made.method == "POST")
    if to_get:
        headers = {name: value for name, value in made.headers.items() if name != "content-type"}
        return Request("HEAD" if made.method == "HEAD" else "GET", target, headers, b"", made.timeout_s)
    return Request(made.method, target, made.headers, made.content, made.timeout_s)


def refused(credential: Credential, why: str) -> OperationFailed:
    return OperationFailed(f"Connection {credential.name}: {why}")


def origin_of(url: str, credential: Credential) -> hosts.Origin:
    found = hosts.origin_of(url)
    if found is None:
        raise refused(credential, "the URL needs http:// or https://, a host, and neither spaces nor a user name")
    return found


def allowed_host(url: str, credential: Credential) -> None:
    allowed = hosts.allowed(credential.allowed_hosts, str(credential.config.get("base_url", "")))
    if why := hosts.refusal(origin_of(url, credential), allowed):
        raise refused(credential, why)


def _url(params: Mapping[str, Any], credential: Credential) -> str:
    given = params.get("url", "")
    if not isinstance(given, str):
        raise refused(credential, "the URL is not text")
    url = _with_query(_absolute(given.strip(), str(credential.config.get("base_url", "")), credential), params.get("query"), credential)
    allowed_host(url, credential)
    return url


def _absolute(given: str, base: str, credential: Credential) -> str:
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", given) or given.startswith("//"):
        if base and given.startswith("//"):
            raise refused(credential, "write the URL with http:// or https://, or a path")
        return given
    if not base:
        raise refused(credential, "it has no base URL, so the cell's URL must be a whole one")
    return base.rstrip("/") + "/" + given.lstrip("/") if given else base


def _with_query(url: str, query: Any, credential: Credential) -> str:
    if query is None or query == {}:
        return url
    if not isinstance(query, Mapping):
        raise refused(credential, "the query is not an object")
    pairs = [
        (str(name), _text(item)) for name, value in query.items() for item in (value if isinstance(value, list) else [value]) if item is not None
    ]
    origin_of(url, credential)
    parts = urlsplit(url)
    joined = "&".join(part for part in (parts.query, urlencode(pairs)) if part)
    return parts._replace(query=joined).geturl()


def _text(value: Any) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def _content(params: Mapping[str, Any], credential: Credential) -> tuple[bytes, dict[str, str]]:
    if "json" in params and "body" in params:
        raise refused(credential, "both json and body are given")
    if "json" in params:
        return json.dumps(params["json"], ensure_ascii=False, allow_nan=False).encode(), {"content-type": "application/json"}
    if "body" in params:
        if not isinstance(params["body"], str):
            raise refused(credential, "the body is not text")
        return params["body"].encode(), {"content-type": "text/plain; charset=utf-8"}
    return b"", {}


def _headers(params: Mapping[str, Any], credential: Credential) -> dict[str, str]:
    given = params.get("headers") or {}
    if not isinstance(given, Mapping):
        raise refused(credential, "the headers are not an object")
    own = _OURS | {name.lower() for name in _authorization(credential)}
    headers = {str(name).lower(): _text(value) for name, value in given.items()}
    for name, value in headers.items():
        if not _HEADER_NAME.match(name) or re.search(r"[\r\n\x00]", value):
            raise refused(credential, "a header has a line break in it or a name that is none")
        if name in own or (name == "accept-encoding" and value.strip().lower() not in _ACCEPTED):
            usable = ": leave it out, or ask for gzip or identity" if name == "accept-encoding" else ""
            raise refused(credential, f"the header {name} is set by the connection itself{usable}")
    return headers


def _authorization(credential: Credential) -> dict[str, str]:
    secret = credential.secret
    match credential.config.get("auth", _guess(secret)):
        case "bearer":
            return {"authorization": f"Bearer {_secret(credential, 'token')}"}
        case "basic":
            pair = f"{_secret(credential, 'username')}:{_secret(credential, 'password')}"
            return {"authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
        case "header":
            return {_header_name(credential): _secret(credential, "value")}
        case "none":
            return {}
    raise refused(credential, "its kind of authentication is none of bearer, basic, header and none")


def _guess(secret: Mapping[str, Any]) -> str:
    """For connections that do not say: by the credential's fields."""
    return "bearer" if "token" in secret else "basic" if "password" in secret else "header" if "value" in secret else "none"


def _header_name(credential: Credential) -> str:
    name = str(credential.config.get("header_name", "")).lower()
    if not _HEADER_NAME.match(name) or (name in _OURS and name != "authorization"):
        raise refused(credential, "its header_name is not the name of a header")
    return name


def _secret(credential: Credential, name: str) -> str:
    value = credential.secret.get(name, credential.config.get(name) if name == "username" else None)
    if not isinstance(value, str) or not value or re.search(r"[\r\n\x00]", value):
        raise refused(credential, f"its credential has no usable {name}")
    return value


def _timeout(params: Mapping[str, Any], credential: Credential) -> float:
    value = params.get("timeout_s", DEFAULT_TIMEOUT_S)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 3600:
        raise refused(credential, "the timeout is not between 0 and 3600 seconds")
    return float(value)
