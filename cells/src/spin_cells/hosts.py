"""Where a connection's credential may be sent: scheme, host and port, all three.

- An entry of the connection's list is `host` or `host:port`, and may say `http://` or `https://` before it.
- An entry without a scheme means https. It means http for port 80, and where it is the host and port of a base URL that says http itself.
- Without a list the base URL's own is the only one.
"""

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

PORTS = {"http": 80, "https": 443}
Origin = tuple[str, str, int]


def allowed(entries: Iterable[str], base_url: str) -> set[Origin]:
    base = origin_of(base_url)
    listed = [*entries]
    if not listed:
        return {base} if base else set()
    return {origin for entry in listed for origin in _meant(entry, base)}


def origin_of(url: str) -> Origin | None:
    """None for what is no address of http or https, or has more in it than an address needs: a user name, spaces, backslashes."""
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").rstrip(".").lower(), parts.port or PORTS.get(parts.scheme, 0)
    except ValueError:
        return None
    if parts.scheme not in PORTS or not host or "@" in parts.netloc or re.search(r"[\s\\\x00-\x1f\x7f]", url):
        return None
    return parts.scheme, host, port


def written(origin: Origin) -> str:
    """The origin for people, with its scheme; its port where it is not the scheme's own."""
    scheme, host, port = origin
    named = f"[{host}]" if ":" in host else host
    return f"{scheme}://{named}" + ("" if port == PORTS[scheme] else f":{port}")


def refusal(origin: Origin, allowed_ones: Iterable[Origin]) -> str:
    """Why nothing may be sent there, and what helps; empty where it may."""
    known = {*allowed_ones}
    if origin in known:
        return ""
    text = f"{written(origin)} is not one of its hosts"
    secure = next((one for one in known if one[:2] == ("https", origin[1])), None)
    if origin[0] == "http" and secure:
        return f"{text}: ask {written(secure)}, or have {written(origin)} listed among its hosts, where the credential is sent unencrypted"
    return text


def _meant(entry: str, base: Origin | None) -> set[Origin]:
    if "://" in entry:
        said = origin_of(entry.lower())
        return {said} if said else set()
    plain, secure = origin_of(f"http://{entry}"), origin_of(f"https://{entry}")
    if plain is None or secure is None:
        return set()
    return {plain} if secure[2] == PORTS["http"] else {secure} | ({plain} if plain == base else set())
