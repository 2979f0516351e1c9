"""vault-transit://mount/key: a key of HashiCorp Vault's (or OpenBao's) transit engine.

VAULT_ADDR, VAULT_NAMESPACE and VAULT_CACERT mean what they mean to Vault's own tools; the token is in the file that SPIN_VAULT_TOKEN_FILE names
and is read for every call, so that Vault Agent can renew it. hvac blocks, so calls run in a thread.
"""

import asyncio
import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import hvac
import requests
from hvac import exceptions

from spin_services.keys.kek import KeysUnusable
from spin_services.keys.providers.interface import ANSWER_S, CONNECT_S, Faults


@dataclass(frozen=True)
class VaultAccess:
    address: str
    token_file: Path
    namespace: str = ""
    authority: str = ""

    @classmethod
    def from_environment(cls, uri: str, environment: Mapping[str, str]) -> "VaultAccess":
        address, token_file = environment.get("VAULT_ADDR", ""), environment.get("SPIN_VAULT_TOKEN_FILE", "")
        if not address or not token_file:
            raise KeysUnusable(f"the key {uri} needs VAULT_ADDR (https://…) and SPIN_VAULT_TOKEN_FILE, the file of Vault's token")
        if not address.startswith("https://") and urlsplit(address).hostname not in ("127.0.0.1", "::1", "localhost"):
            raise KeysUnusable(f"the key {uri} needs VAULT_ADDR with https://: Vault's token would travel in the clear")
        return cls(address, Path(token_file), environment.get("VAULT_NAMESPACE", ""), environment.get("VAULT_CACERT", ""))


class VaultTransit:
    def __init__(self, uri: str, access: VaultAccess, mount: str, key: str) -> None:
        self.uri = uri
        self._access = access
        self._names = {"name": key, "mount_point": mount}
        policies = f"update on {mount}/encrypt/{key} and {mount}/decrypt/{key}"
        self._faults = Faults(uri, f"a policy with {policies}, and keep the token in {access.token_file} valid")

    async def wrap(self, key: bytes, aad: bytes) -> bytes:
        answer = await self._call(lambda transit: transit.encrypt_data(plaintext=_text(key), associated_data=_text(aad), **self._names))
        return str(answer["data"]["ciphertext"]).encode()

    async def unwrap(self, wrapped: bytes, aad: bytes) -> bytes:
        ciphertext = wrapped.decode("ascii", "replace")
        answer = await self._call(lambda transit: transit.decrypt_data(ciphertext=ciphertext, associated_data=_text(aad), **self._names))
        return base64.b64decode(answer["data"]["plaintext"])

    async def close(self) -> None:
        return None

    async def _call(self, ask: Callable[[Any], Any]) -> Any:
        try:
            return await asyncio.to_thread(self._asked, ask)
        except (exceptions.Forbidden, exceptions.Unauthorized):
            raise self._faults.denied() from None
        except exceptions.InvalidPath:
            raise self._faults.missing() from None
        except exceptions.InvalidRequest as error:
            raise self._fault(f"{error.errors} {error.text}") from None
        except (exceptions.VaultError, requests.RequestException) as error:
            raise self._faults.unreachable(type(error).__name__) from None
        except OSError as error:
            raise self._faults.no_identity(f"the token file {self._access.token_file} cannot be read: {error.strerror}") from None

    def _asked(self, ask: Callable[[Any], Any]) -> Any:
        access = self._access
        token = access.token_file.read_text().strip()
        with requests.Session() as session:
            session.verify = access.authority or True
            client = hvac.Client(
                access.address, token=token, timeout=(CONNECT_S, ANSWER_S), namespace=access.namespace or None, session=session, verify=session.verify
            )
            return ask(client.secrets.transit)

    def _fault(self, said: str) -> KeysUnusable:
        """400 is a missing key, a version that is no longer allowed, or a ciphertext that does not open: the text tells."""
        if "encryption key not found" in said:
            return self._faults.missing()
        return self._faults.disabled() if "disallowed by policy" in said else self._faults.unopened()


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
