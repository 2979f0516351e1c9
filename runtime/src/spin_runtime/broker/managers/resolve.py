"""Credentials with their references resolved, for as long as an operation takes.

- Decided first: the manager is configured, the path allowed, the connection's hosts among the rule's. Then each place is read, once for all its fields.
- The values are in the credential that the operation gets, and nowhere else but in `leases`.
"""

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import structlog

from spin_cells.api import Credential
from spin_runtime.broker.managers.configuration import NONE, Configuration, ManagerConfiguration
from spin_runtime.broker.managers.interface import Manager, ManagerFailed
from spin_runtime.broker.managers.kinds import WhenUsed
from spin_runtime.broker.managers.leases import Leases
from spin_runtime.broker.managers.permission import refusal
from spin_runtime.broker.managers.references import Place, Reference, ReferenceInvalid, reference, select
from spin_runtime.broker.refusals import Denial
from spinapis.errors.v1 import reasons_pb2

log = structlog.get_logger("spin.managers")


class SecretManagers:
    def __init__(self, configuration: Configuration = NONE, environment: Mapping[str, str] | None = None) -> None:
        self._configuration = configuration.managers
        made: dict[str, Manager] = {name: WhenUsed(manager, environment or {}) for name, manager in configuration.managers.items()}
        self.leases = Leases(made, {name: manager.bounds for name, manager in configuration.managers.items()})

    @asynccontextmanager
    async def resolved(self, credential: Credential, hosts: Collection[str], *, exposes: bool) -> AsyncIterator[Credential]:
        """The credential with the values of its references. Raises Denial."""
        references = permitted(self._configuration, credential, hosts, exposes)
        async with AsyncExitStack() as held:
            secrets = {}
            for place in dict.fromkeys(named.place for named in references.values()):
                try:
                    secrets[place] = await held.enter_async_context(self.leases.holding(place))
                except ManagerFailed as failed:
                    raise _failed(credential, place, failed) from None
            yield replace(credential, secret={**credential.secret, **_values(credential, references, secrets)})

    def keep(self, credentials: Collection[Credential]) -> None:
        """Forgets what none of these connections names any more."""
        named = set()
        for credential in credentials:
            for field, value in credential.references.items():
                try:
                    named.add(reference(field, value).place)
                except ReferenceInvalid:
                    continue
        self.leases.forget(named.__contains__)

    async def close(self) -> None:
        await self.leases.close()


def permitted(managers: Mapping[str, ManagerConfiguration], credential: Credential, hosts: Collection[str], exposes: bool) -> dict[str, Reference]:
    """The references by field, all of which the operator allows. Raises Denial."""
    found = {}
    for field, value in credential.references.items():
        try:
            named = reference(field, value)
        except ReferenceInvalid as invalid:
            raise _refused(credential, f"the reference {invalid}") from None
        place = named.place
        manager = managers.get(place.manager)
        if manager is None:
            raise _refused(credential, f'this runtime has no secret manager {place.manager!r}: whoever operates it adds it to "managers"')
        if why := refusal(manager.rules, place.path, hosts, exposes):
            raise _refused(credential, f"{place.path!r} of the secret manager {place.manager!r} {why}")
        found[field] = named
    return found


def _values(credential: Credential, references: Mapping[str, Reference], secrets: Mapping[Place, object]) -> dict[str, str]:
    values = {}
    for field, named in references.items():
        try:
            values[field] = select(secrets[named.place], named.key)  # type: ignore[arg-type]
        except ManagerFailed as failed:
            raise _failed(credential, named.place, failed, field) from None
    return values


def _refused(credential: Credential, why: str) -> Denial:
    text = f"The connection {credential.name!r} is refused: {why}. The file is secret-managers.json of the runtime."
    return Denial(reasons_pb2.ERROR_REASON_SECRET_REFERENCE_REFUSED, text, why, connection=credential.name)


def _failed(credential: Credential, place: Place, failed: ManagerFailed, field: str = "") -> Denial:
    log.warning("secret_not_read", manager=place.manager, path=place.path, failure=failed.failure.name, detail=failed.detail)
    named = f" for {field}" if field else ""
    text = f"The connection {credential.name!r} gets no value{named} from the secret manager {place.manager!r}: {failed.failure.value}."
    return Denial(reasons_pb2.ERROR_REASON_SECRET_MANAGER_FAILED, text, f"{failed.failure.name} {failed.detail}", connection=credential.name)
