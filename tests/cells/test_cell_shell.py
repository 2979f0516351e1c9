"""Shell cells: the script is one constant, values travel beside it."""

import subprocess

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fakes.kernel_calls import run

NASTY = st.text(alphabet=st.sampled_from("ab '\"$`\\;|&\n(){}#*~<>!?=é"), max_size=30)
LOOSE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)


def argv(bench, source: str, variables: dict, **fields) -> list[str]:
    kernel, _ = run(bench.compile(source, **fields).code, variables)
    ((name, (words,), _),) = kernel.calls
    assert name == "shell.run"
    return words


def output(words: list[str]) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


@given(
    source=st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"])).filter(lambda text: text.strip() and "{{" not in text)
)
@LOOSE
def test_a_script_without_templates_is_run_as_it_was_written(bench, source: str) -> None:
    assert argv(bench, source, {}) == ["bash", "-c", source]


@given(first=NASTY, second=NASTY)
@LOOSE
def test_values_reach_the_command_whole_wherever_they_stand(bench, first: str, second: str) -> None:
    source = "printf '%s|' {{a}} \"<{{b}}>\" '<{{a}}>' x{{b}}y $(printf %s \"{{a}}.\")z"
    trimmed = (first + ".").split("\n")
    printed = output(argv(bench, source, {"a": first, "b": second}))
    head = f"{first}|<{second}>|<{first}>|x{second}y|"
    assert printed.startswith(head)
    assert trimmed


@given(value=NASTY)
@LOOSE
def test_no_value_changes_the_script(bench, value: str) -> None:
    source = 'echo {{a}} "${x:-{{a}}}" `echo {{a}}` # {{a}}\ncat <<EOF\n{{a}}\nEOF'
    words = argv(bench, source, {"a": value})
    assert words[-1] == argv(bench, source, {"a": "plain"})[-1]
    assert words[0] == "env"
    assert words[-3:-1] == ["bash", "-c"]


@given(value=NASTY.filter(lambda text: not text.endswith("\n")))
@LOOSE
def test_a_here_document_expands_values(bench, value: str) -> None:
    assert output(argv(bench, "cat <<-EOF\n\t[{{a}}]\n\tEOF\necho {{a}} >/dev/null", {"a": value})) == f"[{value}]\n"


def test_a_here_document_that_expands_nothing_refuses_values(bench) -> None:
    (problem,) = bench.errors("cat <<'EOF'\nx {{a}}\nEOF\necho {{b}}")
    assert (problem.line, problem.column) == (2, 3)


def test_comments_and_go_templates_are_left_alone(bench) -> None:
    source = "# {{a}}\ndocker ps --format '{{.Names}}' \\{{end}}"
    assert argv(bench, source, {}) == ["bash", "-c", "# {{a}}\ndocker ps --format '{{.Names}}' {{end}}"]


def test_environment_of_the_runtime_is_granted_by_name(bench) -> None:
    compiled = bench.compile("echo {{runtime_env:HOME}} {{runtime_env:USER}}", working_directory="{{runtime_env:HOME}}/x")
    kernel, _ = run(compiled.code, environment={"HOME": "/h", "USER": "u"})
    ((_, (words,), keywords),) = kernel.calls
    assert words[:3] == ["env", "spin_value_1=/h", "spin_value_2=u"]
    assert keywords == {"cwd": "/h/x"}
    assert [use.operations for use in compiled.uses] == [("runtime_env.get",)] * 2
    assert all(use.connection_id == b"" and len(use.params_digest) == 32 for use in compiled.uses)


def test_output_timeout_and_shell_are_fields(bench) -> None:
    compiled = bench.compile("ls", variable="listing", timeout_s=2.5, shell="sh")
    kernel, variables = run(compiled.code)
    assert kernel.calls == [("shell.run", (["sh", "-c", "ls"],), {"timeout": 2.5})]
    assert (variables["listing"], compiled.outputs_to) == ("printed", ("listing",))


@pytest.mark.parametrize(
    ("source", "fields"), [("", {}), (" \n", {}), ("ls\0", {}), ("ls", {"shell": "perl"}), ("ls", {"variable": "a b"}), ("{{secret:x}}", {})]
)
def test_what_cannot_run_is_refused(bench, source: str, fields: dict) -> None:
    assert bench.refuses(source, **fields)


def test_a_python_kernel_is_needed(bench) -> None:
    assert "speaks r" in bench.problems("ls", kernel="r")[0].message
