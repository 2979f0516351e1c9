"""`make bench`: measures, prints, writes build/bench.json. Nothing here asserts a time: figures are for people.

`python -m scripts.bench cells output` measures those parts alone and prints them; the file is written by a whole run only.
"""

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Collection
from pathlib import Path

from scripts.bench import appends, calls, cells, connections, footprint, kernels, output, postgresql
from scripts.bench.figures import Figure, alone, table, write
from scripts.platform.apart import RunningPlatform, start_apart
from scripts.platform.settings import ROOT
from spin_client.sdk import MemoryStore, Platform, RuntimeSession, every_page
from spinapis.workspace.v1 import workspaces_pb2

PARTS = ("start", "memory", "first", "calls", "cells", "output", "redaction", "crowd", "sync", "kernels", "broker", "audit")
OF_A_PLATFORM = frozenset(PARTS) - {"kernels", "broker", "audit"}


def main() -> int:
    parts = sys.argv[1:] or PARTS
    if unknown := set(parts) - set(PARTS):
        print(f"bench: no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}", file=sys.stderr)
        return 2
    figures = conditions("before")
    if OF_A_PLATFORM & set(parts):
        with tempfile.TemporaryDirectory(prefix="spin-bench-") as folder:
            figures |= of_a_platform(Path(folder), parts)
    if "kernels" in parts:
        say("kernels of each isolation")
        figures |= asyncio.run(kernels.measure())
    if "broker" in parts:
        figures |= of_the_broker()
    if "audit" in parts:
        figures |= of_the_log()
    figures |= conditions("after")
    print(table(figures))
    if not sys.argv[1:]:
        write(ROOT / "build" / "bench.json", figures)
        print("written to build/bench.json")
    return 0


def conditions(when: str) -> dict[str, Figure]:
    """A figure means little without them: how many cores there were, and how many processes wanted them."""
    return {f"load_{when}": alone(os.getloadavg()[0], f"processes that wanted to run, of the last minute, on {os.cpu_count()} cores")}


def of_a_platform(data: Path, parts: Collection[str]) -> dict[str, Figure]:
    say("starting a platform of its own")
    running = start_apart(data)
    figures: dict[str, Figure] = {}
    if "start" in parts:
        running.stop()
        say("starting it again, on a warm tree")
        begin = time.monotonic()
        running = start_apart(data)
        figures["warm_start"] = alone(running.usable_after_s, "s, `make up` until the page answers", "≤ 8")
        figures["warm_start_with_sample"] = alone(time.monotonic() - begin, "s, the same until the sample notebook ran")
    try:
        if "start" in parts:
            figures |= asyncio.run(footprint.runtime_starts(running))
        return figures | asyncio.run(through_the_door(running, parts))
    finally:
        running.stop()


async def through_the_door(running: RunningPlatform, parts: Collection[str]) -> dict[str, Figure]:
    async with await Platform.connect(running.settings.public_url, store=MemoryStore(), pins=running.settings.data / "bench-pins") as platform:
        await platform.sign_in_with_link(running.new_token())
        request = workspaces_pb2.ListWorkspacesRequest()
        workspace = await anext(every_page(platform.workspaces.ListWorkspaces, request, "workspaces"))
        figures: dict[str, Figure] = {}
        if "memory" in parts:
            say("memory of the idle platform")
            figures |= await footprint.measure(running, platform, workspace.id)
            figures |= await footprint.kernels_per_gib(running, platform, workspace.id)
        if "first" in parts:
            say("first cells of new sessions")
            figures |= await cells.first_cells(platform, workspace.id)
        if {"calls", "cells", "output", "redaction"} & set(parts):
            async with cells.many_sessions(platform, workspace.id, 1) as (session,):
                await session.start_kernel("python3")
                figures |= await of_a_session(platform, session, parts)
        if "crowd" in parts:
            say("eight kernels at once")
            figures |= await cells.crowd(platform, workspace.id)
        # Last: its connections stay.
        if "sync" in parts:
            say("a thousand connections")
            async with cells.many_sessions(platform, workspace.id, 1) as (session,):
                figures |= await connections.sync(platform, workspace.id, session)
        return figures


async def of_a_session(platform: Platform, session: RuntimeSession, parts: Collection[str]) -> dict[str, Figure]:
    figures: dict[str, Figure] = {}
    if "calls" in parts:
        say("calls through Envoy")
        figures |= await calls.measure(platform, session)
    if "cells" in parts:
        say("cells")
        figures |= await cells.round_trips(session)
        figures |= await cells.clicks(session)
    if "output" in parts:
        say("output")
        figures |= await output.measure(session)
    # Last: the kernel searches all that it shows from then on.
    if "redaction" in parts:
        say("output once secrets are read")
        figures |= await output.redaction(session)
    return figures


def of_the_broker() -> dict[str, Figure]:
    with postgresql.server() as address:
        if address is None:
            say("operations through the broker: no PostgreSQL is installed")
            return {}
        say("operations through the broker")
        return asyncio.run(connections.through_the_broker(address))


def of_the_log() -> dict[str, Figure]:
    say("audit appends on SQLite")
    figures = appends.on_sqlite()
    with postgresql.server() as address:
        if address is None:
            say("audit appends on PostgreSQL: none is installed")
            return figures
        say("audit appends on PostgreSQL")
        return figures | appends.on_postgresql(address)


def say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
