"""The kinds of managers. Each is imported, with its vendor's SDK, when it is first used; that takes a while, so it happens in a thread.

SDKs trust what managers answer: whatever they raise over an answer that is none comes out as a failure, here.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path
from typing import cast

from spin_runtime.broker.known import KnownSecrets
from spin_runtime.broker.managers.configuration import ManagerConfiguration, identity_files
from spin_runtime.broker.managers.interface import Failure, Manager, ManagerFailed, Secret
from spin_runtime.broker.managers.references import texts_in

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

    def __init__(self, configuration: ManagerConfiguration, environment: Mapping[str, str], known: KnownSecrets) -> None:
        self._configuration, self._environment, self._known = configuration, environment, known
        self._opening, self._manager = asyncio.Lock(), cast(Manager | None, None)

    async def read(self, path: str, version: str) -> Secret:
        async with self._opened() as manager:
            return await manager.read(path, version)

    async def renew(self, lease_id: str) -> float:
        async with self._opened() as manager:
            return await manager.renew(lease_id)

    async def give_back(self, lease_id: str) -> None:
        async with self._opened() as manager:
            await manager.give_back(lease_id)

    async def keep_identity(self) -> None:
        async with self._opened() as manager:
            await manager.keep_identity()

    def identity(self) -> Iterable[str]:
        """What is in its files is read anew, because they may be rotated."""
        made = () if self._manager is None else self._manager.identity()
        return [*made, *(text for path in identity_files(self._configuration.options) for text in _texts(path))]

    async def close(self) -> None:
        if self._manager is not None:
            await self._manager.close()
        self._known.forget(self)

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[Manager]:
        self._learn()
        async with self._opening:
            if self._manager is None:
                module, _, name = PLACES[self._configuration.kind].partition(":")
                loaded = await asyncio.to_thread(import_module, f"spin_runtime.broker.managers.{module}")
                self._manager = cast(Manager, getattr(loaded, name)(self._configuration.options, self._configuration.bounds, self._environment))
        try:
            yield self._manager
        except (ManagerFailed, TimeoutError):
            raise
        except Exception as error:
            raise ManagerFailed(Failure.OTHER, type(error).__name__) from None
        finally:
            self._learn()

    def _learn(self) -> None:
        self._known.hold(self, self.identity())


def _texts(path: Path) -> Iterator[str]:
    """Of a file with an identity: the whole of it, and what is in it where it is an object of JSON."""
    try:
        text = path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return  # told by who needs it
    yield from texts_in(Secret(text))
