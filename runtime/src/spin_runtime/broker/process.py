"""The broker's process: keys, credentials, opening envelopes, cells' process halves, the sockets of kernels.

- It gets SPIN_TOKEN and the environment that cells may read over its standard input, so that neither stands in argv or in /proc.
- It serves one server, over the inherited socket, and ends in order when that hangs up. Signals are the supervisor's business.
"""

import json
import os
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from spin_runtime.hardening import hide

if TYPE_CHECKING:
    from spin_runtime.broker.known import KnownSecrets
    from spin_runtime.broker.managers.configuration import Configuration


def main() -> None:
    hide()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    environment: dict[str, str] = json.loads(sys.stdin.buffer.read())
    sys.exit(_run(environment, socket.socket(fileno=int(sys.argv[1]))))


def _run(environment: dict[str, str], server: socket.socket) -> int:
    import uvloop

    from spin_envelope.pairing import TokenInvalid
    from spin_runtime.broker.disk import DiskError
    from spin_runtime.broker.known import KnownSecrets
    from spin_runtime.broker.managers.configuration import ConfigurationInvalid, load
    from spin_runtime.logs import configure_logs
    from spin_runtime.settings import checked_before, readable

    settings = checked_before(environment)
    # As it was checked: a file that it came from may end with a line break.
    token = environment.pop("SPIN_TOKEN").strip()
    known = KnownSecrets()
    known.hold("token", [token])
    configure_logs(settings.log_format, settings.log_level, known.redacted)
    # For the SDKs of secret managers, which read their settings there; /proc does not show what is set after the start.
    os.environ.update(readable(environment))
    try:
        managers = load(settings.secret_managers, environment)
        withheld = managers.withheld(environment)
        known.hold("variables", [environment[name] for name in withheld if name in environment])
        cells = {name: value for name, value in readable(environment).items() if name not in withheld}
        uvloop.run(_serve(settings.home, token, server, managers, cells, known))
    except (TokenInvalid, DiskError, ConfigurationInvalid) as error:
        sys.stderr.write(f"spin-runtime: {error}\n")
        return 2
    return 0


async def _serve(home: Path, token: str, server: socket.socket, managers: "Configuration", cells: Mapping[str, str], known: "KnownSecrets") -> None:
    """`cells` is what they may read of the environment."""
    from spin_runtime.broker.boundary import Boundary
    from spin_runtime.broker.local import open_broker
    from spin_runtime.broker.managers.resolve import SecretManagers

    broker = open_broker(home, token, environment=cells, managers=SecretManagers(managers, os.environ, known), known=known)
    try:
        boundary = await Boundary.serve(broker, server)
        await boundary.ended.wait()
    finally:
        await broker.close()


if __name__ == "__main__":
    main()
