"""The control plane, seen from a program.

`Platform.connect` opens one channel to the gateway; the attributes are the services' stubs, typed by their protos. Every call carries
a fresh access token and trace context, has a deadline, and fails with `SpinError` alone.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import grpc

from spin_client.sdk import oidc
from spin_client.sdk.client_tls import ClientTls
from spin_client.sdk.endpoint import DEFAULT_URL, Endpoint, open_channel
from spin_client.sdk.interceptors import StreamOutfit, UnaryOutfit
from spin_client.sdk.token_stores import TokenStore, default_store
from spin_client.sdk.tokens import Tokens
from spin_client.sdk.trust import TrustAnchor
from spinapis.audit.v1.audit_pb2_grpc import HistoryServiceStub, LogServiceStub
from spinapis.auth.v1 import sign_in_pb2
from spinapis.auth.v1.approvals_pb2_grpc import ApprovalServiceStub
from spinapis.auth.v1.members_pb2_grpc import MemberServiceStub
from spinapis.auth.v1.policy_pb2_grpc import PolicyServiceStub
from spinapis.auth.v1.sign_in_pb2_grpc import SignInServiceStub
from spinapis.auth.v1.trust_pb2_grpc import EnrolmentServiceStub, GrantServiceStub
from spinapis.compiler.v1.compiler_pb2_grpc import CompilerServiceStub
from spinapis.secrets.v1.keys_pb2_grpc import KeyServiceStub
from spinapis.secrets.v1.secrets_pb2_grpc import ConnectionServiceStub
from spinapis.workspace.v1.notebooks_pb2_grpc import NotebookServiceStub, SessionServiceStub
from spinapis.workspace.v1.workspaces_pb2_grpc import RuntimeServiceStub, WorkspaceServiceStub

if TYPE_CHECKING:
    # The typed stubs exist in the stub files alone.
    from spinapis.audit.v1.audit_pb2_grpc import HistoryServiceAsyncStub, LogServiceAsyncStub
    from spinapis.auth.v1.approvals_pb2_grpc import ApprovalServiceAsyncStub
    from spinapis.auth.v1.members_pb2_grpc import MemberServiceAsyncStub
    from spinapis.auth.v1.policy_pb2_grpc import PolicyServiceAsyncStub
    from spinapis.auth.v1.sign_in_pb2_grpc import SignInServiceAsyncStub
    from spinapis.auth.v1.trust_pb2_grpc import EnrolmentServiceAsyncStub, GrantServiceAsyncStub
    from spinapis.compiler.v1.compiler_pb2_grpc import CompilerServiceAsyncStub
    from spinapis.secrets.v1.keys_pb2_grpc import KeyServiceAsyncStub
    from spinapis.secrets.v1.secrets_pb2_grpc import ConnectionServiceAsyncStub
    from spinapis.workspace.v1.notebooks_pb2_grpc import NotebookServiceAsyncStub, SessionServiceAsyncStub
    from spinapis.workspace.v1.workspaces_pb2_grpc import RuntimeServiceAsyncStub, WorkspaceServiceAsyncStub

PAGE_SIZE = 100


class Platform:
    """A connection to one platform. Close it, or use it as an async context manager."""

    sign_in: SignInServiceAsyncStub
    members: MemberServiceAsyncStub
    policies: PolicyServiceAsyncStub
    enrolment: EnrolmentServiceAsyncStub
    grants: GrantServiceAsyncStub
    approvals: ApprovalServiceAsyncStub
    workspaces: WorkspaceServiceAsyncStub
    runtimes: RuntimeServiceAsyncStub
    notebooks: NotebookServiceAsyncStub
    sessions: SessionServiceAsyncStub
    compiler: CompilerServiceAsyncStub
    connections: ConnectionServiceAsyncStub
    keys: KeyServiceAsyncStub
    log: LogServiceAsyncStub
    history: HistoryServiceAsyncStub

    def __init__(self, endpoint: Endpoint, channel: grpc.aio.Channel, tokens: Tokens, trust: TrustAnchor, tls: ClientTls) -> None:
        self.endpoint = endpoint
        self.tokens = tokens
        self.trust = trust
        self.tls = tls
        self._channel = channel
        self.sign_in = SignInServiceStub(channel)
        self.members = MemberServiceStub(channel)
        self.policies = PolicyServiceStub(channel)
        self.enrolment = EnrolmentServiceStub(channel)
        self.grants = GrantServiceStub(channel)
        self.approvals = ApprovalServiceStub(channel)
        self.workspaces = WorkspaceServiceStub(channel)
        self.runtimes = RuntimeServiceStub(channel)
        self.notebooks = NotebookServiceStub(channel)
        self.sessions = SessionServiceStub(channel)
        self.compiler = CompilerServiceStub(channel)
        self.connections = ConnectionServiceStub(channel)
        self.keys = KeyServiceStub(channel)
        self.log = LogServiceStub(channel)
        self.history = HistoryServiceStub(channel)
        tokens.bind(self.sign_in)
        trust.bind(self.enrolment)

    @classmethod
    async def connect(
        cls,
        url: str = DEFAULT_URL,
        *,
        store: TokenStore | None = None,
        api_key: str = "",
        ca_file: Path | None = None,
        client_certificate: Path | None = None,
        client_key: Path | None = None,
        root_digest: bytes | None = None,
        pins: Path | None = None,
    ) -> Platform:
        """Opens the channel; nothing is sent before the first call.

        store: where the sign-in is kept; by default where `spinctl login` keeps it. A `MemoryStore` keeps it in this process.
        api_key: a machine's key, used instead of the store.
        ca_file: PEM file of the authorities that may vouch for the platform and for runtimes; SSL_CERT_FILE by default.
        client_certificate, client_key: PEM files, shown to runtimes that ask for a certificate.
        root_digest: digest of the platform's first root document; without it, the one that is seen first is pinned in `pins`.
        """
        endpoint = Endpoint.parse(url)
        authorities = ca_file or (Path(os.environ["SSL_CERT_FILE"]) if os.environ.get("SSL_CERT_FILE") else None)
        tokens = Tokens(endpoint.origin, store if store is not None else default_store(), api_key=api_key)
        outfits = [UnaryOutfit(tokens, endpoint.origin), StreamOutfit(tokens, endpoint.origin)]
        channel = open_channel(endpoint, authorities, outfits)
        return cls(endpoint, channel, tokens, TrustAnchor(endpoint.origin, pins, root_digest), ClientTls(authorities, client_certificate, client_key))

    async def sign_in_with_link(self, token: str) -> sign_in_pb2.User:
        """`token` is a sign-in link's, or the whole link."""
        bare = token.strip().rpartition("#token=")[2]
        answer = await self.sign_in.RedeemSignInLink(sign_in_pb2.RedeemSignInLinkRequest(token=bare))
        await self.tokens.adopt(answer.tokens, email=answer.user.email)
        return answer.user

    async def sign_in_with_password(self, email: str, password: str) -> sign_in_pb2.User:
        answer = await self.sign_in.SignInWithPassword(sign_in_pb2.SignInWithPasswordRequest(email=email, password=password))
        await self.tokens.adopt(answer.tokens, email=answer.user.email)
        return answer.user

    async def sign_in_with_api_key(self, api_key: str) -> None:
        """Trades the key at once, so that a wrong one is noticed here, and stores it."""
        answer = await self.sign_in.ExchangeApiKey(sign_in_pb2.ExchangeApiKeyRequest(api_key=api_key.strip()))
        await self.tokens.adopt(answer.tokens, api_key=api_key.strip())

    async def sign_in_with_oidc(self, provider_id: str, show_url: Callable[[str], object], *, port: int = oidc.DEFAULT_PORT) -> sign_in_pb2.User:
        answer = await oidc.sign_in(self.sign_in, provider_id, show_url, port=port)
        await self.tokens.adopt(answer.tokens, email=answer.user.email)
        return answer.user

    async def sign_out(self) -> None:
        """Closes the sign-in at the platform; the stored one is forgotten even when the platform cannot be told."""
        try:
            await self.tokens.access_token()
            if self.tokens.refresh_token:
                await self.sign_in.SignOut(sign_in_pb2.SignOutRequest(refresh_token=self.tokens.refresh_token))
        finally:
            await self.tokens.forget()

    async def current_user(self) -> sign_in_pb2.User:
        return (await self.sign_in.GetCurrentUser(sign_in_pb2.GetCurrentUserRequest())).user

    async def close(self) -> None:
        await self._channel.close()

    async def __aenter__(self) -> Platform:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()


async def every_page(method: Callable[..., Awaitable[Any]], request: Any, items: str, *, limit: int = 0) -> AsyncIterator[Any]:
    """The entries of a list, page after page; `items` names the response's repeated field. limit 0: all."""
    count, page = 0, type(request)()
    page.CopyFrom(request)
    page.page_size = min(PAGE_SIZE, limit) if limit else PAGE_SIZE
    while True:
        answer = await method(page)
        for item in getattr(answer, items):
            yield item
            count += 1
            if limit and count >= limit:
                return
        if not answer.next_page_token:
            return
        page.page_token = answer.next_page_token
