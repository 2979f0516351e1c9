"""The broker's half of a secret: hands its value out. Whether it may be handed out is the broker's to decide before it asks here."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

from spin_cells.api import Arrow, Credential, OperationFailed, Progress, Result
from spin_cells.secret import OPERATION, TEST


class SecretProcessor:
    operations = frozenset({OPERATION, TEST})

    async def run(self, operation: str, params: Mapping[str, Any], credential: Credential) -> AsyncIterator[Arrow | Progress | Result]:
        value = credential.secret.get("value")
        if not isinstance(value, str) or not value:
            raise OperationFailed(f"Connection {credential.name}: its credential has no usable value")
        yield Result({"reached": "there is a value", "took_ms": 0} if operation == TEST else {"name": credential.name, "value": value})


PROCESSOR = SecretProcessor()
