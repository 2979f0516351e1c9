"""Where the web client's files are, and where they are served."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from spin_services.environment import reading


@dataclass(frozen=True)
class UiSettings:
    """No folder: nothing is served, and the gateway answers for pages with an error."""

    folder: Path | None
    address: str


def from_environment(values: Mapping[str, str]) -> UiSettings:
    """Raises SettingsInvalid with every fault."""
    with reading(values) as env:
        folder = env.path("SPIN_UI_FOLDER")
        if folder is not None and not (folder / "index.html").is_file():
            env.fault("SPIN_UI_FOLDER", "holds no index.html: build the web client first")
        return UiSettings(folder, env.text("SPIN_UI_ADDRESS", "127.0.0.1:9106"))
