"""`spin-service keys …`, as an operator types it while the platform runs."""

import subprocess

from scripts.platform import programs
from scripts.platform.settings import Settings


def rotate(settings: Settings, role: str, *options: str) -> str:
    """What the command printed. Raises CalledProcessError."""
    return keys(settings, "rotate", role, *options)


def keys(settings: Settings, *arguments: str) -> str:
    """What the command printed. Raises CalledProcessError."""
    command = [str(programs.BIN / "spin-service"), "keys", *arguments]
    done = subprocess.run(command, env=programs.service_environment(settings), capture_output=True, text=True, timeout=60, check=True)
    return done.stdout
