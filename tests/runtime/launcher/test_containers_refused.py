"""An engine that cannot give containers as kernels need them is told of at the start, with the mend; and what an earlier start left goes."""

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from aiohttp import ClientSession, UnixConnector, web

from spin_runtime.egress.policy import Cap
from spin_runtime.kernels.api import KernelStartFailed
from spin_runtime.kernels.pool import JupyterPool
from spin_runtime.kernels.rules import Isolation
from spin_runtime.launcher.client import IsolationUnavailable
from spin_runtime.launcher.containers import spec
from spin_runtime.launcher.rules import EngineRules, Rules, Start
from tests.fakes import container_engine as fake
from tests.fakes.container_engine import ContainerEngine
from tests.fakes.launched import LaunchedPool
from tests.runtime.kernels.test_any_kernel import execute, printed

needs_engine = pytest.mark.parametrize("engine", ["container_engine"] if fake.starts() else [], indirect=True)


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> ContainerEngine:
    found: ContainerEngine = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def private() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def pool_of(private: Path, rules: EngineRules, **more: object) -> JupyterPool:
    isolation = replace(Isolation("container", Cap("none"), scratch_bytes=16 << 20, processes=100, engine=rules), **more)
    return LaunchedPool(os.environ, private / "work", spares=0, isolation=isolation)


async def refused(private: Path, rules: EngineRules, **more: object) -> str:
    pool = pool_of(private, rules, **more)
    try:
        with pytest.raises(IsolationUnavailable) as refusal:
            await pool.begin()
        return str(refusal.value)
    finally:
        await pool.close()


def rules_for(engine: ContainerEngine, image: str = fake.IMAGE, runtime: str = "") -> EngineRules:
    return EngineRules(engine.address, image, runtime, 0.0)


async def test_no_engine_names_the_socket_and_the_mend(private: Path) -> None:
    said = await refused(private, EngineRules(f"unix://{private}/no.sock", "image", "", 0.0))
    assert f"no Docker engine answers at {private}/no.sock" in said
    assert "DOCKER_HOST=unix://PATH" in said


async def test_an_engine_that_is_too_old_or_weak_is_not_used(private: Path) -> None:
    answers: dict[str, object] = {"/version": {"ApiVersion": "1.40"}}
    async with _double(private, answers) as rules:
        said = await refused(private, rules)
    assert "1.41 (Docker 20.10) is the least" in said
    answers["/version"] = {"ApiVersion": "1.44", "Version": "25"}
    answers["/v1.44/info"] = {"OSType": "linux", "SecurityOptions": ["name=apparmor"], "MemoryLimit": False, "PidsLimit": True, "Runtimes": {}}
    async with _double(private, answers) as rules:
        said = await refused(private, rules)
    assert "the engine has no seccomp; the engine cannot limit memory" in said


@pytest.mark.parametrize(
    ("info", "why"),
    [
        ([], "the container engine: its answer is none of Docker's Engine API: DOCKER_HOST leads to something else"),
        ({"SecurityOptions": [1]}, "the launcher failed: AttributeError; the runtime's log says more"),
    ],
    ids=["no object", "odd parts"],
)
async def test_what_an_engine_does_not_answer_is_told_and_nobody_waits(
    private: Path, capfd: pytest.CaptureFixture[str], info: object, why: str
) -> None:
    async with _double(private, {"/version": {"ApiVersion": "1.44"}, "/v1.44/info": info}) as rules, asyncio.timeout(30):
        assert await refused(private, rules) == why
    assert ("Traceback" in capfd.readouterr().err) == ("log says more" in why)


@asynccontextmanager
async def _double(private: Path, answers: dict[str, object]) -> AsyncIterator[EngineRules]:
    """What an engine answers, on a socket."""

    async def answer(request: web.Request) -> web.Response:
        return web.json_response(answers[request.path])

    async with _served(private, answer) as address:
        yield EngineRules(address, "image", "", 0.0)


@asynccontextmanager
async def _served(private: Path, answer: Callable[[web.Request], Awaitable[web.Response]]) -> AsyncIterator[str]:
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    path = private / "double.sock"
    await web.UnixSite(runner, str(path)).start()
    yield f"unix://{path}"
    await runner.cleanup()


@needs_engine
async def test_what_is_missing_is_named(engine: ContainerEngine, private: Path) -> None:
    assert "pull or build it there first" in await refused(private, rules_for(engine, "no-such-image"))
    said = await refused(private, rules_for(engine, runtime="kata"))
    assert "SPIN_KERNEL_RUNTIME is kata, which the engine does not know" in said
    said = await refused(private, rules_for(engine, fake.BARE))
    assert "has no ipykernel" in said
    assert "install ipykernel and spin-kernel in it" in said
    assert engine.left() == []


@needs_engine
async def test_what_the_configuration_shows_of_the_runtimes_data_is_refused(engine: ContainerEngine, private: Path) -> None:
    said = await refused(private, rules_for(engine), readable=(str(private),))
    assert "kernels can read the runtime's data" in said


def test_in_gvisor_its_own_kernel_counts_processes(private: Path) -> None:
    """An engine's limit would count gVisor's threads, and one that it could not start stops all of them."""
    engine = EngineRules("unix:///no.sock", "image", "runsc", 0.0)
    rules = Rules("container", "none", (), str(private), 1 << 20, 100, 0, None, 0, 0, 0, engine)
    start = Start(["python3"], {}, str(private), str(private), "none")
    host = spec.container(rules, spec.Given(spec.Image("image", ()), "", 1 << 30, swap=True), start, (1, 1), "label")["HostConfig"]
    assert {"Name": "nproc", "Soft": 100, "Hard": 100} in host["Ulimits"]
    assert host["PidsLimit"] > 100


@needs_engine
@pytest.mark.parametrize("egress", ["none", "allow_list"])
async def test_an_engine_that_gives_a_network_all_the_same_is_not_used(engine: ContainerEngine, private: Path, egress: str) -> None:
    network = engine.docker("network", "create", private.name)

    def change(body: dict[str, Any]) -> None:
        body["HostConfig"]["NetworkMode"] = network

    async with _changing(engine, private, change) as rules:
        said = await refused(private, rules, egress=Cap(egress))
    engine.docker("network", "rm", network)
    assert "gives kernels a network that were to have none" in said and "use a Docker engine that keeps to it" in said


@needs_engine
async def test_a_way_to_the_proxy_that_does_not_work_is_told_at_the_start(engine: ContainerEngine, private: Path) -> None:
    def change(body: dict[str, Any]) -> None:
        body["Cmd"] = [part.replace("egress.sock", "elsewhere.sock") if part.startswith("/") else part for part in body["Cmd"]]

    async with _changing(engine, private, change) as rules:
        said = await refused(private, rules, egress=Cap("allow_list"))
    assert said == "kernels do not reach the egress proxy: its socket does not pass into containers"


@asynccontextmanager
async def _changing(engine: ContainerEngine, private: Path, change: Callable[[dict[str, Any]], None]) -> AsyncIterator[EngineRules]:
    """The engine behind another, which makes containers of its own mind."""
    async with ClientSession("http://docker", connector=UnixConnector(str(engine.socket))) as real:

        async def passed_on(request: web.Request) -> web.Response:
            body = await request.json() if request.can_read_body else None
            if request.path.endswith("/containers/create"):
                change(body)
            async with real.request(request.method, request.rel_url, json=body) as answer:
                return web.Response(status=answer.status, body=await answer.read(), content_type="application/json")

        async with _served(private, passed_on) as address:
            yield EngineRules(address, fake.IMAGE, "", 0.0)


@needs_engine
async def test_leftovers_of_an_earlier_start_go_and_kernels_end_with_the_runtime(engine: ContainerEngine, private: Path) -> None:
    program = f"""
import asyncio
from pathlib import Path
from spin_runtime.launcher.rules import EngineRules
from tests.runtime.launcher.test_containers_refused import pool_of
async def main():
    pool = pool_of(Path({str(private)!r}), EngineRules({engine.address!r}, {fake.IMAGE!r}, "", 0.0))
    await pool.begin()
    await pool.take("python3", Path({str(private)!r}) / "work" / "a")
    print("launcher", pool.launched.process.pid, flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""
    for end_launcher_first in (False, True):
        runtime = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE, env=os.environ)
        assert runtime.stdout is not None
        while not (line := await runtime.stdout.readline()).startswith(b"launcher "):
            assert line, "it ended"
        launcher = psutil.Process(int(line.split()[1]))
        assert len(engine.left()) == 1
        (launcher if end_launcher_first else runtime).send_signal(signal.SIGKILL)
        async with asyncio.timeout(20):
            while engine.left():
                await asyncio.sleep(0.1)
        if end_launcher_first:
            runtime.kill()
        await runtime.wait()


@needs_engine
async def test_an_engine_that_goes_ends_kernels_with_a_word(engine: ContainerEngine, private: Path) -> None:
    """Through a proxy that can be cut: the engine serves other tests."""
    path, connections = private / "cut.sock", set[asyncio.StreamWriter]()

    async def relay(reading: asyncio.StreamReader, writing: asyncio.StreamWriter) -> None:
        theirs_reading, theirs = await asyncio.open_unix_connection(str(engine.socket))
        connections.update((writing, theirs))
        await asyncio.gather(_pumped(reading, theirs), _pumped(theirs_reading, writing))

    server = await asyncio.start_unix_server(relay, str(path))
    pool = pool_of(private, EngineRules(f"unix://{path}", fake.IMAGE, "", 0.0))
    await pool.begin()
    kernel = await pool.take("python3", private / "work" / "a")
    assert printed(await execute(kernel, "print(6 * 7)")).strip() == "42"
    told: asyncio.Queue[str] = asyncio.Queue()
    kernel.on_death(told.put)
    server.close()
    for writing in connections:
        writing.transport.abort()
    path.unlink(missing_ok=True)
    assert "The container engine is gone" in await asyncio.wait_for(told.get(), 10)
    with pytest.raises(KernelStartFailed):
        await pool.take("python3", private / "work" / "b")
    await asyncio.wait_for(kernel.stop(), 10)
    await pool.close()
    # The next start removes what could not be removed.
    again = pool_of(private, rules_for(engine))
    await again.begin()
    await again.close()
    assert engine.left() == []


async def _pumped(reading: asyncio.StreamReader, writing: asyncio.StreamWriter) -> None:
    try:
        while data := await reading.read(1 << 16):
            writing.write(data)
            await writing.drain()
        writing.write_eof()
    except (ConnectionError, RuntimeError, OSError):
        return
