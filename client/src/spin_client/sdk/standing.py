"""Where a session stands with its runtime: the attachment, and the documents that the runtime must get anew in time.

A runtime runs programs only while it holds fresh trust, fresh credentials and a Hello that is not too old. Each has its way of being renewed;
`mend` knows which one a refusal asks for.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from spin_client.sdk.errors import SpinError
from spin_client.sdk.events import Event, Phase, RunState
from spin_client.sdk.handshake import Attachment
from spin_client.sdk.platform import Platform
from spin_client.sdk.socket import Reattached, RuntimeSocket
from spin_client.sdk.tokens import now_ms
from spin_client.sdk.wire import ConnectionLost
from spinapis.runtime.v1 import frames_pb2
from spinapis.secrets.v1 import secrets_pb2
from spinapis.workspace.v1 import notebooks_pb2

log = logging.getLogger("spin_client")

# A trust state lives for 24 hours; it is renewed this long before its end.
_RENEW_BEFORE_MS = 3_600_000
# Reasons that a fresh document mends: the program never started, so it is compiled and sent once more.
_MENDABLE = frozenset({"TRUST_EXPIRED", "BUNDLE_STALE", "KERNEL_EPOCH_STALE", "KERNEL_TAINTED", "HELLO_STALE", "LOG_UNPROVEN"})


class Standing:
    """`send` puts a frame on the session's socket."""

    def __init__(
        self,
        platform: Platform,
        session: notebooks_pb2.Session,
        socket: RuntimeSocket,
        send: Callable[[frames_pb2.ClientFrame], Awaitable[None]],
    ) -> None:
        self._platform, self._session, self._socket, self._send = platform, session, socket, send
        self._attached: asyncio.Future[Attachment] = asyncio.get_running_loop().create_future()
        self._synced: asyncio.Task[None] | None = None
        self._expires_at_ms = 0
        self._bundle_version = 0
        self._bundle_came = asyncio.Condition()
        # Of the credentials that were brought over this attachment, or were there.
        self.bundle_held = 0

    async def attachment(self) -> Attachment:
        """The current one, or the next where there is none. Raises what ended the session."""
        return await asyncio.shield(self._attached)

    def attached(self, event: Reattached) -> None:
        if self._attached.done():
            self._attached = asyncio.get_running_loop().create_future()
        self._attached.set_result(event.attachment)
        self._expires_at_ms = event.attached.trust_expires_at_ms
        self.bundle_held = 0
        self._synced = asyncio.create_task(self._sync_credentials(event.attachment))

    def trusted_until(self, expires_at_ms: int) -> None:
        self._expires_at_ms = expires_at_ms

    def failed(self, error: SpinError) -> None:
        if not self._attached.done():
            self._attached.set_exception(error)

    async def credentials_there(self) -> None:
        """Returns when the attachment's credentials have been sent, or could not be."""
        if self._synced is not None:
            await asyncio.shield(self._synced)

    async def bundle_accepted(self, version: int) -> None:
        async with self._bundle_came:
            self._bundle_version = max(self._bundle_version, version)
            self._bundle_came.notify_all()

    async def synchronise(self) -> int:
        """Brings the runtime the credentials of now; the version of the bundle that it holds then. Raises SpinError and ConnectionLost."""
        answer = await self._platform.connections.SyncCredentials(self._sync_request(await self.attachment()))
        if answer.sealed:
            await self._send(frames_pb2.ClientFrame(sealed=answer.sealed))
            async with self._bundle_came:
                await self._bundle_came.wait_for(lambda: self._bundle_version >= answer.bundle_version)
        return answer.bundle_version

    async def newer_credentials(self, than: int) -> None:
        """Returns when credentials of a higher version were brought, or could not be."""
        await self.credentials_there()
        if self.bundle_held <= than:
            await self._sync_credentials(await self.attachment())

    async def mend(self, reason: str) -> None:
        """Renews what the refusal names; returns when a program may be sent again."""
        if reason == "TRUST_EXPIRED":
            await self._renew_trust()
        elif reason == "BUNDLE_STALE":
            await self._sync_credentials(await self.attachment())
        elif reason in ("HELLO_STALE", "LOG_UNPROVEN"):
            self._attached = asyncio.get_running_loop().create_future()
            await self._socket.reattach()
            await self.attachment()

    async def keep(self) -> None:
        """Renews the trust state in time, for ever."""
        while True:
            await self.attachment()
            left_ms = self._expires_at_ms - _RENEW_BEFORE_MS - now_ms()
            await asyncio.sleep(max(left_ms / 1000, 60.0))
            if self._expires_at_ms - _RENEW_BEFORE_MS <= now_ms():
                try:
                    await self._renew_trust()
                except (SpinError, ConnectionLost) as error:
                    log.warning("the runtime's trust could not be renewed, trying again in a minute: %s", error)

    async def stop(self) -> None:
        if self._synced is not None:
            self._synced.cancel()
            await asyncio.gather(self._synced, return_exceptions=True)

    async def _renew_trust(self) -> None:
        """The credentials go first: a trust state may refuse those that the runtime has."""
        await self._sync_credentials(await self.attachment())
        await self._send(await self._socket.fresh_trust())

    async def _sync_credentials(self, attachment: Attachment) -> None:
        """Without them, cells that use connections are refused with a reason of their own; so nothing is raised here."""
        try:
            answer = await self._platform.connections.SyncCredentials(self._sync_request(attachment))
            if answer.sealed:
                await self._send(frames_pb2.ClientFrame(sealed=answer.sealed))
            self.bundle_held = answer.bundle_version
        except (SpinError, ConnectionLost) as error:
            log.info("credentials were not synchronised: %s", error)
            if isinstance(error, SpinError) and error.reason == "HELLO_STALE":
                await self._socket.reattach()

    def _sync_request(self, attachment: Attachment) -> secrets_pb2.SyncCredentialsRequest:
        return secrets_pb2.SyncCredentialsRequest(
            workspace_id=self._session.workspace_id, runtime_id=self._session.runtime_id, hello=attachment.hello, challenge=attachment.challenge
        )


def mendable(event: Event) -> bool:
    return isinstance(event, RunState) and event.phase is Phase.REJECTED and event.reason in _MENDABLE
