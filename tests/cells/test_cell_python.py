"""Python cells: as written, checked with positions, never stricter than IPython, templates spliced in place."""

import ast
import sys
import warnings

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from IPython.core.inputtransformer2 import TransformerManager

from tests.cells.conftest import TICKETS
from tests.fakes.kernel_calls import run

LOOSE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300, deadline=None)
LINES = [
    "x = 1",
    "%matplotlib inline",
    "%timeit sum(range(9))",
    "!ls -la 'it",
    "!echo {x} \\",
    "files = !ls *.py",
    "a, b = %magic it's",
    'd["k"] = !date',
    "obj = %time f(1)",
    "foo?",
    "foo.bar??",
    "?foo",
    "%time?",
    ",f a b",
    ";f a b",
    "/f 1 2",
    "if x:",
    "    y = 2",
    "    %cd ..",
    "    !pwd",
    "    z = !ls",
    "else:",
    "    pass",
    "for i in range(3):  # really?",
    "def f(a):",
    "    return a % 2",
    "s = '''%not magic",
    "!still text'''",
    "t = (1,",
    "     2 % 3,",
    "%x)",
    ")",
    "await g()",
    "async with h() as k:",
    "# comment %magic ?",
    "x = '%s' % 'a'",
    's = "a = %d" % x',
    "x = y \\",
    "    % z",
    "print(f'{x!r}')",
    "@decorator",
    "class A: ...",
    "import os, sys",
    "return 1",
    "lambda: (yield)",
    "x = = 1",
    "1 +",
    "'unclosed",
    "",
    "   ",
]


def ipython_reads(source: str) -> bool:
    """What IPython would run: transformed, parsed, and each statement compiled on its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            code = TransformerManager().transform_cell(source)
            tree = compile(code, "<cell>", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
            for statement in tree.body:
                compile(ast.Module([statement], []), "<cell>", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        except (SyntaxError, ValueError):
            return False
        return True


@given(source=st.lists(st.sampled_from(LINES), max_size=7).map("\n".join))
@LOOSE
def test_what_ipython_runs_is_never_refused_and_reaches_it_as_written(bench, source: str) -> None:
    if ipython_reads(source):
        assert bench.errors(source) == []
        assert bench.compile(source).code == source


@example(source="1\n /#")
@example(source="1\n , #")
@example(source="\\\n;")
@example(source="\\\n\\\n%ls")
@example(source="if x:\n  \\\n!ls")
@given(source=st.text(alphabet=st.sampled_from("%!?/,;=x1 \n\t()[]{}'\"\\#:.@a"), max_size=25))
@LOOSE
def test_any_text_gets_an_answer(bench, source: str) -> None:
    if not bench.errors(source):
        bench.compile(source)
    elif "{{" not in source:
        assert not ipython_reads(source)


@pytest.mark.parametrize(
    "source",
    [
        "%%bash\nif [ 1",
        "%%time\n1 + 1",
        ">>> x = 1\n>>> y",
        "In [1]: x = 1",
        "pip install pandas",
        "ls -la",
        "cd ..",
        "  x = 1\n  y = 2",
        "some_magic of mine",
    ],
)
def test_what_only_ipython_understands_runs(bench, source: str) -> None:
    assert bench.compile(source).code == source


@pytest.mark.parametrize("source", ["type X = int", "f'{d['k']}'", "def f[T](x: T) -> T: ...", "try:\n    1\nexcept A, B:\n    2", "t'{x}'"])
def test_syntax_that_may_be_newer_than_the_compiler_is_at_most_a_warning(bench, source: str) -> None:
    assert bench.errors(source) == []


@pytest.mark.parametrize(
    ("source", "line", "column"),
    [
        ("x = 1\ny = = 2", 2, 5),
        ("é = 'ü' +* 2", 1, 10),
        ("%time x\nreturn 1", 2, 1),
        ("    x = 1\n    y = = 2", 2, 9),
        ("x = 1\n\n!ls\nfor i in x\n    pass", 4, 11),
        ("s = (1,\n", 1, 5),
        ("é = {{secret:db}}", 1, 5),
        ("  x = {{secret_var:name}}", 1, 7),
        ("x = {{runtime_env:SPIN_TOKEN}}", 1, 5),
        ("x = 1\ny\0", 2, 2),
    ],
)
def test_problems_say_where(bench, source: str, line: int, column: int) -> None:
    problem = bench.errors(source)[0]
    assert (problem.line, problem.column) == (line, column), problem


def test_depth_is_refused_and_not_died_of(bench) -> None:
    assert bench.errors("(" * 5000 + ")" * 5000)
    assert bench.errors("-" * 100_000 + "1")


def test_templates_are_the_variables_themselves(bench) -> None:
    compiled = bench.compile("y = [{{x}}, {{ x }}, '{{x}}', f'{{x}}', {1: {2}}]")
    _, variables = run(compiled.code, {"x": "a'b\n{{x}}"})
    assert variables["y"] == ["a'b\n{{x}}", "a'b\n{{x}}", "{{x}}", "{x}", {1: {2}}]
    assert compiled.uses == ()


@given(value=st.text(), before=st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=9).map(repr))
@LOOSE
def test_values_never_become_code_and_columns_may_hold_any_character(bench, value: str, before: str) -> None:
    code = bench.compile(f"y = ({before}, {{{{runtime_env:X}}}}, {{{{v}}}})").code
    _, variables = run(code, {"v": value}, {"X": value})
    assert variables["y"] == (ast.literal_eval(before), value, value)


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("x = {{runtime_env:A}}\nmark()", 2),
        ("# first\nif True:\n    x = {{runtime_env:A}}\nmark()", 4),
        ("\nfor x in [{{\n    runtime_env: A\n}}]:\n    pass\nmark()", 6),
        ("'''doc'''\nx = {{runtime_env:A}}\nmark()", 3),
    ],
)
def test_lines_keep_their_numbers(bench, source: str, line: int) -> None:
    lines: list[int] = []
    code = bench.compile(source).code
    run(code, {"mark": lambda: lines.append(sys._getframe(1).f_lineno)}, {"A": "v"})
    assert lines == [line]


@pytest.mark.parametrize(
    "first", ["if True:\n    pass", "@staticmethod\ndef f(): ...", "%matplotlib inline", "from __future__ import annotations", "class A: ..."]
)
def test_the_import_finds_a_place_before_any_first_statement(bench, first: str) -> None:
    code = bench.compile(f"{first}\nx = {{{{runtime_env:A}}}}").code
    assert code.count("import spin_kernel as _spin") == 1
    if not first.startswith("%"):
        assert run(code, {}, {"A": "v"})[1]["x"] == "v"


def test_the_runtimes_environment_is_granted_by_name(bench) -> None:
    uses = bench.compile("{{runtime_env:A}} + {{runtime_env:B}} + {{runtime_env:A}}").uses
    assert [use.operations for use in uses] == [("runtime_env.get",), ("runtime_env.get",)]
    assert len({use.params_digest for use in uses}) == 2
    assert bench.compile("1").uses == ()


def test_a_quoted_environment_template_is_warned_of(bench) -> None:
    (problem,) = bench.problems("x = '{{runtime_env:A}}'")
    assert problem.warning
    assert bench.problems("x = '{{name}}'") == []


def test_connections_are_granted_to_code(bench) -> None:
    (use,) = bench.compile("1", connections=["tickets"]).uses
    assert (use.connection_id, use.operations) == (TICKETS.id, ("rest.request",))


def test_what_the_cell_assigns_is_known(bench) -> None:
    source = "a = 1\nb, (c, *d) = x\nfor e in y: pass\ndef f(): g = 1\nwith h as i: pass\n_hidden = 1\nj.k = 2"
    assert bench.compile(source).outputs_to == ("a", "b", "c", "d", "e", "f", "i")
