"""`kubernetes`: secrets of the cluster that the runtime runs in, or of the one at `address`, with the service account's token. A path is
namespace/name. Secrets of Kubernetes have no versions; a reference that pins one finds nothing.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any

import aiohttp
from kubernetes_asyncio.client import ApiClient, ApiException, Configuration, CoreV1Api

from spin_runtime.broker.managers.bounded import bounded
from spin_runtime.broker.managers.identity import secret_of
from spin_runtime.broker.managers.interface import Failure, ManagerFailed, Secret, Unleased
from spin_runtime.broker.managers.leases import Bounds
from spin_runtime.broker.managers.references import as_text

FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount"
_FAILURES = {401: Failure.NO_IDENTITY, 403: Failure.DENIED, 404: Failure.MISSING}


class KubernetesSecrets(Unleased):
    def __init__(self, options: Mapping[str, Any], bounds: Bounds, environment: Mapping[str, str]) -> None:
        self._options, self._environment, self._timeout = options, environment, aiohttp.ClientTimeout(total=bounds.timeout_s)
        host, port = environment.get("KUBERNETES_SERVICE_HOST", "kubernetes.default.svc"), environment.get("KUBERNETES_SERVICE_PORT", "443")
        self._address = options.get("address") or f"https://{f'[{host}]' if ':' in host else host}:{port}"
        self._api: ApiClient | None = None

    async def read(self, path: str, version: str) -> Secret:
        namespace, _, name = path.partition("/")
        if version or not name or "/" in name:
            raise ManagerFailed(Failure.MISSING, "a path is namespace/name, without a version")
        try:
            api = CoreV1Api(self._connected())
            # As it is: the client would log what it has read.
            answer: Any = await api.read_namespaced_secret(name, namespace, _preload_content=False, _request_timeout=self._timeout)
            return _secret(answer.status, await bounded(answer))
        except TimeoutError:
            raise ManagerFailed(Failure.SLOW) from None
        except (aiohttp.ClientError, OSError) as error:
            raise ManagerFailed(Failure.UNREACHABLE, type(error).__name__) from None
        except (ApiException, KeyError, TypeError, ValueError, AttributeError, binascii.Error) as error:
            raise ManagerFailed(Failure.OTHER, type(error).__name__) from None

    async def close(self) -> None:
        if self._api is not None:
            await self._api.close()

    def _connected(self) -> ApiClient:
        token = secret_of(self._options, "token", self._environment, f"{FOLDER}/token")
        if self._api is None:
            configuration = Configuration(host=self._address)
            configuration.ssl_ca_cert = self._options.get("ca_file") or f"{FOLDER}/ca.crt"
            self._api = ApiClient(configuration)
        # Kubernetes replaces the file every hour.
        self._api.configuration.api_key = {"BearerToken": f"Bearer {token}"}
        return self._api


def _secret(status: int, content: bytes) -> Secret:
    if status != 200:
        raise ManagerFailed(_FAILURES.get(status, Failure.OTHER), str(status))
    data = json.loads(content).get("data") or {}
    return Secret({key: as_text(base64.b64decode(value, validate=True)) for key, value in data.items()})
