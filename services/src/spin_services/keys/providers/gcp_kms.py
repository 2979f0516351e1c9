"""gcp-kms://projects/…/cryptoKeys/…: a symmetric key of Cloud KMS, over its REST API. Credentials are the application's default ones.

The SDK's REST transport blocks, so calls run in a thread; they are few, since workspaces' keys stay open for a while.
"""

import asyncio
from collections.abc import Callable
from functools import cached_property
from typing import Any, TypeVar

import requests
from google.api_core import exceptions
from google.auth import exceptions as auth_exceptions
from google.cloud.kms_v1 import KeyManagementServiceClient
from google.cloud.kms_v1.services.key_management_service.transports import KeyManagementServiceRestTransport

from spin_services.keys.kek import KeysUnusable
from spin_services.keys.providers.interface import ANSWER_S, CONNECT_S, Faults

T = TypeVar("T")


class GcpKms:
    def __init__(self, uri: str, name: str, **transport_options: Any) -> None:
        self.uri = uri
        self._name = name
        self._options = transport_options
        self._faults = Faults(uri, "roles/cloudkms.cryptoKeyEncrypterDecrypter on it")

    async def wrap(self, key: bytes, aad: bytes) -> bytes:
        request = {"name": self._name, "plaintext": key, "additional_authenticated_data": aad}
        answer = await self._call(lambda: self._client.encrypt(request=request, timeout=ANSWER_S, retry=None))
        return bytes(answer.ciphertext)

    async def unwrap(self, wrapped: bytes, aad: bytes) -> bytes:
        request = {"name": self._name, "ciphertext": wrapped, "additional_authenticated_data": aad}
        answer = await self._call(lambda: self._client.decrypt(request=request, timeout=ANSWER_S, retry=None))
        return bytes(answer.plaintext)

    async def close(self) -> None:
        if "_client" in self.__dict__:
            await asyncio.to_thread(self._client.transport.close)

    @cached_property
    def _client(self) -> KeyManagementServiceClient:
        return KeyManagementServiceClient(transport=KeyManagementServiceRestTransport(**self._options))

    async def _call(self, ask: Callable[[], T]) -> T:
        try:
            return await asyncio.wait_for(asyncio.to_thread(ask), CONNECT_S + ANSWER_S)
        except exceptions.GoogleAPICallError as error:
            raise self._fault(error) from None
        except auth_exceptions.DefaultCredentialsError:
            raise self._faults.no_identity("give the service a Google service account") from None
        except (auth_exceptions.GoogleAuthError, requests.RequestException, exceptions.RetryError, TimeoutError) as error:
            raise self._faults.unreachable(type(error).__name__) from None

    def _fault(self, error: exceptions.GoogleAPICallError) -> KeysUnusable:
        status = _status(error)
        if error.code in (401, 403):
            return self._faults.denied()
        if error.code == 404:
            return self._faults.missing()
        if status == "FAILED_PRECONDITION":
            return self._faults.disabled()
        if status == "INVALID_ARGUMENT":
            return self._faults.unopened()
        return self._faults.unreachable(status) if error.code in (503, 504) else self._faults.other(status or str(error.code))


def _status(error: exceptions.GoogleAPICallError) -> str:
    """google.rpc.Code of the answer: 400 alone does not tell a disabled key from a changed ciphertext."""
    try:
        return str(error.response.json()["error"]["status"])
    except (AttributeError, KeyError, TypeError, ValueError):
        return ""
