"""`gcp_secret_manager`: secrets of one project, over the REST API, which goes through proxies and verifies by REQUESTS_CA_BUNDLE.

The identity is the file that `credentials_file` names (of a service account, or of workload identity federation by a token in a file or at an
address), or the application's default. A version is its number or alias; without one, the latest.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import google.auth
import requests
from google.api_core import exceptions
from google.auth import exceptions as auth_exceptions
from google.auth import identity_pool
from google.cloud.secretmanager_v1 import SecretManagerServiceClient
from google.cloud.secretmanager_v1.services.secret_manager_service.transports import SecretManagerServiceRestTransport
from google.oauth2 import service_account

from spin_runtime.broker.managers.bounded import BoundedAdapter, Threads
from spin_runtime.broker.managers.interface import Failure, ManagerFailed, Secret, Unleased
from spin_runtime.broker.managers.leases import Bounds
from spin_runtime.broker.managers.references import as_text

SCOPES = ["https://www.googleapis.com/auth/cloud-platform"]
_FAILURES = {400: Failure.MISSING, 401: Failure.NO_IDENTITY, 403: Failure.DENIED, 404: Failure.MISSING, 503: Failure.UNREACHABLE, 504: Failure.SLOW}


class GcpSecretManager(Unleased):
    def __init__(self, options: Mapping[str, Any], bounds: Bounds, environment: Mapping[str, str]) -> None:
        self._options, self._bounds = options, bounds
        self._threads = Threads()
        self._client: SecretManagerServiceClient | None = None

    async def read(self, path: str, version: str) -> Secret:
        if "/" in path:
            raise ManagerFailed(Failure.MISSING, "a path is the name of a secret")
        name = f"projects/{self._options['project']}/secrets/{path}/versions/{version or 'latest'}"
        return Secret(as_text(await self._threads.run(lambda: self._accessed(name))))

    async def close(self) -> None:
        if self._client is not None:
            await self._threads.run(self._client.transport.close)
        self._threads.close()

    # In a thread

    def _accessed(self, name: str) -> bytes:
        try:
            answer = self._connected().access_secret_version(request={"name": name}, timeout=self._bounds.timeout_s, retry=None)
            return bytes(answer.payload.data)
        except exceptions.GoogleAPICallError as error:
            raise ManagerFailed(_FAILURES.get(int(error.code or 0), Failure.OTHER), type(error).__name__) from None
        except auth_exceptions.TransportError as error:
            raise ManagerFailed(Failure.UNREACHABLE, type(error).__name__) from None
        except (auth_exceptions.GoogleAuthError, OSError) as error:
            # requests' own errors are OSErrors.
            failure = Failure.SLOW if isinstance(error, requests.Timeout) else Failure.UNREACHABLE
            raise ManagerFailed(failure if isinstance(error, requests.RequestException) else Failure.NO_IDENTITY, type(error).__name__) from None
        except (exceptions.RetryError, ValueError) as error:
            raise ManagerFailed(Failure.OTHER, type(error).__name__) from None

    def _connected(self) -> SecretManagerServiceClient:
        if self._client is None:
            file = self._options.get("credentials_file")
            credentials = _credentials(Path(file)) if file else google.auth.default(scopes=SCOPES)[0]
            scheme, _, host = self._options.get("endpoint", "https://secretmanager.googleapis.com").partition("://")
            transport = SecretManagerServiceRestTransport(host=host, credentials=credentials, url_scheme=scheme)
            for prefix in ("https://", "http://"):
                transport._session.mount(prefix, BoundedAdapter(self._bounds.timeout_s))
            self._client = SecretManagerServiceClient(transport=transport)
        return self._client


def _credentials(file: Path) -> Any:
    """Of the two forms that hold no person's sign-in and run no program. Raises ValueError and OSError."""
    document = json.loads(file.read_text())
    if document.get("type") == "service_account":
        return service_account.Credentials.from_service_account_info(document, scopes=SCOPES)  # type: ignore[no-untyped-call]
    if document.get("type") == "external_account":
        return identity_pool.Credentials.from_info(document, scopes=SCOPES)  # type: ignore[no-untyped-call]
    raise ManagerFailed(Failure.NO_IDENTITY, "the file is of neither a service account nor an external account")
