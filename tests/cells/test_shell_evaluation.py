"""Shell cells: where the shell evaluates what it expanded, a value must be a number; nowhere does one become code."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.cells.conftest import Workbench
from tests.fakes.kernel_calls import run

LOOSE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
MARK = "code-ran"
ATTACK = f"a[$(touch {MARK})]"

EVALUATED = [
    "echo $(( {{n}} + 1 ))",
    "(( {{n}} > 3 ))",
    "((x = {{n}} ? 1 : 2))",
    "for ((i = 0; i < {{n}}; i++)); do :; done",
    "echo $[ {{n}} ]",
    "[[ {{n}} -gt 3 ]]",
    "[[ a == b || 3 -le {{n}} ]]",
    "[[ -v {{n}} ]]",
    "let x={{n}}",
    'let "x = {{n}}"',
    "if let 'x = {{n}}'; then :; fi",
    "f() { let x={{n}}; }; f",
    "declare -i x={{n}}",
    "typeset -i x; x={{n}}",
    "declare {{n}}",
    "declare -a x={{n}}",
    "declare -n r={{n}}; echo $r",
    "RANDOM={{n}}",
    "PS4={{n}}; set -x; :",
    "a[{{n}}]=1",
    "echo ${a[{{n}}]}",
    'x=abc; echo "${x:{{n}}}" ${x:0:{{n}}}',
    "echo ${!{{n}}}",
    "x={{n}}; echo ${!x}",
    "x={{n}}; echo $((x + 1))",
    "export x={{n}}; [[ $x -gt 3 ]]",
    'x={{n}}; [[ "${x}" -gt 3 ]]',
    "for i in {{n}}; do echo $((i)); done",
    "x={{n}}; y=(1 2); echo ${y[x]}",
    "read x <<< {{n}}; ((x))",
    "read {{n}} <<< x",
    "printf -v {{n}} x",
    "printf {{m}} {{n}}",
    "test {{m}} {{n}}",
    "test -v {{n}}",
    "[ -v {{n}} ]",
    "test -v <<< x {{n}}",
    "$(:)eval {{n}}",
    "unset {{n}}",
    'eval "echo {{n}}"',
    "eval 'echo {{n}}'",
    "trap 'echo {{n}}' EXIT",
    "mapfile -c 1 -C {{n}} x <<< 1",
    "echo $(( $(echo {{n}}) ))",
    "cat <<EOF\n$(( {{n}} ))\nEOF",
    'echo "${x:-$(( {{n}} ))}"',
    'echo "$(case x in x) let y={{n}};; esac)"',
    "echo $'it\\'s' $(( {{n}} ))",
    "`let x={{n}}`",
]

PLAIN = [
    "echo {{n}}",
    'echo "${x:-{{n}}}" ${x:={{n}}}',
    "[[ {{n}} == x ]]; [[ x =~ (a|b) && {{n}} == 3 && 3 -gt 2 ]]",
    "printf '%s|' {{n}} \"{{n}}\" '<{{n}}>'",
    "[ {{n}} -gt 3 ]; test -n {{n}}; [ {{n}} = {{n}} ]",
    'x={{n}}; echo "$x" "${x:0:3}"; [[ ${#x} -gt 3 ]]',
    "export X={{n}}; declare y={{n}}; f() { local z={{n}}; }; f",
    "read x <<< {{n}}; printf -v y '%s' {{n}}; printf '%d' {{n}}",
    "a=({{n}} {{n}}); declare -a b=({{n}})",
    "echo $(( $(wc -c <<< {{n}}) + 1 )); [[ $(grep -c x <<< {{n}}) -gt 3 ]]",
    "x={{n}}; trap 'echo \"$x\"' EXIT",
    'echo "$(case x in x) echo {{n}};; esac)"; case {{n}} in a) echo;; esac',
    "echo $'it\\'s' {{n}}; echo it\\'s '{{n}}'",
    "cat <<EOF\nit's {{n}} $(echo {{n}}) ${x:-{{n}}}\nEOF",
    "echo ${x/{{n}}/y} ${x#{{n}}} `echo {{n}}`",
    "(echo {{n}}); { echo {{n}}; }; x=$((1 + 1)); echo {{n}}",
    "awk '{ if (($1) > 3) print }' <<< {{n}}; sed 's/(/x/' <<< {{n}}",
]

# Pieces that code could be made of, and what could mislead the reader of scripts.
_ATTACKS = (ATTACK, f"$(touch {MARK})", f"`touch {MARK}`", f"touch {MARK}", "a[", "x=", "-v", "EOF", "\nEOF\n")
NASTY = st.lists(st.sampled_from([*_ATTACKS, *"]()[]{}'\"\\;&|\n #$=1x"]), max_size=6).map("".join)


@pytest.fixture
def bench() -> Workbench:
    return Workbench("shell")


def shown(bench: Workbench, source: str, value: object, shell: str, folder: Path) -> str:
    """What the script printed in the real shell. Raises ValueError where the kernel does not start it."""
    kernel, _ = run(bench.compile(source, shell=shell).code, {"n": value, "m": "-v"})
    ((_, (words,), keywords),) = kernel.calls
    environment = {"PATH": "/usr/bin:/bin", **keywords.get("env", {})}
    ended = subprocess.run(words, env=environment, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
    return ended.stdout.decode(errors="replace")


@pytest.mark.parametrize("source", EVALUATED)
def test_only_a_number_may_stand_where_the_shell_evaluates(bench, source: str, tmp_path: Path) -> None:
    for value in (ATTACK, "x", "", "1 + 1", "0x10", True, None, float("nan"), [1]):
        with pytest.raises(ValueError, match=r"^\{\{n\}\} stands where the shell evaluates it") as caught:
            shown(bench, source, value, "bash", tmp_path)
        assert MARK not in str(caught.value)
    shown(bench, source, 7, "bash", tmp_path)


@given(source=st.sampled_from(EVALUATED + PLAIN), value=NASTY, shell=st.sampled_from(["bash", "sh"]))
@LOOSE
def test_no_value_becomes_code(bench, tmp_path: Path, source: str, value: str, shell: str) -> None:
    try:
        shown(bench, source, value, shell, tmp_path)
    except ValueError:
        assert source in EVALUATED
    assert not (tmp_path / MARK).exists()


@pytest.mark.parametrize("source", PLAIN)
@pytest.mark.parametrize("shell", ["bash", "sh"])
def test_any_value_may_stand_elsewhere(bench, source: str, shell: str, tmp_path: Path) -> None:
    shown(bench, source, ATTACK, shell, tmp_path)
    assert not (tmp_path / MARK).exists()


@pytest.mark.parametrize("shell", ["bash", "sh"])
@pytest.mark.parametrize(
    ("source", "value", "said"),
    [
        ("echo $(( {{n}} + 1 ))", 41, "42"),
        ("echo $(( 1 - {{n}} ))", -3, "4"),
        ('echo "$(( {{n}} * 2 ))"', "21\n", "42"),
        ("cat <<EOF\n$(( {{n}} / 2 ))\nEOF", 84, "42"),
        ("x={{n}}; echo $((x + 1))", " 41 ", "42"),
    ],
)
def test_numbers_are_calculated_with(bench, source: str, value: object, said: str, shell: str, tmp_path: Path) -> None:
    assert shown(bench, source, value, shell, tmp_path) == f"{said}\n"


def test_bash_calculates_with_numbers_in_its_own_ways(bench, tmp_path: Path) -> None:
    source = (
        "a=(x y z); v=abcdef; if [[ {{n}} -gt 1 && -n {{n}} ]]; then echo ${a[{{n}}]} ${v:{{n}}:{{n}}} $[ {{n}} ]; fi; let 'k = {{n}} + 1'; echo $k"
    )
    assert shown(bench, source, 2, "bash", tmp_path) == "z cd 2\n3\n"


def test_a_script_that_cannot_be_followed_takes_numbers_alone(bench, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="stands where the shell evaluates it"):
        shown(bench, 'echo "it is {{n}}', ATTACK, "bash", tmp_path)
