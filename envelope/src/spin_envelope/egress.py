"""Which hosts code in a kernel may reach: the patterns of an allow-list, and what several policies come to. docs/protocol.md, section 4.

- A pattern is "name:port" or "*.name:port", which is every name below that one and not the name itself. A name may be an IP address, IPv6 in
  brackets. Patterns are in lower case and have one spelling each.
- Of two patterns either one lies within the other or they have nothing in common. So what two lists both allow is a list again: of every
  pattern that lies within one of the other list. Nothing is lost or gained by narrowing.
- NONE is stricter than ALLOW_LIST, which is stricter than OPEN. A mode that nobody knows counts as NONE.
"""

import ipaddress
import re
from collections.abc import Iterable

from spinapis.envelope.v1.attach_pb2 import EgressMode, EgressPolicy

NONE, ALLOW_LIST, OPEN = EgressMode.EGRESS_MODE_NONE, EgressMode.EGRESS_MODE_ALLOW_LIST, EgressMode.EGRESS_MODE_OPEN
WILDCARD = "*."
LAST_PORT = 65_535
_PATTERN = re.compile(r"(?P<host>\[[^\[\]]*\]|[^:\[\]]*)(?::(?P<port>[0-9]{1,5}))?")
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
# What resolvers read as a number: "127.1", "0x7f000001".
_NUMBER = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)")
LONGEST_NAME = 253


class HostInvalid(ValueError):
    """A text that is no pattern; says what is wrong with it."""


def pattern(text: str) -> str:
    """Its one spelling. Raises HostInvalid."""
    found = _PATTERN.fullmatch(text.strip().lower())
    if found is None:
        raise HostInvalid("a host is name:port, *.name:port, or an address with a port; IPv6 in brackets, as in [2001:db8::1]:443")
    host, port = found["host"], found["port"]
    if port is None or not 1 <= int(port) <= LAST_PORT:
        raise HostInvalid(f"a host needs a port from 1 to {LAST_PORT}, as in {host or 'pypi.org'}:443")
    wildcard = WILDCARD if host.startswith(WILDCARD) else ""
    named = name(host.removeprefix(WILDCARD))
    if named is None or (wildcard and address(named) is not None):
        raise HostInvalid("a host's name has letters, digits, dots and hyphens (international names as xn--…); only a name may have *. before it")
    return f"{wildcard}{named}:{int(port)}"


def name(text: str) -> str | None:
    """A name's or an address's one spelling, IPv6 in brackets; None when it is neither."""
    text = text.lower().removesuffix(".")
    if text.startswith("["):
        found = address(text)
        return None if found is None else f"[{found.compressed}]"
    if _NUMBER.fullmatch(text):
        return None if (found := address(text)) is None else found.compressed
    return text if _NAME.fullmatch(text) and len(text) <= LONGEST_NAME else None


def address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that a host is, written as in a pattern; None for a name."""
    try:
        if text.startswith("["):
            # Without its bracket the last digit would be cut off, and another address allowed than the one that is connected to.
            found = ipaddress.IPv6Address(text[1:-1]) if text.endswith("]") else None
            return None if found is None or found.scope_id else found
        return ipaddress.IPv4Address(text)
    except ValueError:
        return None


def within(one: str, other: str) -> bool:
    """Whether whatever the first pattern allows is allowed by the second."""
    if one == other:
        return True
    return other.startswith(WILDCARD) and one.removeprefix(WILDCARD).endswith(other.removeprefix("*"))


def allows(policy: EgressPolicy, host: str, port: int) -> bool:
    """`host` as a client wrote it."""
    if policy.mode == OPEN:
        return True
    named = name(host)
    wanted = f"{named}:{port}"
    return policy.mode == ALLOW_LIST and named is not None and any(within(wanted, known) for known in policy.hosts)


def narrowed(policies: Iterable[EgressPolicy]) -> EgressPolicy:
    """What all of them allow; OPEN where there are none."""
    result = EgressPolicy(mode=OPEN)
    for policy in policies:
        result = _both(result, policy)
    return result


def _both(first: EgressPolicy, second: EgressPolicy) -> EgressPolicy:
    if _strictness(first) != _strictness(second):
        return max(first, second, key=_strictness)
    hosts = [one for one in first.hosts if any(within(one, other) for other in second.hosts)]
    hosts += [other for other in second.hosts if any(within(other, one) for one in first.hosts)]
    return EgressPolicy(mode=first.mode, hosts=dict.fromkeys(hosts), workspace_ids=[*first.workspace_ids, *second.workspace_ids])


def _strictness(policy: EgressPolicy) -> int:
    return {OPEN: 0, ALLOW_LIST: 1}.get(policy.mode, 2)
