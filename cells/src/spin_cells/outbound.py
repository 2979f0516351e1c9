"""How the process halves reach other hosts: TLS by REQUESTS_CA_BUNDLE, and addresses that nobody may be sent to.

- REQUESTS_CA_BUNDLE names a file, or a directory prepared with c_rehash. Where it is not set, outbound TLS is not verified, as the
  runtime's documentation says and its start warns.
- An address is checked after its name is resolved, and the connection goes to that very address: a name cannot change its mind in between.
"""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Mapping
from pathlib import Path

_METADATA = frozenset(ipaddress.ip_address(address) for address in ("169.254.169.254", "fd00:ec2::254", "100.100.100.200", "192.0.0.192"))


class AddressRefused(Exception):
    """The host is nothing that a request may be sent to; the text says why."""


def tls_context(environment: Mapping[str, str]) -> ssl.SSLContext:
    bundle = environment.get("REQUESTS_CA_BUNDLE", "")
    context = ssl.create_default_context()
    if not bundle:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif Path(bundle).is_dir():
        context.load_verify_locations(capath=bundle)
    else:
        context.load_verify_locations(cafile=bundle)
    return context


def is_refused(address: str) -> bool:
    """Link-local, multicast, unspecified, and the clouds' metadata services, also when written as IPv6."""
    parsed = ipaddress.ip_address(address.split("%")[0])
    mapped = getattr(parsed, "ipv4_mapped", None) or getattr(parsed, "sixtofour", None)
    candidates = [parsed, *([mapped] if mapped else [])]
    return any(item in _METADATA or item.is_link_local or item.is_multicast or item.is_unspecified for item in candidates)


def is_unreachable(address: str) -> bool:
    """For code in kernels: the same, and the machine's own loopback."""
    parsed = ipaddress.ip_address(address.split("%")[0])
    mapped = getattr(parsed, "ipv4_mapped", None)
    return is_refused(address) or parsed.is_loopback or (mapped is not None and mapped.is_loopback)


async def resolve(host: str, port: int) -> str:
    """The address to connect to. Raises AddressRefused when any address of the host is refused, OSError when it has none."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [str(entry[4][0]) for entry in found]
    if not addresses:
        raise AddressRefused("the host has no address")
    if any(is_refused(address) for address in addresses):
        raise AddressRefused("the host's address is link-local or a metadata service's")
    return addresses[0]
