"""What the operator of a runtime allows of a manager. Pure. What no rule allows is refused.

- `*` stands for anything within one part of a path, `**` for any parts.
- A rule with hosts is for connections that lead nowhere else; a rule that does not say `expose` is for values that only the broker sees.
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True)
class Rule:
    path: str
    # Empty: any.
    hosts: frozenset[str] = frozenset()
    # Whether cells may be shown the value ({{secret:NAME}}).
    expose: bool = False


def refusal(rules: Iterable[Rule], path: str, hosts: Collection[str], exposes: bool) -> str:
    """Why a connection with these hosts may not use the path; empty when a rule allows it."""
    matching = [rule for rule in rules if matches(rule.path, path)]
    if not matching:
        return 'is not allowed: whoever operates the runtime adds it to the manager\'s "allow"'
    exposed = [rule for rule in matching if rule.expose or not exposes]
    if not exposed:
        return 'may not be shown to cells: its rule does not say "expose": true'
    if any(not rule.hosts or (hosts and rule.hosts >= set(hosts)) for rule in exposed):
        return ""
    allowed = sorted(set().union(*(rule.hosts for rule in exposed)))
    return f"may be used by connections whose hosts are among {', '.join(allowed)} alone"


def matches(pattern: str, path: str) -> bool:
    return _expression(pattern).fullmatch(path) is not None


@lru_cache(maxsize=1024)
def _expression(pattern: str) -> re.Pattern[str]:
    pieces = {"**": ".*", "*": "[^/]*"}
    return re.compile("".join(pieces.get(piece, re.escape(piece)) for piece in re.split(r"(\*\*|\*)", pattern)))
