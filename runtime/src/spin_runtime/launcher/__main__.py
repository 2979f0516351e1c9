"""`python -m spin_runtime.launcher DESCRIPTOR`: serves the socket that it was started with."""

import signal
import socket
import sys

from spin_runtime.hardening import hide
from spin_runtime.launcher.serve import serve

if __name__ == "__main__":
    hide()
    # Whoever ends the runtime from a terminal signals the whole group: kernels end when the server has let go of them.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    # Its children are not waited for.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(fileno=int(sys.argv[1])) as channel:
        serve(channel)
