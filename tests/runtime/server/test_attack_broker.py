"""Code in a kernel against the processes around it: `spin-runtime` as it runs, by isolation, with users of their own and with one for all."""

import json
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from spin_runtime.hardening import NAMESPACES, OWN_USERS
from spinapis.runtime.v1 import frames_pb2 as f
from tests.fakes import container_engine
from tests.fakes.control_plane import Client, use
from tests.fakes.reachable import within
from tests.fakes.runtime_rig import Process, Seat, spawned

pytestmark = pytest.mark.asyncio(loop_scope="module")
SECRET = "region-that-only-a-grant-shows"
MAY_READ = use(b"", "runtime_env.get", params={"name": "REGION"})
TRIED = """
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
def tried(what, attempt):
    try:
        result = attempt()
    except OSError as error:
        print(what, "refused", errno.errorcode.get(error.errno))
    else:
        print(what, "DONE", result)
def called(*arguments):
    if libc.syscall(*arguments) < 0:
        raise OSError(ctypes.get_errno(), "refused")
"""
INTO_A_PROCESS = (
    TRIED
    + """
tried("mem", lambda: os.open(f"/proc/{PID}/mem", os.O_RDWR))
for name in ("environ", "maps", "smaps", "auxv", "pagemap", "syscall", "stack"):
    tried(name, lambda: open(f"/proc/{PID}/{name}", "rb").read(1))
for descriptor in range(3):
    tried("fd", lambda: os.readlink(f"/proc/{PID}/fd/{descriptor}"))
    tried("fd", lambda: os.open(f"/proc/{PID}/fd/{descriptor}", os.O_RDONLY))
for name in ("cwd", "root", "exe"):
    tried(name, lambda: os.readlink(f"/proc/{PID}/{name}"))
tried("its files", lambda: os.listdir("/".join(["", "proc", str(PID), "root"])))
PTRACE, PROCESS_VM_READV, PIDFD_GETFD = 101, 310, 438
for request in (16, 0x4206):  # attach, seize
    tried("ptrace", lambda: called(PTRACE, request, PID, None, None))
class Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]
here = ctypes.create_string_buffer(8)
tried("process_vm_readv", lambda: called(PROCESS_VM_READV, PID, ctypes.byref(Vector(ctypes.addressof(here), 8)), 1,
    ctypes.byref(Vector(0x400000, 8)), 1, 0))
for descriptor in range(3):
    tried("pidfd_getfd", lambda: called(PIDFD_GETFD, os.pidfd_open(PID), descriptor, 0))
"""
)
ENVIRONMENT = "import os; print(sorted(os.environ)); print(open('/proc/self/environ').read() if os.access('/proc/self/environ', os.R_OK) else '')"
DESCRIPTORS = """
import json, os
found = []
for number in os.listdir("/proc/self/fd"):
    try: found.append(os.readlink(f"/proc/self/fd/{number}"))
    except OSError: pass
print(json.dumps(found))
"""
READS = "from spin_kernel.broker import runtime_env; print(runtime_env('REGION'))"
KEEPS_TICKET = "from spin_kernel.request import current_ticket; kept = current_ticket(); print(kept.socket)"
SHOWS_KEPT = """
from spin_kernel import broker
def show(ticket):
    data = b'{"name":"REGION"}'
    try:
        replies = list(broker._replies(ticket, b"", "runtime_env.get", data))
    except PermissionError:
        replies = []
    print(*replies or ["nobody answers"])
"""
LEAVES_A_THREAD = """
import threading
go, said = threading.Event(), []
from spin_kernel.broker import runtime_env
def later():
    go.wait()
    for _ in range(3):
        try: said.append(runtime_env("REGION"))
        except BaseException as error: said.append(type(error).__name__)
thread = threading.Thread(target=later, daemon=True)
thread.start()
"""


@dataclass(frozen=True)
class Family:
    runtime: Process
    home: Path
    kind: str
    separate: bool

    @property
    def closed(self) -> bool:
        """Whether the kernel is kept from what another user, or nobody outside, may reach."""
        return self.separate or self.kind != "process"

    def pid(self, mark: str) -> int:
        found = psutil.Process(self.runtime.process.pid).children(recursive=True)
        return next(child.pid for child in found if any(mark in part for part in child.cmdline()))

    @property
    def above(self) -> dict[str, int]:
        return {
            "supervisor": self.runtime.process.pid,
            "broker": self.pid("spin_runtime.broker"),
            "launcher": self.pid("spin_runtime.launcher"),
            "server": self.pid("spin_runtime.serve"),
        }


def forms() -> list[tuple[str, str]]:
    kinds = ["process", "sandbox", *(["container"] if container_engine.starts() else [])]
    return [(kind, uids) for kind in kinds for uids in (("separate", "shared") if os.geteuid() == 0 else ("shared",))]


def isolation(request: pytest.FixtureRequest, kind: str) -> dict[str, str]:
    chosen = {"SPIN_ISOLATION": kind} | ({} if kind == "process" else {"SPIN_EGRESS": "none"})
    if kind != "container":
        return chosen
    engine: container_engine.ContainerEngine = request.getfixturevalue("container_engine")
    return chosen | {"SPIN_KERNEL_IMAGE": container_engine.IMAGE, "DOCKER_HOST": engine.address}


@pytest_asyncio.fixture(loop_scope="module", scope="module", params=forms(), ids="-".join)
async def family(request: pytest.FixtureRequest) -> AsyncIterator[Family]:
    kind, uids = request.param
    home = Path(tempfile.mkdtemp(prefix="spin-t-"))
    # Where others may enter, which the tests' own folder does not allow.
    home.chmod(0o711)
    chosen = isolation(request, kind)
    async with spawned(home, within=within() if uids == "separate" else (), SPIN_UIDS=uids, REGION=SECRET, **chosen) as runtime:
        yield Family(runtime, home, kind, uids == "separate")
    shutil.rmtree(home)


@pytest_asyncio.fixture(loop_scope="module")
async def seat(family: Family) -> AsyncIterator[Seat]:
    async with family.runtime.attached(Client()) as seat:
        await seat.start_kernel()
        yield seat
        await seat.send(stop_kernel=f.StopKernel())


async def test_a_kernel_that_reads_or_traces_the_processes_above_it(family: Family, seat: Seat) -> None:
    for name, pid in family.above.items():
        said = await seat.printed(f"PID = {pid}\n{INTO_A_PROCESS}")
        assert "DONE" not in said, f"{name}: {said}"
        assert said.count("refused") >= 18, f"{name}: {said}"


async def test_a_kernel_that_reads_or_traces_another_kernel(family: Family, seat: Seat) -> None:
    async with family.runtime.attached(Client()) as other:
        await other.start_kernel()
        pid = (await other.printed("import os; print(os.getpid())")).strip() if family.kind == "process" else newest_kernel()
        said = await seat.printed(f"PID = {pid}\n{INTO_A_PROCESS}")
    assert "DONE" not in said, said
    assert said.count("refused") >= 18, said


def newest_kernel() -> int:
    """As the machine sees it: where kernels have process namespaces, the number that one says of itself is another's elsewhere."""
    found = [process for process in psutil.process_iter(["cmdline", "create_time"]) if "spin_kernel.app" in (process.info["cmdline"] or ())]
    return int(max(found, key=lambda process: process.info["create_time"]).pid)


async def test_every_process_has_a_user_of_its_own_and_no_right_that_it_does_not_need(family: Family, seat: Seat) -> None:
    users = {name: psutil.Process(pid).uids().effective for name, pid in family.above.items()}
    users["kernel"] = int(await seat.printed("import os; print(os.getuid())"))
    rights = {name: capabilities(pid) for name, pid in family.above.items()}
    if not family.separate:
        assert len({users[name] for name in family.above}) == 1
        return
    assert users["supervisor"] == users["launcher"] == 0
    assert len({users[name] for name in ("launcher", "broker", "server", "kernel")}) == 4
    assert rights["broker"] == rights["server"] == set()
    assert rights["launcher"] == (NAMESPACES if family.kind == "sandbox" else OWN_USERS)
    status = await seat.printed("print(open('/proc/self/status').read())")
    assert "CapEff:\t0000000000000000" in status
    assert "CapBnd:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status


def capabilities(pid: int) -> set[int]:
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)
    return {number for number in range(64) if int(status["CapEff"], 16) >> number & 1}


async def test_nothing_secret_stands_in_arguments(family: Family) -> None:
    for pid in family.above.values():
        assert "spin1." not in " ".join(psutil.Process(pid).cmdline())


async def test_not_even_root_finds_the_token_in_an_environment(family: Family) -> None:
    for name, pid in family.above.items():
        block = Path(f"/proc/{pid}/environ").read_bytes()
        assert b"spin1." not in block, name
        assert SECRET.encode() not in block, name


async def test_a_kernels_environment_has_nothing_of_the_runtimes(seat: Seat) -> None:
    said = await seat.printed(ENVIRONMENT)
    assert "PATH" in said
    assert "SPIN_" not in said
    assert SECRET not in said


async def test_a_kernel_inherits_no_descriptor_of_the_processes_above_it(family: Family, seat: Seat) -> None:
    held = set(json.loads(await seat.printed(DESCRIPTORS)))
    above = {str(entry.readlink()) for pid in family.above.values() for entry in Path(f"/proc/{pid}/fd").iterdir()}
    shared = {name for name in held & above if name.startswith(("socket:", "pipe:"))}
    assert not shared


async def test_a_kernel_that_reads_the_brokers_folder(family: Family, seat: Seat) -> None:
    folder = family.home / "var" / "broker"
    said = await seat.printed(f"{TRIED}\ntried('list', lambda: os.listdir({str(folder)!r}))")
    plain = [file.read_bytes() for file in folder.iterdir()]
    assert not [data for data in plain if family.runtime.plane.token.secret in data]
    if family.closed:
        assert "refused E" in said


async def test_a_kernel_that_signals_the_broker(family: Family, seat: Seat) -> None:
    if family.closed:
        for pid in family.above.values():
            said = await seat.printed(f"{TRIED}\ntried('kill', lambda: os.kill({pid}, 9))")
            assert "refused E" in said
    assert await seat.printed(READS, uses=[MAY_READ]) == f"{SECRET}\n"


async def test_a_kernel_that_shows_its_ticket_at_another_kernels_socket(family: Family, seat: Seat) -> None:
    async with family.runtime.attached(Client()) as other:
        await other.start_kernel()
        socket = (await other.printed(KEEPS_TICKET)).strip()
        own = await seat.printed(f"{KEEPS_TICKET}\n{SHOWS_KEPT}\nshow(kept)", uses=[MAY_READ])
        assert SECRET in own
        moved = f"{KEEPS_TICKET}\n{SHOWS_KEPT}\nimport dataclasses\nshow(dataclasses.replace(kept, socket={socket!r}))"
        said = await seat.printed(moved, uses=[MAY_READ])
    assert SECRET not in said
    # The box of another kernel is closed, so that nobody answers; else its socket is of no use.
    assert ("OPERATION_DENIED" in said) == (not family.closed)
    assert ("nobody answers" in said) == family.closed


async def test_a_ticket_is_worth_nothing_after_its_run(seat: Seat) -> None:
    await seat.run(KEEPS_TICKET, uses=[MAY_READ])
    said = await seat.printed(f"{SHOWS_KEPT}\nshow(kept)", uses=[MAY_READ])
    assert SECRET not in said
    assert "OPERATION_DENIED" in said


async def test_a_thread_of_an_earlier_cell_uses_nothing_after_its_run(seat: Seat) -> None:
    await seat.run(LEAVES_A_THREAD, uses=[MAY_READ])
    said = await seat.printed("go.set(); thread.join(20); print(said)", uses=[MAY_READ])
    assert said.strip() == "['UseFailed', 'UseFailed', 'UseFailed']"
