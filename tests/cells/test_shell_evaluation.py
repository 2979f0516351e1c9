"""Shell cells: where the shell evaluates what it expanded, a value must be a number; nowhere does one become code."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spin_cells import templates
from spin_cells.shell.quoting import slots
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
    # However the command's name is hidden.
    "2>/dev/null let x={{n}}",
    ">|/dev/null let x={{n}}",
    "2>&1 [ -v {{n}} ]",
    "<<< x let x={{n}}",
    "<<E let x={{n}}\nE",
    "function f { [[ {{n}} -gt 3 ]]; }; f",
    "function f [[ {{n}} -gt 3 ]]; f",
    "f () { let x={{n}}; }; f",
    "coproc f { let x={{n}}; }; wait",
    "case 1 in (*) [[ {{n}} -gt 3 ]] ;; esac",
    "case 1 in *) let x={{n}} ;; esac",
    "if (true) then let x={{n}}; fi",
    "if [[ a ]] then let x={{n}}; fi",
    "for ((;;)) do let x={{n}}; break; done",
    "$e let x={{n}}",
    "a[0]=1 let x={{n}}",
    "command -p let x={{n}}",
    "l'e't x={{n}}",
    "echo \\\\\nlet x={{n}}",
    "echo a # \\\nlet x={{n}}",
    "cat <<'END OF'\nx\nEND OF\nlet x={{n}}",
    "[[ x =~ [[:digit:]] || {{n}} -gt 3 ]]",
    # Subscripts, offsets, and ways round by a variable.
    "a=([{{n}}]=1)",
    "declare -a a=([{{n}}]=1)",
    'echo "${@:{{n}}}" ${*:{{n}}}',
    "x=({{n}}); echo $((x[0]))",
    "x[0]={{n}}; echo $((x[0]))",
    "printf -v x %s {{n}}; ((x))",
    'x={{n}}; eval "echo $x"',
    "SRANDOM={{n}}",
    "BASH_ENV={{n}} bash -c :",
]

# Plain text evaluates to nothing here, but the reader does not see how the value gets to where it is evaluated.
GUARDED = [
    ": ${x:={{n}}}; ((x))",
    "read x <<E\n{{n}}\nE\n((x))",
    "while read x; do ((x)); done <<< {{n}}",
    "f() { (( $1 > 3 )); }; f {{n}}",
    "x={{n}}; y=$x; [[ $y -gt 3 ]]",
    "x={{n}}; k=x; echo ${!k}",
    "e=let; $e x={{n}}",
    "f() { x[$1]=1; }; f {{n}}",
    "f() { a=([$1]=1); echo ${a:$1}; }; f {{n}}",
    "printf {{n}} x",
]

PLAIN = [
    "echo {{n}}",
    'grep -v {{n}} /dev/null; cut -d: -f1 /dev/null; echo "https://h/{{n}}"',
    'for i in {{n}}; do echo "$i"; done',
    'if [ "{{n}}" = yes ]; then echo {{n}}; fi',
    'export PASSWORD={{n}}; [ -n "$PASSWORD" ] && echo it is',
    "x=$(grep case {{n}}); echo $x",
    "(cd {{n}} && echo in any case); echo {{n}}",
    "case x in (case) echo;; x) echo {{n}};; esac; echo {{n}}",
    "cat <(echo {{n}}) 2>&1 >/dev/null; echo ${#x} {{n}}",
    "cat <<'END OF'\nx\nEND OF\necho {{n}}",
    'echo "${x:-{{n}}}" ${x:={{n}}}',
    "printf '%s|' {{n}} \"{{n}}\" '<{{n}}>'",
    "[ {{n}} -gt 3 ]; test -n {{n}}; [ {{n}} = {{n}} ]",
    "export X={{n}}; a=({{n}} {{n}})",
    "x={{n}}; trap 'echo \"$x\"' EXIT",
    'echo "$(case x in x) echo {{n}};; esac)"; case {{n}} in a) echo;; esac',
    "echo $'it\\'s' {{n}}; echo it\\'s '{{n}}'",
    "cat <<EOF\nit's {{n}} $(echo {{n}}) ${x:-{{n}}}\nEOF",
    "echo ${x/{{n}}/y} ${x#{{n}}} `echo {{n}}`",
    "(echo {{n}}); { echo {{n}}; }; echo {{n}}",
    "sed 's/(/x/' <<< {{n}}",
]

# Scripts that evaluate something, though not this value: any text that could not run is fine.
WORDS = [
    "[[ {{n}} == x ]]; [[ x =~ (a|b) && {{n}} == 3 && 3 -gt 2 ]]",
    'x={{n}}; echo "$x" "${x:0:3}"; [[ ${#x} -gt 3 ]]; echo $(( ${#x} + 1 ))',
    "declare y={{n}}; f() { local z={{n}}; }; f",
    "read x <<< {{n}}; printf -v y '%s' {{n}}; printf '%d' {{n}}",
    "declare -a b=({{n}})",
    "echo $(( $(wc -c <<< {{n}}) + 1 )); [[ $(grep -c x <<< {{n}}) -gt 3 ]]",
    "(echo {{n}}); { echo {{n}}; }; x=$((1 + 1)); echo {{n}}",
    "awk '{ if (($1) > 3) print }' <<< {{n}}; grep 'x[0-9]' <<< {{n}}",
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


@given(source=st.sampled_from(EVALUATED + GUARDED + WORDS + PLAIN), value=NASTY, shell=st.sampled_from(["bash", "sh"]))
@LOOSE
def test_no_value_becomes_code(bench, tmp_path: Path, source: str, value: str, shell: str) -> None:
    try:
        shown(bench, source, value, shell, tmp_path)
    except ValueError:
        assert source not in PLAIN
    assert not (tmp_path / MARK).exists()


@pytest.mark.parametrize("source", GUARDED + WORDS)
@pytest.mark.parametrize("value", [ATTACK, f"a[`touch {MARK}`]", f"-va[$(touch {MARK})]", f"a[$\\(touch {MARK})]", "${x@P}", "a[$", "$ {"])
def test_where_something_is_evaluated_no_value_may_hold_what_would_run(bench, source: str, value: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^\{\{n\}\} holds a backquote, or a \$ before a bracket or at its end") as caught:
        shown(bench, source, value, "bash", tmp_path)
    assert MARK not in str(caught.value)


@pytest.mark.parametrize("source", WORDS)
@pytest.mark.parametrize("value", ['it\'s $5 (or "6") & more; {all} $HOME \\d+', "x[0]", 7])
def test_other_text_is_fine_there(bench, source: str, value: object, tmp_path: Path) -> None:
    shown(bench, source, value, "bash", tmp_path)


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


@pytest.mark.parametrize("source", ['echo {{n}}\necho "it is {{n}}', "echo {{n}}\ncat <<E\nit", "echo {{n}}\n(echo"])
def test_a_script_that_cannot_be_followed_takes_numbers_alone_and_says_where(bench, source: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^\{\{n\}\} stands in a script that could not be followed: what is opened on line 2 is not closed"):
        shown(bench, source, ATTACK, "bash", tmp_path)
    shown(bench, source, 7, "bash", tmp_path)


# Scripts that repeat something often, on one line where they can.
LONG = {
    "words": lambda n: "echo {{n}} " + "a " * n,
    "quotes": lambda n: "echo {{n}} " + '"a" ' * n,
    "nested quotes": lambda n: '"$(echo {{n}} ' * n,
    "groups": lambda n: "( " * n + "{{n}}" + ")" * n,
    "substitutions": lambda n: "echo " + "$(" * n + "{{n}}" + ")" * n,
    "backquotes": lambda n: "echo {{n}} " + "`$(" * n,
    "braces": lambda n: "echo " + "${a:-" * n + "{{n}}'x'" + "}" * n,
    "subscripts": lambda n: "echo {{n}} " + "a[" * n,
    "here-documents": lambda n: "cat " + "<<A " * n + "\n" + "{{n}}\nA\n" * n,
    "lines in a here-document": lambda n: "cat <<A\n" + "{{n}} $(\n" * n,
    "templates": lambda n: "echo " + "{{n}} " * n,
    "templates in a word": lambda n: "x=" + "{{n}}" * n,
    "templates to read": lambda n: "read " + "{{n}} " * n,
    "templates in a test": lambda n: "[[ " + "{{n}} && " * n + "x ]]",
    "templates in a subscript": lambda n: "echo ${x[" + "{{n}}" * n + "]}",
}


def steps(source: str) -> int:
    """How often reading calls anything."""
    counted = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal counted
        counted += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        list(slots(templates.pieces(source), "bash"))
    finally:
        sys.setprofile(before)
    return counted


@pytest.mark.parametrize("shape", LONG)
def test_reading_grows_with_the_script_alone(shape: str) -> None:
    assert steps(LONG[shape](4000)) < 2.2 * steps(LONG[shape](2000))


@pytest.mark.parametrize("shape", ["words", "templates", "braces", "templates in a word"])
def test_a_line_of_half_a_mebibyte_is_read(shape: str) -> None:
    """What takes the square of this would not come back within an hour."""
    source = LONG[shape](1)
    assert list(slots(templates.pieces(LONG[shape]((1 << 19) // max(1, len(LONG[shape](2)) - len(source)))), "bash"))
