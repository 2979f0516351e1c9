"""The calls of the Kubernetes API that the launcher makes, with the service account of the runtime's pod or a kubeconfig.

Every call ends: with an answer, with the cluster's own words (ClusterRefused), or because it cannot be reached or does not answer (ClusterGone).
Secrets are made and never read.
"""

import json
from collections.abc import Awaitable
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from kubernetes_asyncio.client import ApiClient, ApiException, AuthorizationV1Api, Configuration, CoreV1Api, NetworkingV1Api
from kubernetes_asyncio.config import ConfigException, load_kube_config
from kubernetes_asyncio.config.incluster_config import InClusterConfigLoader

from spin_runtime.launcher.pods.spec import LABEL
from spin_runtime.launcher.rules import PodRules, Unable

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
SECONDS = 30.0


class ClusterGone(Exception):
    """The text says why it cannot be reached."""


class ClusterRefused(Exception):
    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status

    @property
    def absent(self) -> bool:
        return self.status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE)


async def configuration(rules: PodRules) -> Configuration:
    """Raises Unable."""
    found = Configuration()
    try:
        if rules.kubeconfig:
            await load_kube_config(config_file=rules.kubeconfig, client_configuration=found, persist_config=False)
        else:
            host, _, port = rules.server.rpartition(":")
            named = {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}
            # Kubernetes replaces the token every hour; the loader reads it again.
            InClusterConfigLoader(str(ACCOUNT / "token"), str(ACCOUNT / "ca.crt"), environ=named).load_and_set(found)
    except (ConfigException, OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        where = f"KUBECONFIG ({rules.kubeconfig})" if rules.kubeconfig else f"the service account of the runtime's pod ({ACCOUNT})"
        raise Unable(
            f"{where} gives no access to a cluster: {str(error)[:300]}. "
            "Run the runtime in a pod with automountServiceAccountToken, or name a kubeconfig with KUBECONFIG"
        ) from None
    return found


class Cluster:
    def __init__(self, found: Configuration, namespace: str) -> None:
        self.address, self.namespace = str(found.host), namespace
        self._client = ApiClient(found)
        self._core, self._network, self._access = CoreV1Api(self._client), NetworkingV1Api(self._client), AuthorizationV1Api(self._client)

    async def may(self, verb: str, group: str, resource: str, namespace: str) -> bool:
        attributes = {"namespace": namespace, "verb": verb, "group": group, "resource": resource}
        body: Any = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": {"resourceAttributes": attributes}}
        said = await _asked(self._access.create_self_subject_access_review(body, _request_timeout=SECONDS))
        return bool(said.status and said.status.allowed)

    async def make_pod(self, body: Any) -> str:
        """Its uid."""
        made = await _asked(self._core.create_namespaced_pod(self.namespace, body, _request_timeout=SECONDS))
        return str(made.metadata.uid)

    async def pod(self, name: str, namespace: str = "") -> Any:
        return await _asked(self._core.read_namespaced_pod(name, namespace or self.namespace, _request_timeout=SECONDS))

    async def pods(self, label: str) -> list[str]:
        selector = f"{LABEL}={label}"
        said = await _asked(self._core.list_namespaced_pod(self.namespace, label_selector=selector, _request_timeout=SECONDS))
        return [str(each.metadata.name) for each in said.items]

    async def remove_pod(self, name: str) -> None:
        await _gone(self._core.delete_namespaced_pod(name, self.namespace, _request_timeout=SECONDS))

    async def make_secret(self, body: Any) -> None:
        await _asked(self._core.create_namespaced_secret(self.namespace, body, _request_timeout=SECONDS))

    async def make_policy(self, body: Any) -> None:
        await _asked(self._network.create_namespaced_network_policy(self.namespace, body, _request_timeout=SECONDS))

    async def remove_policy(self, name: str) -> None:
        await _gone(self._network.delete_namespaced_network_policy(name, self.namespace, _request_timeout=SECONDS))

    async def close(self) -> None:
        await self._client.close()


async def _asked(call: Awaitable[Any]) -> Any:
    try:
        return await call
    except ApiException as error:
        raise ClusterRefused(int(error.status or 0), _said(error)) from None
    except TimeoutError:
        raise ClusterGone(f"it does not answer within {SECONDS:.0f} s") from None
    except aiohttp.ClientConnectorError as error:
        raise ClusterGone(error.os_error.strerror or str(error.os_error)) from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise ClusterGone(f"{type(error).__name__}: {error}"[:300]) from None


async def _gone(call: Awaitable[Any]) -> None:
    """What is not there need not be removed."""
    try:
        await _asked(call)
    except ClusterRefused as error:
        if not error.absent:
            raise


def _said(error: ApiException) -> str:
    """The Status that Kubernetes answers with has words for people."""
    try:
        return str(json.loads(error.body or "")["message"])[:1000]
    except (ValueError, KeyError, TypeError):
        return f"{error.status} {error.reason}"
