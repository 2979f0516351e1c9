"""The files that both languages are tested with are what their maker makes."""

import subprocess
import sys
from pathlib import Path

VECTORS = Path(__file__).resolve().parents[2] / "envelope/vectors"


def test_the_committed_vectors_are_current() -> None:
    done = subprocess.run([sys.executable, "-m", "make", "--check"], cwd=VECTORS, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout.strip(), done.returncode) == ("all current", 0), done.stderr
