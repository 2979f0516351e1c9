"""The runtime's own identity towards a manager: secrets in files or in variables that the operator named.

They are read when they are needed, so that they can be rotated.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spin_runtime.broker.managers.interface import Failure, ManagerFailed


def secret_of(options: Mapping[str, Any], name: str, environment: Mapping[str, str], default_file: str = "") -> str:
    """The secret whose file is `NAME_file` or whose variable is `NAME_env`. Raises ManagerFailed."""
    variable = options.get(f"{name}_env")
    if variable:
        found = environment.get(variable, "")
    else:
        try:
            found = Path(options.get(f"{name}_file") or default_file).read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ManagerFailed(Failure.NO_IDENTITY, f"{name}_file: {type(error).__name__}") from None
    if not found:
        raise ManagerFailed(Failure.NO_IDENTITY, f"{name} is empty")
    return found


def authority(options: Mapping[str, Any], environment: Mapping[str, str]) -> str | None:
    """The file (or folder) of CA certificates; None for the library's own. A manager's certificate is always verified."""
    return options.get("ca_file") or environment.get("REQUESTS_CA_BUNDLE") or None
