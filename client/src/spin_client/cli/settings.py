"""What every command needs to know: options before environment before the configuration file.

$XDG_CONFIG_HOME/spin/spinctl.toml holds `url`, `workspace`, `ca_file`, `client_cert` and `client_key`. An API key comes from SPIN_API_KEY alone: it
is a secret, and options and files of settings are no place for one.
"""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from spin_client.sdk.endpoint import DEFAULT_URL
from spin_client.sdk.errors import SpinError
from spin_client.sdk.private_files import config_folder, write_private

_KEYS = ("url", "workspace", "ca_file", "client_cert", "client_key")


@dataclass(frozen=True)
class Settings:
    url: str = DEFAULT_URL
    # Name or id; empty: the only workspace there is.
    workspace: str = ""
    ca_file: Path | None = None
    # Shown to runtimes that ask for a certificate.
    client_cert: Path | None = None
    client_key: Path | None = None
    api_key: str = field(default="", repr=False)
    json: bool = False
    debug: bool = False

    @classmethod
    def resolve(
        cls, environment: Mapping[str, str], *, url: str | None, workspace: str | None, ca_file: Path | None, json_output: bool
    ) -> "Settings":
        kept = read_file()

        def file(name: str) -> Path | None:
            named = environment.get(f"SPIN_{name.upper()}") or kept.get(name)
            return Path(named) if named else None

        return cls(
            url=url or environment.get("SPIN_URL") or kept.get("url") or DEFAULT_URL,
            workspace=workspace or environment.get("SPIN_WORKSPACE") or kept.get("workspace") or "",
            ca_file=ca_file or file("ca_file"),
            client_cert=file("client_cert"),
            client_key=file("client_key"),
            api_key=environment.get("SPIN_API_KEY", ""),
            json=json_output,
            debug=environment.get("SPIN_DEBUG", "") not in ("", "0"),
        )


def settings_file() -> Path:
    return config_folder() / "spinctl.toml"


def read_file() -> dict[str, str]:
    """The file's values; an unreadable file or an unknown key is an error with its place."""
    path = settings_file()
    try:
        values = tomllib.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, OSError, UnicodeDecodeError) as fault:
        raise SpinError("INVALID_ARGUMENT", f"{path} cannot be read: {fault}") from None
    for key, value in values.items():
        if key not in _KEYS or not isinstance(value, str):
            raise SpinError("INVALID_ARGUMENT", f"{path}: {key!r} is not a setting; there are {', '.join(_KEYS)}, all of them texts")
    return values


def remember(**changes: str) -> None:
    """Writes settings beside those that the file has."""
    values = {**read_file(), **changes}
    # A JSON string is a TOML basic string as well.
    write_private(settings_file(), "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items()).encode())
