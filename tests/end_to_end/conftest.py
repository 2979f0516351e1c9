"""The real platform, started as a person starts it: `make up`'s program with its own ports and data. One serves the whole session."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from scripts.platform.apart import RunningPlatform, start_apart
from spin_client.sdk import MemoryStore, Platform, every_page
from spinapis.workspace.v1 import notebooks_pb2, workspaces_pb2
from tests.fakes import installation
from tests.fakes.extra_runtime import ExtraRuntime
from tests.fakes.hand_client import HandClient, new_session
from tests.fakes.otlp_sink import OtlpSink, collecting
from tests.fakes.secret_search import leaks


@pytest.fixture(scope="session")
def collector() -> Iterator[OtlpSink]:
    """Where the platform's traces go."""
    with collecting() as sink:
        yield sink


@pytest.fixture(scope="session")
def openid_port() -> int:
    """Where a test may start an OpenID provider that the platform knows."""
    return installation.free_ports(1)[0]


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory, confidential: set[str], collector: OtlpSink, openid_port: int) -> Iterator[RunningPlatform]:
    # Whoever goes missing is missed soon; in production it takes a quarter of an hour.
    hasty = {"SPIN_END_GRACE_S": "5", "SPIN_AUDIT_SWEEP_S": "1"}
    traced = {"SPIN_OTLP_ENDPOINT": collector.endpoint, "SPIN_TRACE_RATIO": "1"}
    corporate = {"ISSUER": f"http://127.0.0.1:{openid_port}", "CLIENT_ID": "spin-public", "DISPLAY_NAME": "Corporate"}
    openid = {f"SPIN_OIDC_CORP_{name}": value for name, value in corporate.items()}
    platform = start_apart(tmp_path_factory.mktemp("platform"), **hasty, **traced, **openid)
    yield platform
    assert platform.stop() == 0
    assert leaks(platform.settings, confidential) == []


@pytest.fixture(scope="session")
def confidential() -> set[str]:
    """Secrets that tests used: none of them may be found in a log or, in the clear, in a database when all is over."""
    return set()


@pytest.fixture(scope="session")
def sign_in(running: RunningPlatform, confidential: set[str], tmp_path_factory: pytest.TempPathFactory) -> "SignIn":
    return SignIn(running, tmp_path_factory.mktemp("pins"), confidential)


class SignIn:
    """The owner's sign-in, made once and kept for all tests."""

    def __init__(self, running: RunningPlatform, pins: Path, confidential: set[str]) -> None:
        self._running, self._pins, self._confidential = running, pins, confidential
        self._store = MemoryStore()
        self._done = False

    async def connect(self) -> Platform:
        platform = await Platform.connect(self._running.settings.public_url, store=self._store, pins=self._pins)
        if not self._done:
            token = self._running.new_token()
            await platform.sign_in_with_link(token)
            self._confidential |= {token, platform.tokens.refresh_token, await platform.tokens.access_token()}
            self._done = True
        return platform


@pytest.fixture
async def owner(sign_in: SignIn) -> AsyncIterator[Platform]:
    """The owner, signed in through the gateway."""
    async with await sign_in.connect() as platform:
        yield platform


@pytest.fixture
async def workspace(owner: Platform) -> workspaces_pb2.Workspace:
    async for found in every_page(owner.workspaces.ListWorkspaces, workspaces_pb2.ListWorkspacesRequest(), "workspaces"):
        if found.name == "Sample":
            return found
    raise LookupError("Sample")


@pytest.fixture(scope="session")
def kept() -> dict[str, notebooks_pb2.Session]:
    """The session that tests share which do not mind what ran in it: starting a kernel for each would take most of their time."""
    return {}


@pytest.fixture
async def session(owner: Platform, workspace: workspaces_pb2.Workspace, kept: dict[str, notebooks_pb2.Session]) -> notebooks_pb2.Session:
    """A notebook's session on the platform's own runtime."""
    if "session" not in kept:
        kept["session"] = await new_session(owner, workspace.id)
    return kept["session"]


@pytest.fixture
async def client(owner: Platform, session: notebooks_pb2.Session) -> AsyncIterator[HandClient]:
    """Attached to the session, with a kernel that is ready."""
    async with await HandClient.attach(owner, session) as attached:
        await attached.start_kernel()
        yield attached


@pytest.fixture(scope="session")
def second_runtime(running: RunningPlatform, sign_in: SignIn, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExtraRuntime]:
    """Another runtime of the same workspace, paired and confirmed."""
    yield from _extra(running, sign_in, tmp_path_factory.mktemp("second"), "Sample", 12)


@pytest.fixture(scope="session")
def foreign_runtime(running: RunningPlatform, sign_in: SignIn, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExtraRuntime]:
    """A runtime of another workspace on the same platform."""
    yield from _extra(running, sign_in, tmp_path_factory.mktemp("foreign"), "Elsewhere", 13)


def _extra(running: RunningPlatform, sign_in: SignIn, home: Path, workspace: str, offset: int) -> Iterator[ExtraRuntime]:
    runtime = ExtraRuntime(home, running.settings.service_port_base + offset)

    async def pair() -> None:
        async with await sign_in.connect() as platform:
            await runtime.pair(platform, workspace)

    # In a thread: a fixture of the session has no event loop of its own.
    with ThreadPoolExecutor(1) as apart:
        apart.submit(asyncio.run, pair()).result(90)
    yield runtime
    assert runtime.stop() == 0
