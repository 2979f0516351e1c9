"""Output throughput: a million printed lines, and many small messages, until the last is in the client's hands; and what it costs that a kernel
takes secrets out of what it prints.

Nothing may be lost on either side: a peer that drops output would look fast.
"""

import time

from scripts.bench.cells import cell
from scripts.bench.figures import Figure, beside, median
from scripts.bench.jupyter_peers import Seen, jupyter_server
from spin_client.sdk import Kind, Output, RuntimeSession

LINES = 1_000_000
PRINTING = f"for i in range({LINES}): print('x' * 99)"
MESSAGES = 20_000
# ipykernel makes 10,000 messages a second; these are made beforehand and sent from its publishing thread, so that what is measured is the way, not
# the kernel. The publisher waits for its reader instead of dropping, in both cases.
PUBLISHING = f"""
import threading
kernel = get_ipython().kernel
thread, session, parent = kernel.iopub_thread, kernel.session, kernel.get_parent("shell")
content = {{"data": {{"text/plain": "x" * 100}}, "metadata": {{}}, "transient": {{}}}}
made = [[b"display_data", *session.serialize(session.msg("display_data", content, parent=parent))] for _ in range({MESSAGES})]
sent = threading.Event()
def send():
    thread.socket.setsockopt(69, 1)
    for parts in made:
        thread.socket.send_multipart(parts)
    sent.set()
thread.schedule(send)
sent.wait()
"""
# What `secret()` does with a value once the broker has given it; so no connection is needed here.
READING = """
from secrets import token_urlsafe
from spin_kernel.exposed import EXPOSED
for at in range({}):
    EXPOSED.add(f"secret {{at}}", token_urlsafe(24))
"""
SECRETS_READ = (1, 9)
ROUNDS = 3


async def measure(session: RuntimeSession) -> dict[str, Figure]:
    async with jupyter_server(nagle=False) as (server,):
        await server.run("x=1")
        ours, theirs = await _ours(session, PRINTING), await server.run(PRINTING)
        assert ours.text == theirs.text == LINES * 100, f"output was lost: {ours.text} of ours, {theirs.text} of the peer's"
        burst, their_burst = await _ours(session, PUBLISHING), await server.run(PUBLISHING)
        assert burst.displays == their_burst.displays == MESSAGES, f"messages were lost: {burst.displays} ours, {their_burst.displays} the peer's"
    lines = beside(LINES / ours.seconds / 1000, LINES / theirs.seconds / 1000, "thousand printed lines/s / Jupyter Server", "≥ 2.5")
    rates = MESSAGES / burst.display_seconds, MESSAGES / their_burst.display_seconds
    return {"million_lines": lines, "small_messages": beside(*rates, "messages of 100 B/s / Jupyter Server", "≥ 8")}


async def redaction(session: RuntimeSession) -> dict[str, Figure]:
    """The kernel's own for good: what was read is looked for until it ends."""
    without, known, figures = await _printed(session), 0, {}
    for more in SECRETS_READ:
        known += more
        await _ours(session, READING.format(more))
        unit = f"s, a million printed lines once {known} of the secrets are read / before"
        figures[f"redaction_{known}"] = beside(await _printed(session), without, unit, "≤ 1.3")
    return figures


async def _printed(session: RuntimeSession) -> float:
    seen = [await _ours(session, PRINTING) for _ in range(ROUNDS)]
    assert all(one.text == LINES * 100 for one in seen), "output was lost or changed"
    return median([one.seconds for one in seen])


async def _ours(session: RuntimeSession, code: str) -> Seen:
    run = await session.prepare(cell(code))
    begin = time.perf_counter()
    await session.submit(run)
    first = last = 0.0
    outputs = []
    async with run:
        async for event in run:
            if not isinstance(event, Output):
                continue
            outputs.append(event)
            if event.kind is Kind.DISPLAY_DATA:
                last = time.perf_counter()
                first = first or last
    seconds = time.perf_counter() - begin
    text = sum(len(output.content["text"]) for output in outputs if output.kind is Kind.STREAM)
    return Seen(seconds, text, sum(output.kind is Kind.DISPLAY_DATA for output in outputs), last - first)
