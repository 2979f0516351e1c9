"""What `spinctl run` leaves on a terminal and in a log, of displays that change."""

import json
import sys
from collections.abc import Mapping
from typing import Any

import pytest

from spin_client.cli.printing import Printer
from spin_client.cli.rendering import PROGRESS
from spin_client.cli.run_output import LiveOutput
from spin_client.sdk.events import Kind, Output, Phase, RunState, Status
from spin_client.sdk.notebook import CellFinished
from spinapis.runtime.v1 import frames_pb2
from spinapis.workspace.v1 import notebooks_pb2


def said(kind: Kind, data: Mapping[str, Any], display_id: str = "") -> Output:
    content = {"data": data, "metadata": {}, "transient": {"display_id": display_id} if display_id else {}}
    return Output(1, kind, frames_pb2.OutputBody(content=json.dumps(content).encode()).SerializeToString(), "cell")


def printed(text: str) -> Output:
    content = json.dumps({"name": "stdout", "text": text}).encode()
    return Output(1, Kind.STREAM, frames_pb2.OutputBody(content=content).SerializeToString(), "cell")


def bar(fraction: float, text: str = "reading", *, name: str = "bar", first: bool = False) -> Output:
    kind = Kind.DISPLAY_DATA if first else Kind.UPDATE_DISPLAY_DATA
    return said(kind, {PROGRESS: {"fraction": fraction, "text": text}, "text/plain": "[ ]"}, name)


ENDED = CellFinished(notebooks_pb2.Cell(id="cell"), RunState(Phase.ENDED, Status.OK, "cell"))


def show(*events: Any) -> None:
    """Made in the test itself, whose streams it takes."""
    output = LiveOutput(Printer(as_json=False))
    for event in events:
        output.show(event)


def test_in_a_log_a_progress_bar_is_one_line_with_its_last_state(capsys: pytest.CaptureFixture[str]) -> None:
    show(bar(0.0, first=True), *(bar(percent / 100) for percent in range(1, 101)), ENDED)
    log = capsys.readouterr()
    assert (log.err, log.out) == ("[##############################] 100% reading\n", "")


def test_a_bar_that_stops_half_way_shows_where(capsys: pytest.CaptureFixture[str]) -> None:
    show(bar(0.0, first=True), bar(0.5), bar(0.25, "second", name="other", first=True), ENDED, ENDED)
    assert [line.split("] ")[1] for line in capsys.readouterr().err.splitlines()] == [" 50% reading", " 25% second"]


def test_on_a_terminal_a_bar_is_drawn_over_itself(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    show(bar(0.0, first=True), bar(0.5), bar(1.0), ENDED)
    drawn = capsys.readouterr().err
    assert drawn.count("\n") == 1
    assert drawn.split("\r")[-1].startswith("[##############################] 100% reading")


def test_a_display_that_changed_is_shown_once_more_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    steps = (said(Kind.UPDATE_DISPLAY_DATA, {"text/plain": f"step {number}"}, "state") for number in range(50))
    show(said(Kind.DISPLAY_DATA, {"text/plain": "queued"}, "state"), *steps, printed("done"), ENDED, ENDED)
    assert capsys.readouterr().out == "queued\ndone\nstep 49\n"


def test_what_was_cleared_is_not_shown_again(capsys: pytest.CaptureFixture[str]) -> None:
    show(bar(0.0, first=True), bar(0.9), said(Kind.CLEAR_OUTPUT, {}), ENDED)
    assert capsys.readouterr().err == ""
