"""What real kernels in a sandbox or a container reach: none, an allow-list, open; and what they try beside it."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web

from spin_runtime.egress.policy import Cap
from spin_runtime.kernels.api import EgressRefused
from spin_runtime.kernels.jupyter import JupyterKernel
from spin_runtime.kernels.pool import JupyterPool
from spin_runtime.kernels.rules import Isolation
from spin_runtime.launcher.rules import CONTAINER, EGRESS_ALLOW_LIST, EGRESS_NONE, PROCESS, SANDBOX, EngineRules
from spinapis.envelope.v1.attach_pb2 import EGRESS_MODE_ALLOW_LIST, EGRESS_MODE_NONE, EGRESS_MODE_OPEN, EgressPolicy
from tests.fakes import container_engine
from tests.fakes.launched import LaunchedPool
from tests.runtime.kernels.test_any_kernel import execute, printed

KINDS = [SANDBOX, *([CONTAINER] if container_engine.starts() else [])]
WORKSPACE = bytes(range(16))
OPEN, NONE = EgressPolicy(mode=EGRESS_MODE_OPEN), EgressPolicy(mode=EGRESS_MODE_NONE, workspace_ids=[WORKSPACE])
Take = Callable[..., Awaitable[JupyterKernel]]

GET = """
import requests
try:
    print(requests.get({url!r}, timeout=20, verify=False).text)
except requests.RequestException as error:
    print(error)
"""
URLLIB = """
import urllib.request
print(urllib.request.urlopen({url!r}, timeout=20).read().decode())
"""
CONNECT = """
import socket
try:
    socket.create_connection({address!r}, 5).close()
    print('connected')
except OSError as error:
    print('stopped')
"""

DATAGRAM = """
import socket
try:
    print(socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 53)))
except OSError:
    print('stopped')
"""


def listed(*hosts: str) -> EgressPolicy:
    return EgressPolicy(mode=EGRESS_MODE_ALLOW_LIST, hosts=hosts, workspace_ids=[WORKSPACE])


def own_address() -> str:
    """An address of this machine that is not its loopback. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        return str(probe.getsockname()[0])


@pytest.fixture
async def site() -> AsyncIterator[tuple[str, int]]:
    """A server on a routable address."""

    async def hello(request: web.Request) -> web.Response:
        return web.Response(text=f"hello {request.method} {request.path_qs} {len(await request.read())}")

    app = web.Application(client_max_size=1 << 26)
    app.router.add_route("*", "/{path:.*}", hello)
    runner = web.AppRunner(app)
    await runner.setup()
    address = own_address()
    listener = socket.create_server((address, 0))
    await web.SockSite(runner, listener).start()
    yield address, listener.getsockname()[1]
    await runner.cleanup()


@pytest.fixture(params=KINDS)
def isolation(request: pytest.FixtureRequest) -> Isolation:
    if request.param == SANDBOX:
        return Isolation(SANDBOX)
    engine: container_engine.ContainerEngine = request.getfixturevalue("container_engine")
    return Isolation(CONTAINER, engine=EngineRules(engine.address, container_engine.IMAGE, "", 0.0))


@pytest.fixture
async def pools(tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[JupyterPool]]]:
    made: list[JupyterPool] = []

    async def make(isolation: Isolation, spares: int = 0) -> JupyterPool:
        pool = LaunchedPool(dict(os.environ), tmp_path / str(len(made)) / "work", spares, isolation)
        made.append(pool)
        await pool.begin()
        return pool

    yield make
    for pool in made:
        await pool.close()


@pytest.fixture
async def take(pools, isolation: Isolation, tmp_path: Path) -> AsyncIterator[Take]:
    """A kernel with a policy."""
    pool = await pools(isolation)
    kernels: list[JupyterKernel] = []

    async def taken(policy: EgressPolicy) -> JupyterKernel:
        kernels.append(await pool.take("python3", pool._work / f"session{len(kernels)}", policy))
        return kernels[-1]

    yield taken
    await asyncio.gather(*(kernel.stop() for kernel in kernels))


async def says(kernel: JupyterKernel, code: str) -> str:
    return printed(await execute(kernel, code))


async def got(kernel: JupyterKernel, url: str) -> str:
    return await says(kernel, GET.format(url=url))


async def test_a_host_of_the_list_is_reached_and_nothing_else(take: Take, site: tuple[str, int]) -> None:
    host, port = site
    kernel = await take(listed(f"{host}:{port}", "metadata.google.internal:80", "*.internal:80", f"localhost:{port}"))
    assert await got(kernel, f"http://{host}:{port}/a?b=c") == "hello GET /a?b=c 0\n"
    assert await says(kernel, URLLIB.format(url=f"http://{host}:{port}/")) == "hello GET / 0\n"
    other_port = await got(kernel, f"http://{host}:{port + 1}/")
    assert f"{host}:{port + 1} is not among the hosts" in other_port and WORKSPACE.hex() in other_port and "owner" in other_port
    assert "evil.example:80 is not among the hosts" in await got(kernel, "http://evil.example/")
    # What pip and requests show of a refused tunnel is the reason alone.
    tunnel = await got(kernel, "https://evil.example/")
    assert "403" in tunnel and "evil.example:443 is not among the hosts" in tunnel and WORKSPACE.hex() in tunnel
    for metadata in ("http://169.254.169.254/latest/meta-data/", "http://[fd00:ec2::254]/", "http://2852039166/"):
        assert "is not among the hosts" in await got(kernel, metadata)


async def test_around_the_proxy_there_is_nothing(take: Take, site: tuple[str, int]) -> None:
    kernel = await take(listed(f"{site[0]}:{site[1]}"))
    for address in (site, ("169.254.169.254", 80), ("1.1.1.1", 53), ("192.0.2.1", 443)):
        assert await says(kernel, CONNECT.format(address=address)) == "stopped\n"
    names = "import socket\ntry:\n    print(socket.getaddrinfo('example.org', 80))\nexcept OSError:\n    print('no names')"
    assert await says(kernel, names) == "no names\n"
    assert await says(kernel, DATAGRAM) == "stopped\n"
    assert await says(kernel, "import socket; print([name for _, name in socket.if_nameindex()][:1])") == "['lo']\n"


async def test_without_a_network_there_is_no_proxy(take: Take, site: tuple[str, int]) -> None:
    kernel = await take(NONE)
    assert await says(kernel, CONNECT.format(address=site)) == "stopped\n"
    assert await says(kernel, CONNECT.format(address=("127.0.0.1", 3128))) == "stopped\n"
    assert await says(kernel, "import os; print([name for name in os.environ if 'PROXY' in name.upper()])") == "[]\n"


async def test_open_is_the_runtimes_own_network(take: Take, site: tuple[str, int]) -> None:
    kernel = await take(OPEN)
    assert await got(kernel, f"http://{site[0]}:{site[1]}/") == "hello GET / 0\n"


async def test_an_interrupt_leaves_the_proxy_and_large_bodies_pass(take: Take, site: tuple[str, int]) -> None:
    host, port = site
    kernel = await take(listed(f"{host}:{port}"))
    await kernel.interrupt()
    sends = f"import requests\nprint(requests.post('http://{host}:{port}/up', data=b'x' * (1 << 24)).text)"
    assert await says(kernel, sends) == f"hello POST /up {1 << 24}\n"
    # A shell in the kernel finds it too.
    shell = f"import subprocess\nprint(subprocess.run(['curl', '-s', 'http://{host}:{port}/curl'], capture_output=True, text=True).stdout)"
    assert "hello GET /curl 0" in await says(kernel, shell)


async def test_kernels_have_their_own_lists(take: Take, site: tuple[str, int]) -> None:
    host, port = site
    allowed, other = await take(listed(f"{host}:{port}")), await take(listed("example.org:443"))
    assert "hello" in await got(allowed, f"http://{host}:{port}/")
    assert "is not among" in await got(other, f"http://{host}:{port}/")


async def test_the_runtime_gives_no_more_than_its_own(pools, isolation: Isolation, tmp_path: Path, site: tuple[str, int]) -> None:
    host, port = site
    pool = await pools(replace(isolation, egress=Cap(EGRESS_NONE)))
    kernel = await pool.take("python3", pool._work / "none", OPEN)
    assert await says(kernel, CONNECT.format(address=site)) == "stopped\n"
    await kernel.stop()
    pool = await pools(replace(isolation, egress=Cap(EGRESS_ALLOW_LIST, (f"{host}:{port}",))))
    kernel = await pool.take("python3", pool._work / "list", OPEN)
    assert "hello" in await got(kernel, f"http://{host}:{port}/")
    refused = await got(kernel, "http://example.org/")
    assert "SPIN_EGRESS" in refused and "operator" in refused
    await kernel.stop()


async def test_a_spare_of_another_mode_is_not_handed_out(pools, isolation: Isolation, tmp_path: Path, site: tuple[str, int]) -> None:
    pool = await pools(isolation, spares=1)
    pool.start()
    await pool._refill
    kernel = await pool.take("python3", pool._work / "a", listed("example.org:443"))
    assert await says(kernel, CONNECT.format(address=site)) == "stopped\n"
    await kernel.stop()
    # From then on spares have a list, and it is that of whoever takes one.
    await pool._refill
    assert len(pool.spares) == 1
    spare = pool.spares[0]
    kernel = await pool.take("python3", pool._work / "b", listed(f"{site[0]}:{site[1]}"))
    assert kernel is spare and "hello" in await got(kernel, f"http://{site[0]}:{site[1]}/")
    assert "is not among" in await got(kernel, "http://example.org/")
    await kernel.stop()


async def test_a_proxy_that_died_is_followed_by_another(take: Take, site: tuple[str, int]) -> None:
    host, port = site
    kernel = await take(listed(f"{host}:{port}"))
    assert "hello" in await got(kernel, f"http://{host}:{port}/")
    process = kernel._launched.proxies._process
    assert process is not None
    process.kill()
    assert "hello" in await got(kernel, f"http://{host}:{port}/")
    assert kernel._launched.proxies._process is not process


async def test_what_cannot_be_enforced_is_refused(pools, tmp_path: Path) -> None:
    pool = await pools(Isolation(PROCESS))
    for policy in (NONE, listed("example.org:443"), EgressPolicy()):
        with pytest.raises(EgressRefused, match="SPIN_ISOLATION=process cannot enforce"):
            await pool.take("python3", pool._work / "refused", policy)
    kernel = await pool.take("python3", pool._work / "open", OPEN)
    await kernel.stop()
