"""What code in a kernel tries in order to get out, and which kinds of isolation stop it.

Each attempt is Python that ends without an exception when it got what it wanted. `{name}` are its targets (see `Targets`). The table of
docs/security.md says the same as the one here; a test compares them.
"""

from dataclasses import dataclass

STOPPED, OPEN, BY_USER, BY_MACHINE = "stopped", "open", "the runtime's user decides", "the machine decides"


@dataclass(frozen=True)
class Attempt:
    process: str
    # The same with users of their own.
    apart: str
    code: str
    sandbox: str = STOPPED
    container: str = STOPPED
    kubernetes: str = STOPPED

    @property
    def verdicts(self) -> tuple[str, ...]:
        """As the table has them."""
        return self.process, self.apart, self.sandbox, self.container, self.kubernetes

    def verdict(self, kind: str) -> str:
        return {"process": self.process, "process-apart": self.apart, "sandbox": self.sandbox, "container": self.container}.get(kind, self.kubernetes)


@dataclass(frozen=True)
class Targets:
    runtime_pid: int
    neighbour_pid: int
    neighbour_file: str
    neighbour_box: str
    neighbour_broker: str
    broker_socket: str
    private_file: str
    private: str
    abstract: str
    # Open to everybody, outside of the runtime's data.
    service: str
    # Where something listens that the egress forbids.
    host: str
    port: int


LIBC = """
import ctypes, os, socket, subprocess, sys
libc = ctypes.CDLL(None, use_errno=True)
def call(name, *arguments):
    result = getattr(libc, name)(*arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), name)
    return result
"""

ATTEMPTS = {
    "read another session's files": Attempt(OPEN, STOPPED, "open({neighbour_file!r}).read()"),
    "read the runtime's data": Attempt(OPEN, STOPPED, "open({private_file!r}).read()"),
    "list the runtime's data": Attempt(OPEN, STOPPED, "assert os.path.basename({private_file!r}) in os.listdir(os.path.dirname({private_file!r}))"),
    "read the runtime's /proc": Attempt(BY_USER, STOPPED, "open('/proc/{runtime_pid}/environ', 'rb').read()"),
    "read another kernel's /proc": Attempt(BY_USER, STOPPED, "open('/proc/{neighbour_pid}/environ', 'rb').read()"),
    "see another kernel's process": Attempt(OPEN, OPEN, "open('/proc/{neighbour_pid}/cmdline').read()"),
    "trace another kernel": Attempt(
        BY_USER,
        STOPPED,
        """
call('ptrace', 0x4206, {neighbour_pid}, 0, 0)
call('ptrace', 0x4207, {neighbour_pid}, 0, 0)
os.waitpid({neighbour_pid}, 0x40000000)
call('ptrace', 17, {neighbour_pid}, 0, 0)
""",
    ),
    "read another kernel's memory": Attempt(
        BY_USER,
        STOPPED,
        """
class Piece(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]
own = ctypes.create_string_buffer(8)
here, there = Piece(ctypes.addressof(own), 8), Piece(1, 8)
if libc.process_vm_readv({neighbour_pid}, ctypes.byref(here), 1, ctypes.byref(there), 1, 0) < 0 and ctypes.get_errno() != 14:
    raise OSError(ctypes.get_errno(), "process_vm_readv")
""",
    ),
    "signal the runtime": Attempt(OPEN, STOPPED, "os.kill({runtime_pid}, 0)"),
    "signal another kernel": Attempt(OPEN, STOPPED, "os.kill({neighbour_pid}, 0)"),
    "reach another kernel's sockets": Attempt(OPEN, STOPPED, "socket.socket(socket.AF_UNIX).connect({neighbour_box!r} + '/s-1')"),
    "reach another kernel's broker": Attempt(
        OPEN,
        STOPPED,
        """
for path in ({neighbour_broker!r}, {broker_socket!r}):
    try:
        socket.socket(socket.AF_UNIX).connect(path)
        break
    except OSError as error:
        last = error
else:
    raise last
""",
    ),
    "reach abstract sockets": Attempt(OPEN, OPEN, "socket.socket(socket.AF_UNIX).connect(chr(0) + {abstract!r})"),
    "reach a service's socket on the machine": Attempt(OPEN, OPEN, "socket.socket(socket.AF_UNIX).connect({service!r})"),
    "reach a network that egress forbids": Attempt(OPEN, OPEN, "socket.create_connection(({host!r}, {port}), 5)"),
    "make raw sockets": Attempt(BY_USER, STOPPED, "socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)"),
    "make sockets of odd families": Attempt(OPEN, OPEN, "socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)"),
    "gain privileges with a set-user-id program": Attempt(
        OPEN,
        STOPPED,
        """
import time
child = subprocess.Popen(["/usr/bin/su", "root", "-c", "sleep 5"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
try:
    while "su" not in open(f"/proc/{{child.pid}}/comm").read():
        time.sleep(0.01)
    uids = [line for line in open(f"/proc/{{child.pid}}/status") if line.startswith("Uid:")][0].split()[1:]
    if "0" not in uids:
        raise PermissionError(uids)
finally:
    child.kill()
    child.wait()
""",
    ),
    "mount": Attempt(BY_USER, STOPPED, "os.makedirs('m', exist_ok=True); call('mount', b'none', b'm', b'tmpfs', 0, None); call('umount2', b'm', 2)"),
    "make namespaces": Attempt(OPEN, OPEN, "subprocess.run(['unshare', '--user', 'true'], check=True, capture_output=True)"),
    "use io_uring": Attempt(BY_USER, BY_MACHINE, "os.close(call('syscall', 425, 1, ctypes.create_string_buffer(120)))"),
    "change the program of the next kernel": Attempt(
        BY_USER, STOPPED, "import ipykernel; path = os.path.dirname(ipykernel.__file__) + '/escape.py'; open(path, 'x').close(); os.unlink(path)"
    ),
    "start more processes than allowed": Attempt(
        BY_USER,
        OPEN,
        """
children = []
try:
    for _ in range(150):
        children.append(subprocess.Popen(["sleep", "60"]))
finally:
    for child in children:
        child.kill()
    for child in children:
        child.wait()
""",
    ),
    "take more memory than allowed": Attempt(STOPPED, STOPPED, "bytearray(3 << 30)"),
    "fill /tmp": Attempt(
        OPEN,
        OPEN,
        """
import tempfile
with tempfile.TemporaryFile() as file:
    for _ in range(40):
        file.write(bytes(1 << 20))
    file.flush()
""",
    ),
    "find the runtime's secrets in the environment": Attempt(
        STOPPED, STOPPED, "assert any('SPIN_' in name for name in os.environ) or 'secret' in open('/proc/self/environ').read()"
    ),
    "use a descriptor that was left open": Attempt(
        STOPPED,
        STOPPED,
        """
links = []
for name in os.listdir('/proc/self/fd'):
    try:
        links.append(os.readlink(f'/proc/self/fd/{{name}}'))
    except OSError:
        pass
own = tuple(os.path.join({private!r}, name, '') for name in ('kernels', 'work'))
assert any(link.startswith({private!r}) and not link.startswith(own) for link in links)
""",
    ),
}


def code(attempt: Attempt, targets: Targets) -> str:
    filled = attempt.code.format(**vars(targets))
    body = "\n".join(f"    {line}" for line in filled.splitlines())
    return f"{LIBC}\ntry:\n{body}\n    print('ESCAPED')\nexcept BaseException as error:\n    print('stopped:', type(error).__name__, error)\n"
