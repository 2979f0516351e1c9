"""Reading settings from environment variables.

Rules: a program reads its environment once, at its start; every fault is collected and all of them are reported together, by the
variable's name and without its value; a value that is a secret is read from a file that the variable names.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


class SettingsInvalid(ValueError):
    """The environment cannot be used; `faults` says why, one line for each variable."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


class Environment:
    """Typed reads of one environment; collects faults instead of raising at the first."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self.values = values
        self.faults: list[str] = []

    def fault(self, name: str, text: str) -> None:
        self.faults.append(f"{name} {text}")

    def text(self, name: str, default: str = "") -> str:
        return self.values.get(name, "") or default

    def integer(self, name: str, default: int, minimum: int, maximum: int) -> int:
        try:
            value = int(self.text(name, str(default)))
        except ValueError:
            self.fault(name, "is not a whole number")
            return default
        if not minimum <= value <= maximum:
            self.fault(name, f"is not between {minimum} and {maximum}")
            return default
        return value

    def ratio(self, name: str, default: float) -> float:
        try:
            value = float(self.text(name, str(default)))
        except ValueError:
            value = -1.0
        if not 0.0 <= value <= 1.0:
            self.fault(name, "is not a number between 0 and 1")
            return default
        return value

    def flag(self, name: str, default: bool = False) -> bool:
        value = self.text(name, "true" if default else "false").lower()
        if value not in ("true", "false", "1", "0"):
            self.fault(name, "is neither true nor false")
        return value in ("true", "1")

    def choice(self, name: str, default: str, allowed: tuple[str, ...]) -> str:
        value = self.text(name, default)
        if value not in allowed:
            self.fault(name, f"is not one of {', '.join(allowed)}")
            return default
        return value

    def listing(self, name: str, default: str = "") -> tuple[str, ...]:
        return tuple(part.strip() for part in self.text(name, default).split(",") if part.strip())

    def path(self, name: str, default: Path | None = None) -> Path | None:
        value = self.text(name)
        return Path(value) if value else default

    def secret(self, name: str) -> str:
        """The content of the file that the variable names; empty when it names none."""
        path = self.path(name)
        if path is None:
            return ""
        try:
            return path.read_text().strip()
        except (OSError, UnicodeDecodeError):
            self.fault(name, "names a file that cannot be read")
            return ""


@contextmanager
def reading(values: Mapping[str, str]) -> Iterator[Environment]:
    """Reads settings in a block; raises SettingsInvalid with every fault at its end."""
    environment = Environment(values)
    yield environment
    if environment.faults:
        raise SettingsInvalid(environment.faults)
