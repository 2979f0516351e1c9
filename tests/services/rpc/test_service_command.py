"""The command as a person or an orchestrator runs it: real processes."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes.installation import free_ports


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    port = free_ports(1)[0]
    wanted = {"SPIN_DATA": str(tmp_path), "SPIN_AUTH_ADDRESS": f"127.0.0.1:{port}", "SPIN_METRICS_PORT": "0"}
    return {"PATH": os.environ["PATH"]} | wanted


def command(environment: dict[str, str], *arguments: str) -> "subprocess.Popen[str]":
    argv = [str(Path(sys.executable).with_name("spin-service")), *arguments]
    return subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finished(environment: dict[str, str], *arguments: str) -> tuple[int, str, str]:
    process = command(environment, *arguments)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def wait_for_serving(process: "subprocess.Popen[str]") -> str:
    assert process.stderr is not None
    seen = ""
    while '"event": "serving"' not in seen:
        line = process.stderr.readline()
        assert line, seen
        seen += line
    return seen


def test_a_service_starts_serves_and_drains_on_sigterm(environment: dict[str, str], tmp_path: Path) -> None:
    process = command(environment, "auth")
    said = wait_for_serving(process)
    token = (tmp_path / "first-sign-in").read_text().strip()
    assert token not in said
    code, _, err = finished(environment, "auth")
    assert code == 2 and "cannot listen on" in err and "Traceback" not in err
    code, link, _ = finished(environment, "sign-in-link")
    assert code == 0 and link.startswith("http://localhost:8080/sign-in#token=spl1.")
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0 and '"event": "drained"' in err


def test_faults_are_told_in_plain_lines(environment: dict[str, str]) -> None:
    code, _, err = finished(environment | {"SPIN_TRACE_RATIO": "2", "SPIN_LOG_FORMAT": "xml"}, "auth")
    assert code == 2
    assert err.splitlines() == [
        "spin-service: SPIN_TRACE_RATIO is not a number between 0 and 1",
        "spin-service: SPIN_LOG_FORMAT is not one of json, console",
    ]


def test_keys_are_made_shown_and_rotated(environment: dict[str, str]) -> None:
    assert finished(environment, "keys", "list")[0] == 2
    assert finished(environment, "keys", "init")[0] == 0
    before = finished(environment, "keys", "list")[1]
    code, said, _ = finished(environment, "keys", "rotate", "auth")
    assert code == 0 and said.startswith("root document 2: auth signs with ")
    after = finished(environment, "keys", "list")[1]
    assert said.split()[-1] in before and "previous" in after and "previous" not in before
    assert finished(environment, "keys", "rotate", "kitchen")[0] == 2
