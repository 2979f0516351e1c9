"""Escape attempts from real kernels, for every kind of isolation that this machine has."""

import asyncio
import os
import re
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack
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
from tests.fakes import container_engine
from tests.fakes.launched import LaunchedPool
from tests.runtime.kernels.escapes import ATTEMPTS, BY_USER, OPEN, STOPPED, Targets, code
from tests.runtime.kernels.test_any_kernel import SECRETS, execute, printed
from tests.runtime.kernels.test_beside_a_cell import Cell

PROCESS, SANDBOX, CONTAINER = "process", "sandbox", "container"
KINDS = [PROCESS, SANDBOX, *([CONTAINER] if container_engine.starts() else [])]
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
    if kind == PROCESS:
        return Isolation(memory_bytes=1 << 30)
    if kind == SANDBOX:
        return Isolation(SANDBOX, Cap("none"), memory_bytes=1 << 30, scratch_bytes=16 * MIB, processes=100)
    engine: container_engine.ContainerEngine = request.getfixturevalue("container_engine")
    rules = EngineRules(engine.address, container_engine.IMAGE, "", 0.0)
    return Isolation(CONTAINER, Cap("none"), memory_bytes=1 << 30, scratch_bytes=16 * MIB, processes=100, engine=rules)


@pytest_asyncio.fixture(loop_scope="module", scope="module", params=KINDS)
async def attacker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Attacker]:
    """A kernel that attacks, beside one that is attacked, in a runtime's data."""
    var = tmp_path_factory.mktemp(request.param) / "var"
    (var / "broker").mkdir(parents=True)
    (var / "broker" / "identity").write_text("secret")
    (var / "run").mkdir(mode=0o700)
    pool = LaunchedPool(dict(os.environ) | SECRETS, var / "work", spares=0, isolation=isolation(request, request.param))
    await pool.begin()
    with ExitStack() as sockets:
        broker, abstract, internet = (sockets.enter_context(socket.socket(family)) for family in (socket.AF_UNIX, socket.AF_UNIX, socket.AF_INET))
        path, name = str(var / "run" / "kernel-2-0123456789abcdef.sock"), secrets.token_hex(8)
        for listener, address in ((broker, path), (abstract, f"\0{name}"), (internet, ("127.0.0.1", 0))):
            listener.bind(address)
            listener.listen()
        neighbour, kernel = await pool.take("python3", var / "work" / "neighbour"), await pool.take("python3", var / "work" / "attacker")
        await execute(neighbour, "open('notes', 'w').write('private')")
        launched = neighbour._launched
        assert launched.local is not None and launched.local.pid is not None
        targets = Targets(
            runtime_pid=os.getpid(),
            neighbour_pid=launched.local.pid,
            neighbour_file=str(var / "work" / "neighbour" / "notes"),
            neighbour_box=str(launched.directory),
            neighbour_broker=await neighbour.admit(path),
            broker_socket=path,
            private_file=str(var / "broker" / "identity"),
            private=str(var),
            abstract=name,
            port=internet.getsockname()[1],
        )
        yield Attacker(request.param, kernel, targets, pool)
        await asyncio.gather(kernel.stop(), neighbour.stop())
    await pool.close()


in_modules_loop = pytest.mark.asyncio(loop_scope="module")


@in_modules_loop
@pytest.mark.parametrize("name", ATTEMPTS)
async def test_an_attempt_ends_as_the_documentation_says(attacker: Attacker, name: str) -> None:
    attempt = ATTEMPTS[name]
    said = await attacker.says(code(attempt, attacker.targets))
    expected = attempt.verdict(attacker.kind)
    if expected != BY_USER:
        assert ("ESCAPED" in said) == (expected == OPEN), said
    # Stopped is what the system refused, not what the attempt got wrong.
    assert "ESCAPED" in said or re.search(r"stopped: (\w*(Permission|NotFound|Refused|IO|OS|Memory|Lookup|Assertion|CalledProcess)\w*Error)", said), (
        said
    )


def test_the_documentation_has_the_same_table() -> None:
    text = (ROOT / "docs/security.md").read_text()
    rows = re.findall(r"^\| ([^|]+) \| (stopped|open|the runtime's user decides) \| (stopped|open) \| (stopped|open) \|$", text, re.MULTILINE)
    assert {row[0]: row[1:] for row in rows} == {name: (attempt.process, attempt.sandbox, attempt.container) for name, attempt in ATTEMPTS.items()}
    assert {verdict for attempt in ATTEMPTS.values() for verdict in (attempt.sandbox, attempt.container)} == {STOPPED}


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
    sleeping = "import time\nprint('begun', flush=True)\ntry:\n  time.sleep(60)\nexcept KeyboardInterrupt:\n  print('interrupted')"
    cell = await Cell(attacker.kernel).begun(sleeping)
    await attacker.kernel.interrupt()
    assert "interrupted" in await cell.ended()


@in_modules_loop
async def test_nothing_outlives_a_sandbox(attacker: Attacker) -> None:
    marker = f"{600 + secrets.randbelow(10**9) / 10**9:.9f}"
    kernel = await attacker.pool.take("python3", Path(attacker.targets.private) / "work" / f"daemon-{marker}")
    daemon = f"import subprocess; subprocess.Popen(['setsid', '--fork', 'sleep', '{marker}']).wait(); print('left')"
    assert "left" in printed(await execute(kernel, daemon))
    left = _sleeping(marker)
    assert len(left) == 1
    await kernel.stop()
    if attacker.kind == "process":
        left[0].kill()  # documented: a daemon stays
    _, alive = await asyncio.to_thread(psutil.wait_procs, left, 5)
    assert alive == []


def _sleeping(marker: str) -> list[psutil.Process]:
    return [process for process in psutil.process_iter(["cmdline"]) if process.info["cmdline"] == ["sleep", marker]]


@in_modules_loop
async def test_a_runs_memory_is_limited_and_free_again(attacker: Attacker) -> None:
    await attacker.kernel.limit_memory(600 * MIB)
    if attacker.kind in (PROCESS, SANDBOX):
        assert "MemoryError" in await attacker.says("try: bytearray(700 << 20)\nexcept MemoryError: print('MemoryError')")
    await attacker.kernel.limit_memory(0)
    assert "fits" in await attacker.says("block = bytearray(700 << 20); del block; print('fits')")


@in_modules_loop
async def test_what_takes_too_much_memory_in_all_ends_with_a_word(attacker: Attacker) -> None:
    if attacker.kind in (PROCESS, SANDBOX):
        return  # documented: the limit counts each process alone
    kernel = await attacker.pool.take("python3", Path(attacker.targets.private) / "work" / "greedy")
    told: asyncio.Queue[str] = asyncio.Queue()
    kernel.on_death(told.put)
    await kernel.limit_memory(300 * MIB)
    await kernel.execute(Execute("import os\nfor _ in range(4):\n  os.fork()\nblock = bytearray(b'x') * (100 << 20)"))
    assert "took more memory than its limit of 300 MiB" in await asyncio.wait_for(told.get(), 30)
    await kernel.stop()
    assert "here" in await attacker.says("print('here')")
