"""SQL cells: statements as written, values bound; what is bound is checked with the real DuckDB."""

import duckdb
import pandas
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spin_cells.api import Context
from spin_cells.sql import statements
from tests.fakes.kernel_calls import run

LOOSE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)


def queries(bench, source: str, variables: dict | None = None, **fields) -> list[tuple[str, list]]:
    kernel, _ = run(bench.compile(source, **fields).code, variables or {})
    return [(positional[0], positional[1]) for _, positional, _ in kernel.calls]


@given(value=st.one_of(st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0")), st.integers(-(2**62), 2**62)))
@LOOSE
def test_values_are_bound_and_never_part_of_the_statement(bench, value) -> None:
    ((sql, parameters),) = queries(bench, "SELECT {{v}} AS v, {{v}} AS w -- {{v}}", {"v": value})
    assert parameters == [value]
    assert duckdb.execute(sql, parameters).fetchall() == [(value, value)]


def test_dataframes_are_tables_and_several_statements_run_in_order(bench) -> None:
    df = pandas.DataFrame({"path": ["/a", "/b", "/ab"], "status": [200, 500, 503]})
    source = (
        "CREATE OR REPLACE TEMP TABLE bad AS SELECT * FROM df WHERE status >= {{low}};\n\nFROM bad WHERE path LIKE '%' || {{part}} || '%' ORDER BY 1;"
    )
    first, second = queries(bench, source, {"low": 500, "part": "a"}, variable="rows")
    connection = duckdb.connect()
    connection.register("df", df)
    connection.execute(*first)
    assert connection.execute(*second).fetchall() == [("/ab", 503)]


def test_the_last_statements_rows_land_in_the_variable(bench) -> None:
    compiled = bench.compile("SELECT 1", variable="rows", row_limit=5)
    kernel, variables = run(compiled.code)
    assert (variables["rows"], compiled.outputs_to) == ("rows", ("rows",))
    assert kernel.calls[0][2] == {"row_limit": 5}


def test_only_rows_are_limited(bench) -> None:
    kernel, _ = run(bench.compile("CREATE TEMP TABLE t (a INT); SELECT 1").code)
    assert [keywords for _, _, keywords in kernel.calls] == [{}, {"row_limit": 10_000}]


@pytest.mark.parametrize(
    ("source", "line", "column"),
    [
        ("SELECT 1;\n  SELEC 2", 2, 9),
        ("SELECT (1", 1, 9),
        ("SELECT 'abc", 1, 8),
        ("SELECT {{a}}\n\nFROM (", 3, 6),
        ("SELECT 1\nFROM df WHERE x = '{{name}}'", 2, 20),
        ("SELECT * FROM {{table}}", 1, 15),
        ("SELECT col{{n}} FROM df", 1, 11),
        ('SELECT "{{n}}" FROM df', 1, 9),
        ("SELECT ?", 1, 8),
        ("SELECT $1", 1, 8),
        ("SELECT {{secret:x}}", 1, 8),
        ("-- nothing", 1, 1),
    ],
)
def test_problems_say_where(bench, source: str, line: int, column: int) -> None:
    problem = bench.errors(source)[0]
    assert (problem.line, problem.column) == (line, column), problem


@pytest.mark.parametrize(
    "source",
    [
        "FROM df",
        "SUMMARIZE df",
        "DESCRIBE df",
        "PIVOT df ON a USING sum(b)",
        "SELECT * EXCLUDE (a) FROM df",
        "SELECT COLUMNS('a.*') FROM df",
        "SELECT * FROM a ASOF JOIN b USING (t)",
        "SELECT {'a': 1} AS s, [1, 2, 3] AS l",
        "SELECT list_transform([1], x -> x + 1)",
        "SELECT * FROM df QUALIFY row_number() OVER () = 1",
        "EXPLAIN SELECT 1",
        "SELECT extract(year FROM {{day}}), trim('x' FROM {{text}})",
        "SELECT 1 WHERE {{a}} IS DISTINCT FROM {{b}}",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5) SELECT * FROM n",
        "SELECT '{{.Names}}', $$a'b$$",
    ],
)
def test_duckdbs_dialect_is_read(bench, source: str) -> None:
    assert bench.errors(source) == []


def test_statements_reach_the_engine_as_written(bench) -> None:
    source = "SELECT  1 /* c */ AS\n  a ;\n-- between\nselect 'x;y'"
    assert [sql.rpartition("\n")[0] for sql, _ in queries(bench, source)] == ["SELECT  1 /* c */ AS\n  a", "select 'x;y'"]


@given(label=st.text())
@LOOSE
def test_the_audit_comment_names_the_run_and_cannot_be_ended_early(bench, label: str) -> None:
    context = Context(labels={"user": "ann", "cell": label, label: "x"})
    kernel, _ = run(bench.type.compile(bench.cell("SELECT 1"), context).code)
    comment = kernel.calls[0][1][0].partition("\n")[2]
    assert comment.startswith("/* spin ")
    assert "user=ann" in comment
    assert comment.count("*/") == 1 == comment.count("/*")
    assert comment.endswith("*/")


def test_a_script_is_parsed_once_however_many_statements_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[int] = []
    statements.read.cache_clear()
    real = statements.sqlglot.parse_one
    monkeypatch.setattr(statements.sqlglot, "parse_one", lambda text, **more: parsed.append(len(text)) or real(text, **more))
    source = "\n\nSELECT {{a}};" * 500
    assert len(statements.read(source).statements) == len(parsed) == 500
    assert sum(parsed) < len(source)


@pytest.mark.parametrize(("before", "line", "column"), [("SELECT 1; ", 1, 11), ("SELECT 1;\n\n  ", 3, 3), ("/* é */ SELECT\n{{a}};\n", 3, 1)])
def test_a_problem_is_told_where_it_stands_in_the_cell(before: str, line: int, column: int) -> None:
    (problem,) = statements.read(f"{before}SELECT FROM WHERE").problems
    assert (problem.line, problem.column) >= (line, column)
    assert problem.line == line
