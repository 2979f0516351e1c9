"""`python -m spin_runtime.launcher DESCRIPTOR`: serves the server's socket, by the rules that the supervisor writes to its standard input."""

import json
import signal
import socket
import sys

from spin_runtime.hardening import hide
from spin_runtime.launcher.folders import Folders
from spin_runtime.launcher.rules import rules_of
from spin_runtime.launcher.serve import serve

if __name__ == "__main__":
    hide()
    # Whoever ends the runtime from a terminal signals the whole group: kernels end when the server has let go of them.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    # Its children are not waited for.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    rules = rules_of(json.loads(sys.stdin.buffer.read()))
    with socket.socket(fileno=int(sys.argv[1])) as channel:
        # It came as one that a program inherits, and is none for kernels.
        channel.set_inheritable(False)
        try:
            folders = Folders(rules)
        except OSError as error:
            reason = (
                f"kernels' folders below {rules.private} cannot be made: {error.strerror}. Mend or free {error.filename}, or choose another SPIN_HOME"
            )
            sys.stderr.write(f"spin-runtime: {reason}\n")
            sys.exit(2)
        sys.exit(0 if serve(channel, rules, folders) else 1)
