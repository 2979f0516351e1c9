"""What a cell type is.

The compile half is pure: a definition and a context go in, code built with `ast` and the operations that it needs come out. The
process half runs in the runtime's broker, with the vendor's own SDK, which it imports when it is first used.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True)
class Cell:
    """What a person wrote; `fields` satisfies the type's form schema by the time a type sees it."""

    cell_type: str
    source: str
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Problem:
    """Lines and columns count from 1 in Unicode code points; 0 where the problem is in a field."""

    message: str
    line: int = 0
    column: int = 0
    end_line: int = 0
    end_column: int = 0
    field: str = ""
    warning: bool = False


class CellInvalid(Exception):
    """The cell does not compile; `problems` holds at least one error."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(p.message for p in problems))
        self.problems = tuple(problems)


@dataclass(frozen=True)
class ConnectionInfo:
    """What a compiler may know of a connection: never its credential."""

    id: bytes
    name: str
    kind: str
    allowed_operations: frozenset[str]
    # Those that a second person must approve for each run.
    approval_operations: frozenset[str] = frozenset()
    # Whether programs may read the credential's value.
    exposable: bool = False


@dataclass(frozen=True)
class Context:
    """What surrounds the cell: the kernel's language and the connections that the caller may use, by id and by name."""

    kernel_language: str = "python"
    connections: Mapping[str, ConnectionInfo] = field(default_factory=dict)
    # Those whose values the cell reads, by id and by name: what `CellType.secrets` asked for and the caller may use.
    secrets: Mapping[str, ConnectionInfo] = field(default_factory=dict)
    # Whose run this is (user, notebook, cell, session): what a statement's audit comment says. Ids alone.
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Secrets:
    """Connections of the kind `secret` whose values a cell reads: by name or id, and whether by a name that only its run knows."""

    names: tuple[str, ...] = ()
    every: bool = False


@dataclass(frozen=True)
class Use:
    """An operation that the program may ask of the broker. Empty connection_id: the runtime's own. Empty digest: free parameters.

    `at_use`: the program may turn out not to use it, so whether it may is asked then, and does not keep the program from running.
    """

    connection_id: bytes
    operations: tuple[str, ...]
    params_digest: bytes = b""
    at_use: bool = False


@dataclass(frozen=True)
class Compiled:
    code: str
    uses: tuple[Use, ...] = ()
    # Variables that the cell writes to the notebook.
    outputs_to: tuple[str, ...] = ()


@dataclass(frozen=True)
class ConnectionKind:
    """What cells connect to: which fields a connection of this kind has, and for which operations it may be used.

    Registered under the entry point group `spin.connections` by its name, whether a cell type takes such connections or not.
    Both schemas are of objects and list every field with a description, which is what a person is told of a wrong value.
    """

    name: str
    config_schema: Mapping[str, Any]
    credential_schema: Mapping[str, Any]
    operations: frozenset[str]


class CellType(Protocol):
    """One folder of this package, or a third party's, registered under the entry point group `spin.cells`."""

    name: str
    display_name: str
    description: str
    language: str
    executable: bool
    # The kind of connections that it takes; empty for none.
    connection_kind: str
    form_schema: Mapping[str, Any]

    def references(self, cell: Cell) -> Sequence[str]:
        """Ids or names of connections that the cell wants resolved before it is compiled."""

    def secrets(self, cell: Cell) -> Secrets:
        """Whose values the cell reads."""

    def validate(self, cell: Cell, context: Context) -> Sequence[Problem]: ...

    def compile(self, cell: Cell, context: Context) -> Compiled:
        """Raises CellInvalid."""


@dataclass(frozen=True)
class SecretReference:
    """Where a secret manager of the runtime holds one field of a credential; empty key or version for none."""

    manager: str
    path: str
    key: str = ""
    version: str = ""


@dataclass(frozen=True)
class Credential:
    """A connection as the broker holds it. Never logged: its repr shows the name alone."""

    connection_id: bytes
    name: str
    kind: str
    config: Mapping[str, Any] = field(repr=False)
    secret: Mapping[str, Any] = field(repr=False)
    allowed_hosts: tuple[str, ...] = ()
    allowed_operations: frozenset[str] = frozenset()
    # Those that somebody else has to approve for each run.
    approval_operations: frozenset[str] = frozenset()
    # Of the connection: what was approved is bound to it.
    version: int = 0
    # Whether programs may read the credential's value, where the kind has an operation for that.
    exposable: bool = False
    # By field: what is here is not in `secret`.
    references: Mapping[str, SecretReference] = field(default_factory=dict)


class OperationFailed(Exception):
    """The remote side refused or failed. The text names the connection, never the credential."""


class CredentialRefused(OperationFailed):
    """The remote side did not accept the credential, which may have been rotated where it came from.

    `repeatable`: the operation may be done again with another one, because it did nothing, or because doing it twice is doing it once.
    """

    def __init__(self, text: str, *, repeatable: bool) -> None:
        super().__init__(text)
        self.repeatable = repeatable


@dataclass(frozen=True)
class Arrow:
    """A piece of an Arrow IPC stream."""

    data: bytes


@dataclass(frozen=True)
class Progress:
    fraction: float
    text: str = ""


@dataclass(frozen=True)
class Result:
    """The last item of every operation: what is not a table, as JSON values.

    `refused` where it is the remote side's word that it does not accept the credential; then `repeatable` is as in `CredentialRefused`.
    """

    value: Mapping[str, Any]
    refused: bool = False
    repeatable: bool = False


class Processor(Protocol):
    """The process half: `spin_cells.<type>.process.PROCESSOR`."""

    operations: frozenset[str]

    def run(self, operation: str, params: Mapping[str, Any], credential: Credential) -> AsyncIterator[Arrow | Progress | Result]:
        """Performs one operation; cancelling the iteration stops it. Raises OperationFailed."""
