"""Shell cells: the script is one constant, values travel beside it."""

import os
import subprocess

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fakes.kernel_calls import run

NASTY = st.text(alphabet=st.sampled_from("ab '\"$`\\;|&\n(){}#*~<>!?=é"), max_size=30)
LOOSE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)


def started(bench, source: str, variables: dict, **fields) -> tuple[list[str], dict[str, str]]:
    """What the kernel is asked to run, and what it adds to the environment."""
    kernel, _ = run(bench.compile(source, **fields).code, variables)
    ((name, (words,), keywords),) = kernel.calls
    assert name == "shell.run"
    return words, keywords.get("env", {})


def output(words: list[str], env: dict[str, str]) -> str:
    return subprocess.run(words, env={**os.environ, **env}, capture_output=True, text=True, check=True).stdout


@given(
    source=st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"])).filter(lambda text: text.strip() and "{{" not in text)
)
@LOOSE
def test_a_script_without_templates_is_run_as_it_was_written(bench, source: str) -> None:
    assert started(bench, source, {}) == (["bash", "-c", source], {})


@given(first=NASTY, second=NASTY)
@LOOSE
def test_values_reach_the_command_whole_wherever_they_stand(bench, first: str, second: str) -> None:
    source = "printf '%s|' {{a}} \"<{{b}}>\" '<{{a}}>' x{{b}}y $(printf %s \"{{a}}.\")z"
    trimmed = (first + ".").split("\n")
    printed = output(*started(bench, source, {"a": first, "b": second}))
    head = f"{first}|<{second}>|<{first}>|x{second}y|"
    assert printed.startswith(head)
    assert trimmed


@given(value=NASTY)
@LOOSE
def test_no_value_changes_the_script(bench, value: str) -> None:
    source = 'echo {{a}} "${x:-{{a}}}" `echo {{a}}` # {{a}}\ncat <<EOF\n{{a}}\nEOF'
    words, env = started(bench, source, {"a": value})
    assert words == started(bench, source, {"a": "plain"})[0]
    assert words[:2] == ["bash", "-c"]
    assert set(env.values()) == {value}


@given(value=NASTY.filter(lambda text: not text.endswith("\n")))
@LOOSE
def test_a_here_document_expands_values(bench, value: str) -> None:
    assert output(*started(bench, "cat <<-EOF\n\t[{{a}}]\n\tEOF\necho {{a}} >/dev/null", {"a": value})) == f"[{value}]\n"


def test_a_here_document_that_expands_nothing_refuses_values(bench) -> None:
    (problem,) = bench.errors("cat <<'EOF'\nx {{a}}\nEOF\necho {{b}}")
    assert (problem.line, problem.column) == (2, 3)


def test_comments_and_go_templates_are_left_alone(bench) -> None:
    source = "# {{a}}\ndocker ps --format '{{.Names}}' \\{{end}}"
    assert started(bench, source, {}) == (["bash", "-c", "# {{a}}\ndocker ps --format '{{.Names}}' {{end}}"], {})


def test_values_of_any_kind_travel_as_text(bench) -> None:
    _, env = started(bench, "echo {{n}} {{none}}", {"n": 3, "none": None})
    assert env == {"spin_value_1": "3", "spin_value_2": "None"}


def test_environment_of_the_runtime_is_granted_by_name(bench) -> None:
    compiled = bench.compile("echo {{runtime_env:HOME}} {{runtime_env:USER}}", working_directory="{{runtime_env:HOME}}/x")
    kernel, _ = run(compiled.code, environment={"HOME": "/h", "USER": "u"})
    ((_, (words,), keywords),) = kernel.calls
    assert words[:2] == ["bash", "-c"]
    assert keywords == {"env": {"spin_value_1": "/h", "spin_value_2": "u"}, "cwd": "/h/x"}
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
