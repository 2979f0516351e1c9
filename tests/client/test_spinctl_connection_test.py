"""`spinctl connection test`: one cell, in a notebook that is made once, in a session that ends."""

import json

from tests.client.conftest import Bench, Spinctl


async def test_a_connection_is_tried_in_one_notebook_and_nothing_stays(signed_in: Spinctl, bench: Bench) -> None:
    await signed_in("connection", "create", "tickets", "--kind", "rest", "--set", "base_url=https://tickets.example.org", "--no-credential")
    (connection,) = bench.control_plane.connections.values()
    before = len(bench.control_plane.notebooks)
    for _ in range(2):
        assert (await signed_in("connection", "test", "tickets")).status == 0
        cell = bench.control_plane.compiled[-1].cell
        assert (cell.cell_type, json.loads(cell.fields_json)) == ("connection_test", {"connection": connection.id})
    assert len(bench.control_plane.notebooks) == before + 1
    assert (await signed_in("connection", "test", "nobody's")).status == 4
