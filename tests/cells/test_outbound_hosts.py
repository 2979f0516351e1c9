"""Where connections may lead: what an entry of their hosts means, and addresses to which nobody is sent."""

import pytest

from spin_cells import hosts, outbound

# Google, EKS pods, Oracle and Scaleway over IPv6; Azure.
OF_CLOUDS = ("fd20:ce::254", "fd00:ec2::23", "fd00:c1::a9fe:a9fe", "fd00:42::42", "168.63.129.16")


@pytest.mark.parametrize(
    ("listed", "base", "url", "goes"),
    [
        ("a.example", "https://a.example", "https://A.example./x", True),
        ("a.example", "https://a.example", "http://a.example/x", False),
        ("a.example", "https://a.example", "http://a.example:443/x", False),
        ("a.example:8443", "", "http://a.example:8443/x", False),
        ("a.example:8443", "", "https://a.example:8443/x", True),
        ("a.example:80", "", "http://a.example/x", True),
        ("a.example:80", "", "https://a.example:80/x", False),
        ("http://a.example", "", "http://a.example/x", True),
        ("http://a.example", "", "https://a.example/x", False),
        ("https://a.example:80", "", "http://a.example/x", False),
        ("a.example", "http://a.example", "http://a.example/x", True),
        ("a.example", "http://a.example:8080", "http://a.example/x", False),
        ("a.example:8080", "http://a.example:8080", "http://a.example:8080/x", True),
        ("b.example", "http://a.example", "http://b.example/x", False),
        ("b.example", "http://a.example", "http://a.example/x", False),
        ("[::1]:8080", "http://[::1]:8080", "http://[::1]:8080/x", True),
        ("*", "https://a.example", "https://a.example/x", False),
    ],
)
def test_an_entry_means_one_scheme_host_and_port(listed: str, base: str, url: str, goes: bool) -> None:
    origin = hosts.origin_of(url)
    assert origin and (hosts.refusal(origin, hosts.allowed([listed], base)) == "") is goes


@pytest.mark.parametrize(
    "address",
    ["169.254.169.254", "fe80::1%eth0", "fd00:ec2::254", "::ffff:169.254.169.254", "0.0.0.0", "224.0.0.1", "100.100.100.200", "::", *OF_CLOUDS],
)
def test_addresses_that_nobody_is_sent_to(address: str) -> None:
    assert outbound.is_refused(address)


@pytest.mark.parametrize(
    "address",
    [
        "64:ff9b::169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b::100.100.100.200",
        "64:ff9b::0.0.0.0",
        "64:ff9b::224.0.0.1",
        "64:ff9b:1::169.254.169.254",
        "64:ff9b:1:7:8:9:169.254.169.254",
        "64:ff9b:1:a9fe:a9:fe00::",
        "64:ff9b:1:a9:fe:a9fe::",
        "64:ff9b:1:0:a9:fea9:fe00:0",
    ],
)
def test_addresses_that_a_translator_sends_there(address: str) -> None:
    assert outbound.is_refused(address)


@pytest.mark.parametrize("address", ["64:ff9b::127.0.0.1", "64:ff9b:1::127.0.0.1", "::ffff:127.0.0.1"])
def test_a_loopback_that_a_translator_reaches_is_none_for_kernels(address: str) -> None:
    assert outbound.is_unreachable(address)


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "192.168.1.1", "::1", "8.8.8.8", "64:ff9b::8.8.8.8", "64:ff9b:1::10.0.0.1"])
def test_addresses_of_a_customers_network_are_fine(address: str) -> None:
    assert not outbound.is_refused(address)
