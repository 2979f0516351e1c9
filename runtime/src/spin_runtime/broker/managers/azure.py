"""`azure_key_vault`: secrets of one vault. The identity is the application of `identity`, or what azure-identity finds, as a managed
identity. A version is the vault's own, 32 hexadecimal digits; without one, the current one.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiohttp
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ServiceRequestError,
    ServiceRequestTimeoutError,
    ServiceResponseTimeoutError,
)
from azure.core.pipeline.transport import AioHttpTransport
from azure.identity import CredentialUnavailableError
from azure.identity.aio import ClientSecretCredential, DefaultAzureCredential
from azure.keyvault.secrets.aio import SecretClient

from spin_runtime.broker.managers.bounded import BoundedResponse
from spin_runtime.broker.managers.identity import authority, secret_of
from spin_runtime.broker.managers.interface import Failure, ManagerFailed, Secret, Unleased
from spin_runtime.broker.managers.leases import Bounds

_FAILURES = {400: Failure.MISSING, 401: Failure.NO_IDENTITY, 403: Failure.DENIED, 404: Failure.MISSING}


class AzureKeyVault(Unleased):
    def __init__(self, options: Mapping[str, Any], bounds: Bounds, environment: Mapping[str, str], **client_options: Any) -> None:
        self._options, self._environment = options, environment
        self._shared = {"retry_total": 1, **client_options}
        self._connection = {
            "connection_timeout": bounds.timeout_s,
            "read_timeout": bounds.timeout_s,
            "connection_verify": authority(options, environment) or True,
        }
        self._opened = AsyncExitStack()
        self._client: SecretClient | None = None

    async def read(self, path: str, version: str) -> Secret:
        if "/" in path:
            raise ManagerFailed(Failure.MISSING, "a path is the name of a secret")
        async with self._call():
            found = await self._connected().get_secret(path, version or None)
        return Secret(found.value or "")

    async def close(self) -> None:
        await self._opened.aclose()

    def _connected(self) -> SecretClient:
        if self._client is None:
            credential = self._credential()
            self._opened.push_async_callback(credential.close)
            self._client = SecretClient(self._options["vault_url"], credential, transport=self._transport(), **self._shared)
            self._opened.push_async_callback(self._client.close)
        return self._client

    def _credential(self) -> Any:
        identity = self._options.get("identity")
        options = {name: value for name, value in self._shared.items() if name != "verify_challenge_resource"}
        if identity is None:
            return DefaultAzureCredential(transport=self._transport(), **options)
        if "authority" in identity:
            options["authority"] = identity["authority"]
        secret = secret_of(identity, "client_secret", self._environment)
        return ClientSecretCredential(identity["tenant_id"], identity["client_id"], secret, transport=self._transport(), **options)

    def _transport(self) -> AioHttpTransport:
        session = aiohttp.ClientSession(response_class=BoundedResponse, trust_env=True, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False)
        return AioHttpTransport(session=session, **self._connection)

    @asynccontextmanager
    async def _call(self) -> AsyncIterator[None]:
        try:
            yield
        except (ClientAuthenticationError, CredentialUnavailableError) as error:
            raise ManagerFailed(Failure.NO_IDENTITY, type(error).__name__) from None
        except HttpResponseError as error:
            raise ManagerFailed(_FAILURES.get(error.status_code or 0, Failure.OTHER), str(error.status_code)) from None
        except (ServiceRequestTimeoutError, ServiceResponseTimeoutError):
            raise ManagerFailed(Failure.SLOW) from None
        except ServiceRequestError as error:
            raise ManagerFailed(Failure.UNREACHABLE, type(error).__name__) from None
        except (AzureError, ValueError) as error:
            raise ManagerFailed(Failure.OTHER, type(error).__name__) from None
