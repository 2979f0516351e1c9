"""A machine that cannot give the sandbox is told so, with the mend; nothing is left out in silence."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

PROGRAM = """
import json, os, sys
from dataclasses import replace
import landlockpy
from spin_runtime.launcher import confine, filesystem, machine
from spin_runtime.launcher.folders import Folders
from spin_runtime.launcher.rules import Rules
uids = (1_900_000_000, 1_900_000_999) if os.geteuid() == 0 else None
rules = Rules("sandbox", "none", json.loads(sys.argv[1]), sys.argv[2], 1 << 20, 100, 0, uids, os.geteuid(), os.getegid(), os.geteuid())
{fault}
try:
    found = machine.examined(rules, Folders(rules))
    print("given", machine.mechanisms(rules, found))
except machine.Unable as error:
    print("refused", error)
"""


@pytest.fixture
def private() -> Iterator[Path]:
    """The runtime's data, where only isolation stands before them."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def examined(private: Path, fault: str) -> str:
    paths = [sys.prefix, sys.base_prefix, *(path for path in sys.path if path and not private.is_relative_to(path))]
    command = [sys.executable, "-c", PROGRAM.format(fault=fault), json.dumps(paths), str(private)]
    environment = {"PATH": os.defpath}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=True).stdout


def test_this_machine_gives_it(private: Path) -> None:
    assert examined(private, "").startswith("given ['Landlock")


@pytest.mark.parametrize(
    ("fault", "why", "mend"),
    [
        ("landlockpy.abi_version = lambda: 0", "Landlock is missing", "lsm=landlock"),
        ("import ctypes.util\nctypes.util.find_library = lambda name: None", "libseccomp is missing", "install the package libseccomp2"),
        ("from spin_runtime.launcher import seccomp\nseccomp.DENIED = ()", "seccomp does not keep kernels from tracing", "SPIN_ISOLATION=process"),
        ("rules = replace(rules, readable=[*rules.readable, rules.private])", "the runtime's data", "set SPIN_HOME to a folder elsewhere"),
        (
            "hide = filesystem._hide\n"
            "filesystem._hide = lambda path, options: path in ('/tmp', rules.private) or hide(path, options)\n"
            "filesystem.restrict = lambda *rest, **more: None",
            "Landlock does not keep kernels from the runtime's files",
            "Mend that",
        ),
        (
            "confine.Confinement.own_network = False\n"
            "landlock = filesystem.restrict\n"
            "filesystem.restrict = lambda *rest, namespaces, internet: landlock(*rest, namespaces=namespaces, internet=True)",
            "kernels reach the network",
            "reach the network",
        ),
    ],
    ids=["landlock", "libseccomp", "filter", "readable data", "files", "network"],
)
def test_what_is_missing_is_named(private: Path, fault: str, why: str, mend: str) -> None:
    said = examined(private, fault)
    assert said.startswith("refused")
    assert why in said
    assert mend in said
