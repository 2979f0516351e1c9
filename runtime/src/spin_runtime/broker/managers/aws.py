"""`aws_secrets_manager` and `aws_ssm` (Parameter Store). The identity is found the AWS way: a role of the machine, pod or task, a profile, variables.

A version is a version's id or a stage (AWSPREVIOUS); of a parameter its number or label.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.session import get_session
from botocore.exceptions import BotoCoreError, ClientError, ConnectTimeoutError, HTTPClientError, NoCredentialsError, ReadTimeoutError
from botocore.exceptions import ConnectionError as Unreachable

from spin_runtime.broker.managers.bounded import bounded
from spin_runtime.broker.managers.identity import authority
from spin_runtime.broker.managers.interface import Failure, ManagerFailed, Secret, Unleased
from spin_runtime.broker.managers.leases import Bounds
from spin_runtime.broker.managers.references import as_text

_VERSION_ID = re.compile(r"[A-Za-z0-9-]{32,64}")
_MISSING = {"ResourceNotFoundException", "ParameterNotFound", "ParameterVersionNotFound", "InvalidRequestException", "InvalidParameterException"}
_DENIED = {"AccessDeniedException", "AccessDenied", "DecryptionFailure", "InvalidKeyId", "403"}
_IDENTITY = {"UnrecognizedClientException", "InvalidClientTokenId", "InvalidSignatureException", "ExpiredTokenException", "SignatureDoesNotMatch"}


class BoundedSession(AIOHTTPSession):  # type: ignore[misc]  # aiobotocore carries no types
    async def send(self, request: Any) -> Any:
        streamed, request.stream_output = request.stream_output, True
        response = await super().send(request)
        if not streamed:
            # Where aiobotocore keeps what it has read.
            response._content = await bounded(response.raw)
        return response


class Aws(Unleased):
    service: str

    def __init__(self, options: Mapping[str, Any], bounds: Bounds, environment: Mapping[str, str]) -> None:
        self._options, self._environment, self._bounds = options, environment, bounds
        self._opened, self._opening = AsyncExitStack(), asyncio.Lock()
        self._client: Any = None

    async def close(self) -> None:
        await self._opened.aclose()

    async def _connected(self) -> Any:
        async with self._opening:
            if self._client is None:
                wait = self._bounds.timeout_s
                session = get_session()
                if "profile" in self._options:
                    session.set_config_variable("profile", self._options["profile"])
                opened = session.create_client(
                    self.service,
                    region_name=self._options["region"],
                    endpoint_url=self._options.get("endpoint"),
                    verify=authority(self._options, self._environment),
                    config=AioConfig(connect_timeout=wait, read_timeout=wait, retries={"max_attempts": 2}, http_session_cls=BoundedSession),
                )
                self._client = await self._opened.enter_async_context(opened)
            return self._client

    @asynccontextmanager
    async def _call(self) -> AsyncIterator[Any]:
        try:
            yield await self._connected()
        except ClientError as error:
            raise _refused(str(error.response.get("Error", {}).get("Code", ""))) from None
        except NoCredentialsError:
            raise ManagerFailed(Failure.NO_IDENTITY, "no credentials") from None
        except (ReadTimeoutError, ConnectTimeoutError):
            raise ManagerFailed(Failure.SLOW) from None
        except (Unreachable, HTTPClientError, OSError) as error:
            raise ManagerFailed(Failure.UNREACHABLE, type(error).__name__) from None
        except BotoCoreError as error:
            raise ManagerFailed(Failure.OTHER, type(error).__name__) from None


class AwsSecretsManager(Aws):
    service = "secretsmanager"

    async def read(self, path: str, version: str) -> Secret:
        wanted = {} if not version else {"VersionId" if _VERSION_ID.fullmatch(version) else "VersionStage": version}
        async with self._call() as client:
            answer = await client.get_secret_value(SecretId=path, **wanted)
        return Secret(answer["SecretString"] if "SecretString" in answer else as_text(answer["SecretBinary"]))


class AwsParameterStore(Aws):
    service = "ssm"

    async def read(self, path: str, version: str) -> Secret:
        async with self._call() as client:
            answer = await client.get_parameter(Name=f"{path}:{version}" if version else path, WithDecryption=True)
        return Secret(answer["Parameter"]["Value"])


def _refused(code: str) -> ManagerFailed:
    for codes, failure in ((_MISSING, Failure.MISSING), (_DENIED, Failure.DENIED), (_IDENTITY, Failure.NO_IDENTITY)):
        if code in codes:
            return ManagerFailed(failure, code)
    return ManagerFailed(Failure.OTHER, code)
