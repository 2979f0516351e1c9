"""What every call gets: a deadline, trace context, the access token; and what its errors become.

An answer that says that the access token has expired is repeated once with a fresh token: clocks differ, and a token may
expire on its way.
"""

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from typing import Any, Protocol

import grpc
from grpc.aio import ClientCallDetails, Metadata, UnaryStreamCall, UnaryUnaryCall

from spin_client.sdk import tracing
from spin_client.sdk.errors import SpinError, from_rpc

DEADLINE_S = 30.0

# Methods that a person without a token calls.
_PUBLIC = frozenset(
    {
        "/spinapis.auth.v1.SignInService/" + name
        for name in (
            "ListSignInMethods",
            "RedeemSignInLink",
            "SignInWithPassword",
            "StartOidcSignIn",
            "FinishOidcSignIn",
            "RefreshTokens",
            "GetJwks",
            "ExchangeApiKey",
        )
    }
    | {"/spinapis.auth.v1.EnrolmentService/ListRootDocuments"}
)


class TokenSource(Protocol):
    async def access_token(self, *, not_this: str = "") -> str:
        """A token that is valid now; refreshed if it is `not_this`."""


class _Outfit:
    def __init__(self, tokens: TokenSource, where: str) -> None:
        self._tokens = tokens
        self._where = where

    async def token(self, details: ClientCallDetails, *, not_this: str = "") -> str:
        return "" if _method(details) in _PUBLIC else await self._tokens.access_token(not_this=not_this)

    def dress(self, details: ClientCallDetails, token: str, deadline: float | None) -> ClientCallDetails:
        metadata = Metadata(*(details.metadata or ()), *tracing.outgoing_metadata())
        if token:
            metadata.add("authorization", f"Bearer {token}")
        return ClientCallDetails(
            details.method, details.timeout if details.timeout is not None else deadline, metadata, details.credentials, details.wait_for_ready
        )

    def translated(self, error: grpc.aio.AioRpcError) -> SpinError:
        return from_rpc(error, self._where)


class UnaryOutfit(grpc.aio.UnaryUnaryClientInterceptor):
    def __init__(self, tokens: TokenSource, where: str) -> None:
        self._outfit = _Outfit(tokens, where)

    async def intercept_unary_unary(
        self,
        continuation: Callable[[ClientCallDetails, Any], Awaitable[UnaryUnaryCall[Any, Any]]],
        client_call_details: ClientCallDetails,
        request: Any,
    ) -> Any:
        token = await self._outfit.token(client_call_details)
        try:
            return await self._once(continuation, client_call_details, request, token)
        except SpinError as error:
            if not token or error.reason not in ("TOKEN_EXPIRED", "UNAUTHENTICATED"):
                raise
        token = await self._outfit.token(client_call_details, not_this=token)
        return await self._once(continuation, client_call_details, request, token)

    async def _once(
        self,
        continuation: Callable[[ClientCallDetails, Any], Awaitable[UnaryUnaryCall[Any, Any]]],
        details: ClientCallDetails,
        request: Any,
        token: str,
    ) -> Any:
        call = await continuation(self._outfit.dress(details, token, DEADLINE_S), request)
        try:
            return await call
        except grpc.aio.AioRpcError as error:
            raise self._outfit.translated(error) from None


class StreamOutfit(grpc.aio.UnaryStreamClientInterceptor):
    """Streams have no deadline of their own: a watch lasts as long as someone wants it."""

    def __init__(self, tokens: TokenSource, where: str) -> None:
        self._outfit = _Outfit(tokens, where)

    async def intercept_unary_stream(
        self,
        continuation: Callable[[ClientCallDetails, Any], Awaitable[UnaryStreamCall[Any, Any]]],
        client_call_details: ClientCallDetails,
        request: Any,
    ) -> AsyncIterator[Any]:
        token = await self._outfit.token(client_call_details)
        call = await continuation(self._outfit.dress(client_call_details, token, None), request)
        return self._translated(call)

    async def _translated(self, call: AsyncIterable[Any]) -> AsyncIterator[Any]:
        try:
            async for message in call:
                yield message
        except grpc.aio.AioRpcError as error:
            raise self._outfit.translated(error) from None


def _method(details: ClientCallDetails) -> str:
    # grpc.aio hands the method over as bytes, the stubs declare str.
    method: str | bytes = details.method
    return method.decode() if isinstance(method, bytes) else method
