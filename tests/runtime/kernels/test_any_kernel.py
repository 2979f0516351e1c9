"""Kernels as the pool hands them out: quick, clean, any kind, and gone when they should be."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import psutil
import pytest

from spin_runtime.kernels.api import Execute, KernelMessage, KernelStartFailed
from spin_runtime.kernels.jupyter import JupyterKernel
from spin_runtime.kernels.pool import JupyterPool
from tests.fakes.launched import LaunchedPool

SECRETS = {"SPIN_TOKEN": "spin1.secret", "SPIN_HOME": "/opt/spin", "AWS_SECRET_ACCESS_KEY": "secret", "DATABASE_URL": "postgres://u:p@h/db"}


@pytest.fixture
async def pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[JupyterPool]:
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "share" / "jupyter"))
    pool = LaunchedPool(dict(os.environ) | SECRETS, tmp_path / "work", spares=1)
    await pool.begin()
    yield pool
    await pool.close()


async def execute(kernel: JupyterKernel, code: str) -> list[KernelMessage]:
    messages: list[KernelMessage] = []
    done = asyncio.Event()

    def sink(group: Sequence[KernelMessage]) -> None:
        # What an earlier request left to say is not this one's end.
        messages.extend(message for message in group if message.parent == msg_id)
        if {"execute_reply"} <= {m.msg_type for m in messages} and any(m.msg_type == "status" and b"idle" in m.content for m in messages):
            done.set()

    kernel.subscribe(sink)
    msg_id = await kernel.execute(Execute(code))
    async with asyncio.timeout(30):
        await done.wait()
    return messages


def printed(messages: Sequence[KernelMessage]) -> str:
    return "".join(json.loads(m.content)["text"] for m in messages if m.msg_type == "stream")


async def test_a_kernel_sees_nothing_of_the_runtimes_environment(pool: JupyterPool, tmp_path: Path) -> None:
    kernel = await pool.take("python3", tmp_path / "work" / "a")
    seen = printed(await execute(kernel, "import os; print(dict(os.environ)); print(open('/proc/self/environ').read())"))
    assert "secret" not in seen
    assert "SPIN_" not in seen
    assert "PATH" in seen
    await kernel.stop()


async def test_a_spare_is_handed_out_at_once_in_the_sessions_folder(pool: JupyterPool, tmp_path: Path) -> None:
    pool.start()
    async with asyncio.timeout(60):
        while not pool.spares:
            await asyncio.sleep(0.05)
    spare = pool.spares[0]
    kernel = await pool.take("", tmp_path / "work" / "mine")
    # It was ready: no other was started for this.
    assert kernel is spare
    assert printed(await execute(kernel, "import os; print(os.getcwd())")).strip() == str(tmp_path / "work" / "mine")
    await kernel.stop()


def install(tmp_path: Path, name: str, argv: list[str], language: str) -> None:
    spec = tmp_path / "share" / "jupyter" / "kernels" / name
    spec.mkdir(parents=True)
    (spec / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": name, "language": language}))


async def test_bash_runs_as_well_as_python(pool: JupyterPool, tmp_path: Path) -> None:
    install(tmp_path, "bash", [sys.executable, "-m", "bash_kernel", "-f", "{connection_file}"], "bash")
    kernel = await pool.take("bash", tmp_path / "work" / "b")
    assert kernel.language == "bash"
    assert printed(await execute(kernel, "echo from $((40 + 2)); pwd")).split() == ["from", "42", str(tmp_path / "work" / "b")]
    await kernel.stop()


async def test_a_kernel_that_cannot_start_says_so(pool: JupyterPool, tmp_path: Path) -> None:
    install(tmp_path, "broken", [sys.executable, "-c", "raise SystemExit(3)"], "none")
    with pytest.raises(KernelStartFailed):
        await pool.take("broken", tmp_path / "work" / "c")
    with pytest.raises(LookupError):
        await pool.take("no-such-kernel", tmp_path / "work" / "c")


async def test_stopping_leaves_no_process_and_no_zombie(pool: JupyterPool, tmp_path: Path) -> None:
    kernel = await pool.take("python3", tmp_path / "work" / "a")
    code = "import subprocess, os; child = subprocess.Popen(['sleep', '600']); print(os.getpid(), child.pid)"
    pids = [int(pid) for pid in printed(await execute(kernel, code)).split()]
    await execute(kernel, "import time, signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)")
    await kernel.stop()
    assert not any(psutil.pid_exists(pid) for pid in pids[:1])
    async with asyncio.timeout(5):
        while psutil.pid_exists(pids[1]):
            await asyncio.sleep(0.05)


async def test_a_death_is_noticed_at_once(pool: JupyterPool, tmp_path: Path) -> None:
    kernel = await pool.take("python3", tmp_path / "work" / "a")
    told: asyncio.Queue[str] = asyncio.Queue()
    kernel.on_death(told.put)
    pid = int(printed(await execute(kernel, "import os; print(os.getpid())")))
    os.kill(pid, signal.SIGKILL)
    assert "restart" in await asyncio.wait_for(told.get(), 30)
    assert not kernel.alive
    await kernel.stop()


async def test_a_launcher_that_dies_takes_its_kernels_along_and_tells(pool: JupyterPool, tmp_path: Path) -> None:
    first = await pool.take("python3", tmp_path / "work" / "a")
    told: asyncio.Queue[str] = asyncio.Queue()
    first.on_death(told.put)
    launcher = psutil.Process(int(printed(await execute(first, "import os; print(os.getppid())"))))
    launcher.kill()
    assert "restart" in await asyncio.wait_for(told.get(), 30)
    await asyncio.wait_for(pool._launcher.client.lost.wait(), 30)
    with pytest.raises(KernelStartFailed):
        await pool.take("python3", tmp_path / "work" / "b")
    await first.stop()


async def test_kernels_die_with_the_runtime(tmp_path: Path) -> None:
    program = f"""
import asyncio, os
from pathlib import Path
from tests.fakes.launched import LaunchedPool
async def main():
    pool = LaunchedPool(os.environ, Path({str(tmp_path)!r}) / "work", spares=0)
    await pool.begin()
    kernel = await pool.take("python3", Path({str(tmp_path)!r}) / "work" / "a")
    print("kernel", kernel._launched.local.pid, flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""
    runtime = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert runtime.stdout is not None
    while not (line := await asyncio.to_thread(runtime.stdout.readline)).startswith("kernel "):
        assert line, "it ended"
    pid = int(line.split()[1])
    runtime.kill()
    runtime.wait()
    runtime.stdout.close()
    async with asyncio.timeout(5):
        while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
            await asyncio.sleep(0.05)


async def test_a_message_with_a_wrong_signature_is_dropped(pool: JupyterPool, tmp_path: Path) -> None:
    from spin_runtime.kernels.wire import Wire

    honest, other = Wire(b"key"), Wire(b"another key")
    _, parts = other.request("status", b'{"execution_state":"idle"}')
    assert honest.read(parts) is None
    _, parts = honest.request("status", b'{"execution_state":"idle"}')
    assert honest.read(parts) is not None
    for part in range(1, 6):
        changed = list(parts)
        changed[part] = changed[part][:-1] + b"!"
        assert honest.read(changed) is None
    for count in range(6):
        assert honest.read(parts[:count]) is None
