"""How the process halves reach other hosts: TLS by REQUESTS_CA_BUNDLE, and addresses that nobody may be sent to.

- REQUESTS_CA_BUNDLE names a file, or a directory prepared with c_rehash. Where it is not set, outbound TLS is not verified, as the
  runtime's documentation says and its start warns.
- An address is checked after its name is resolved, and the connection goes to that very address: a name cannot change its mind in between.
"""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path

_METADATA = frozenset(
    ipaddress.ip_address(address)
    for address in (
        # AWS and most others; AWS over IPv6, and the credentials of EKS pods; Google; Oracle; Scaleway; Alibaba; Oracle; Azure's WireServer.
        *("169.254.169.254", "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "fd00:c1::a9fe:a9fe", "fd00:42::42"),
        *("100.100.100.200", "192.0.0.192", "168.63.129.16"),
    )
)


# Translators send what is addressed below these to the IPv4 address inside (RFC 6052; RFC 8215 for a network's own, at any place that RFC 6052
# knows): how many bits stand to the right of it, without the octet that is always 0.
_TRANSLATED = {ipaddress.IPv6Network("64:ff9b::/96"): (0,), ipaddress.IPv6Network("64:ff9b:1::/48"): (0, 24, 32, 40)}

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


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
    return any(item in _METADATA or item.is_link_local or item.is_multicast or item.is_unspecified for item in _reached(address))


def is_unreachable(address: str) -> bool:
    """For code in kernels: the same, and the machine's own loopback."""
    return is_refused(address) or any(item.is_loopback for item in _reached(address))


def _reached(address: str) -> list[_Address]:
    """The address, and the IPv4 addresses that it may lead to."""
    parsed = ipaddress.ip_address(address.split("%")[0])
    if isinstance(parsed, ipaddress.IPv4Address):
        return [parsed]
    inside = [found for found in (parsed.ipv4_mapped, parsed.sixtofour) if found is not None]
    for network, offsets in _TRANSLATED.items():
        if parsed in network:
            inside += [found for offset in offsets if int(found := _inside(int(parsed), offset)) or not offset]
    return [parsed, *inside]


def _inside(number: int, offset: int) -> ipaddress.IPv4Address:
    without = number >> 64 << 56 | number & (1 << 56) - 1
    return ipaddress.IPv4Address(without >> offset & 0xFFFFFFFF)


async def resolve(host: str, port: int, refused: Callable[[str], bool] = is_refused) -> str:
    """The address to connect to. Raises AddressRefused when any address of the host is refused, OSError when it has none."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [str(entry[4][0]) for entry in found]
    if not addresses:
        raise AddressRefused("the host has no address")
    if any(refused(address) for address in addresses):
        raise AddressRefused("the host's address is link-local, a metadata service's, or of the machine itself")
    return addresses[0]
