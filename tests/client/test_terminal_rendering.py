"""What reaches a terminal: colours and tables, and no sequence that would command it."""

import base64
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spin_client.cli.approvals import _summary
from spin_client.cli.printing import Printer
from spin_client.cli.rendering import PROGRESS, TABLE, display_text
from spin_client.cli.terminal_text import TerminalText, clean
from spinapis.auth.v1.approvals_pb2 import Approval


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m"),
        ("50%\r100%\x1b[K", "50%\r100%\x1b[K"),
        ("\x1b]52;c;ZXZpbA==\x07copied", "copied"),
        ("\x1b]0;title\x1b\\text", "text"),
        ("\x1bP1$r\x1b\\x", "x"),
        ("a\x1b[2Jb\x1b[6nc", "abc"),
        ("bell\x07 and \x9b31m", "bell and 31m"),
    ],
)
def test_only_harmless_sequences_pass(text: str, shown: str) -> None:
    assert clean(text, colour=True) == shown


HIDDEN = ["\x1b[8m", "\x1b[2K\x1b[1A", "\r", "\b" * 9, "\u202e", "\x9b8m", "\x1b]8;;https://evil.example.org\x1b\\"]


@pytest.mark.parametrize("trick", HIDDEN)
def test_who_approves_a_cell_sees_what_would_hide_a_part_of_it(trick: str) -> None:
    asked = Approval(requested_by="u", cell_type="rest", source=f"drop(){trick}\nlist()", note=trick, fields_json=f'{{"url":"{trick}"}}')
    summary = _summary(asked, {"u": f"eve{trick}@example.org"})
    assert "drop()\\" in summary and all(one.isprintable() or one == "\n" for one in summary)


@pytest.mark.parametrize("trick", HIDDEN)
@pytest.mark.parametrize("terminal", [True, False])
def test_a_list_shows_no_one_elses_words_as_commands(trick: str, terminal: bool, capsys: pytest.CaptureFixture[str]) -> None:
    printer = Printer(as_json=False)
    printer.terminal = terminal
    printer.rows(["note"], [{"note": f"[red]{trick}[/blue]"}])
    printer.item({"source": f"[red]{trick}", "names": [trick], "by": {"a": trick}})
    shown = capsys.readouterr().out
    assert "[red]" in shown and all(one.isprintable() or one in "\n\t" for one in shown)


def test_without_a_terminal_there_is_no_colour() -> None:
    assert clean("\x1b[31mred\x1b[0m\n", colour=False) == "red\n"


def test_a_sequence_cut_in_two_is_still_recognised() -> None:
    text = TerminalText(colour=True)
    assert text.feed("x\x1b[3") + text.feed("1mred") + text.feed("\x1b]52;c;AA") + text.feed("==\x07end") == "x\x1b[31mredend"


@given(st.lists(st.text(alphabet="\x1b]P[;0123456789mKJ\x07\\ab\x9d\n", max_size=8), max_size=8))
def test_whatever_comes_no_command_passes(parts: list[str]) -> None:
    text = TerminalText(colour=True)
    shown = "".join(text.feed(part) for part in parts)
    for piece in shown.split("\x1b")[1:]:
        assert piece.startswith("[") and piece.lstrip("[0123456789;:")[:1] in set("mKABG")
    assert "\x07" not in shown and "\x9d" not in shown


def show(data: dict[str, object]) -> str:
    return display_text(data, colour=False, width=80)


def test_images_say_what_they_are() -> None:
    png = b"\x89PNG\r\n\x1a\n" + b"\x00\x00\x00\rIHDR" + struct.pack(">II", 640, 480) + bytes(2000)
    assert show({"image/png": base64.b64encode(png).decode(), "text/plain": "<Figure>"}) == "[image/png, 640×480, 2 KB]"


def test_tables_are_tables_and_say_when_rows_are_missing() -> None:
    table = {"columns": [{"name": "host", "type": "string"}, {"name": "n", "type": "int64"}], "rows": [["a", 1], ["b", None]], "total": 9}
    lines = show({TABLE: table, "text/html": "<table>"}).splitlines()
    assert [line.rstrip() for line in lines] == ["host  n", "a     1", "b", "[2 of 9 rows]"]


def test_a_table_cut_at_a_row_limit_says_so() -> None:
    table = {"columns": [{"name": "n", "type": "int64"}], "rows": [[1], [2]], "total": None, "truncated": True}
    assert show({TABLE: table}).splitlines()[-1] == "[the first 2 rows, truncated]"


def test_progress_json_and_unknown_kinds() -> None:
    assert show({PROGRESS: {"fraction": None, "text": "rows"}}) == "[..............................]      rows"
    assert show({PROGRESS: {"fraction": "x"}}).endswith("0%")
    assert show({PROGRESS: {"fraction": 0.5, "text": "half"}}) == "[###############...............]  50% half"
    assert show({"application/json": {"a": 1}}) == '{\n  "a": 1\n}'
    assert show({"application/x-thing": 1}) == "[application/x-thing]"
