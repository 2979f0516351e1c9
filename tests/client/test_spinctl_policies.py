"""A workspace's policy with spinctl."""

from tests.client.conftest import Spinctl
from tests.fakes.platform import FakePlatform


async def test_a_policy_is_shown_and_changed(signed_in: Spinctl, control_plane: FakePlatform) -> None:
    control_plane.add_workspace("Operations")
    ran = await signed_in("workspace", "policy", "show")
    assert "as the parent's" in ran.out and "open" in ran.out
    ran = await signed_in("workspace", "policy", "set", "--host", "pypi.org:443", "--host", "*.example.org:80", "--trust-grace", "24")
    assert ran.out.startswith("Egress in Operations: pypi.org:443, *.example.org:80. Sessions that attach from now on")
    assert "may start kernels with the old one for up to an hour" in ran.out and ran.out.endswith("Trust grace: 24 h.\n")
    found = (await signed_in("workspace", "policy", "show", "--json")).json()
    assert (found["egress"]["mode"], found["egress"]["hosts"]) == ("allow_list", ["pypi.org:443", "*.example.org:80"])
    assert found["trust_grace_ms"] == 24 * 3_600_000
    assert (await signed_in("workspace", "policy", "set", "--egress", "none")).out.startswith("Egress in Operations: none. ")
    changed = (await signed_in("workspace", "policy", "set", "--egress", "inherit", "--trust-grace", "0", "--json")).json()
    assert (changed["egress"]["mode"], changed["effective_egress"]["mode"], changed["trust_grace_ms"]) == ("unspecified", "open", 0)


async def test_what_is_wrong_is_told(signed_in: Spinctl, control_plane: FakePlatform) -> None:
    control_plane.add_workspace()
    nothing = await signed_in("workspace", "policy", "set")
    assert nothing.status == 2 and "--egress, --host or --trust-grace" in nothing.err
    host = await signed_in("workspace", "policy", "set", "--host", "pypi.org")
    assert host.status == 2 and "pypi.org:443" in host.err
    for wrong in (("--egress", "wide"), ("--trust-grace", "73"), ("--trust-grace", "soon")):
        assert (await signed_in("workspace", "policy", "set", *wrong)).status == 2
