"""`python -m spin_runtime.egress DESCRIPTOR`: the proxies' process, on the socket that it was started with."""

import signal
import socket
import sys

import uvloop

from spin_runtime.egress.serve import serve
from spin_runtime.hardening import hide

if __name__ == "__main__":
    hide()
    # Whoever ends the runtime from a terminal signals the whole group: it ends with the server, not before.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with socket.socket(fileno=int(sys.argv[1])) as channel:
        uvloop.run(serve(channel))
