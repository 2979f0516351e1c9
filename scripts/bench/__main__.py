"""`make bench`: measures, prints, writes build/bench.json. Nothing here asserts a time: figures are for people."""

import asyncio
import sys
import tempfile
import time
from pathlib import Path

from scripts.bench import appends, calls, cells, footprint
from scripts.bench.figures import Figure, alone, table, write
from scripts.platform.apart import RunningPlatform, start_apart
from scripts.platform.settings import ROOT
from spin_client.sdk import MemoryStore, Platform, RuntimeSession, every_page
from spinapis.workspace.v1 import notebooks_pb2, workspaces_pb2


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="spin-bench-") as folder:
        figures = measure(Path(folder))
    write(ROOT / "build" / "bench.json", figures)
    print(table(figures))
    print("written to build/bench.json")
    return 0


def measure(data: Path) -> dict[str, Figure]:
    say("starting a platform of its own")
    start_apart(data).stop()
    begin = time.monotonic()
    running = start_apart(data)
    # The second start is on a warm tree; its sample notebook has run by then, so the page was usable before.
    figures = {"warm_start": alone(running.usable_after_s, "s, `make up` until the page answers", "≤ 8")}
    figures["warm_start_with_sample"] = alone(time.monotonic() - begin, "s, the same until the sample notebook ran")
    try:
        say("memory of the idle platform")
        figures |= footprint.measure(running)
        figures |= asyncio.run(through_the_door(running))
    finally:
        running.stop()
    say("audit appends")
    return figures | appends.measure()


async def through_the_door(running: RunningPlatform) -> dict[str, Figure]:
    async with await Platform.connect(running.settings.public_url, store=MemoryStore(), pins=running.settings.data / "bench-pins") as platform:
        await platform.sign_in_with_link(running.new_token())
        request = workspaces_pb2.ListWorkspacesRequest()
        workspace = [found async for found in every_page(platform.workspaces.ListWorkspaces, request, "workspaces")][0]
        create = notebooks_pb2.CreateNotebookRequest(workspace_id=workspace.id, idempotency_key="bench", title="Bench")
        book = (await platform.notebooks.CreateNotebook(create)).notebook
        async with await RuntimeSession.open(platform, workspace.id, book.id) as session:
            say("cells and output")
            figures = await cells.measure(session)
            say("calls through Envoy")
            return figures | await calls.measure(platform, session)


def say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
