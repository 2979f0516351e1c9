"""azure-key-vault://vault/key: an RSA key of Azure Key Vault or Managed HSM. Credentials are azure-identity's default ones.

RSA-OAEP-256 has no associated data, so its digest is wrapped together with the key. A wrapped key carries the version of the vault's key
that wrapped it, so that a rotation there leaves it readable.
"""

import hmac
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from hashlib import sha256
from typing import Any

from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError
from azure.identity.aio import DefaultAzureCredential
from azure.keyvault.keys.aio import KeyClient
from azure.keyvault.keys.crypto import KeyWrapAlgorithm
from azure.keyvault.keys.crypto.aio import CryptographyClient

from spin_services.keys.kek import KeysUnusable
from spin_services.keys.providers.interface import ANSWER_S, CONNECT_S, Faults

FORMAT = b"\x01"
VERSION = 32
ALGORITHM = KeyWrapAlgorithm.rsa_oaep_256


class AzureKeyVault:
    def __init__(self, uri: str, vault_url: str, key: str, *, credential: Any = None, **client_options: Any) -> None:
        self.uri = uri
        self._vault_url = vault_url
        self._key = key
        self._credential = credential
        self._options = {"connection_timeout": CONNECT_S, "read_timeout": ANSWER_S, "retry_total": 1} | client_options
        self._faults = Faults(uri, "get, wrapKey and unwrapKey on keys (the role Key Vault Crypto Service Encryption User)")
        self._opened = AsyncExitStack()

    async def wrap(self, key: bytes, aad: bytes) -> bytes:
        async with self._call():
            found = await self._keys().get_key(self._key)
            if not found.properties.enabled:
                raise self._faults.disabled()
            version = str(found.properties.version).encode()
            async with self._cipher(str(found.id)) as cipher:
                wrapped = (await cipher.wrap_key(ALGORITHM, sha256(aad).digest() + key)).encrypted_key
        return FORMAT + version.rjust(VERSION) + wrapped

    async def unwrap(self, wrapped: bytes, aad: bytes) -> bytes:
        version, ciphertext = wrapped[1 : 1 + VERSION].strip(), wrapped[1 + VERSION :]
        if wrapped[:1] != FORMAT or not version.isalnum() or not ciphertext:
            raise self._faults.unopened()
        async with self._call(), self._cipher(f"{self._vault_url}/keys/{self._key}/{version.decode()}") as cipher:
            opened = (await cipher.unwrap_key(ALGORITHM, ciphertext)).key
        if not hmac.compare_digest(opened[:32], sha256(aad).digest()):
            raise self._faults.unopened()
        return opened[32:]

    async def close(self) -> None:
        await self._opened.aclose()

    def _keys(self) -> KeyClient:
        if "_key_client" not in self.__dict__:
            self._key_client = KeyClient(self._vault_url, self._identity(), **self._options)
            self._opened.push_async_callback(self._key_client.close)
        return self._key_client

    def _identity(self) -> Any:
        if self._credential is None:
            self._credential = DefaultAzureCredential()
            self._opened.push_async_callback(self._credential.close)
        return self._credential

    def _cipher(self, key_id: str) -> CryptographyClient:
        return CryptographyClient(key_id, self._identity(), **self._options)

    @asynccontextmanager
    async def _call(self) -> AsyncIterator[None]:
        try:
            yield
        except ClientAuthenticationError:
            raise self._faults.no_identity("give the service a managed identity or a service principal that Azure accepts") from None
        except HttpResponseError as error:
            raise self._fault(error) from None
        except (AzureError, TimeoutError) as error:
            raise self._faults.unreachable(type(error).__name__) from None

    def _fault(self, error: HttpResponseError) -> KeysUnusable:
        code, inner = _codes(error)
        if error.status_code == 404:
            return self._faults.missing()
        if inner == "KeyDisabled":
            return self._faults.disabled()
        if error.status_code in (401, 403):
            return self._faults.denied()
        return self._faults.unopened() if code == "BadParameter" else self._faults.other(code or str(error.status_code))


def _codes(error: HttpResponseError) -> tuple[str, str]:
    """The error's code and its inner code."""
    outer = error.error
    inner = getattr(outer, "innererror", None) or {}
    return str(getattr(outer, "code", "") or ""), str(inner.get("code", "")) if isinstance(inner, dict) else ""
