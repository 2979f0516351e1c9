"""`up` and `demo`: the platform from nothing to a notebook that ran and a history that verified.

The steps are the ones that a person would take in the browser: sign in, make a workspace, add a runtime, confirm it, open a notebook, run it.
"""

import asyncio
import contextlib
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path

from scripts.platform import lifetime, programs, sample
from scripts.platform.settings import Settings, taken_ports
from scripts.platform.supervisor import Supervisor
from spin_client.sdk import MemoryStore, Platform, SpinError, pairing
from spin_envelope.export import ExportInvalid
from spinapis.workspace.v1 import workspaces_pb2

# As a shell reports a program that Ctrl-C ended.
STOPPED = 130


class SampleFailed(Exception):
    """The platform runs, and the sample did not do what it should."""


@dataclass(frozen=True)
class Started:
    """A running platform with its sample workspace and a confirmed runtime."""

    settings: Settings
    supervisor: Supervisor
    platform: Platform
    workspace: workspaces_pb2.Workspace
    runtime: workspaces_pb2.Runtime


def say(text: str) -> None:
    print(text, flush=True)


@contextlib.contextmanager
def step(text: str) -> Iterator[None]:
    """Shows that something begins, and how long it took."""
    begin = time.monotonic()
    print(f"  {text} …", end="", flush=True)
    try:
        yield
    except BaseException:
        print(" failed", flush=True)
        raise
    print(f" {time.monotonic() - begin:.1f} s", flush=True)


@contextlib.asynccontextmanager
async def started(settings: Settings) -> AsyncIterator[Started]:
    """Everything up, in the order in which the parts need one another; everything down at the end."""
    with lifetime.owned(settings):
        if taken := taken_ports(settings):
            raise SampleFailed("\n".join(taken))
        supervisor = Supervisor(settings.logs, lambda text: print(f"  {text}", file=sys.stderr, flush=True))
        try:
            with step("starting the five services"):
                await supervisor.start(programs.services(settings))
            with step(f"starting the gateway on {settings.public_url}"):
                await supervisor.start(programs.gateway(settings))
            async with await Platform.connect(settings.public_url, store=MemoryStore(), pins=settings.data / "pins") as platform:
                with step("signing in"):
                    await platform.sign_in_with_link(await sign_in_token(settings))
                workspace = await sample.workspace(platform)
                runtime = await _runtime(platform, workspace.id, settings, supervisor)
                yield Started(settings, supervisor, platform, workspace, runtime)
        finally:
            await supervisor.stop()


async def until_stopped(work: Coroutine[None, None, int]) -> int:
    """Its exit status. SIGINT or SIGTERM ends it early, also while it starts: what it started is stopped first."""
    task, asked = asyncio.ensure_future(work), asyncio.Event()

    def stop() -> None:
        if not asked.is_set():
            asked.set()
            say("\nstopping")
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    try:
        return await task
    except asyncio.CancelledError:
        return STOPPED


async def up(settings: Settings) -> int:
    say("SPIN is starting. Data: " + str(settings.data))
    async with started(settings) as running:
        await _run_sample(running)
        say(f"\nOpen {settings.public_url}/sign-in#token={await sign_in_token(settings)}")
        say("This link signs you in once. Ctrl-C stops everything.")
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
    return 0


async def demo(settings: Settings) -> int:
    """The same without staying, from an empty data folder."""
    with lifetime.owned(settings):
        _empty(settings.data, keep=settings.run)
    async with started(settings) as running:
        verdict = await _run_sample(running)
    say(f"demo ok: {verdict.cells} cells, {verdict.outputs} outputs, {verdict.receipts} receipts, audit log of {verdict.entries} entries verified")
    return 0


async def sign_in_token(settings: Settings) -> str:
    """A new one-time token for the owner, made on this machine as its operator would."""
    command = [str(programs.BIN / "spin-service"), "sign-in-link"]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, env=programs.service_environment(settings), stdout=pipe, stderr=pipe)
    out, err = await process.communicate()
    if process.returncode:
        raise SampleFailed(f"no sign-in link: {err.decode().strip()}")
    return out.decode().strip().rpartition("token=")[2]


async def _runtime(platform: Platform, workspace_id: str, settings: Settings, supervisor: Supervisor) -> workspaces_pb2.Runtime:
    record = await sample.runtime(platform, workspace_id, settings)
    if unread := programs.out_of_reach(settings):
        say(f"  the runtime's processes and its kernels share root's user (SPIN_UIDS=shared): users of their own could not read {unread}")
    token_file = settings.runtime_token_file
    if token_file.exists():
        with step(f"starting the runtime on {settings.runtime_url}"):
            await supervisor.start(programs.runtime(settings, token_file.read_text()))
        return record
    # A pairing that was interrupted left a runtime that belongs to nobody.
    shutil.rmtree(settings.runtime_home, ignore_errors=True)
    pending = await pairing.begin(platform, record)
    with step(f"starting the runtime on {settings.runtime_url}"):
        await supervisor.start(programs.runtime(settings, pending.token))
    with step("pairing and confirming the runtime"):
        fingerprint = await sample.pair(platform, pending)
    # Kept once the pairing holds: from now on the token only opens the runtime's own disk state.
    token_file.touch(mode=0o600)
    token_file.write_text(pending.token)
    say(f"  its fingerprint: {fingerprint}")
    return record


async def _run_sample(running: Started) -> sample.Verdict:
    try:
        book = await sample.notebook(running.platform, running.workspace.id)
        verdict = await sample.run(running.platform, book, running.runtime.id, say)
    except SpinError as error:
        raise SampleFailed(f"{error.reason}: {error}") from error
    except ExportInvalid as error:
        raise SampleFailed(f"the audit log does not verify: {error}") from error
    if verdict.failed or verdict.unverified:
        raise SampleFailed("\n".join([*verdict.failed, *(f"outputs of {cell} are not verified" for cell in verdict.unverified)]))
    say(f"\nThe log of {verdict.entries} entries verifies: {verdict.receipts} receipts signed by the runtime, every output accounted for.")
    return verdict


def _empty(folder: Path, keep: Path) -> None:
    for entry in folder.iterdir():
        if entry == keep:
            continue
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
