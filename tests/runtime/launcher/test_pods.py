"""Kernels in pods of a cluster's double that really runs them: what they reach, how they end, and what is left."""

import asyncio
import ipaddress
import os
import pickle
import signal
import ssl
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest
from aiohttp import web

from spin_cells import outbound
from spin_runtime.kernels.api import Execute, KernelStartFailed
from spin_runtime.kernels.jupyter import JupyterKernel
from spin_runtime.kernels.rules import Isolation
from spin_runtime.launcher.client import IsolationUnavailable
from spin_runtime.launcher.pods import certificates, spec
from tests.fakes import container_engine as fake
from tests.fakes.container_engine import ContainerEngine
from tests.fakes.kubernetes_cluster.api import NAMESPACE, KubernetesCluster
from tests.fakes.kubernetes_cluster.isolation import in_pods
from tests.fakes.launched import LaunchedPool
from tests.runtime.kernels.test_any_kernel import execute, printed
from tests.runtime.kernels.test_egress import CONNECT, GET, NONE, OPEN, listed

# Each begins a cluster, and pods take their time on a busy machine.
pytestmark = pytest.mark.timeout(300)
needs_engine = pytest.mark.parametrize("engine", ["container_engine"] if fake.starts() else [], indirect=True)
WITHIN_S = 60.0


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> ContainerEngine:
    found: ContainerEngine = request.getfixturevalue(request.param)
    return found


@pytest.fixture
async def cluster(engine: ContainerEngine, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[KubernetesCluster]:
    async with KubernetesCluster(tmp_path_factory.mktemp("cluster"), engine) as running:
        yield running


@pytest.fixture
async def pool(cluster: KubernetesCluster, tmp_path: Path) -> AsyncIterator[LaunchedPool]:
    made = LaunchedPool(dict(os.environ), tmp_path / "work", spares=0, isolation=in_pods(cluster, "open"))
    await made.begin()
    yield made
    await made.close()
    await cluster.settled()
    assert cluster.names("pods") == cluster.names("secrets") == cluster.names("networkpolicies") == []


@pytest.fixture
async def site(cluster: KubernetesCluster) -> AsyncIterator[tuple[str, int]]:
    """A server that pods have a way to."""

    async def hello(request: web.Request) -> web.Response:
        return web.Response(text=f"hello {request.path_qs} {len(await request.read())}")

    app = web.Application(client_max_size=1 << 26)
    app.router.add_route("*", "/{path:.*}", hello)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, cluster.node.gateway, 0)
    await site.start()
    yield cluster.node.gateway, runner.addresses[0][1]
    await runner.cleanup()


async def says(kernel: JupyterKernel, code: str) -> str:
    return printed(await execute(kernel, code))


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not true():
            await asyncio.sleep(0.1)


@needs_engine
async def test_each_kernel_has_the_egress_of_its_workspace(pool: LaunchedPool, tmp_path: Path, site: tuple[str, int]) -> None:
    host, port = site
    policies = enumerate((NONE, listed(f"{host}:{port}"), OPEN))
    none, some, all_of_it = [await pool.take("python3", tmp_path / str(at), policy) for at, policy in policies]
    for closed in (none, some):
        assert await says(closed, CONNECT.format(address=site)) == "stopped\n"
        assert await says(closed, CONNECT.format(address=("169.254.169.254", 80))) == "stopped\n"
    assert await says(none, CONNECT.format(address=("127.0.0.1", 3128))) == "stopped\n"
    assert await says(some, GET.format(url=f"http://{host}:{port}/a?b=c")) == "hello /a?b=c 0\n"
    assert "evil.example:80 is not among the hosts" in await says(some, GET.format(url="http://evil.example/"))
    upload = f"import requests\nprint(requests.post('http://{host}:{port}/up', data=b'x' * (1 << 24)).text)"
    assert await says(some, upload) == f"hello /up {1 << 24}\n"
    assert await says(all_of_it, GET.format(url=f"http://{host}:{port}/")) == "hello / 0\n"
    for metadata in ("169.254.169.254", "100.100.100.200", "168.63.129.16"):
        assert await says(all_of_it, CONNECT.format(address=(metadata, 80))) == "stopped\n"
    await asyncio.gather(*(kernel.stop() for kernel in (none, some, all_of_it)))


@needs_engine
async def test_nobody_but_the_runtime_reaches_a_kernels_port(cluster: KubernetesCluster, pool: LaunchedPool, tmp_path: Path) -> None:
    kernel, neighbour = await pool.take("python3", tmp_path / "a", OPEN), await pool.take("python3", tmp_path / "b", OPEN)
    address = cluster.pods()[0]["status"]["podIP"]
    assert await says(neighbour, CONNECT.format(address=(address, spec.PORT))) == "stopped\n"
    # Who gets there without the certificate that the pod was given is not answered; another's is none.
    strangers = [ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) for _ in range(2)]
    for context in strangers:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    certificate = tmp_path / "other.pem"
    certificate.write_bytes(certificates.made()[1].both)
    strangers[1].load_cert_chain(certificate)
    for context in strangers:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            reader, writer = await asyncio.open_connection(address, spec.PORT, ssl=context)
            writer.write(b'\0\0\0\x2b{"open": "connect", "name": "s-1", "x": 12}')
            if not await reader.read(1):
                raise ConnectionError
    assert await says(kernel, "print('here')") == "here\n"
    await asyncio.gather(kernel.stop(), neighbour.stop())


@needs_engine
async def test_much_output_and_many_connections_pass(pool: LaunchedPool, tmp_path: Path) -> None:
    kernel = await pool.take("python3", tmp_path / "a", OPEN)
    assert len(await says(kernel, "for _ in range(64): print('x' * (1 << 18))")) == 64 * ((1 << 18) + 1)
    path, served = tmp_path / "run" / "kernel-1-0123456789abcdef.sock", []
    path.parent.mkdir()

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Until the other direction has ended.
        data = await reader.read()
        served.append(len(data))
        writer.write(data)
        writer.close()

    server = await asyncio.start_unix_server(echo, str(path))
    found = await kernel.admit(str(path))
    code = f"""
import socket, concurrent.futures
def asked(number):
    with socket.socket(socket.AF_UNIX) as client:
        client.connect({found!r})
        client.sendall(bytes([number]) * 100_000)
        client.shutdown(socket.SHUT_WR)
        got = b''
        while data := client.recv(65536):
            got += data
        return got == bytes([number]) * 100_000
with concurrent.futures.ThreadPoolExecutor(20) as threads:
    print(all(threads.map(asked, range(60))))
"""
    assert await says(kernel, code) == "True\n"
    assert served == [100_000] * 60
    server.close()
    await kernel.stop()


@needs_engine
async def test_a_death_is_told_with_what_the_cluster_says(cluster: KubernetesCluster, pool: LaunchedPool, tmp_path: Path) -> None:
    for end, words in (
        (cluster.stopped, "The kernel's pod is not reached any more"),
        (cluster.evicted, "The kernel's pod ended: Evicted: The node was low on resource"),
        (cluster.deleted, "The kernel's pod ended: its pod was deleted"),
    ):
        kernel = await pool.take("python3", tmp_path / "a", OPEN)
        told: asyncio.Queue[str] = asyncio.Queue()
        kernel.on_death(told.put)
        (name,) = cluster.names("pods")
        await end(name)
        assert words in await asyncio.wait_for(told.get(), WITHIN_S)
        await kernel.stop()
        await cluster.settled()
    kernel = await pool.take("python3", tmp_path / "a", OPEN)
    told = asyncio.Queue()
    kernel.on_death(told.put)
    await kernel.execute(Execute("import os; os._exit(3)"))
    assert "ended by itself" in await asyncio.wait_for(told.get(), WITHIN_S)
    await kernel.stop()


@needs_engine
async def test_a_kernel_whose_agent_does_nothing_any_more_is_ended_all_the_same(
    cluster: KubernetesCluster, pool: LaunchedPool, tmp_path: Path
) -> None:
    kernel = await pool.take("python3", tmp_path / "a", OPEN)
    (agent,) = cluster.node.agents()
    agent.suspend()
    await asyncio.wait_for(kernel.stop(), WITHIN_S)
    await cluster.settled()
    assert cluster.names("pods") == []


@needs_engine
async def test_kernels_go_on_without_the_api_and_the_next_start_removes_what_is_left(cluster: KubernetesCluster, tmp_path: Path) -> None:
    pool = LaunchedPool(dict(os.environ), tmp_path / "work", spares=0, isolation=in_pods(cluster, "open"))
    await pool.begin()
    kernel = await pool.take("python3", tmp_path / "a", OPEN)
    await cluster.stop()
    assert await says(kernel, "print('here')") == "here\n"
    with pytest.raises(KernelStartFailed):
        await pool.take("python3", tmp_path / "b", OPEN)
    await kernel.stop()
    await pool.close()
    # Its program has ended with its line.
    await until(lambda: cluster.pods("Succeeded"))
    await cluster.serve()
    again = LaunchedPool(dict(os.environ), tmp_path / "work", spares=0, isolation=in_pods(cluster, "open"))
    await again.begin()
    await again.close()
    await cluster.settled()
    assert cluster.names("pods") == cluster.names("secrets") == cluster.names("networkpolicies") == []


@needs_engine
async def test_nothing_runs_after_the_runtime_was_killed_and_the_next_start_removes_what_is_left(cluster: KubernetesCluster, tmp_path: Path) -> None:
    program = f"""
import asyncio, os, pickle, sys
from pathlib import Path
from tests.fakes.launched import LaunchedPool
async def main():
    pool = LaunchedPool(dict(os.environ), Path({str(tmp_path)!r}) / "work", spares=0, isolation=pickle.load(sys.stdin.buffer))
    await pool.begin()
    await pool.take("python3", Path({str(tmp_path)!r}) / "work" / "a")
    print("launcher", pool.launched.process.pid, flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""
    runtime = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env=os.environ
    )
    runtime.stdin.write(pickle.dumps(in_pods(cluster)))
    runtime.stdin.close()
    while not (line := await runtime.stdout.readline()).startswith(b"launcher "):
        assert line, "it ended"
    launcher = psutil.Process(int(line.split()[1]))
    assert [pod["status"]["phase"] for pod in cluster.pods()] == ["Running"]
    launcher.send_signal(signal.SIGKILL)
    runtime.kill()
    await runtime.wait()
    await until(lambda: cluster.pods("Succeeded"))
    assert len(cluster.names("networkpolicies")) == 2
    pool = LaunchedPool(dict(os.environ), tmp_path / "work", spares=0, isolation=in_pods(cluster))
    await pool.begin()
    await cluster.settled()
    assert cluster.names("pods") == cluster.names("secrets") == []
    kernel = await pool.take("python3", tmp_path / "work" / "b")
    # And all of it ends with the runtime's own pod, which owns it.
    await cluster.end_runtime()
    await cluster.settled()
    assert cluster.names("pods") == cluster.names("secrets") == cluster.names("networkpolicies") == []
    await kernel.stop()
    await pool.close()


@needs_engine
async def test_runtimes_of_one_namespace_leave_each_others_kernels_alone(cluster: KubernetesCluster, pool: LaunchedPool, tmp_path: Path) -> None:
    kernel = await pool.take("python3", tmp_path / "work" / "a", OPEN)
    other = LaunchedPool(dict(os.environ), tmp_path / "other" / "work", spares=0, isolation=in_pods(cluster))
    await other.begin()
    await other.close()
    assert await says(kernel, "print('here')") == "here\n"
    await kernel.stop()


@needs_engine
async def test_without_a_claim_files_end_with_their_kernel_and_with_one_they_stay(
    cluster: KubernetesCluster, pool: LaunchedPool, tmp_path: Path
) -> None:
    for claim, found in (("", "[]\n"), ("data", "['kept']\n")):
        private = tmp_path / (claim or "none")
        cluster.node.claims["data"] = private
        made = LaunchedPool(dict(os.environ), private / "work", spares=0, isolation=in_pods(cluster, claim=claim))
        await made.begin()
        kernel = await made.take("python3", private / "work" / "a")
        assert await says(kernel, "open('kept', 'w').write('x'); import os; print(os.getcwd())") == "/work\n"
        await kernel.stop()
        kernel = await made.take("python3", private / "work" / "a")
        assert await says(kernel, "import os; print(os.listdir())") == found
        await kernel.stop()
        await made.close()


@needs_engine
async def test_a_spare_becomes_the_sessions_kernel(cluster: KubernetesCluster, tmp_path: Path) -> None:
    cluster.node.claims["data"] = tmp_path
    pool = LaunchedPool(dict(os.environ), tmp_path / "work", spares=1, isolation=in_pods(cluster, claim="data"))
    await pool.begin()
    pool.start()
    await pool._refill
    (spare,) = pool.spares
    kernel = await pool.take("python3", tmp_path / "work" / "a")
    assert kernel is spare
    assert await says(kernel, "open('made', 'w').write('x'); print('done')") == "done\n"
    assert (tmp_path / "work" / "a" / "made").exists()
    await kernel.stop()
    await pool.close()


async def refused(private: Path, isolation: Isolation) -> str:
    pool = LaunchedPool(dict(os.environ), private / "work", spares=0, isolation=isolation)
    try:
        with pytest.raises(IsolationUnavailable) as refusal:
            await pool.begin()
        return str(refusal.value)
    finally:
        await pool.close()


@needs_engine
async def test_a_plugin_that_ignores_policies_is_found_out(cluster: KubernetesCluster, tmp_path: Path) -> None:
    cluster.enforcing = False
    said = await refused(tmp_path, in_pods(cluster, "open"))
    assert "the cluster's network plugin does not enforce NetworkPolicies" in said
    assert "Calico" in said
    await cluster.settled()
    assert cluster.names("pods") == cluster.names("networkpolicies") == []


@needs_engine
async def test_what_is_missing_is_named_with_its_mend(cluster: KubernetesCluster, tmp_path: Path) -> None:
    cluster.allowed -= {("pods", "delete"), ("networkpolicies", "create")}
    said = await refused(tmp_path, in_pods(cluster))
    assert f"may not delete pods in {NAMESPACE}, create networkpolicies in {NAMESPACE}: bind a Role" in said
    cluster.allowed |= {("pods", "delete"), ("networkpolicies", "create")}
    assert "SPIN_POD_NAME" in await refused(tmp_path, in_pods(cluster, own_pod="other"))
    said = await refused(tmp_path, in_pods(cluster, image="no-such-image"))
    assert "a pod could not be started: ErrImagePull" in said and "no-such-image" in said
    said = await refused(tmp_path, in_pods(cluster, image=fake.BARE))
    assert "has no ipykernel" in said and "install ipykernel and spin-kernel in it" in said
    assert "kubeconfig" in await refused(tmp_path, in_pods(cluster, kubeconfig=str(tmp_path / "none")))
    await cluster.stop()
    assert "no cluster answers at https://127.0.0.1" in await refused(tmp_path, in_pods(cluster))
    await cluster.serve()
    await cluster.settled()
    assert cluster.names("pods") == []


def test_an_open_policy_forbids_the_metadata_services_that_the_proxy_refuses() -> None:
    forbidden = [ipaddress.ip_network(each) for each in (*spec.FORBIDDEN_V4, *spec.FORBIDDEN_V6)]
    assert all(any(address in network for network in forbidden) for address in outbound._METADATA)
    assert all(outbound.is_refused(str(network[0])) for network in forbidden)
