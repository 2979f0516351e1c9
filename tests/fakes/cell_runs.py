"""Running a cell in a session and looking at how it ended."""

from spin_client.sdk import RunState, RuntimeSession
from spin_client.sdk.events import Output
from spinapis.workspace.v1 import notebooks_pb2


async def ran(session: RuntimeSession, cell: notebooks_pb2.Cell) -> tuple[bool, str]:
    """Whether the cell ended well, and the outputs that it had."""
    events = [event async for event in session.run(cell)]
    final = [event for event in events if isinstance(event, RunState)][-1]
    return final.ok, b"".join(event.body for event in events if isinstance(event, Output)).decode(errors="replace") + final.message


async def ran_well(session: RuntimeSession, cell: notebooks_pb2.Cell) -> None:
    well, said = await ran(session, cell)
    assert well, said
