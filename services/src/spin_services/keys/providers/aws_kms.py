"""aws-kms://region/key: the key's id, ARN or alias. Credentials come the AWS way (IAM role, web identity, profile, environment).

The associated data travels as the encryption context, which AWS authenticates and writes to CloudTrail: it holds ids and versions alone.
"""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError

from spin_services.keys.kek import KeysUnusable
from spin_services.keys.providers.interface import ANSWER_S, CONNECT_S, Faults

_DENIED = {
    "AccessDeniedException",
    "AccessDenied",
    "UnrecognizedClientException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "ExpiredTokenException",
    # What botocore reads from an answer without a code, as of a proxy in between.
    "403",
}
_MISSING = {"NotFoundException", "InvalidArnException"}
_DISABLED = {"DisabledException", "KMSInvalidStateException", "KeyUnavailableException", "InvalidKeyUsageException"}
_UNOPENED = {"InvalidCiphertextException", "IncorrectKeyException"}


class AwsKms:
    def __init__(self, uri: str, region: str, key: str, **client_options: Any) -> None:
        self.uri = uri
        self._region = region
        self._key = key
        self._options = client_options
        self._faults = Faults(uri, "kms:Encrypt and kms:Decrypt on it")
        self._opened = AsyncExitStack()
        self._opening = asyncio.Lock()
        self._client: Any = None

    async def wrap(self, key: bytes, aad: bytes) -> bytes:
        async with self._call() as client:
            answer = await client.encrypt(KeyId=self._key, Plaintext=key, EncryptionContext=_context(aad))
        return bytes(answer["CiphertextBlob"])

    async def unwrap(self, wrapped: bytes, aad: bytes) -> bytes:
        async with self._call() as client:
            answer = await client.decrypt(KeyId=self._key, CiphertextBlob=wrapped, EncryptionContext=_context(aad))
        return bytes(answer["Plaintext"])

    async def close(self) -> None:
        await self._opened.aclose()

    @asynccontextmanager
    async def _call(self) -> AsyncIterator[Any]:
        try:
            yield await self._connected()
        except ClientError as error:
            raise self._fault(str(error.response["Error"].get("Code", ""))) from None
        except (NoCredentialsError, PartialCredentialsError):
            raise self._faults.no_identity("give the service an IAM role, or AWS credentials in the standard places") from None
        except (BotoCoreError, TimeoutError) as error:
            raise self._faults.unreachable(type(error).__name__) from None

    async def _connected(self) -> Any:
        async with self._opening:
            if self._client is None:
                config = AioConfig(connect_timeout=CONNECT_S, read_timeout=ANSWER_S, retries={"max_attempts": 2, "mode": "standard"})
                opened = get_session().create_client("kms", region_name=self._region, config=config, **self._options)
                self._client = await self._opened.enter_async_context(opened)
            return self._client

    def _fault(self, code: str) -> KeysUnusable:
        if code in _DENIED:
            return self._faults.denied()
        if code in _MISSING:
            return self._faults.missing()
        if code in _DISABLED:
            return self._faults.disabled()
        return self._faults.unopened() if code in _UNOPENED else self._faults.other(code)


def _context(aad: bytes) -> dict[str, str]:
    return {"spin": base64.b64encode(aad).decode()}
