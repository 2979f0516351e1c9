"""notebook: list, create, show, import, export, delete, versions, restore."""

from pathlib import Path
from typing import Annotated

import typer

from spin_client.cli.command_context import Command, all_of, idempotency_key, run
from spin_client.cli.messages import moment, plain
from spin_client.sdk.errors import SpinError
from spinapis.workspace.v1 import notebooks_pb2

group = typer.Typer(help="Notebooks.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(metavar="NOTEBOOK", help="Title or id.")]
MAX_FILE = 48 * 1024 * 1024


@group.command("list")
def list_notebooks(context: typer.Context) -> None:
    """The workspace's notebooks, last changed first."""

    async def body(command: Command) -> None:
        async with command.platform() as platform:
            workspace = await command.workspace(platform)
            request = notebooks_pb2.ListNotebooksRequest(workspace_id=workspace.id)
            found = await all_of(platform.notebooks.ListNotebooks, request, "notebooks")
            items = [{**plain(n), "changed": moment(n.updated_at_ms)} for n in found]
            command.out.rows(["id", "title", "version", "changed"], items, empty="No notebooks yet: spinctl notebook create TITLE")

    run(context, body)


@group.command("create")
def create(context: typer.Context, title: str) -> None:
    """Make an empty notebook."""

    async def body(command: Command) -> None:
        async with command.platform() as platform:
            workspace = await command.workspace(platform)
            request = notebooks_pb2.CreateNotebookRequest(workspace_id=workspace.id, idempotency_key=idempotency_key(), title=title)
            notebook = (await platform.notebooks.CreateNotebook(request)).notebook
            command.out.done(f"Made the notebook {notebook.title} ({notebook.id}).", plain(notebook))

    run(context, body)


@group.command("show")
def show(context: typer.Context, name: Name, version: Annotated[int, typer.Option(help="An older version; 0: as it is now.", min=0)] = 0) -> None:
    """A notebook's cells, as they are or as they were."""

    async def body(command: Command) -> None:
        async with command.platform() as platform:
            workspace = await command.workspace(platform)
            notebook = await command.notebook(platform, workspace.id, name)
            if version:
                request = notebooks_pb2.GetNotebookVersionRequest(workspace_id=workspace.id, notebook_id=notebook.id, version=version)
                notebook = (await platform.notebooks.GetNotebookVersion(request)).notebook
            if command.out.as_json:
                command.out.document(plain(notebook))
                return
            command.out.text(f"{notebook.title}  ({notebook.id}, version {notebook.version})")
            for cell in notebook.cells:
                command.out.text(f"\n── {cell.id} · {cell.cell_type}{' · linked' if cell.linked else ''}\n{cell.source}")

    run(context, body)


@group.command("import")
def import_file(context: typer.Context, file: Path, title: Annotated[str, typer.Option(help="By default the file's name.")] = "") -> None:
    """Make a notebook from an .ipynb file."""

    async def body(command: Command) -> None:
        async with command.platform() as platform:
            workspace = await command.workspace(platform)
            request = notebooks_pb2.ImportNotebookRequest(
                workspace_id=workspace.id, idempotency_key=idempotency_key(), title=title or file.stem, ipynb=read_notebook_file(file)
            )
            notebook = (await platform.notebooks.ImportNotebook(request)).notebook
            text = f"Imported {notebook.title} ({notebook.id}) with {len(notebook.cells)} cells."
            command.out.done(text, plain(notebook))

    run(context, body)


@group.command("export")
def export_file(
    context: typer.Context,
    name: Name,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write; - is standard output.")] = None,
) -> None:
    """Write a notebook as an .ipynb file, with its outputs."""

    async def body(command: Command) -> None:
        async with command.platform() as platform:
            workspace = await command.workspace(platform)
            notebook = await command.notebook(platform, workspace.id, name)
            request = notebooks_pb2.ExportNotebookRequest(workspace_id=workspace.id, notebook_id=notebook.id)
            answer = await platform.notebooks.ExportNotebook(request)
            if output is not None and str(output) == "-":
                command.out.text(answer.ipynb.decode().rstrip("\n"))
                return
            # The platform proposes the name; only its last part may decide where the file goes.
            path = output or Path(Path(answer.filename).name or "notebook.ipynb")
            write_file(path, answer.ipynb)
            command.out.done(f"Wrote {path}.", {"id": notebook.id, "file": str(path), "bytes": len(answer.ipynb)})

    run(context, body)


@group.command("delete")
def delete(context: typer.Context, name: Name, yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False) -> None:
    """Delete a notebook and its versions. What the audit log says about its runs stays."""

    async def body(command: Command) -> None:
        async with command.platform() as platform:
            workspace = await command.workspace(platform)
            notebook = await command.notebook(platform, workspace.id, name)
            command.confirmed(f"Delete the notebook {notebook.title}?", yes=yes)
            request = notebooks_pb2.DeleteNotebookRequest(workspace_id=workspace.id, notebook_id=notebook.id, etag=notebook.etag)
            await platform.notebooks.DeleteNotebook(request)
            command.out.done(f"Deleted the notebook {notebook.title}.", {"id": notebook.id, "deleted": True})

    run(context, body)


@group.command("versions")
def versions(context: typer.Context, name: Name) -> None:
    """A notebook's saved versions, newest first."""

    async def body(command: Command) -> None:
        async with command.platform() as platform:
            workspace = await command.workspace(platform)
            notebook = await command.notebook(platform, workspace.id, name)
            request = notebooks_pb2.ListNotebookVersionsRequest(workspace_id=workspace.id, notebook_id=notebook.id)
            found = await all_of(platform.notebooks.ListNotebookVersions, request, "versions")
            command.out.rows(["version", "title", "created_by", "created"], [{**plain(v), "created": moment(v.created_at_ms)} for v in found])

    run(context, body)


@group.command("restore")
def restore(context: typer.Context, name: Name, version: Annotated[int, typer.Argument(min=1)]) -> None:
    """Make a new version that equals an old one."""

    async def body(command: Command) -> None:
        async with command.platform() as platform:
            workspace = await command.workspace(platform)
            notebook = await command.notebook(platform, workspace.id, name)
            request = notebooks_pb2.RestoreNotebookVersionRequest(
                workspace_id=workspace.id, notebook_id=notebook.id, version=version, etag=notebook.etag
            )
            new = (await platform.notebooks.RestoreNotebookVersion(request)).notebook
            command.out.done(f"Version {new.version} of {new.title} equals version {version}.", plain(new))

    run(context, body)


def read_notebook_file(file: Path) -> bytes:
    try:
        data = file.read_bytes()
    except OSError as fault:
        raise SpinError("INVALID_ARGUMENT", f"cannot read {file}: {fault.strerror}") from None
    if len(data) > MAX_FILE:
        raise SpinError("TOO_LARGE", f"{file} has {len(data) >> 20} MiB; at most {MAX_FILE >> 20} MiB can be imported: clear its outputs first")
    return data


def write_file(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as fault:
        raise SpinError("INVALID_ARGUMENT", f"cannot write {path}: {fault.strerror}") from None
