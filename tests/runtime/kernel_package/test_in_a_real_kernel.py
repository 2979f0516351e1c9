"""spin_kernel as a notebook meets it: in a kernel of its own, over Jupyter's protocol."""

import asyncio
import json
import sys
from collections.abc import Callable, Mapping

import pyarrow as pa
import pytest

from spinapis.errors.v1 import reasons_pb2
from spinapis.runtime.v1 import broker_pb2

TABLE = "application/vnd.spin.table.v1+json"
PROGRESS = "application/vnd.spin.progress.v1+json"


def end(value: object) -> broker_pb2.UseReply:
    return broker_pb2.UseReply(end=broker_pb2.UseEnd(result_json=json.dumps(value).encode()))


def arrow(table: pa.Table) -> list[broker_pb2.UseReply]:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    data = sink.getvalue().to_pybytes()
    return [broker_pb2.UseReply(arrow=data[at : at + 100]) for at in range(0, len(data), 100)]


# Connections


async def test_use_sends_the_runs_ticket_and_canonical_params(notebook, broker) -> None:
    broker.answers = [end({"status": 200})]
    code = "import numpy as np\nimport spin_kernel as _spin\n_spin.use('0a' * 16, 'rest.request', {'url': '/x', 'n': np.int64(3), 'a': (1.5,)}).value"
    assert await notebook.value(code) == {"status": 200}
    (request,) = broker.asked
    assert request.ticket == b"t" * 32
    assert (request.connection_id, request.operation) == (b"\x0a" * 16, "rest.request")
    assert request.params_json == b'{"a":[1.5],"n":3,"url":"/x"}'


async def test_use_gives_tables_and_shows_progress(notebook, broker) -> None:
    half = broker_pb2.UseReply(progress=broker_pb2.UseProgress(fraction=0.5, text="500 of 1000"))
    broker.answers = [half, *arrow(pa.table({"n": [1, 2, 3]})), end({"rows": 3})]
    cell = await notebook.run("import spin_kernel as _spin\n_spin.use('0a' * 16, 'sql.query', {}).table().to_pydict()")
    assert cell.result["text/plain"] == "{'n': [1, 2, 3]}"
    assert cell.bundles("display_data")[0][PROGRESS] == {"fraction": 0.5, "text": "500 of 1000"}
    assert await notebook.value("_spin.use('0a' * 16, 'x.y', {}).table() is not None")
    broker.answers = [end({})]
    assert await notebook.value("_spin.use('0a' * 16, 'x.y', {}).table() is None")


async def test_an_answer_by_a_connection_shows_itself_like_any_other(notebook, broker) -> None:
    value = {"status": 404, "reason": "Not Found", "url": "https://h/x", "headers": {"content-type": "application/json"}, "text": '{"a": [1]}'}
    broker.answers = [end({**value, "json": {"a": [1]}})]
    cell = await notebook.run("import spin_kernel as _spin\nr = _spin.rest.from_result(_spin.use('0a' * 16, 'rest.request', {}))\nr")
    assert cell.result["application/json"] == {"a": [1]}
    assert cell.result["text/plain"].startswith("404 Not Found  https://h/x")
    assert await notebook.value("type(r).__name__, r.ok, r.json(), r.headers['Content-Type']") == (
        "RestResult",
        False,
        {"a": [1]},
        "application/json",
    )


async def test_a_denial_is_an_error_with_its_reason(notebook, broker) -> None:
    denied = broker_pb2.UseFailure(reason=reasons_pb2.ERROR_REASON_OPERATION_DENIED, message="This run was not granted this operation.")
    broker.answers = [broker_pb2.UseReply(failure=denied)]
    cell = await notebook.run("import spin_kernel as _spin\n_spin.use('0a' * 16, 'rest.request', {})")
    assert (cell.reply["ename"], cell.reply["evalue"]) == ("UseFailed", "This run was not granted this operation.")
    code = "try:\n    _spin.use('0a' * 16, 'r.r', {})\nexcept _spin.UseFailed as failed:\n    reason = failed.reason\nreason"
    assert await notebook.value(code) == "ERROR_REASON_OPERATION_DENIED"


async def test_an_operation_that_the_runtime_ends(notebook, broker) -> None:
    cell = await notebook.run("import spin_kernel as _spin\n_spin.use('0a' * 16, 'rest.request', {})")
    assert cell.reply["ename"] == "UseFailed"
    assert "ended the operation" in cell.reply["evalue"]


async def test_interrupting_the_cell_stops_the_operation(notebook, broker) -> None:
    broker.waits = True
    msg_id = await notebook.send("import spin_kernel as _spin\n_spin.use('0a' * 16, 'rest.request', {})")
    while not broker.asked:
        await asyncio.sleep(0.01)
    notebook.manager.interrupt_kernel()
    assert (await notebook.ended(msg_id)).reply["ename"] == "KeyboardInterrupt"
    await asyncio.wait_for(broker.stopped.wait(), 5)


async def test_runtime_env(notebook, broker) -> None:
    broker.answers = [end({"value": "north"})]
    assert await notebook.value("import spin_kernel as _spin\n_spin.runtime_env('REGION')") == "north"
    (request,) = broker.asked
    assert (request.connection_id, request.operation, request.params_json) == (b"", "runtime_env.get", b'{"name":"REGION"}')


async def test_a_cell_without_a_ticket(notebook) -> None:
    cell = await notebook.run("import spin_kernel as _spin\n_spin.runtime_env('REGION')", ticket=False)
    assert "cells that run on a SPIN runtime" in cell.reply["evalue"]


async def test_params_that_cannot_be_sent(notebook) -> None:
    cell = await notebook.run("import spin_kernel as _spin\n_spin.use('0a' * 16, 'r.r', {'f': open})")
    assert cell.reply["ename"] == "TypeError"
    assert "convert it to text" in cell.reply["evalue"]


# Shell


async def test_shell_lines_come_while_the_program_runs(notebook) -> None:
    msg_id = await notebook.send("import spin_kernel as _spin\nr = _spin.shell.run(['bash', '-c', 'echo one; sleep 1.5; echo two; echo err >&2'])")
    begun = False
    async for output in notebook.outputs(msg_id):
        if output["msg_type"] == "stream" and "one" in output["content"]["text"]:
            begun = True
            assert "two" not in output["content"]["text"]
    assert begun
    assert await notebook.value("(r.exit_status, r.stdout)") == (0, "one\ntwo\n")


async def test_shell_failure_has_the_exit_status(notebook) -> None:
    cell = await notebook.run("import spin_kernel as _spin\n_spin.shell.run(['bash', '-c', 'echo out; echo bad >&2; exit 3'])")
    assert (cell.reply["ename"], cell.reply["evalue"]) == ("ShellFailed", "bash ended with exit status 3")
    assert (cell.stream(), cell.stream("stderr")) == ("out\n", "bad\n")


async def test_interrupting_the_cell_ends_the_whole_process_group(notebook, running: Callable[[str], bool], gone: Callable[[str], bool]) -> None:
    msg_id = await notebook.send("import spin_kernel as _spin\n_spin.shell.run(['bash', '-c', 'sleep 61.25 & sleep 61.25; echo'])")
    while not running("61.25"):
        await asyncio.sleep(0.02)
    notebook.manager.interrupt_kernel()
    assert (await notebook.ended(msg_id)).reply["ename"] == "KeyboardInterrupt"
    await asyncio.sleep(0.1)
    assert gone("61.25")


# SQL


async def test_sql_reads_the_notebooks_dataframes(notebook) -> None:
    code = """
import pandas as pd, polars as pl, pyarrow as pa
import spin_kernel as _spin
requests = pd.DataFrame({"service": ["a", "b", "a"], "status": [200, 500, 503]})
names = pl.DataFrame({"service": ["a", "b"], "name": ["Alpha", "Beta"]})
owners = pa.table({"service": ["a"], "owner": ["x"]})
errors = _spin.sql.query("SELECT name, count(*) AS n FROM requests JOIN names USING (service) WHERE status >= ? GROUP BY ALL ORDER BY 1", [500])
errors.to_dict("list"), _spin.sql.query("FROM owners").to_dict("list")
"""
    assert await notebook.value(code) == ({"name": ["Alpha", "Beta"], "n": [1, 1]}, {"service": ["a"], "owner": ["x"]})
    # Nothing of this module's own frames or of hidden names is a table.
    for table in ("frames", "sql", "params", "connection"):
        cell = await notebook.run(f"_spin.sql.query('SELECT * FROM {table}')")
        assert cell.reply["ename"] == "CatalogException", table


async def test_sql_cannot_change_a_dataframe(notebook) -> None:
    await notebook.run("import pandas as pd, spin_kernel as _spin\ndf = pd.DataFrame({'x': [1, 2]})")
    for statement in ("INSERT INTO df VALUES (3)", "UPDATE df SET x = 0", "DELETE FROM df"):
        assert not (await notebook.run(f"_spin.sql.query({statement!r})")).ok
    assert await notebook.value("list(df.x)") == [1, 2]


async def test_sql_values_are_bound(notebook) -> None:
    await notebook.run("import pandas as pd, numpy as np, spin_kernel as _spin\ndf = pd.DataFrame({'x': ['a', 'b']})")
    assert await notebook.value("""len(_spin.sql.query("FROM df WHERE x = ?", ["a' OR '1'='1"]))""") == 0
    assert await notebook.value("""int(_spin.sql.query("SELECT ? + 1 AS y", [np.int64(4)]).y[0])""") == 5


async def test_sql_results_are_cut_visibly(notebook) -> None:
    cell = await notebook.run("import spin_kernel as _spin\nr = _spin.sql.query('SELECT * FROM range(9000)', [], row_limit=5000)\nr")
    table = cell.result[TABLE]
    assert (len(table["rows"]), table["truncated"], table["total"]) == (5000, True, None)
    for mime in ("text/html", "text/plain"):
        assert "truncated: the first 5000 rows" in cell.result[mime]
    assert await notebook.value("len(_spin.sql.query('SELECT * FROM range(5000)', [], row_limit=5000))") == 5000
    assert await notebook.value("r.attrs, _spin.sql.query('FROM range(5000)', row_limit=5000).attrs") == ({"spin_truncated": True}, {})
    assert await notebook.value("len(_spin.sql.query('FROM range(9000)', row_limit=None))") == 9000


ASK = "{name}.attrs.get('spin_truncated', False), len({name}), list({name}.x[:2])"


@pytest.mark.parametrize("limit", [1, 100, 2047, 2048, 2049, 5000, 122_880])
async def test_sql_around_the_row_limit(notebook, limit: int) -> None:
    """Over a DataFrame, which stays a view for as long as a result is being read; the next statement finds all free again."""
    await notebook.run("import pandas as pd, spin_kernel as _spin")
    for rows in (limit - 1, limit, limit + 1, 3 * limit):
        for statement in ("FROM df", "FROM df ORDER BY x DESC"):
            code = f"df = pd.DataFrame({{'x': range({rows})}})\nr = _spin.sql.query({statement!r}, row_limit={limit})\n"
            cut, count, first = await notebook.value(code + ASK.format(name="r"))
            assert (cut, count) == (rows > limit, min(rows, limit)), (rows, statement)
            assert first == (list(range(rows)) if statement == "FROM df" else list(range(rows - 1, -1, -1)))[: min(2, limit)]


async def test_sql_does_not_compute_what_is_cut_off(notebook) -> None:
    await notebook.run("import spin_kernel as _spin")
    # All of it would take hours.
    async with asyncio.timeout(120):
        assert await notebook.value("len(_spin.sql.query('FROM range(1000000000000)', row_limit=10))") == 10


async def test_sql_statements_that_write_run_to_their_end(notebook) -> None:
    await notebook.run("import spin_kernel as _spin\n_spin.sql.query('CREATE OR REPLACE TABLE many (x BIGINT)')")
    for statement in (
        "INSERT INTO many FROM range(30000) RETURNING x",
        "WITH added AS (INSERT INTO many FROM range(30000) RETURNING x) SELECT added.x FROM added, range(3)",
    ):
        before = await notebook.value("int(_spin.sql.query('SELECT count(*) AS n FROM many').n[0])")
        assert await notebook.value(f"len(_spin.sql.query({statement!r}, row_limit=10))") == 10
        assert await notebook.value("int(_spin.sql.query('SELECT count(*) AS n FROM many').n[0])") == before + 30_000


async def test_sql_goes_on_after_a_transaction_a_fault_and_an_interrupt(notebook) -> None:
    await notebook.run("import pandas as pd, spin_kernel as _spin\ndf = pd.DataFrame({'x': range(50000)})")
    for statement in ("CREATE OR REPLACE TABLE t (x BIGINT)", "BEGIN", "INSERT INTO t VALUES (1)"):
        assert (await notebook.run(f"_spin.sql.query({statement!r})")).ok
    assert await notebook.value("len(_spin.sql.query('FROM df', row_limit=5))") == 5
    assert (await notebook.run("_spin.sql.query('COMMIT')")).ok
    assert await notebook.value("len(_spin.sql.query('FROM t'))") == 1
    fault = await notebook.run("_spin.sql.query('SELECT error(x::VARCHAR) FROM df')")
    assert not fault.ok
    endless = "_spin.sql.query('SELECT sum(a.range + b.range) AS s FROM range(1000000) a, range(1000000) b, df')"
    msg_id = await notebook.send(f"print('in', flush=True)\n{endless}")
    async for output in notebook.outputs(msg_id):
        if output["msg_type"] == "stream":
            # Into the middle of it; an interrupt that comes while no cell runs is lost.
            await asyncio.sleep(0.3)
            notebook.manager.interrupt_kernel()
            break
    assert (await notebook.ended(msg_id)).reply["ename"] == "KeyboardInterrupt"
    assert await notebook.value("len(_spin.sql.query('FROM df', row_limit=5))") == 5


async def test_sql_without_a_statement(notebook) -> None:
    assert await notebook.value("import spin_kernel as _spin\nlen(_spin.sql.query('-- later'))") == 0


async def test_what_sql_creates_stays(notebook) -> None:
    await notebook.run("import pandas as pd, spin_kernel as _spin\ndf = pd.DataFrame({'x': [1, 2]})")
    assert (await notebook.run("_spin.sql.query('CREATE TABLE kept AS FROM df')")).ok
    assert await notebook.value("int(_spin.sql.query('SELECT sum(x) AS s FROM kept').s[0])") == 3
    assert await notebook.value("list(_spin.sql.query('SELECT x FROM kept WHERE false').columns)") == ["x"]


# Tables, progress, variables


async def test_a_dataframe_shows_itself_as_a_table(notebook) -> None:
    """No `import spin_kernel` in the cell: the kernel's extension does it."""
    cell = await notebook.run("import pandas as pd\npd.DataFrame({'n': [1, None], 't': pd.to_datetime(['2024-01-02', None]), 's': ['<b>', 'y']})")
    table = cell.result[TABLE]
    assert [column["name"] for column in table["columns"]] == ["n", "t", "s"]
    assert table["rows"] == [[1.0, "2024-01-02T00:00:00", "<b>"], [None, None, "y"]]
    assert (table["total"], table["truncated"]) == (2, False)
    assert "&lt;b&gt;" in cell.result["text/html"]
    assert "2 rows" in cell.result["text/plain"]
    assert TABLE in (await notebook.run("import polars as pl\npl.DataFrame({'a': [1]})")).result
    assert TABLE in (await notebook.run("import pyarrow as pa\npa.table({'a': [1]})")).result


async def test_a_progress_bar_is_one_display_that_moves(notebook) -> None:
    cell = await notebook.run("import spin_kernel as _spin\nfor _ in _spin.progress(range(100000), text='files'):\n    pass")
    (first,), updates = cell.bundles("display_data"), cell.bundles("update_display_data")
    assert first[PROGRESS]["fraction"] <= 0.01
    assert 1 <= len(updates) < 20
    assert updates[-1][PROGRESS] == {"fraction": 1.0, "text": "files"}
    assert "100%" in updates[-1]["text/plain"]


async def test_variables(notebook) -> None:
    await notebook.run("import pandas as pd, os\nn = 5\ntext = 'x' * 1000\n_hidden = 1\ndf = pd.DataFrame({'a': [1, 2]})\ndef f(): pass")
    listed = await notebook.value("import spin_kernel as _spin\nlist(_spin.variables())")
    by_name = {item["name"]: item for item in listed}
    assert set(by_name) == {"n", "text", "df", "f"}
    assert by_name["n"] == {"name": "n", "type": "int", "size": "", "preview": "5"}
    assert (by_name["df"]["type"], by_name["df"]["size"]) == ("DataFrame", "2 × 1")
    assert len(by_name["text"]["preview"]) <= 200


async def test_importing_costs_next_to_nothing(environment: Mapping[str, str]) -> None:
    """Nothing but the package's own first file, beside what every kernel has: no part of the package itself before it is used."""
    code = "import sys; import importlib, typing; kept = {*sys.modules}; import spin_kernel; print(*({*sys.modules} - kept))"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, env=dict(environment), stdout=asyncio.subprocess.PIPE)
    assert (await process.communicate())[0].decode().split() == ["spin_kernel"]


@pytest.mark.parametrize("code", ["_spin.load()", "%load_ext spin_kernel"])
async def test_loading_again_is_harmless(notebook, code: str) -> None:
    assert (await notebook.run(f"import spin_kernel as _spin\n{code}")).ok
