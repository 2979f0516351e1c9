"""Import and export of .ipynb files: nothing is lost, and bad files are refused with the place."""

import json
from typing import Any

import nbformat
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spin_services.workspace.domain import Cell, Content, filename
from spin_services.workspace.ipynb import exported, imported
from spin_services.workspace.notebook_format import NotAllowed

TEXT = st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
# Lines as nbformat's own line splitting leaves them: it splits at every line boundary and joins without a change.
NAMES = st.sampled_from(["a", "b-c", "spinner", "collapsed", "tags", "jupyter"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
METADATA = st.dictionaries(NAMES.filter(lambda name: name not in ("collapsed", "tags", "jupyter")), VALUES, max_size=3)
IDS = st.lists(st.text(alphabet="abcXYZ019-_", min_size=1, max_size=64), unique=True, max_size=5)
BUNDLE = st.dictionaries(st.sampled_from(["text/plain", "text/html", "image/png"]), TEXT, max_size=2)
OUTPUTS = st.lists(
    st.one_of(
        st.builds(lambda name, text: {"output_type": "stream", "name": name, "text": text}, st.sampled_from(["stdout", "stderr"]), TEXT),
        st.builds(lambda data, metadata: {"output_type": "display_data", "data": data, "metadata": metadata}, BUNDLE, METADATA),
        st.builds(
            lambda data, n: {"output_type": "execute_result", "data": {**data, "application/json": {"n": n}}, "metadata": {}, "execution_count": n},
            BUNDLE,
            st.integers(0, 99),
        ),
        st.builds(lambda text: {"output_type": "error", "ename": "E", "evalue": text, "traceback": [text, "x"]}, TEXT),
    ),
    max_size=3,
)


@st.composite
def nbformat_cells(draw: st.DrawFn, with_ids: bool) -> list[dict[str, Any]]:
    cells = []
    for identifier in draw(IDS):
        kind = draw(st.sampled_from(["code", "markdown", "raw"]))
        cell: dict[str, Any] = {"cell_type": kind, "metadata": draw(METADATA), "source": draw(TEXT)}
        if with_ids:
            cell["id"] = identifier
        if kind == "code":
            cell |= {"outputs": draw(OUTPUTS), "execution_count": draw(st.none() | st.integers(0, 999))}
        elif draw(st.booleans()):
            cell["attachments"] = {"image.png": {"image/png": "aGk="}}
        cells.append(cell)
    return cells


@st.composite
def notebooks(draw: st.DrawFn, minor: int = 5) -> dict[str, Any]:
    language = draw(st.sampled_from([None, "python", "R"]))
    metadata = draw(METADATA) | ({"kernelspec": {"name": "k", "display_name": "K", "language": language}} if language else {})
    return {"nbformat": 4, "nbformat_minor": minor, "metadata": metadata, "cells": draw(nbformat_cells(minor >= 5))}


def stripped(notebook: dict[str, Any]) -> dict[str, Any]:
    """Without what export adds: our own metadata."""
    copy = json.loads(json.dumps(notebook))
    for holder in (copy, *copy["cells"]):
        holder["metadata"].pop("spin", None)
    return copy


def joined(data: bytes) -> dict[str, Any]:
    return json.loads(json.dumps(nbformat.reads(data.decode(), as_version=4)))


@given(notebook=notebooks())
@settings(max_examples=80, deadline=None)
def test_a_file_comes_out_as_it_came_in(notebook: dict[str, Any]) -> None:
    out = joined(exported(imported(json.dumps(notebook).encode(), "Title")))
    nbformat.validate(nbformat.from_dict(out))
    assert stripped(out) == notebook


@given(minor=st.integers(0, 4), data=st.data())
@settings(max_examples=40, deadline=None)
def test_older_minors_keep_everything_and_get_ids(minor: int, data: st.DataObject) -> None:
    notebook = data.draw(notebooks(minor))
    if minor == 0:
        for cell in notebook["cells"]:
            cell.pop("attachments", None)
    out = stripped(joined(exported(imported(json.dumps(notebook).encode()))))
    assert len({cell["id"] for cell in out["cells"]}) == len(notebook["cells"])
    for cell in out["cells"]:
        del cell["id"]
    assert out == {**notebook, "nbformat_minor": 5}


CELLS = st.lists(
    st.builds(
        lambda identifier, kind, source, fields, linked, metadata, outputs, count: Cell(
            identifier,
            kind,
            source,
            json.dumps(fields, separators=(",", ":"), ensure_ascii=False) if kind not in ("markdown", "raw") else "{}",
            linked,
            json.dumps(metadata, separators=(",", ":"), ensure_ascii=False),
            json.dumps(outputs, separators=(",", ":"), ensure_ascii=False) if kind not in ("markdown", "raw") else "[]",
            count if kind not in ("markdown", "raw") else None,
        ),
        st.text(alphabet="abc019-_", min_size=1, max_size=9),
        st.sampled_from(["python", "code", "sql", "shell", "vendor.thing", "markdown", "raw"]),
        TEXT,
        st.dictionaries(TEXT, VALUES, max_size=2),
        st.booleans(),
        METADATA | st.just({"spin": {"of": "someone"}}),
        OUTPUTS,
        st.none() | st.integers(0, 9),
    ),
    unique_by=lambda cell: cell.id,
    max_size=5,
)


@given(cells=CELLS, title=TEXT.filter(bool), language=st.sampled_from(["", "python", "julia"]))
@settings(max_examples=80, deadline=None)
def test_our_own_notebooks_come_back_the_same(cells: list[Cell], title: str, language: str) -> None:
    metadata = {"kernelspec": {"language": language, "name": "k", "display_name": "k"}} if language else {}
    content = Content(title, tuple(cells), json.dumps(metadata, separators=(",", ":")))
    back = imported(exported(content))
    assert sorted_json(back) == sorted_json(content)


def sorted_json(content: Content) -> Any:
    def parsed(cell: Cell) -> dict[str, Any]:
        return {name: json.loads(value) if name.endswith("_json") and value else value for name, value in vars(cell).items()}

    return content.title, json.loads(content.metadata_json), [parsed(cell) for cell in content.cells]


def test_a_v3_notebook_is_converted() -> None:
    old = {
        "nbformat": 3,
        "nbformat_minor": 0,
        "metadata": {"name": "Old"},
        "worksheets": [
            {
                "cells": [
                    {"cell_type": "heading", "level": 2, "source": "Head", "metadata": {}},
                    {
                        "cell_type": "code",
                        "language": "python",
                        "input": ["a = 1\n", "a"],
                        "prompt_number": 4,
                        "collapsed": False,
                        "metadata": {},
                        "outputs": [
                            {"output_type": "pyout", "prompt_number": 4, "text": ["1"], "png": "aGk=", "metadata": {}},
                            {"output_type": "stream", "stream": "stdout", "text": "hi"},
                        ],
                    },
                ]
            }
        ],
    }
    content = imported(json.dumps(old).encode())
    heading, code = content.cells
    assert (heading.cell_type, heading.source) == ("markdown", "## Head")
    assert (code.source, code.execution_count) == ("a = 1\na", 4)
    assert [output["output_type"] for output in json.loads(code.outputs_json)] == ["execute_result", "stream"]


def test_ids_that_are_invalid_or_come_twice_are_replaced_and_the_first_stays() -> None:
    cells = [{"cell_type": "raw", "metadata": {}, "source": "", "id": identifier} for identifier in ("same", "same", "a b", "ok")]
    content = imported(json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}).encode())
    found = [cell.id for cell in content.cells]
    assert (found[0], found[3], len(set(found))) == ("same", "ok", 4)


def test_lone_surrogates_in_outputs_survive() -> None:
    cell = {"cell_type": "code", "id": "a", "metadata": {}, "source": "", "execution_count": None}
    cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "\ud800"}]
    data = json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [cell]}).encode()
    assert json.loads(exported(imported(data)))["cells"][0]["outputs"][0]["text"] == ["\ud800"]


def notebook_with(**cell: Any) -> bytes:
    whole = {"cell_type": "code", "id": "a", "metadata": {}, "source": "", "outputs": [], "execution_count": None, **cell}
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [whole]}).encode()


@pytest.mark.parametrize(
    ("data", "where"),
    [
        (b"", "line 1, column 1"),
        (b'{"nbformat": 4,\n "cells": [}', "line 2, column 12"),
        (b"\xff\xfe", ""),
        (b"[]", ""),
        (b"{}", ""),
        (b'{"hello": 1}', ""),
        (b'{"nbformat": 4, "nbformat_minor": 5, "metadata": {}}', "cells"),
        (b'{"nbformat": 4, "nbformat_minor": 6, "metadata": {}, "cells": []}', "nbformat"),
        (b'{"nbformat": 5, "nbformat_minor": 0}', "nbformat"),
        (b'{"nbformat": "4", "nbformat_minor": 5}', "nbformat"),
        (b'{"nbformat": 3, "nbformat_minor": 0, "worksheets": 7}', "nbformat 3.0"),
        (b'{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "metadata": {}, "cells": []}', ""),
        (b'{"nbformat": 4, "nbformat_minor": 5, "metadata": {"x": NaN}, "cells": []}', ""),
        (b"[" * 100_000, ""),
        (notebook_with(cell_type="python"), "cells[0].cell_type"),
        (notebook_with(source=5), "cells[0].source"),
        (notebook_with(outputs=[{"output_type": "stream", "text": "x"}]), "cells[0].outputs[0]"),
        (notebook_with(outputs=[{"output_type": "error", "ename": 5, "evalue": "", "traceback": []}]), "cells[0].outputs[0].ename"),
        (notebook_with(execution_count="1"), "cells[0].execution_count"),
        (notebook_with(source="a\0"), "cells[0].source"),
        (notebook_with(source="\ud800"), "cells[0].source"),
        (notebook_with(surprise=1), "cells[0]"),
    ],
)
def test_bad_files_are_refused_with_the_place(data: bytes, where: str) -> None:
    with pytest.raises(NotAllowed) as refusal:
        imported(data)
    assert refusal.value.where == where, refusal.value
    assert len(str(refusal.value)) < 400


@given(
    data=st.binary(max_size=60)
    | st.recursive(
        st.none() | st.integers() | TEXT,
        lambda c: (
            st.lists(c, max_size=3)
            | st.dictionaries(st.sampled_from(["nbformat", "nbformat_minor", "cells", "metadata", "worksheets"]), c, max_size=5)
        ),
        max_leaves=12,
    ).map(lambda v: json.dumps(v).encode())
)
@settings(max_examples=150, deadline=None)
def test_any_bytes_give_a_notebook_or_a_refusal(data: bytes) -> None:
    try:
        imported(data)
    except NotAllowed as refusal:
        assert refusal.text


@pytest.mark.parametrize(
    ("title", "name"), [("Runbook: db/1", "Runbook db 1.ipynb"), ("...", "notebook.ipynb"), ("a\nb", "a b.ipynb"), ("x" * 300, "x" * 120 + ".ipynb")]
)
def test_a_title_becomes_a_file_name(title: str, name: str) -> None:
    assert filename(title) == name
