"""Running the probe in a container as kernels run, with things outside that it must not reach."""

import asyncio
import json
import os
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import spin_runtime
from spin_runtime.launcher.containers import examine, inside, spec
from spin_runtime.launcher.containers.engine import Engine, EngineGone, EngineRefused
from spin_runtime.launcher.containers.running import created, started
from spin_runtime.launcher.folders import BROKER_SOCKET, STDERR, Folders
from spin_runtime.launcher.machine import probes_folders
from spin_runtime.launcher.rules import EGRESS_ALLOW_LIST, EGRESS_SOCKET, Rules, Start, Unable

SECONDS = 60.0
INSIDE = "spin_runtime.launcher.containers.inside"
FILES = (
    *("__init__.py", "launcher/__init__.py", "launcher/probe.py", "launcher/image.py", "launcher/rules.py", "launcher/forwarder.py"),
    *("launcher/containers/__init__.py", "launcher/containers/inside.py"),
)


async def probed(engine: Engine, rules: Rules, folders: Folders, given: spec.Given, egress: str, label: str) -> examine.Proved:
    """Of kernels with that egress. Raises Unable."""
    with _canaries(rules, folders, egress) as (start, root):
        user = folders.user_of(start, ())
        broker = os.open(root / "listening", os.O_PATH)
        folders.link(start, broker, user[0] if rules.uids else None)
        os.close(broker)
        try:
            async with _answering(start):
                await _run(engine, spec.container(rules, given, start, user, label))
        except (EngineGone, EngineRefused) as error:
            raise Unable(f"a container could not be started: {error}") from error
        return examine.read(rules, Path(start.box))


async def _run(engine: Engine, body: Mapping[str, Any]) -> None:
    container = await created(engine, body)
    try:
        await started(engine, container)
        async with asyncio.timeout(SECONDS):
            await engine.wait(container)
    except TimeoutError:
        raise Unable(f"a probe in a container did not end within {SECONDS:.0f} s") from None
    finally:
        await engine.remove(container)


@asynccontextmanager
async def _answering(start: Start) -> AsyncIterator[None]:
    """In the place of the proxy, where there is one: says a word to whoever connects."""
    if start.egress != EGRESS_ALLOW_LIST:
        yield
        return

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(inside.PROXY_SAYS)
        writer.close()

    async with await asyncio.start_unix_server(answer, sock=_open_to_all(Path(start.box, EGRESS_SOCKET))):
        yield


def _open_to_all(path: Path) -> socket.socket:
    """As the proxies' sockets are: who may reach it is who may enter the box."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    path.chmod(0o666)
    return listener


@contextmanager
def _canaries(rules: Rules, folders: Folders, egress: str) -> Iterator[tuple[Start, Path]]:
    root = Path(tempfile.mkdtemp(prefix="p-", dir=rules.private))
    root.chmod(0o711)
    (root / "secret").write_text("secret")
    name = f"spin-probe-{os.getpid()}-{root.name}"
    try:
        with socket.socket(socket.AF_UNIX) as abstract, socket.socket(socket.AF_UNIX) as broker, socket.socket() as internet:
            for listener, address in ((abstract, f"\0{name}"), (broker, str(root / "listening")), (internet, ("127.0.0.1", 0))):
                listener.bind(address)
                listener.listen()
            targets = {"abstract": name, "port": internet.getsockname()[1], "pid": os.getpid(), "egress": egress}
            with probes_folders(rules, folders) as (work, box):
                yield _start(rules, work, box, targets | {"secret": str(root / "secret")}), root
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _start(rules: Rules, work: Path, box: Path, targets: dict[str, object]) -> Start:
    (box / STDERR).touch(mode=0o600)
    os.chown(box / STDERR, rules.server, -1)
    for file in FILES:
        copy = box / "probe" / "spin_runtime" / file
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(Path(spin_runtime.__path__[0], file), copy)
    targets |= {"broker": f"{box}/{BROKER_SOCKET}", "bind": f"{box}/bound"}
    return Start(["python3", "-P", "-m", INSIDE, json.dumps(targets)], {"PYTHONPATH": f"{box}/probe"}, str(work), str(box), str(targets["egress"]))
