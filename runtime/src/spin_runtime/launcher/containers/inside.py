"""Run in a container of the kernels' image, with the targets in its argument: what it can do that it must not, and what it cannot do that kernels
need. The launcher puts this file and the probe into the box: the image need not have them. Says it in JSON on stderr.
"""

import json
import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

from spin_runtime.launcher import forwarder, image, probe
from spin_runtime.launcher.rules import EGRESS_ALLOW_LIST, EGRESS_OPEN

PROXY_SAYS = b"here"


def _bind(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)


def _reach_proxy() -> None:
    with socket.create_connection((forwarder.HOST, forwarder.PORT), 10) as client:
        if client.recv(len(PROXY_SAYS)) != PROXY_SAYS:
            raise ConnectionError


def main() -> None:
    targets = json.loads(sys.argv[1])
    failed: Mapping[str, bool] = {
        "files": not probe.could(lambda: Path("file").write_text("x")),
        "broker": not probe.could(lambda: probe.connect(socket.AF_UNIX, targets["broker"])),
        "sockets": not probe.could(lambda: _bind(targets["bind"])),
        "scratch": not probe.could(lambda: Path("/tmp/file").write_text("x")),  # noqa: S108 - its own
        "proxy": targets["egress"] == EGRESS_ALLOW_LIST and not probe.could(_reach_proxy),
    }
    could = probe.found(targets) | {
        "root": os.geteuid() == 0,
        "image": probe.could(lambda: Path("/spin-probe").write_text("x")),
        "interfaces": targets["egress"] != EGRESS_OPEN and any(name != "lo" for _, name in socket.if_nameindex()),
    }
    said = {"could": could, "failed": failed, "missing": image.missing(), "python": sys.executable, "kernels": image.kernels()}
    sys.stderr.write(json.dumps(said) + "\n")


if __name__ == "__main__":
    main()
