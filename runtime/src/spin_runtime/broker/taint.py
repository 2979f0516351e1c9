"""Whose code is in a kernel, and for whose code a run may use connections. docs/protocol.md, section 6. Pure.

- Whoever's program was admitted to an epoch is in its kernel from then on: code that ran leaves what it likes behind, and a server that was taken
  over need not wait for a run's turn.
- A grant names those who may use each of its connections. One of whom it does not speak is one too many, whoever signed the program.
"""

from collections.abc import Set
from dataclasses import dataclass

from spin_runtime.broker.refusals import Denial
from spinapis.envelope.v1 import run_pb2
from spinapis.errors.v1 import reasons_pb2


@dataclass(frozen=True, slots=True, order=True)
class Principal:
    user_id: str
    # Outermost first; empty for a person.
    actor_chain: tuple[str, ...] = ()


def principal_of(said: run_pb2.RunGrant | run_pb2.Principal) -> Principal:
    return Principal(said.user_id, tuple(said.actor_chain))


def allowed_by(grant: run_pb2.RunGrant) -> frozenset[Principal]:
    return frozenset(map(principal_of, grant.principals))


def check_principals(present: Set[Principal], allowed: Set[Principal], what: str) -> None:
    """Raises Denial for `what` the run would use, a connection or several."""
    others = sorted({principal.user_id for principal in present - allowed})
    if others:
        raise Denial(
            reasons_pb2.ERROR_REASON_KERNEL_TAINTED,
            f"{what} cannot be used: code of somebody for whom this run has no leave came into the kernel. Run the cell again; if that is refused, "
            "restart the kernel.",
            f"the grant does not speak of {others}",
            user_ids=",".join(others),
        )
