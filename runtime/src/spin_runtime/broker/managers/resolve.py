"""Credentials with their references resolved, for as long as an operation takes.

- Decided first: the manager is configured, the path allowed, the connection's hosts among the rule's. Then each place is read, once.
- The values are in the credential that the operation gets, and nowhere else but in `leases`.
"""

from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import structlog

from spin_cells.api import Credential, SecretReference
from spin_runtime.broker.known import KnownSecrets
from spin_runtime.broker.managers.configuration import NONE, Configuration, ManagerConfiguration
from spin_runtime.broker.managers.interface import Manager, ManagerFailed, Secret
from spin_runtime.broker.managers.kinds import WhenUsed
from spin_runtime.broker.managers.leases import Leases
from spin_runtime.broker.managers.permission import refusal
from spin_runtime.broker.managers.references import Place, fault, place_of, select
from spin_runtime.broker.refusals import Denial
from spinapis.errors.v1 import reasons_pb2

log = structlog.get_logger("spin.managers")


class SecretManagers:
    def __init__(self, configuration: Configuration = NONE, environment: Mapping[str, str] | None = None, known: KnownSecrets | None = None) -> None:
        self._configuration, known = configuration.managers, known or KnownSecrets()
        made: dict[str, Manager] = {name: WhenUsed(manager, environment or {}, known) for name, manager in configuration.managers.items()}
        self.leases = Leases(made, {name: manager.bounds for name, manager in configuration.managers.items()}, known=known)

    @asynccontextmanager
    async def resolved(self, credential: Credential, hosts: Collection[str], *, exposes: bool) -> AsyncIterator[Credential]:
        """The credential with the values of its references. Raises Denial."""
        places = permitted(self._configuration, credential, hosts, exposes)
        async with AsyncExitStack() as held:
            secrets = {}
            for place in places:
                try:
                    secrets[place] = await held.enter_async_context(self.leases.holding(place))
                except ManagerFailed as failed:
                    raise _failed(credential, place, failed) from None
            values = {field: _value(credential, field, reference, secrets) for field, reference in credential.references.items()}
            yield replace(credential, secret={**credential.secret, **values}, references={})

    def refused(self, credential: Credential) -> None:
        """The remote side did not accept the values of these references: who asks next gets them from the managers."""
        for place in {place_of(reference) for reference in credential.references.values()}:
            self.leases.doubt(place)

    def keep(self, credentials: Iterable[Credential]) -> None:
        """Forgets what none of these connections names."""
        named = {place_of(reference) for credential in credentials for reference in credential.references.values()}
        self.leases.forget(named.__contains__)

    async def close(self) -> None:
        await self.leases.close()


def permitted(managers: Mapping[str, ManagerConfiguration], credential: Credential, hosts: Collection[str], exposes: bool) -> list[Place]:
    """The places that the references name, each once; the operator allows them all. Raises Denial."""
    places = list(dict.fromkeys(place_of(reference) for reference in credential.references.values()))
    for place in places:
        manager = managers.get(place.manager)
        if manager is None:
            raise _refused(credential, f'this runtime has no secret manager {place.manager!r}: whoever operates it adds it to "managers"')
        if why := fault(place) or refusal(manager.rules, place.path, hosts, exposes):
            raise _refused(credential, f"{place.path!r} of the secret manager {place.manager!r} {why}")
    return places


def _value(credential: Credential, field: str, reference: SecretReference, secrets: Mapping[Place, Secret]) -> str:
    place = place_of(reference)
    try:
        return select(secrets[place], reference.key)
    except ManagerFailed as failed:
        raise _failed(credential, place, failed, field) from None


def _refused(credential: Credential, why: str) -> Denial:
    text = f"The connection {credential.name!r} is refused: {why} (the runtime's secret-managers.json)."
    return Denial(reasons_pb2.ERROR_REASON_SECRET_REFERENCE_REFUSED, text, why, connection=credential.name)


def _failed(credential: Credential, place: Place, failed: ManagerFailed, field: str = "") -> Denial:
    log.warning("secret_not_read", manager=place.manager, path=place.path, failure=failed.failure.name, detail=failed.detail)
    named = f" for {field}" if field else ""
    text = f"The connection {credential.name!r} gets no value{named} from the secret manager {place.manager!r}: {failed.failure.value}."
    return Denial(reasons_pb2.ERROR_REASON_SECRET_MANAGER_FAILED, text, f"{failed.failure.name} {failed.detail}", connection=credential.name)
