"""Performing an operation for code in a kernel. docs/protocol.md, section 6.

- Decided first, without I/O: the run was granted this operation with these parameters; trust and bundle are good now, not only when the
  run was admitted; everyone whose code is in the kernel by now may use the connection; the connection allows the operation, and the host where
  the parameters name one; what is guarded was approved, for the connection as it is.
- References to secret managers are resolved then, and all is decided again where that meant asking one: it may have taken a while.
- Then done by the process half of the cell type, which gets the credential; the kernel gets results alone.
- A credential's value is given out by one operation, of connections of one kind, and only where the entry that secrets signed says so. That it
  was is on disk, signed, before the value leaves.
"""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence, Set
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any, cast
from urllib.parse import urlsplit

from spin_cells import hosts, secret
from spin_cells.api import Credential, Processor
from spin_cells.connections import usable
from spin_envelope.digests import canonical_json, params_digest, read_json
from spin_envelope.errors import Refused
from spin_runtime.broker.api import BrokerError
from spin_runtime.broker.credentials import Credentials
from spin_runtime.broker.known import KnownSecrets
from spin_runtime.broker.managers.resolve import SecretManagers
from spin_runtime.broker.performing import Order, ended, failure, performed
from spin_runtime.broker.redaction import values_of
from spin_runtime.broker.refusals import Denial, log, reason_name
from spin_runtime.broker.taint import Principal, whole_run
from spin_runtime.broker.tickets import Ticket
from spin_runtime.broker.trust import Trust, check_may_run
from spinapis.envelope.v1 import run_pb2
from spinapis.errors.v1 import reasons_pb2
from spinapis.runtime.v1 import broker_pb2

RUNTIME_ENV = "runtime_env.get"
# Never readable from a cell: they configure the runtime, and one of them is its token.
RESERVED = "SPIN_"
OPERATION = re.compile(r"([a-z][a-z0-9_]*)\.[a-z][a-z0-9_.]*")
BUNDLE_PATIENCE_S = 5.0

Processors = Callable[[str], Processor | None]
# Has the runtime testify to what a run has done so far: on disk when it returns.
Testify = Callable[[Ticket], Awaitable[None]]


@dataclass(frozen=True)
class Standing:
    """What can change while a run goes on: the trust, and whose code is in its kernel."""

    trust: Trust
    present: Set[Principal]


def installed_processor(cell_type: str) -> Processor | None:
    """The process half of a cell type; imported when it is first used, with its vendor's SDK."""
    module = f"spin_cells.{cell_type}.process"
    try:
        return cast(Processor, import_module(module).PROCESSOR)
    except ModuleNotFoundError as error:
        if error.name is not None and module.startswith(error.name):
            return None
        raise


def authorise(ticket: Ticket, request: broker_pb2.UseRequest, credentials: Credentials, trust: Trust, present: Set[Principal], now_ms: int) -> Order:
    """Whether the request may be done while the kernel has the code of those who are present. Raises Denial."""
    params = _params(request.params_json)
    granted = ticket.granted(request.connection_id, request.operation, params_digest(params))
    if not granted:
        raise _denied("This run was not granted this operation with these parameters.", f"{request.operation!r} is not granted")
    check_may_run(trust, now_ms)
    if not request.connection_id:
        if request.operation != RUNTIME_ENV:
            raise _denied("The runtime has no such operation.", f"{request.operation!r} without a connection")
        return Order(request.operation, params, None)
    credential = credentials.usable(request.connection_id, trust, now_ms)
    if request.operation not in usable(credential.kind, credential.allowed_operations):
        raise _denied(f"The connection {credential.name!r} does not allow {request.operation}.", "not an operation of the connection")
    ticket.leave.check(present, granted, credential.name)
    if request.operation in credential.approval_operations:
        _check_approved(ticket, granted, request.operation, credential)
    check_exposure(request.operation, credential)
    check_host(params, credential)
    return Order(request.operation, params, credential)


def check_exposure(operation: str, credential: Credential) -> None:
    """A value leaves the broker only where who manages the connection said so, whatever was granted. Raises Denial."""
    if operation == secret.OPERATION and not (credential.kind == secret.KIND and credential.exposable):
        text = (
            f"The value of {credential.name!r} is not for code: who manages the connection has not marked it exposable. "
            "Use a connection that does the work with it, so that code needs no secret, or have it marked."
        )
        raise _denied(text, "a credential that is not exposable")


def _check_approved(ticket: Ticket, granted: Sequence[run_pb2.ConnectionUse], operation: str, credential: Credential) -> None:
    if not ticket.approved or not whole_run(granted):
        raise _denied(f"{credential.name!r} needs the approval of a second person for {operation}.", "guarded, and not approved")
    if all(use.connection_version != credential.version for use in granted):
        text = f"The connection {credential.name!r} was changed after this run was approved: ask for another approval, and run the cell again."
        raise _denied(text, f"approved for another version than {credential.version}")


def check_host(params: Mapping[str, Any], credential: Credential) -> None:
    """An address among the parameters must be on one of the connection's hosts, with its scheme and port. Raises Denial.

    The process half checks every hop again, redirects included; this is for those that forget.
    """
    url = params.get("url")
    if not isinstance(url, str) or "//" not in url:
        return
    asked = hosts.origin_of(url)
    if asked is None:
        raise _denied(f"The connection {credential.name!r} cannot be used with this URL: it is malformed.", "no address")
    if why := hosts.refusal(asked, hosts.allowed(credential.allowed_hosts, str(credential.config.get("base_url", "")))):
        raise _denied(f"The connection {credential.name!r} may not be used there: {why}.", "a host that is not the connection's")


def hosts_for(credential: Credential) -> set[str]:
    """Where the credential may be sent to, in the words that an operator's rule for a secret manager uses."""
    return {host.lower() for host in credential.allowed_hosts} or hosts_of(str(credential.config.get("base_url", "")))


def hosts_of(url: str) -> set[str]:
    """How the address's host may stand in a list: with its port, and without where the port is the scheme's own. Empty for what is no address."""
    try:
        parts = urlsplit(url)
        own = {"http": 80, "https": 443}.get(parts.scheme)
        port = parts.port or own
    except ValueError:
        return set()
    if own is None or not parts.hostname or "@" in parts.netloc or "\\" in url:
        return set()
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return {f"{host}:{port}"} | ({host} if port == own else set())


class Operations:
    def __init__(
        self,
        credentials: Credentials,
        environment: Mapping[str, str],
        clock: Callable[[], int],
        processors: Processors,
        testify: Testify,
        managers: SecretManagers,
        known: KnownSecrets,
    ) -> None:
        self._credentials, self._clock, self._processors, self._testify = credentials, clock, processors, testify
        self._managers, self._known = managers, known
        self._environment = {name: value for name, value in environment.items() if not name.upper().startswith(RESERVED)}

    async def perform(self, ticket: Ticket, request: broker_pb2.UseRequest, standing: Callable[[], Standing]) -> AsyncIterator[broker_pb2.UseReply]:
        """Replies to one request; the last one is an end or a failure. Closing the iteration stops the operation."""
        try:
            order = await self._authorised(ticket, request, standing)
            processor = self._processor(order)
            async with AsyncExitStack() as held:
                credential = await self._resolved(order, held)
                if credential is not order.credential and self._decided(ticket, request, standing()) != order:
                    raise _denied("The connection was changed meanwhile: run the cell again.", "changed while its references were resolved")
                ticket.count(request.connection_id, request.operation, denied=False)
                if processor is None or credential is None:
                    yield self._runtime_env(order.params)
                    return
                held.enter_context(self._known.holding(values_of(credential.secret)))
                if (refused := await self._untestified(ticket, order, credential)) is not None:
                    yield refused
                    return
                renew = partial(self._renewed, ticket, request, standing, order, credential, held)
                async with aclosing(performed(processor, order, credential, renew)) as steps:
                    async for reply in steps:
                        yield reply
        except Denial as denial:
            ticket.count(request.connection_id, request.operation, denied=True)
            log.warning("use_denied", operation=request.operation[:80], reason=reason_name(denial.reason), why=denial.why)
            yield failure(denial.reason, denial.text)

    async def _resolved(self, order: Order, held: AsyncExitStack) -> Credential | None:
        """The credential with its references' values, for as long as the stack holds them. Raises Denial."""
        credential = order.credential
        if credential is None or not credential.references:
            return credential
        resolving = self._managers.resolved(credential, hosts_for(credential), exposes=order.operation == secret.OPERATION)
        return await held.enter_async_context(resolving)

    async def _renewed(
        self,
        ticket: Ticket,
        request: broker_pb2.UseRequest,
        standing: Callable[[], Standing],
        order: Order,
        credential: Credential,
        held: AsyncExitStack,
        repeatable: bool,
    ) -> Credential | None:
        """The values of its references, fetched anew because the remote side did not accept these: now where that helps, else by the next use."""
        if order.credential is None or not order.credential.references:
            return None
        self._managers.refused(order.credential)
        if not repeatable:
            return None
        try:
            renewed = await self._resolved(order, held)
            unchanged = self._decided(ticket, request, standing()) == order
        except Denial as denial:
            # The remote side's answer says more than that.
            log.warning("credential_not_renewed", reason=reason_name(denial.reason), why=denial.why)
            return None
        if renewed is None or not unchanged or renewed.secret == credential.secret:
            return None
        held.enter_context(self._known.holding(values_of(renewed.secret)))
        return renewed

    async def _untestified(self, ticket: Ticket, order: Order, credential: Credential) -> broker_pb2.UseReply | None:
        """Why a value may not leave yet; None when that it does is on disk."""
        if order.operation != secret.OPERATION or credential.connection_id in ticket.testified:
            return None
        try:
            await self._testify(ticket)
        except BrokerError as error:
            log.error("exposure_not_testified", reason=reason_name(error.reason))
            return failure(error.reason, error.text)
        ticket.testified.add(credential.connection_id)
        return None

    async def _authorised(self, ticket: Ticket, request: broker_pb2.UseRequest, standing: Callable[[], Standing]) -> Order:
        """Raises Denial. Where only newer credentials are wanting it waits a little: whoever brings a trust state brings them right after it."""
        try:
            return self._decided(ticket, request, standing())
        except Denial as denial:
            if denial.reason != reasons_pb2.ERROR_REASON_BUNDLE_STALE or not self._credentials.version(self._clock()):
                raise
        await self._credentials.renewed(BUNDLE_PATIENCE_S)
        return self._decided(ticket, request, standing())

    def _decided(self, ticket: Ticket, request: broker_pb2.UseRequest, standing: Standing) -> Order:
        return authorise(ticket, request, self._credentials, standing.trust, standing.present, self._clock())

    def _processor(self, order: Order) -> Processor | None:
        if order.credential is None:
            return None
        match = OPERATION.fullmatch(order.operation)
        processor = self._processors(match[1]) if match else None
        if processor is None or order.operation not in processor.operations:
            raise _denied(f"This runtime cannot perform {order.operation}: its cell type is not installed.", "no processor")
        return processor

    def _runtime_env(self, params: Mapping[str, Any]) -> broker_pb2.UseReply:
        name = params.get("name")
        value = self._environment.get(name) if isinstance(name, str) else None
        if value is None:
            return failure(reasons_pb2.ERROR_REASON_NOT_FOUND, f"The runtime's environment has no variable {name!r} that cells may read.")
        return ended({"value": value})


def _params(data: bytes) -> Mapping[str, Any]:
    try:
        params = read_json(data)
        if isinstance(params, dict) and canonical_json(params) == data:
            return params
    except Refused:
        pass  # said below, in one way for every form that is not canonical
    raise _denied("The parameters are not canonical JSON.", "parameters that are not canonical")


def _denied(text: str, why: str) -> Denial:
    return Denial(reasons_pb2.ERROR_REASON_OPERATION_DENIED, text, why)
