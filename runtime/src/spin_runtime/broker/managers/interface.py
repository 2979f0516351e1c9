"""What a secret manager is to the broker: a path and a version go in, a secret and its lease come out.

- A failure's text is fit for whoever runs a cell: it is made here, by the kind of failure, and holds nothing that the manager said.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol

# Of one answer; a Kubernetes secret has at most 1 MiB, in base64.
MAXIMUM_ANSWER = 2 << 20
# Of one value. The managers of the clouds hold 64 KiB at most.
MAXIMUM_VALUE = 64 << 10


@dataclass(frozen=True)
class Secret:
    """What lies at a path: one text, or an object with several values."""

    content: str | Mapping[str, Any] = field(repr=False)
    # For how long the manager vouches for it; 0 where it does not say.
    lease_s: float = 0.0
    # Set where the manager made it for this reader: it is given back, and ends for everybody.
    lease_id: str = ""
    renewable: bool = False

    def __post_init__(self) -> None:
        """Raises TypeError: what SDKs hand on is not always what they say."""
        if not isinstance(self.content, str | Mapping):
            raise TypeError("the content is neither a text nor an object")


class Failure(Enum):
    """Each with what a person is told, and can do."""

    MISSING = "it has nothing at this path, or not in this version"
    DENIED = "it refuses this runtime: grant the runtime's identity the right to read the path"
    NO_IDENTITY = "it does not accept the runtime's identity, or there is none: whoever operates the runtime has to look at its configuration"
    UNREACHABLE = "it cannot be reached, or its certificate is not trusted"
    SLOW = "it did not answer in time"
    TOO_LARGE = "its answer is too large"
    NOT_TEXT = "the value is no text in UTF-8"
    WRONG_KEY = "the secret has no such key"
    NEEDS_KEY = "the secret has several values: the connection must name a key"
    FORGOTTEN = "the runtime's credentials were taken away meanwhile"
    OTHER = "it failed"


class ManagerFailed(Exception):
    """`detail` is for the runtime's log: a status or an error's type, never what was said."""

    def __init__(self, failure: Failure, detail: str = "") -> None:
        super().__init__(failure.value)
        self.failure, self.detail = failure, detail


class Manager(Protocol):
    """Made once for each entry of the configuration. Methods raise ManagerFailed and nothing else."""

    async def read(self, path: str, version: str) -> Secret: ...

    async def renew(self, lease_id: str) -> float:
        """The seconds that the lease lasts from now on."""

    async def give_back(self, lease_id: str) -> None: ...

    async def keep_identity(self) -> None:
        """Prolongs what the runtime shows to the manager, where leases hang on it."""

    def identity(self) -> Iterable[str]:
        """The secrets that it made itself known with."""

    async def close(self) -> None: ...


class Unleased:
    """A manager that only reads."""

    async def renew(self, lease_id: str) -> float:
        raise ManagerFailed(Failure.OTHER, "no leases")

    async def give_back(self, lease_id: str) -> None:
        return None

    async def keep_identity(self) -> None:
        return None

    def identity(self) -> Iterable[str]:
        return ()

    async def close(self) -> None:
        return None
