"""SPIN from a program: the same calls and the same handshake as the browser's, typed and asynchronous.

async with await Platform.connect("http://localhost:8080") as platform:
    async with await RuntimeSession.open(platform, workspace_id, notebook_id) as session:
        async for event in session.run(cell):
            ...
"""

from spin_client.sdk import pairing
from spin_client.sdk.chain import Chain, Outcome
from spin_client.sdk.errors import SpinError
from spin_client.sdk.events import Event, InputRequest, Kind, Output, Phase, RunState, Status
from spin_client.sdk.notebook import CellFinished, CellStarted, NotebookFinished, NotebookRun
from spin_client.sdk.outputs import CellOutputs, NotebookOutputs
from spin_client.sdk.platform import Platform, every_page
from spin_client.sdk.run import Run
from spin_client.sdk.session import RuntimeSession
from spin_client.sdk.token_stores import FileStore, KeyringStore, MemoryStore, TokenStore

__all__ = [
    "CellFinished",
    "CellOutputs",
    "CellStarted",
    "Chain",
    "Event",
    "FileStore",
    "InputRequest",
    "KeyringStore",
    "Kind",
    "MemoryStore",
    "NotebookFinished",
    "NotebookOutputs",
    "NotebookRun",
    "Outcome",
    "Output",
    "Phase",
    "Platform",
    "Run",
    "RunState",
    "RuntimeSession",
    "SpinError",
    "Status",
    "TokenStore",
    "every_page",
    "pairing",
]
