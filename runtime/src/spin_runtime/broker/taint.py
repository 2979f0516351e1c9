"""Whose code is in a kernel, and for whose code a run may use connections. docs/protocol.md, section 6. Pure.

- Whoever's program was admitted to an epoch is in its kernel from then on: code that ran leaves what it likes behind, and a server that was taken
  over need not wait for a run's turn.
- A grant names those who may use each of its connections. One of whom it does not speak is one too many, whoever signed the program.
- What is typed at a run's prompt may be code (a debugger's, for one) and has the run's ticket: it counts from whoever's run it is alone.
- Of a use that is judged at its time the grant names those who may make it; the rest of the run does not depend on it.
"""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field

from spin_runtime.broker.refusals import Denial
from spinapis.envelope.v1 import attach_pb2, run_pb2
from spinapis.errors.v1 import reasons_pb2


@dataclass(frozen=True, slots=True, order=True)
class Principal:
    user_id: str
    # Outermost first; empty for a person.
    actor_chain: tuple[str, ...] = ()


def principal_of(said: run_pb2.RunGrant | run_pb2.Principal | attach_pb2.CapabilityToken) -> Principal:
    return Principal(said.user_id, tuple(said.actor_chain))


def whole_run(uses: Iterable[run_pb2.ConnectionUse]) -> bool:
    """Whether some connection is judged for the run as a whole."""
    return any(use.connection_id and not use.at_use for use in uses)


@dataclass(frozen=True)
class Leave:
    """For whose code a grant lets connections be used."""

    principals: frozenset[Principal] = frozenset()
    candidates: tuple[Principal, ...] = ()
    # Of those whose code was in the kernel when the run was granted, by user id.
    names: Mapping[str, str] = field(default_factory=dict)

    def check(self, present: Set[Principal], uses: Sequence[run_pb2.ConnectionUse], name: str) -> None:
        """Whether the connection of this name may be used by these uses of it. Raises Denial."""
        if whole_run(uses):
            check_principals(present, self.principals, f"The connection {name!r}")
            return
        able = {self.candidates[place] for use in uses for place in use.able if place < len(self.candidates)}
        others = sorted({principal.user_id for principal in present - able})
        if others:
            who = ", ".join(sorted({self.names.get(user_id) or "somebody who came later or left" for user_id in others}))
            text = (
                f"The secret {name!r} cannot be read in this kernel: code of {who} came into it, and as far as this run was told they may not use "
                f"the secret. Run the cell again; if that is refused too, restart the kernel, or ask whoever manages {name!r} to let them use it."
            )
            raise _tainted(text, others)


def leave_of(grant: run_pb2.RunGrant) -> Leave:
    names = {said.user_id: said.name for said in grant.candidates if said.name}
    return Leave(frozenset(map(principal_of, grant.principals)), tuple(map(principal_of, grant.candidates)), names)


def check_principals(present: Set[Principal], allowed: Set[Principal], what: str) -> None:
    """Raises Denial for `what` the run would use, a connection or several."""
    others = sorted({principal.user_id for principal in present - allowed})
    if others:
        text = (
            f"{what} cannot be used: code of somebody for whom this run has no leave came into the kernel. Run the cell again; if that is refused, "
            "restart the kernel."
        )
        raise _tainted(text, others)


def check_answer(run: tuple[bytes, Principal], client: tuple[bytes, Principal]) -> None:
    """Whether the client answers for the run, each named by its session and principal. Raises Denial."""
    if run == client:
        return
    user_id = run[1].user_id
    text = (
        "Whoever ran this cell answers what it asks, because what is typed here runs in their name and with their connections; a person's run is "
        "not an agent's to answer, nor the other way round. Interrupt the cell, or take the session over and run the cell yourself."
    )
    raise Denial(reasons_pb2.ERROR_REASON_INPUT_REFUSED, text, f"the run is of {run[1]}, the answer of {client[1]}", user_id=user_id)


def _tainted(text: str, others: Sequence[str]) -> Denial:
    return Denial(reasons_pb2.ERROR_REASON_KERNEL_TAINTED, text, f"the grant does not speak of {others}", user_ids=",".join(others))
