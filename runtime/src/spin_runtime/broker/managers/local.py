"""`runtime_env` and `file`: values that whoever operates the runtime put into its environment or into files, mounted secrets for instance.

Neither has versions; a reference that pins one finds nothing.
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spin_runtime.broker.managers.interface import MAXIMUM_VALUE, Failure, ManagerFailed, Secret, Unleased
from spin_runtime.broker.managers.leases import Bounds
from spin_runtime.broker.managers.references import as_text

RESERVED = "SPIN_"


class RuntimeEnvironment(Unleased):
    def __init__(self, options: Mapping[str, Any], bounds: Bounds, environment: Mapping[str, str]) -> None:
        self._environment = environment

    async def read(self, path: str, version: str) -> Secret:
        value = None if version or path.upper().startswith(RESERVED) else self._environment.get(path)
        if not value:
            raise ManagerFailed(Failure.MISSING)
        # Bytes that are no UTF-8 are in there as surrogates.
        return Secret(as_text(value.encode(errors="surrogateescape")))


class Files(Unleased):
    """Files below a folder. Links may lead within it, as they do in what Kubernetes mounts, and not out of it."""

    def __init__(self, options: Mapping[str, Any], bounds: Bounds, environment: Mapping[str, str]) -> None:
        self._root = Path(options["root"])

    async def read(self, path: str, version: str) -> Secret:
        if version:
            raise ManagerFailed(Failure.MISSING)
        return Secret(as_text(await asyncio.to_thread(self._content, path)).removesuffix("\n"))

    def _content(self, path: str) -> bytes:
        try:
            root = self._root.resolve(strict=True)
            real = (root / path.lstrip("/")).resolve(strict=True)
            if not real.is_relative_to(root) or not real.is_file():
                raise ManagerFailed(Failure.MISSING, "not a file below the root")
            with real.open("rb") as file:
                content = file.read(MAXIMUM_VALUE + 1)
        except FileNotFoundError:
            raise ManagerFailed(Failure.MISSING) from None
        except OSError as error:
            raise ManagerFailed(Failure.DENIED, type(error).__name__) from None
        if len(content) > MAXIMUM_VALUE:
            raise ManagerFailed(Failure.TOO_LARGE)
        return content
