"""Notebooks over the API: cells, versions, outputs, files."""

import json

import pytest

from spinapis.workspace.v1 import notebooks_pb2 as pb
from tests.fakes.installation import refused

STREAM = '[{"output_type": "stream", "name": "stdout", "text": "hi"}]'


def python(identifier: str = "", source: str = "1", **fields) -> pb.Cell:
    return pb.Cell(id=identifier, cell_type="python", source=source, **fields)


class Book:
    """One notebook and its editor."""

    def __init__(self, place, notebook: pb.Notebook) -> None:
        self.place, self.now = place, notebook

    @property
    def ids(self) -> dict[str, str]:
        return {"workspace_id": self.now.workspace_id, "notebook_id": self.now.id}

    async def save(self, *cells: pb.Cell, title: str = "T", etag: str = "", user: str = "ann", metadata_json: str = "") -> pb.Notebook:
        request = pb.UpdateNotebookRequest(**self.ids, etag=etag or self.now.etag, title=title, cells=cells, metadata_json=metadata_json)
        self.now = (await self.place.notebooks.UpdateNotebook(request, metadata=self.place.user(user))).notebook
        return self.now

    async def read(self) -> pb.Notebook:
        return (await self.place.notebooks.GetNotebook(pb.GetNotebookRequest(**self.ids), metadata=self.place.user())).notebook

    async def outputs(self, cell_id: str, outputs_json: str = STREAM, user: str = "ann", **fields) -> None:
        request = pb.SaveCellOutputsRequest(**self.ids, cell_id=cell_id, outputs_json=outputs_json, **fields)
        await self.place.notebooks.SaveCellOutputs(request, metadata=self.place.user(user))


@pytest.fixture
async def book(place) -> Book:
    made = await place.workspace()
    request = pb.CreateNotebookRequest(workspace_id=made.id, title="T", cells=[python("a"), python("b")], metadata_json='{"k": 1}')
    return Book(place, (await place.notebooks.CreateNotebook(request, metadata=place.user())).notebook)


async def test_a_notebook_is_read_as_it_was_written(book) -> None:
    cell = pb.Cell(id="c-1_X", cell_type="sql", source="SELECT 'é\n'", fields_json='{"variable":"x"}', linked=True, metadata_json='{"z":[1,2]}')
    cell.outputs_json, cell.execution_count = STREAM, 7
    note = pb.Cell(id="m", cell_type="markdown", source="# T", attachments_json='{"a.png":{"image/png":"aGk="}}')
    saved = await book.save(cell, note, title="Täst")
    assert (saved.title, saved.version, saved.updated_by) == ("Täst", 2, "ann")
    read = await book.read()
    assert read == saved
    assert read.cells[0] == cell
    assert read.cells[1].attachments_json == note.attachments_json


async def test_cells_without_an_id_get_one_and_keep_it(book) -> None:
    saved = await book.save(python(), python())
    first, second = (cell.id for cell in saved.cells)
    assert first != second
    assert [cell.id for cell in (await book.save(*reversed(saved.cells))).cells] == [second, first]


async def test_two_editors_do_not_overwrite_each_other(book) -> None:
    old = book.now.etag
    await book.save(python("a", "2"))
    with refused() as refusal:
        await book.save(python("a", "3"), etag=old)
    assert refusal.reason == "ETAG_MISMATCH"
    assert (await book.read()).cells[0].source == "2"


async def test_outputs_are_kept_without_a_version_or_a_conflict(book) -> None:
    before = book.now
    await book.outputs("a", execution_count=3)
    read = await book.read()
    assert (read.etag, read.version) == (before.etag, before.version)
    assert (read.cells[0].outputs_json, read.cells[0].execution_count) == (STREAM, 3)
    saved = await book.save(python("a", "edited"), python("b", outputs_json="[]"))
    assert [cell.outputs_json for cell in saved.cells] == [STREAM, "[]"]
    assert saved.cells[0].execution_count == 3
    assert (await book.save(python("a", outputs_json="[]"))).cells[0].outputs_json == "[]"


async def test_agents_save_outputs_and_edit_nothing(book) -> None:
    book.place.let("robot", book.now.workspace_id, 3)
    await book.outputs("b", user="robot")
    with refused() as refusal:
        await book.save(python("a"), user="robot")
    assert refusal.reason == "PERMISSION_DENIED"
    book.place.let("vic", book.now.workspace_id, 4)
    with refused() as refusal:
        await book.outputs("b", user="vic")
    assert refusal.reason == "PERMISSION_DENIED"


@pytest.mark.parametrize(
    "outputs",
    ["{}", "[", '[{"output_type": "stream"}]', '[{"output_type": "picture"}]', "[1]", '[{"output_type": "stream", "name": "x", "text": NaN}]'],
)
async def test_outputs_are_nbformats(book, outputs: str) -> None:
    with refused() as refusal:
        await book.outputs("a", outputs)
    assert refusal.reason == "INVALID_ARGUMENT"


async def test_outputs_of_an_unknown_cell_or_over_the_limit_are_refused(book) -> None:
    with refused() as refusal:
        await book.outputs("nope")
    assert refusal.reason == "NOT_FOUND"
    large = json.dumps([{"output_type": "stream", "name": "stdout", "text": "x" * 2_100_000}])
    await book.outputs("a", large)
    with refused() as refusal:
        await book.outputs("b", large)
    assert refusal.reason == "TOO_LARGE"
    assert (await book.read()).cells[1].outputs_json == "[]"


@pytest.mark.parametrize(
    ("cells", "field"),
    [
        ([python("a"), python("a")], "cells[1].id"),
        ([python("a b")], "cells[0].id"),
        ([pb.Cell(id="a", cell_type="")], "cells[0].cell_type"),
        ([pb.Cell(id="a", cell_type="UPPER")], "cells[0].cell_type"),
        ([python("a", fields_json="[]")], "cells[0].fields_json"),
        ([python("a", metadata_json="{")], "cells[0].metadata_json"),
        ([python("a", metadata_json='{"a":1,"a":2}')], "cells[0].metadata_json"),
        ([python("a", outputs_json="[{}]")], "cells[0].outputs_json[0]"),
        ([python("a", "x\0")], "cells[0].source"),
        ([python("a", attachments_json="{}")], "cells[0].attachments_json"),
        ([python("a", execution_count=-1)], "cells[0].execution_count"),
        ([pb.Cell(id="a", cell_type="markdown", outputs_json=STREAM)], "cells[0].outputs_json"),
        ([pb.Cell(id="a", cell_type="raw", attachments_json='{"a": 1}')], "cells[0].attachments_json"),
    ],
)
async def test_malformed_cells_are_refused_with_their_place(book, cells: list[pb.Cell], field: str) -> None:
    with refused() as refusal:
        await book.save(*cells)
    assert (refusal.reason, refusal.error.metadata["field"]) == ("INVALID_ARGUMENT", field)


async def test_versions_are_listed_read_and_restored(book) -> None:
    await book.save(python("a", "second"), title="Second")
    await book.save(python("z", "third"), python("a", "second"), title="Third")
    listing = pb.ListNotebookVersionsRequest(**book.ids, page_size=2)
    first = await book.place.notebooks.ListNotebookVersions(listing, metadata=book.place.user())
    listing.page_token = first.next_page_token
    rest = await book.place.notebooks.ListNotebookVersions(listing, metadata=book.place.user())
    assert [(found.version, found.title) for found in (*first.versions, *rest.versions)] == [(3, "Third"), (2, "Second"), (1, "T")]
    old = await book.place.notebooks.GetNotebookVersion(pb.GetNotebookVersionRequest(**book.ids, version=1), metadata=book.place.user())
    assert ([cell.id for cell in old.notebook.cells], old.notebook.metadata_json) == (["a", "b"], '{"k": 1}')
    restore = pb.RestoreNotebookVersionRequest(**book.ids, version=2, etag=book.now.etag)
    restored = (await book.place.notebooks.RestoreNotebookVersion(restore, metadata=book.place.user())).notebook
    assert (restored.version, restored.title, [cell.source for cell in restored.cells]) == (4, "Second", ["second"])
    with refused() as refusal:
        await book.place.notebooks.GetNotebookVersion(pb.GetNotebookVersionRequest(**book.ids, version=9), metadata=book.place.user())
    assert refusal.reason == "NOT_FOUND"
    with refused() as refusal:
        await book.place.notebooks.GetNotebookVersion(pb.GetNotebookVersionRequest(**book.ids, version=2**63), metadata=book.place.user())
    assert refusal.reason == "INVALID_ARGUMENT"


async def test_lists_show_the_newest_change_first_page_by_page(book) -> None:
    ids = [book.now.id]
    for index in range(4):
        book.place.installation.clock.advance(1)
        request = pb.CreateNotebookRequest(workspace_id=book.now.workspace_id, title=f"N{index}")
        ids.insert(0, (await book.place.notebooks.CreateNotebook(request, metadata=book.place.user())).notebook.id)
    found, token = [], ""
    while True:
        request = pb.ListNotebooksRequest(workspace_id=book.now.workspace_id, page_size=2, page_token=token)
        answer = await book.place.notebooks.ListNotebooks(request, metadata=book.place.user())
        found += [notebook.id for notebook in answer.notebooks]
        token = answer.next_page_token
        if not token:
            break
    assert found == ids
    with refused() as refusal:
        wrong = pb.ListNotebooksRequest(workspace_id=book.now.workspace_id, page_token="bm90IG91cnM")
        await book.place.notebooks.ListNotebooks(wrong, metadata=book.place.user())
    assert refusal.reason == "PAGE_TOKEN_INVALID"


async def test_repeating_a_create_makes_one_notebook_for_each_person(book) -> None:
    workspace = book.now.workspace_id
    book.place.let("bob", workspace, 2)
    request = pb.CreateNotebookRequest(workspace_id=workspace, idempotency_key="k", title="Once")
    first = await book.place.notebooks.CreateNotebook(request, metadata=book.place.user())
    again = await book.place.notebooks.CreateNotebook(request, metadata=book.place.user())
    theirs = await book.place.notebooks.CreateNotebook(request, metadata=book.place.user("bob"))
    assert first == again
    assert theirs.notebook.id != first.notebook.id


async def test_another_workspaces_notebook_is_not_found(book) -> None:
    other = await book.place.workspace("Other")
    for call, request in (
        (book.place.notebooks.GetNotebook, pb.GetNotebookRequest(workspace_id=other.id, notebook_id=book.now.id)),
        (book.place.notebooks.DeleteNotebook, pb.DeleteNotebookRequest(workspace_id=other.id, notebook_id=book.now.id, etag=book.now.etag)),
        (book.place.notebooks.ExportNotebook, pb.ExportNotebookRequest(workspace_id=other.id, notebook_id=book.now.id)),
        (book.place.notebooks.ListNotebookVersions, pb.ListNotebookVersionsRequest(workspace_id=other.id, notebook_id=book.now.id)),
    ):
        with refused() as refusal:
            await call(request, metadata=book.place.user())
        assert refusal.reason == "NOT_FOUND"


async def test_a_notebook_travels_as_a_file(book) -> None:
    await book.save(python("a", "x", linked=True), pb.Cell(id="s", cell_type="shell", source="ls", fields_json='{"variable":"v"}'), title="Run: book")
    await book.outputs("a", execution_count=2)
    exported = await book.place.notebooks.ExportNotebook(pb.ExportNotebookRequest(**book.ids), metadata=book.place.user())
    assert exported.filename == "Run book.ipynb"
    request = pb.ImportNotebookRequest(workspace_id=book.now.workspace_id, ipynb=exported.ipynb)
    back = (await book.place.notebooks.ImportNotebook(request, metadata=book.place.user())).notebook
    read = await book.read()
    assert back.title == "Run: book"
    assert [(cell.id, cell.cell_type, cell.fields_json, cell.linked) for cell in back.cells] == [
        ("a", "python", "{}", True),
        ("s", "shell", '{"variable":"v"}', False),
    ]
    assert [json.loads(cell.outputs_json) for cell in back.cells] == [json.loads(cell.outputs_json) for cell in read.cells]
    assert back.cells[0].execution_count == 2


async def test_a_bad_file_is_refused_with_the_place(book) -> None:
    for data, reason in ((b'{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [5]}', "NOTEBOOK_INVALID"), (b"", "INVALID_ARGUMENT")):
        with refused() as refusal:
            request = pb.ImportNotebookRequest(workspace_id=book.now.workspace_id, ipynb=data)
            await book.place.notebooks.ImportNotebook(request, metadata=book.place.user())
        assert refusal.reason == reason
        if reason == "NOTEBOOK_INVALID":
            assert refusal.error.metadata["where"] == "cells[0]"


async def test_a_deletion_is_logged_and_final(book) -> None:
    request = pb.DeleteNotebookRequest(**book.ids, etag=book.now.etag)
    await book.place.notebooks.DeleteNotebook(request, metadata=book.place.user())
    assert book.place.log.types(book.now.workspace_id)[-1] == "notebook.deleted"
    with refused() as refusal:
        await book.read()
    assert refusal.reason == "NOT_FOUND"


async def test_nothing_is_deleted_when_the_log_does_not_answer(book) -> None:
    book.place.log.broken = True
    with refused() as refusal:
        await book.place.notebooks.DeleteNotebook(pb.DeleteNotebookRequest(**book.ids, etag=book.now.etag), metadata=book.place.user())
    assert refusal.reason == "UNAVAILABLE"
    assert (await book.read()).id == book.now.id
