"""What an operation's results repeat of its credential is taken out, before code in the kernel sees them. A help, not a boundary.

- Every text of the credential counts, but for user names. Texts in results get a mark with the connection's name.
- Rows are bytes of Arrow: there a value is overwritten in place, so that offsets stay true. Compressed rows are not searched.

The broker's own log is searched for every secret that it holds (`known`). What leaves for kernels and clients is not: who may send texts, and see
what becomes of them, could try out what another's secret is.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from spin_cells.api import Arrow, Credential, Progress, Result
from spin_kernel.redaction import Redactor

# Shown in configurations as well, and often a word of the data.
PUBLIC = frozenset({"username", "user"})


class Redaction:
    """For the results of one operation, in their order."""

    def __init__(self, credential: Credential) -> None:
        values = {str(at): value for at, value in enumerate(values_of(credential.secret))}
        self._text = Redactor(values, lambda _name, _found: f"[redacted {credential.name}]")
        # Each byte is one character of Latin-1, so one search serves both.
        bytewise = {at: value.encode().decode("latin-1") for at, value in values.items()}
        self._rows = Redactor(bytewise, lambda _name, found: "*" * len(found), encoding="latin-1").stream()

    def item(self, item: Arrow | Progress | Result) -> Iterator[Arrow | Progress | Result]:
        match item:
            case Arrow(data):
                yield from _arrow(self._rows.feed(data.decode("latin-1")))
            case Progress(fraction, text):
                yield Progress(fraction, self._text.text(text))
            case Result(value):
                yield from self.rest()
                yield Result(self._value(value))

    def rest(self) -> Iterator[Arrow]:
        """Rows that were held back, because they end like the beginning of a value."""
        yield from _arrow(self._rows.flush())

    def text(self, text: str) -> str:
        return self._text.text(text)

    def _value(self, value: Any) -> Any:
        match value:
            case str():
                return self._text.text(value)
            case Mapping():
                return {self._value(key): self._value(item) for key, item in value.items()}
            case list() | tuple():
                return [self._value(item) for item in value]
        return value


def _arrow(text: str) -> Iterator[Arrow]:
    if text:
        yield Arrow(text.encode("latin-1"))


def values_of(secret: Any, key: str = "") -> Iterator[str]:
    """The texts of a credential that are secret."""
    match secret:
        case str() if key not in PUBLIC:
            yield secret
        case Mapping():
            for name, value in secret.items():
                yield from values_of(value, name)
        case list() | tuple():
            for value in secret:
                yield from values_of(value, key)
