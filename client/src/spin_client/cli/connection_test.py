"""connection test: tries a connection in a runtime, as a cell of its own, because a test that ran elsewhere would say nothing of it.

The cell is in the notebook "Connection tests" of the workspace, which is made when it is first needed: a session belongs to a notebook.
"""

import json
from typing import Annotated

import typer

from spin_client.cli.command_context import Command, run
from spin_client.cli.connection_options import Name
from spin_client.cli.run_notebook import kernel_session, run_and_show
from spin_client.sdk.platform import Platform, every_page
from spinapis.workspace.v1 import notebooks_pb2

TITLE = "Connection tests"


def test(
    context: typer.Context,
    name: Name,
    runtime: Annotated[str, typer.Option(help="Name or id; by default the workspace's default runtime.")] = "",
) -> None:
    """Try a connection from a runtime. Exit status: 0 it works, 1 it does not, 3 nobody answers, 4 refused."""

    async def body(command: Command) -> int:
        async with command.platform() as platform:
            workspace = await command.workspace(platform)
            runtime_id = (await command.runtime(platform, workspace.id, runtime)).id if runtime else ""
            connection = await command.connection(platform, workspace.id, name)
            notebook = await _notebook(platform, workspace.id)
            fields = json.dumps({"connection": connection.id})
            cell = notebooks_pb2.Cell(id=f"test-{connection.id}", cell_type="connection_test", fields_json=fields)
            tried = notebooks_pb2.Notebook(id=notebook.id, workspace_id=workspace.id, title=TITLE, cells=[cell])
            async with kernel_session(command, platform, tried, runtime_id, restart=True, keep_kernel=False) as session:
                return await run_and_show(command, session, tried, {}, keep_going=False, save=False)

    run(context, body)


async def _notebook(platform: Platform, workspace_id: str) -> notebooks_pb2.Notebook:
    request = notebooks_pb2.ListNotebooksRequest(workspace_id=workspace_id)
    async for notebook in every_page(platform.notebooks.ListNotebooks, request, "notebooks"):
        if notebook.title == TITLE:
            found: notebooks_pb2.Notebook = notebook
            return found
    made = await platform.notebooks.CreateNotebook(notebooks_pb2.CreateNotebookRequest(workspace_id=workspace_id, title=TITLE))
    return made.notebook
