"""What a kernel gets of its workspace's egress policy on this runtime, and how that is told. Pure.

- SPIN_EGRESS is the most that the runtime gives, whatever a workspace allows: none < allow_list < open.
- With SPIN_EGRESS=allow_list a host must be allowed by the workspace, and by SPIN_EGRESS_HOSTS where that names any. A workspace that is open has
  no list, so it reaches SPIN_EGRESS_HOSTS.
"""

from dataclasses import dataclass
from typing import Any

from spin_envelope import egress
from spin_runtime.launcher.rules import EGRESS_ALLOW_LIST, EGRESS_NONE, EGRESS_OPEN
from spinapis.envelope.v1.attach_pb2 import EgressPolicy

_MODES = {egress.NONE: EGRESS_NONE, egress.ALLOW_LIST: EGRESS_ALLOW_LIST, egress.OPEN: EGRESS_OPEN}
_BY_NAME = {name: mode for mode, name in _MODES.items()}


def mode_of(policy: EgressPolicy) -> str:
    """A mode that nobody knows is none."""
    return _MODES.get(policy.mode, EGRESS_NONE)


@dataclass(frozen=True)
class Cap:
    """What the operator gives at most."""

    mode: str = EGRESS_OPEN
    hosts: tuple[str, ...] = ()

    def given(self, allowed: EgressPolicy | None) -> EgressPolicy:
        """Without a workspace's word, all that the runtime gives."""
        own = EgressPolicy(mode=_BY_NAME[self.mode], hosts=self.hosts)
        if allowed is None:
            return own
        if allowed.mode == egress.ALLOW_LIST and self.mode == EGRESS_ALLOW_LIST and not self.hosts:
            return allowed
        return egress.narrowed([EgressPolicy(mode=_BY_NAME[mode_of(allowed)], hosts=allowed.hosts, workspace_ids=allowed.workspace_ids), own])


def whose(policy: EgressPolicy) -> str:
    """Whose word it is, and who can change it."""
    if not policy.workspace_ids:
        return "the runtime's own SPIN_EGRESS; its operator can change it"
    named = " and ".join(one.hex() for one in policy.workspace_ids)
    several = len(policy.workspace_ids) > 1
    return f"the egress policy of workspace{'s' if several else ''} {named}; an owner there can change it: spinctl workspace policy set"


def told(policy: EgressPolicy) -> str:
    """For everyone in the session, when the kernel is up; nothing where it is open."""
    mode = mode_of(policy)
    if mode == EGRESS_OPEN:
        return ""
    if mode == EGRESS_NONE:
        return f"This kernel has no network, by {whose(policy)}."
    shown = ", ".join(policy.hosts[:5]) + (f" and {len(policy.hosts) - 5} more" if len(policy.hosts) > 5 else "")
    return f"This kernel reaches {shown or 'no host'}, by {whose(policy)}."


def as_plain(policy: EgressPolicy) -> dict[str, Any]:
    """For the proxy's process."""
    return {"mode": int(policy.mode), "hosts": list(policy.hosts), "workspace_ids": [one.hex() for one in policy.workspace_ids]}


def from_plain(plain: dict[str, Any]) -> EgressPolicy:
    return EgressPolicy(mode=plain["mode"], hosts=plain["hosts"], workspace_ids=[bytes.fromhex(one) for one in plain["workspace_ids"]])
