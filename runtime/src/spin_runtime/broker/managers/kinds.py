"""The kinds of managers. Each is imported, with its vendor's SDK, when it is first used; that takes a while, so it happens in a thread."""

import asyncio
from collections.abc import Mapping
from importlib import import_module
from typing import cast

from spin_runtime.broker.managers.configuration import ManagerConfiguration
from spin_runtime.broker.managers.interface import Manager, Secret

PLACES = {
    "vault": "vault:Vault",
    "aws_secrets_manager": "aws:AwsSecretsManager",
    "aws_ssm": "aws:AwsParameterStore",
    "gcp_secret_manager": "gcp:GcpSecretManager",
    "azure_key_vault": "azure:AzureKeyVault",
    "kubernetes": "kubernetes:KubernetesSecrets",
    "runtime_env": "local:RuntimeEnvironment",
    "file": "local:Files",
}


class WhenUsed:
    """Satisfies `interface.Manager`."""

    def __init__(self, configuration: ManagerConfiguration, environment: Mapping[str, str]) -> None:
        self._configuration, self._environment = configuration, environment
        self._opening, self._manager = asyncio.Lock(), cast(Manager | None, None)

    async def read(self, path: str, version: str) -> Secret:
        return await (await self._opened()).read(path, version)

    async def renew(self, lease_id: str) -> float:
        return await (await self._opened()).renew(lease_id)

    async def give_back(self, lease_id: str) -> None:
        await (await self._opened()).give_back(lease_id)

    async def keep_identity(self) -> None:
        await (await self._opened()).keep_identity()

    async def close(self) -> None:
        if self._manager is not None:
            await self._manager.close()

    async def _opened(self) -> Manager:
        async with self._opening:
            if self._manager is None:
                module, _, name = PLACES[self._configuration.kind].partition(":")
                loaded = await asyncio.to_thread(import_module, f"spin_runtime.broker.managers.{module}")
                self._manager = cast(Manager, getattr(loaded, name)(self._configuration.options, self._configuration.bounds, self._environment))
            return self._manager
