"""Allow-lists: what is a pattern, what a list allows, and that narrowing is exact."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spin_envelope.egress import ALLOW_LIST, NONE, OPEN, HostInvalid, allows, narrowed, pattern
from spinapis.envelope.v1.attach_pb2 import EgressPolicy


def listed(*hosts: str, workspace: bytes = b"") -> EgressPolicy:
    return EgressPolicy(mode=ALLOW_LIST, hosts=hosts, workspace_ids=[workspace] if workspace else [])


@pytest.mark.parametrize(
    ("text", "spelling"),
    [
        ("pypi.org:443", "pypi.org:443"),
        (" PyPI.org.:0443 ", "pypi.org:443"),
        ("*.Example.org:80", "*.example.org:80"),
        ("my_host:1", "my_host:1"),
        ("10.0.0.5:5432", "10.0.0.5:5432"),
        ("[2001:DB8:0::1]:443", "[2001:db8::1]:443"),
    ],
)
def test_a_host_has_one_spelling(text: str, spelling: str) -> None:
    assert pattern(text) == spelling


@pytest.mark.parametrize(
    "text",
    [
        *("", "pypi.org", "pypi.org:", "pypi.org:0", "pypi.org:65536", "pypi.org:https", ":443", "pypi.org:443:1", "https://pypi.org:443"),
        *(
            "*:443",
            "*.:443",
            "a.*.org:443",
            "*pypi.org:443",
            "-a.org:443",
            "a..org:443",
            f"{'a' * 64}.org:443",
            f"{'a.' * 127}org:443",
            "bücher.de:443",
        ),
        # Resolvers read these as addresses.
        *("2130706433:80", "127.1:80", "0x7f000001:80", "10.0.0.256:80", "*.10.0.0.5:80"),
        *("2001:db8::1:443", "[2001:db8::1]", "[pypi.org]:443", "[fe80::1%eth0]:443", "[]:443", "*.[2001:db8::1]:443"),
    ],
)
def test_what_is_no_host(text: str) -> None:
    with pytest.raises(HostInvalid):
        pattern(text)


def test_the_error_says_which_port_is_missing() -> None:
    with pytest.raises(HostInvalid, match=r"pypi\.org:443"):
        pattern("pypi.org")


def test_a_list_allows_its_hosts_and_ports_alone() -> None:
    policy = listed("pypi.org:443", "*.example.org:80", "[2001:db8::1]:443", "10.0.0.5:22")
    for host, port in (("pypi.org", 443), ("PyPI.ORG.", 443), ("a.example.org", 80), ("a.b.example.org", 80), ("[2001:db8:0::1]", 443)):
        assert allows(policy, host, port)
    for host, port in (
        ("pypi.org", 80),
        ("example.org", 80),
        ("badexample.org", 80),
        ("example.org.evil.net", 80),
        ("10.0.0.6", 22),
        ("*.example.org", 80),
        # One character more, and no bracket.
        ("[2001:db8::1f", 443),
        ("[2001:db8::1", 443),
        ("2001:db8::1", 443),
    ):
        assert not allows(policy, host, port)
    assert allows(listed("10.0.0.5:22"), "10.0.0.5", 22)
    assert not allows(listed("10.0.0.5:22"), "167772165", 22)


def test_modes() -> None:
    assert allows(EgressPolicy(mode=OPEN), "anything.example", 1)
    for closed in (EgressPolicy(mode=NONE), EgressPolicy(), listed()):
        assert not allows(closed, "pypi.org", 443)


def test_the_stricter_mode_counts_and_says_whose_it_is() -> None:
    nothing = EgressPolicy(mode=NONE, workspace_ids=[b"n"])
    everything = EgressPolicy(mode=OPEN, workspace_ids=[b"o"])
    some = listed("pypi.org:443", workspace=b"s")
    assert narrowed([]).mode == OPEN
    assert narrowed([everything, some]) == narrowed([some, everything]) == some
    assert narrowed([some, nothing, everything]) == nothing
    # Nobody knows what a mode of a later version means: nothing is allowed by it.
    assert narrowed([EgressPolicy(mode=9), some]).mode == 9  # type: ignore[arg-type]


def test_what_two_lists_both_allow() -> None:
    child = listed("*.a.example.org:443", "pypi.org:443", "evil.net:443", workspace=b"c")
    parent = listed("*.example.org:443", "x.a.example.org:443", "pypi.org:443", "pypi.org:80", workspace=b"p")
    both = narrowed([child, parent])
    assert list(both.hosts) == ["*.a.example.org:443", "pypi.org:443", "x.a.example.org:443"]
    assert list(both.workspace_ids) == [b"c", b"p"]


labels = st.sampled_from(["a", "b", "c"])
names = st.lists(labels, min_size=1, max_size=3).map(".".join)
patterns = st.builds(lambda wild, host, port: f"{wild}{host}:{port}", st.sampled_from(["", "*."]), names, st.sampled_from([1, 2]))
lists = st.lists(patterns, max_size=4).map(lambda hosts: listed(*hosts))


@given(st.lists(lists, min_size=1, max_size=4), names, st.sampled_from([1, 2]))
def test_narrowing_allows_exactly_what_all_allow(policies: list[EgressPolicy], host: str, port: int) -> None:
    assert allows(narrowed(policies), host, port) == all(allows(policy, host, port) for policy in policies)


@given(st.text(max_size=40))
def test_any_text_is_a_host_or_refused(text: str) -> None:
    try:
        spelling = pattern(text)
    except HostInvalid:
        return
    assert pattern(spelling) == spelling
