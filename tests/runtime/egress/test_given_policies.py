"""What a kernel gets of its workspace's policy, and how that is told."""

import pytest

from spin_runtime.egress.policy import Cap, as_plain, from_plain, mode_of, told
from spin_runtime.launcher.rules import EGRESS_ALLOW_LIST, EGRESS_NONE, EGRESS_OPEN
from spinapis.envelope.v1.attach_pb2 import EGRESS_MODE_ALLOW_LIST, EGRESS_MODE_NONE, EGRESS_MODE_OPEN, EgressPolicy

WORKSPACE = bytes(range(16))
LISTED = EgressPolicy(mode=EGRESS_MODE_ALLOW_LIST, hosts=["pypi.org:443", "git.example.org:22"], workspace_ids=[WORKSPACE])
OPEN = EgressPolicy(mode=EGRESS_MODE_OPEN)


@pytest.mark.parametrize(
    ("cap", "allowed", "mode", "hosts"),
    [
        (Cap(), OPEN, EGRESS_OPEN, []),
        (Cap(), LISTED, EGRESS_ALLOW_LIST, ["pypi.org:443", "git.example.org:22"]),
        (Cap(), EgressPolicy(), EGRESS_NONE, []),
        (Cap(), EgressPolicy(mode=9), EGRESS_NONE, []),  # type: ignore[arg-type]
        (Cap(EGRESS_NONE), OPEN, EGRESS_NONE, []),
        (Cap(EGRESS_NONE), LISTED, EGRESS_NONE, []),
        (Cap(EGRESS_ALLOW_LIST), LISTED, EGRESS_ALLOW_LIST, ["pypi.org:443", "git.example.org:22"]),
        (Cap(EGRESS_ALLOW_LIST), OPEN, EGRESS_ALLOW_LIST, []),
        (Cap(EGRESS_ALLOW_LIST, ("*.example.org:22",)), LISTED, EGRESS_ALLOW_LIST, ["git.example.org:22"]),
        (Cap(EGRESS_ALLOW_LIST, ("*.example.org:22",)), OPEN, EGRESS_ALLOW_LIST, ["*.example.org:22"]),
        (Cap(EGRESS_ALLOW_LIST, ("*.example.org:22",)), EgressPolicy(mode=EGRESS_MODE_NONE), EGRESS_NONE, []),
        (Cap(EGRESS_ALLOW_LIST, ("a.org:1",)), None, EGRESS_ALLOW_LIST, ["a.org:1"]),
    ],
)
def test_the_runtime_and_the_workspace_must_both_allow_it(cap: Cap, allowed: EgressPolicy | None, mode: str, hosts: list[str]) -> None:
    given = cap.given(allowed)
    assert (mode_of(given), list(given.hosts)) == (mode, hosts)


def test_people_are_told_what_and_whose() -> None:
    assert told(OPEN) == ""
    assert "pypi.org:443, git.example.org:22" in told(LISTED) and WORKSPACE.hex() in told(LISTED) and "owner" in told(LISTED)
    assert told(Cap(EGRESS_NONE).given(OPEN)) == "This kernel has no network, by the runtime's own SPIN_EGRESS; its operator can change it."
    many = EgressPolicy(mode=EGRESS_MODE_ALLOW_LIST, hosts=[f"h{n}.org:1" for n in range(9)])
    assert "h4.org:1 and 4 more" in told(many)


def test_the_proxys_process_gets_the_same() -> None:
    assert from_plain(as_plain(LISTED)) == LISTED
