"""What happens around every call: telemetry, then errors, then identity, then policy, then the servicer.

Rules: this order; a call without a rule is refused; a unary call without a deadline gets one; a stream ends when its caller's token
expires, or at once when the service drains.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import grpc
import structlog
from sqlalchemy.exc import DBAPIError

from spin_envelope.errors import Refused, RootExpired
from spin_services.keys import KeysUnusable
from spin_services.keys.expiry import RENEW
from spin_services.rpc.certificates import named_services
from spin_services.rpc.errors import ErrorReason, ServiceError, abort, internal
from spin_services.rpc.identity import SERVICE_METADATA, USER_METADATA, Caller, TokenVerifier, bearer, set_caller
from spin_services.rpc.limits import DEFAULT_DEADLINE_S
from spin_services.rpc.neighbours import NeighbourContext
from spin_services.rpc.peers import deadline_at
from spin_services.rpc.policy import INFRASTRUCTURE, RULES, AccessLookup, Public, Rule, enforce
from spin_services.rpc.telemetry import CALLS, SECONDS, span
from spin_services.rpc.trace import TRACEPARENT, continued, current_trace

# Values that no column takes: what asyncpg itself refuses to send, a number out of range, a NUL in a text or in JSON. The rest of class 22, such as a
# division by zero, is no fault of the caller.
VALUES_REFUSED = frozenset({"22000", "22003", "22021", "22P05"})
Admission = Callable[[Caller], Awaitable[None]]

log = structlog.get_logger("spin.rpc")


class Calls(grpc.aio.ServerInterceptor):
    """The one interceptor of a server. `admit` may refuse a caller whose token verifies (auth knows the revoked sign-ins)."""

    def __init__(
        self, verifier: TokenVerifier, access: AccessLookup, trace_ratio: float, admit: Admission | None = None, *, certificates: bool = False
    ) -> None:
        self._verifier = verifier
        # Whether callers over the socket show certificates.
        self._certificates = certificates
        self._access = access
        self._ratio = trace_ratio
        self._admit = admit
        self._wrapped: dict[str, Any] = {}
        self._streams: set[asyncio.Task[Any]] = set()
        self._draining = False

    async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        method = handler_call_details.method
        wrapped = self._wrapped.get(method)
        if wrapped is None:
            handler = await continuation(handler_call_details)
            if handler is None:
                return None
            wrapped = self.around(method, handler)
            self._wrapped[method] = wrapped
        return wrapped

    def drain(self) -> None:
        """Ends the streams; unary calls go on."""
        self._draining = True
        for task in self._streams:
            task.cancel()

    def around(self, method: str, handler: Any) -> Any:
        """The handler with all of this around it."""
        codec = {"request_deserializer": handler.request_deserializer, "response_serializer": handler.response_serializer}
        if method in INFRASTRUCTURE:
            if handler.response_streaming and not handler.request_streaming:
                return grpc.unary_stream_rpc_method_handler(self._ending(handler.unary_stream), **codec)
            return handler
        if handler.response_streaming:
            return grpc.unary_stream_rpc_method_handler(self._stream(method, handler.unary_stream), **codec)
        return grpc.unary_unary_rpc_method_handler(self._unary(method, handler.unary_unary), **codec)

    def _unary(self, method: str, behaviour: Any) -> Any:
        rule, seconds = RULES.get(method), SECONDS.labels(method)
        ok = CALLS.labels(method, "OK")

        async def call(request: Any, context: Any) -> Any:
            started, metadata = time.perf_counter(), dict(context.invocation_metadata())
            with span(method, continued(metadata.get(TRACEPARENT), self._ratio)):
                try:
                    remaining = context.time_remaining()
                    limit = DEFAULT_DEADLINE_S if remaining is None else remaining
                    deadline_at.set(asyncio.get_running_loop().time() + limit)
                    async with asyncio.timeout(limit):
                        await self._enter(rule, metadata, request, context)
                        answer = await behaviour(request, context)
                    ok.inc()
                    return answer
                except Exception as error:
                    await self._fail(method, error, context)
                finally:
                    seconds.observe(time.perf_counter() - started)

        return call

    def _stream(self, method: str, behaviour: Any) -> Any:
        rule = RULES.get(method)

        async def call(request: Any, context: Any) -> AsyncIterator[Any]:
            metadata = dict(context.invocation_metadata())
            task = asyncio.current_task()
            assert task is not None
            self._streams.add(task)
            with span(method, continued(metadata.get(TRACEPARENT), self._ratio)):
                try:
                    caller = await self._enter(rule, metadata, request, context)
                    async with asyncio.timeout(_life(caller)) as life, aclosing(behaviour(request, context)) as answers:
                        async for answer in answers:
                            yield answer
                    CALLS.labels(method, "OK").inc()
                except asyncio.CancelledError:
                    if not self._draining:
                        raise
                    task.uncancel()
                    await self._fail(method, ServiceError(ErrorReason.ERROR_REASON_UNAVAILABLE, "The service is restarting: watch again."), context)
                except TimeoutError as error:
                    expired = ServiceError(ErrorReason.ERROR_REASON_TOKEN_EXPIRED) if life.expired() else error
                    await self._fail(method, expired, context)
                except Exception as error:
                    await self._fail(method, error, context)
                finally:
                    self._streams.discard(task)

        return call

    def _ending(self, behaviour: Any) -> Any:
        """A health watcher, which would hold the drain up otherwise."""

        async def call(request: Any, context: Any) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._streams.add(task)
            try:
                await behaviour(request, context)
            except asyncio.CancelledError:
                if not self._draining:
                    raise
                task.uncancel()
            finally:
                self._streams.discard(task)

        return call

    async def _enter(self, rule: Rule | None, metadata: dict[str, Any], request: Any, context: Any) -> Caller:
        """Identity, then policy. Raises what the caller lacks."""
        if rule is None:
            raise ServiceError(ErrorReason.ERROR_REASON_PERMISSION_DENIED)
        # A stale token in the way must not keep anyone from signing in again.
        caller = Caller() if isinstance(rule, Public) else self._identify(metadata, context)
        if self._admit is not None and caller.user_id:
            await self._admit(caller)
        caller = await enforce(rule, caller, getattr(request, "workspace_id", ""), self._access)
        set_caller(caller)
        return caller

    def _identify(self, metadata: dict[str, Any], context: Any) -> Caller:
        user, service = metadata.get(USER_METADATA), metadata.get(SERVICE_METADATA)
        caller = self._verifier.user(bearer(user)) if user else Caller()
        return replace(caller, service=self._service(bearer(service), context)) if service else caller

    def _service(self, token: str, context: Any) -> str:
        """A token that got away is of no use without its service's certificate. Neighbours need none: there is no wire between them."""
        name = self._verifier.service(token)
        over_socket = not isinstance(context, NeighbourContext)
        if self._certificates and over_socket and name not in (named := named_services(context.auth_context())):
            log.warning("service_token_without_its_certificate", service=name, certificate_names=sorted(named))
            raise ServiceError(ErrorReason.ERROR_REASON_UNAUTHENTICATED)
        return name

    async def _fail(self, method: str, error: Exception, context: Any) -> None:
        if isinstance(error, grpc.aio.AbortError):
            raise error
        answer = _as_answer(method, error)
        CALLS.labels(method, answer.code.name).inc()
        await abort(context, answer)


def _life(caller: Caller) -> float | None:
    return max(0.0, caller.token_expires_s - time.time()) if caller.token_expires_s else None


def _as_answer(method: str, error: Exception) -> ServiceError:
    """The public answer; what must not be public goes to the log."""
    if isinstance(error, ServiceError):
        log.info("call_refused", method=method, reason=ErrorReason.Name(error.reason))
        return error
    if isinstance(error, RootExpired):
        log.error("root_expired", method=method, why=error.why, mend=RENEW)
        return ServiceError(ErrorReason.ERROR_REASON_ROOT_EXPIRED)
    if isinstance(error, Refused):
        log.warning("signature_refused", method=method, why=error.why)
        return ServiceError(ErrorReason.ERROR_REASON_SIGNATURE_INVALID)
    if isinstance(error, TimeoutError):
        log.warning("deadline_passed", method=method)
        return ServiceError(ErrorReason.ERROR_REASON_UNAVAILABLE, "The call took longer than its deadline: try again.")
    if isinstance(error, KeysUnusable):
        log.error("keys_unusable", method=method, why=str(error))
        return ServiceError(ErrorReason.ERROR_REASON_UNAVAILABLE, "A key that is needed cannot be used now: the service's log says which and why.")
    if why := _value_refused(error):
        log.info("value_refused", method=method, why=why)
        return ServiceError(ErrorReason.ERROR_REASON_INVALID_ARGUMENT, "A value cannot be stored: a text has a NUL in it, or a number is too large.")
    trace = current_trace()
    # A statement's parameters may be somebody's data, so a database error is logged without them.
    shown = error.orig if isinstance(error, DBAPIError) and error.orig else error
    log.error("call_failed", method=method, error=type(error).__name__, exc_info=shown)
    return internal(trace.trace_id if trace else "")


def _value_refused(error: Exception) -> str:
    """PostgreSQL's code for it, or SQLite's words; empty for every other failure."""
    if isinstance(error, DBAPIError):
        state = str(getattr(error.orig, "sqlstate", ""))
        return state if state in VALUES_REFUSED else ""
    return str(error) if isinstance(error, OverflowError) and "SQLite" in str(error) else ""
