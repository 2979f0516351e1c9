"""Escape attempts from real kernels, for every kind of isolation that this machine has."""

import asyncio
import os
import re
import secrets
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from spin_runtime.egress.policy import Cap
from spin_runtime.kernels.api import Execute
from spin_runtime.kernels.jupyter import JupyterKernel
from spin_runtime.kernels.pool import JupyterPool
from spin_runtime.kernels.rules import Isolation
from spin_runtime.launcher.rules import EngineRules
from tests.fakes import container_engine, launched
from tests.fakes.kubernetes_cluster.api import KubernetesCluster
from tests.fakes.kubernetes_cluster.isolation import in_pods
from tests.fakes.launched import LaunchedPool
from tests.runtime.kernels.escapes import ATTEMPTS, OPEN, STOPPED, Targets, code
from tests.runtime.kernels.test_any_kernel import SECRETS, execute, printed
from tests.runtime.kernels.test_beside_a_cell import Cell

PROCESS, APART, SANDBOX, CONTAINER, KUBERNETES = "process", "process-apart", "sandbox", "container", "kubernetes"
KINDS = [PROCESS, *([APART] if os.geteuid() == 0 else []), SANDBOX, *([CONTAINER, KUBERNETES] if container_engine.starts() else [])]
ROOT = Path(__file__).resolve().parents[3]
MIB = 1 << 20


@dataclass(frozen=True)
class Attacker:
    kind: str
    kernel: JupyterKernel
    targets: Targets
    pool: JupyterPool

    async def says(self, text: str) -> str:
        return printed(await execute(self.kernel, text))


def isolation(request: pytest.FixtureRequest, kind: str) -> Isolation:
    if kind in (PROCESS, APART):
        return Isolation(memory_bytes=1 << 30)
    if kind == SANDBOX:
        return Isolation(SANDBOX, Cap("none"), memory_bytes=1 << 30, scratch_bytes=16 * MIB, processes=100)
    engine: container_engine.ContainerEngine = request.getfixturevalue("container_engine")
    rules = EngineRules(engine.address, container_engine.IMAGE, "", 0.0)
    return Isolation(CONTAINER, Cap("none"), memory_bytes=1 << 30, scratch_bytes=16 * MIB, processes=100, engine=rules)


@contextmanager
def _open_to_everybody() -> Iterator[str]:
    """Where a service of the machine would listen, if this user may make it; a path for its socket."""
    place = next(folder for folder in ("/srv", "/var/lib", "/var/tmp") if os.access(folder, os.W_OK))
    with tempfile.TemporaryDirectory(dir=place) as folder:
        Path(folder).chmod(0o755)
        yield f"{folder}/service.sock"


@pytest_asyncio.fixture(loop_scope="module", scope="module", params=KINDS)
async def attacker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Attacker]:
    home = Path(tempfile.mkdtemp(prefix="spin-e-"))
    # Where others may enter.
    home.chmod(0o711)
    if request.param != KUBERNETES:
        async with attacking(request.param, home, isolation(request, request.param)) as found:
            yield found
        return
    async with KubernetesCluster(tmp_path_factory.mktemp("cluster"), request.getfixturevalue("container_engine")) as cluster:
        # The volume that the runtime's data are on.
        cluster.node.claims["var"] = home / "var"
        async with attacking(KUBERNETES, home, in_pods(cluster, scratch_bytes=16 * MIB, claim="var"), cluster) as found:
            yield found


@asynccontextmanager
async def attacking(kind: str, home: Path, isolation: Isolation, cluster: KubernetesCluster | None = None) -> AsyncIterator[Attacker]:
    """A kernel that attacks, beside one that is attacked, in a runtime's data."""
    host = cluster.node.gateway if cluster is not None else "127.0.0.1"
    var = home / "var"
    (var / "broker").mkdir(parents=True)
    if kind == APART:
        (var / "broker").chmod(0o700)
    (var / "broker" / "identity").write_text("secret")
    (var / "run").mkdir(mode=0o700)
    users = launched.APART if kind == APART else None
    pool = LaunchedPool(dict(os.environ) | SECRETS, var / "work", spares=0, isolation=isolation, accounts=users)
    await pool.begin()
    with ExitStack() as sockets:
        families = (socket.AF_UNIX, socket.AF_UNIX, socket.AF_UNIX, socket.AF_INET)
        broker, abstract, service, internet = (sockets.enter_context(socket.socket(family)) for family in families)
        path, name = str(var / "run" / "kernel-2-0123456789abcdef.sock"), secrets.token_hex(8)
        public = sockets.enter_context(_open_to_everybody())
        for listener, address in ((broker, path), (abstract, f"\0{name}"), (service, public), (internet, (host, 0))):
            listener.bind(address)
            listener.listen()
        Path(public).chmod(0o666)
        neighbour, kernel = await pool.take("python3", var / "work" / "neighbour"), await pool.take("python3", var / "work" / "attacker")
        await execute(neighbour, "open('notes', 'w').write('private')")
        there = neighbour._launched
        assert there.local is not None and there.local.pid is not None
        targets = Targets(
            runtime_pid=os.getpid(),
            # Of a pod the machine's own number: in the attacker's it would be one of its own processes.
            neighbour_pid=cluster.node.processes()[0] if cluster is not None else there.local.pid,
            neighbour_file=str(var / "work" / "neighbour" / "notes"),
            neighbour_box=str(there.directory),
            neighbour_broker=await neighbour.admit(path),
            broker_socket=path,
            private_file=str(var / "broker" / "identity"),
            private=str(var),
            abstract=name,
            service=public,
            host=host,
            port=internet.getsockname()[1],
        )
        yield Attacker(kind, kernel, targets, pool)
        await asyncio.gather(kernel.stop(), neighbour.stop())
    await pool.close()
    shutil.rmtree(home)


in_modules_loop = pytest.mark.asyncio(loop_scope="module")


@in_modules_loop
@pytest.mark.parametrize("name", ATTEMPTS)
async def test_an_attempt_ends_as_the_documentation_says(attacker: Attacker, name: str) -> None:
    attempt = ATTEMPTS[name]
    said = await attacker.says(code(attempt, attacker.targets))
    expected = attempt.verdict(attacker.kind)
    if expected in (OPEN, STOPPED):
        assert ("ESCAPED" in said) == (expected == OPEN), said
    # Stopped is what the system refused, not what the attempt got wrong.
    assert "ESCAPED" in said or re.search(
        r"stopped: (\w*(Permission|NotFound|Refused|Timeout|IO|OS|Memory|Lookup|Assertion|CalledProcess)\w*Error)", said
    ), said


def test_the_documentation_has_the_same_table() -> None:
    text = (ROOT / "docs/security.md").read_text()
    said = "(stopped|open|the runtime's user decides|the machine decides)"
    rows = re.findall(rf"^\| ([^|]+) \| {said} \| {said} \| {said} \| {said} \| {said} \|$", text, re.MULTILINE)
    assert {row[0]: row[1:] for row in rows} == {name: attempt.verdicts for name, attempt in ATTEMPTS.items()}
    assert {verdict for attempt in ATTEMPTS.values() for verdict in attempt.verdicts[2:]} == {STOPPED}


@in_modules_loop
async def test_a_kernel_can_do_its_work(attacker: Attacker) -> None:
    said = await attacker.says(
        "import multiprocessing, os, pathlib, subprocess, tempfile, polars, ssl\n"
        "pathlib.Path('notes').write_text('mine'); os.rename('notes', 'kept')\n"
        "with tempfile.NamedTemporaryFile() as file: file.write(b'x')\n"
        "multiprocessing.Lock(); (pathlib.Path.home() / 'settings').write_text('x')\n"
        "subprocess.run(['sh', '-c', 'sleep 0 & wait'], check=True)\n"
        "print(polars.DataFrame({'a': [1, 2]})['a'].sum(), pathlib.Path('kept').read_text(), len(ssl.create_default_context().get_ca_certs()) > 0)"
    )
    assert said.strip() == "3 mine True"
    assert (Path(attacker.targets.private) / "work" / "attacker" / "kept").read_text() == "mine"


@in_modules_loop
async def test_a_kernel_reaches_its_own_broker(attacker: Attacker) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        path = str(Path(attacker.targets.private) / "run" / "kernel-1-0123456789abcdef.sock")
        listener.bind(path)
        Path(path).chmod(0o600)
        listener.listen()
        found = await attacker.kernel.admit(path)
        assert "done" in await attacker.says(f"import socket; socket.socket(socket.AF_UNIX).connect({found!r}); print('done')")


@in_modules_loop
async def test_an_interrupt_arrives(attacker: Attacker) -> None:
    sleeping = "import time\ntry:\n  print('begun', flush=True)\n  time.sleep(60)\nexcept KeyboardInterrupt:\n  print('interrupted')"
    cell = await Cell(attacker.kernel).begun(sleeping)
    await attacker.kernel.interrupt()
    assert "interrupted" in await cell.ended()


LEFT_BEHIND = """
import threading, time
longest = 0.0
def tick():
    global longest
    last = time.monotonic()
    while True:
        time.sleep(0.01)
        longest, last = max(longest, time.monotonic() - last), time.monotonic()
threading.Thread(target=tick, daemon=True).start()
"""


@in_modules_loop
async def test_a_kernel_that_is_held_stands_still_and_goes_on(attacker: Attacker) -> None:
    """With the thread that a cell left behind: it sees a gap in time."""
    kernel = await attacker.pool.take("python3", Path(attacker.targets.private) / "work" / "held")
    try:
        await execute(kernel, LEFT_BEHIND)
        await kernel.hold(True)
        await asyncio.sleep(5)
        await kernel.hold(False)
        while float(printed(await execute(kernel, "print(longest)"))) < 4:
            await asyncio.sleep(0.1)
    finally:
        await kernel.stop()


@in_modules_loop
async def test_nothing_outlives_a_sandbox(attacker: Attacker) -> None:
    marker = f"{600 + secrets.randbelow(10**9) / 10**9:.9f}"
    kernel = await attacker.pool.take("python3", Path(attacker.targets.private) / "work" / f"daemon-{marker}")
    daemon = f"import subprocess; subprocess.Popen(['setsid', '--fork', 'sleep', '{marker}']).wait(); print('left')"
    assert "left" in printed(await execute(kernel, daemon))
    left = _sleeping(marker)
    assert len(left) == 1
    await kernel.stop()
    if attacker.kind in (PROCESS, APART):
        left[0].kill()  # documented: a daemon stays
    _, alive = await asyncio.to_thread(psutil.wait_procs, left, 5)
    assert alive == []


def _sleeping(marker: str) -> list[psutil.Process]:
    return [process for process in psutil.process_iter(["cmdline"]) if process.info["cmdline"] == ["sleep", marker]]


@in_modules_loop
async def test_a_runs_memory_is_limited_and_free_again(attacker: Attacker) -> None:
    await attacker.kernel.limit_memory(600 * MIB)
    if attacker.kind != CONTAINER:
        assert "MemoryError" in await attacker.says("try: bytearray(700 << 20)\nexcept MemoryError: print('MemoryError')")
    await attacker.kernel.limit_memory(0)
    assert "fits" in await attacker.says("block = bytearray(700 << 20); del block; print('fits')")


@in_modules_loop
async def test_what_takes_too_much_memory_in_all_ends_with_a_word(attacker: Attacker) -> None:
    if attacker.kind not in (CONTAINER, KUBERNETES):
        return  # documented: the limit counts each process alone
    kernel = await attacker.pool.take("python3", Path(attacker.targets.private) / "work" / "greedy")
    told: asyncio.Queue[str] = asyncio.Queue()
    kernel.on_death(told.put)
    if attacker.kind == CONTAINER:
        await kernel.limit_memory(300 * MIB)
        await kernel.execute(Execute("import os\nfor _ in range(4):\n  os.fork()\nblock = bytearray(b'x') * (100 << 20)"))
    else:
        # documented: a run's limit counts each process alone; the pod's counts what they share, too
        await kernel.execute(Execute("import mmap\nblock = mmap.mmap(-1, 2 << 30)\nfor at in range(0, 2 << 30, 4096): block[at] = 1"))
    limit = 300 if attacker.kind == CONTAINER else 1024
    assert f"took more memory than its limit of {limit} MiB" in await asyncio.wait_for(told.get(), 30)
    await kernel.stop()
    assert "here" in await attacker.says("print('here')")
