"""Tokens: got once, kept in a store, refreshed by one caller at a time.

A refresh token works once; a second use closes the sign-in. So a refresh happens under a lock, in this process and between
processes, and whoever gets the lock first looks whether another one has refreshed already.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from spin_client.sdk.errors import NOT_SIGNED_IN, SpinError
from spin_client.sdk.private_files import file_lock
from spin_client.sdk.token_stores import StoredSignIn, TokenStore
from spinapis.auth.v1 import sign_in_pb2, sign_in_pb2_grpc

# Refreshed this long before the end, so that a token does not expire on its way.
MARGIN_MS = 30_000

# After these, the stored sign-in is of no use to anybody.
_CLOSED = frozenset({"REFRESH_REUSED", "UNAUTHENTICATED", "TOKEN_EXPIRED"})


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class Tokens:
    """The access token of one platform, from a store or from an API key."""

    def __init__(self, url: str, store: TokenStore, *, api_key: str = "", clock: Callable[[], int] = now_ms) -> None:
        self._url = url
        self._store = store
        self._api_key = api_key
        self._clock = clock
        self._lock = asyncio.Lock()
        self._kept: StoredSignIn | None = None
        self._stub: sign_in_pb2_grpc.SignInServiceAsyncStub | None = None

    def bind(self, stub: sign_in_pb2_grpc.SignInServiceAsyncStub) -> None:
        """The stub stands on the channel that this object's tokens dress, so it comes after both."""
        self._stub = stub

    async def access_token(self, *, not_this: str = "") -> str:
        """A token that is valid now. Raises NOT_SIGNED_IN when there is nothing to get one with."""
        if self._usable(self._kept, not_this):
            return self._kept.access_token if self._kept else ""
        async with self._lock, self._between_processes():
            self._kept = self._usable_or(self._kept, not_this) or self._load()
            if not self._usable(self._kept, not_this):
                self._kept = await self._renewed(self._kept)
            return self._kept.access_token if self._kept else ""

    async def adopt(self, tokens: sign_in_pb2.Tokens, *, email: str = "", api_key: str = "") -> None:
        """Takes over what a sign-in gave, and stores it."""
        async with self._lock, self._between_processes():
            self._keep(_stored(tokens, email=email, api_key=api_key))

    async def forget(self) -> None:
        """Removes the stored sign-in."""
        async with self._lock, self._between_processes():
            self._kept = None
            self._store.delete(self._url)

    @property
    def refresh_token(self) -> str:
        return self._kept.refresh_token if self._kept else ""

    @property
    def email(self) -> str:
        kept = self._kept or self._load()
        return kept.email if kept else ""

    def _load(self) -> StoredSignIn | None:
        if self._api_key:
            return self._kept or StoredSignIn(api_key=self._api_key)
        return self._store.load(self._url)

    def _keep(self, sign_in: StoredSignIn) -> None:
        self._kept = sign_in
        if not self._api_key:
            self._store.save(self._url, sign_in)

    def _usable(self, sign_in: StoredSignIn | None, not_this: str) -> bool:
        return (
            sign_in is not None
            and bool(sign_in.access_token)
            and sign_in.access_token != not_this
            and sign_in.access_expires_at_ms - MARGIN_MS > self._clock()
        )

    def _usable_or(self, sign_in: StoredSignIn | None, not_this: str) -> StoredSignIn | None:
        return sign_in if self._usable(sign_in, not_this) else None

    async def _renewed(self, kept: StoredSignIn | None) -> StoredSignIn:
        if kept is None or self._stub is None or not (kept.api_key or kept.refresh_token):
            raise SpinError(NOT_SIGNED_IN, f"not signed in to {self._url}")
        if kept.api_key:
            answer = await self._stub.ExchangeApiKey(sign_in_pb2.ExchangeApiKeyRequest(api_key=kept.api_key))
            self._keep(_stored(answer.tokens, email=kept.email, api_key=kept.api_key))
        else:
            self._keep(await self._refreshed(self._stub, kept))
        assert self._kept is not None
        return self._kept

    async def _refreshed(self, stub: sign_in_pb2_grpc.SignInServiceAsyncStub, kept: StoredSignIn) -> StoredSignIn:
        try:
            answer = await stub.RefreshTokens(sign_in_pb2.RefreshTokensRequest(refresh_token=kept.refresh_token))
        except SpinError as error:
            if error.reason in _CLOSED:
                self._store.delete(self._url)
                raise SpinError(error.reason, f"the sign-in to {self._url} is over: {error.text}", error.metadata) from None
            raise
        return _stored(answer.tokens, email=kept.email)

    @asynccontextmanager
    async def _between_processes(self) -> AsyncIterator[None]:
        path = self._store.lock_file
        if path is None or self._api_key:
            yield
            return
        async with file_lock(path):
            yield


def _stored(tokens: sign_in_pb2.Tokens, *, email: str = "", api_key: str = "") -> StoredSignIn:
    return StoredSignIn(tokens.access_token, tokens.refresh_token, tokens.access_expires_at_ms, api_key, email)
