"""The secrets that a cell's templates read: which, why not, and what its program may ask of the broker for them.

- A secret that its user may not use reads like one that does not exist.
- One that is not exposable is refused here for a clear word in its place; what keeps its value in is the broker.
- `{{secret_var:variable}}` may turn out to name any exposable secret, so a program gets them all; whether one may be used in its kernel is asked when
  it is read. One that a second person has to approve must be named.
"""

from collections.abc import Iterable, Iterator, Sequence

from spin_cells.api import ConnectionInfo, Context, Problem, Secrets, Use
from spin_cells.secret import KIND, OPERATION
from spin_cells.templates import Place
from spin_envelope.digests import params_digest

MOST = 32


def wanted(places: Iterable[Place]) -> Secrets:
    found = list(places)
    names = sorted({place.name for place in found if place.kind == "secret" and place.name})
    return Secrets(tuple(names), any(place.kind == "secret_var" for place in found))


def problems(places: Iterable[Place], context: Context) -> list[Problem]:
    return [place.problem(message) for place in places if (message := _fault(place, context))]


def uses(places: Sequence[Place], context: Context) -> tuple[Use, ...]:
    """Each secret alone, and nothing of it but its value."""
    named = {context.secrets[place.name].id for place in places if place.kind == "secret"}
    every = {secret.id for secret in eligible(context).values()} if any(place.kind == "secret_var" for place in places) else set()
    return tuple(Use(connection_id, (OPERATION,), params_digest({}), at_use=connection_id not in named) for connection_id in sorted(named | every))


def eligible(context: Context) -> dict[str, ConnectionInfo]:
    """By name: what a variable may name."""
    found = {secret.name: secret for secret in context.secrets.values() if _readable(secret) and OPERATION not in secret.approval_operations}
    return dict(sorted(found.items()))


def unreadable(secret: ConnectionInfo) -> str:
    """Why code may not read the value of a connection; empty where it may."""
    if secret.kind != KIND:
        return (
            f"The credential of {secret.name} is not for code: it is a connection of the kind {secret.kind}. Choose it as the connection of a cell, "
            "and the runtime uses it without showing it to code"
        )
    if not secret.exposable:
        return (
            f"The secret {secret.name} is not exposable: its value would stand where the notebook's code can read it. Use a connection that does the "
            "work with the credential, so that the runtime never shows it to code; or ask who manages the secret to mark it exposable"
        )
    if OPERATION not in secret.allowed_operations:
        return f"The secret {secret.name} does not allow {OPERATION}"
    return ""


def _readable(secret: ConnectionInfo) -> bool:
    return not unreadable(secret)


def _fault(place: Place, context: Context) -> str:
    if place.kind == "secret" and place.name:
        secret = context.secrets.get(place.name)
        return f"There is no secret {place.name} that you may use in this workspace" if secret is None else unreadable(secret)
    if place.kind == "secret_var":
        return "".join(_too_many(len(eligible(context))))
    return ""


def _too_many(count: int) -> Iterator[str]:
    if count > MOST:
        yield f"You may use more than {MOST} exposable secrets here, and the variable could name any: name the secret itself, {{{{secret:NAME}}}}"
    elif not count:
        yield "There is no exposable secret that you may use in this workspace"
