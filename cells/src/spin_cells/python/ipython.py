"""IPython's own syntax: which lines of a cell are not Python.

- Lines are blanked and never moved, so that positions in what is left are positions in the cell.
- In doubt a line counts as IPython's: the kernel, not this module, has the last word. A cell that plain Python reads is never changed.
- The rules are those of IPython.core.inputtransformer2; IPython itself is not needed.
"""

import re
import tokenize
from collections.abc import Sequence

_ESCAPES = frozenset("%!?/,;")
_HELP = re.compile(r"%{0,2}(?!\d)[\w*]+(?:\.(?!\d)[\w*]+|\[-?[0-9]+\])*\?{1,2}\s*$")
_ASSIGNED = re.compile(r"(?P<target>\s*(?:[^=#'\"\[\]\s]|[ \t]|\[(?:\"[^\"\n]*\"|'[^'\n]*'|[^\]\"'=\n])*\])+)=[ \t]*(?:!|%[ \t]*[A-Za-z])")
_PROMPT = re.compile(r"\s*(?:>>>(?: |$)|In \[\d*\]: )")
# The line magics that IPython and ipykernel start with: without automagic's percent sign they are words of a single-line cell.
_AUTOMAGIC = frozenset(
    re.findall(
        r"\w+",
        "alias alias_magic autoawait autocall automagic autosave bookmark cat cd clear code_wrap colors conda config connect_info cp debug "
        "dhist dirs doctest_mode ed edit env gui hist history killbgscripts ldir less lf lk ll load load_ext loadpy logoff logon logstart "
        "logstate logstop ls lsmagic lx macro magic mamba man matplotlib micromamba mkdir more mv notebook page pastebin pdb pdef pdoc pfile "
        "pinfo pinfo2 pip popd pprint precision prun psearch psource pushd pwd pycat pylab qtconsole quickref recall rehashx reload_ext rep "
        "rerun reset reset_selective rm rmdir run save sc set_env store sx system tb subshell time timeit unalias unload_ext uv who who_ls "
        "whos xdel xmode ",
    )
)
_ONE_WORD = re.compile(r"\s*(?P<word>[A-Za-z_]\w*)(?:[ \t]+(?P<rest>.*))?$")
_OPERATORS = "!=()<>,+*/%^&|"


def belongs_to_ipython(source: str) -> bool:
    """True for a cell that IPython rewrites as a whole: a cell magic, or a session pasted with its prompts."""
    lines = [line for line in source.splitlines() if line.strip()][:2]
    return bool(lines) and (lines[0].startswith("%%") or any(_PROMPT.match(line) for line in lines))


def is_automagic(source: str) -> bool:
    """A single line like `pip install x`, `ls -la` or `cd ..`."""
    found = _ONE_WORD.match(source.strip("\n"))
    return found is not None and found["word"] in _AUTOMAGIC and not (found["rest"] or " ").startswith(tuple(_OPERATORS))


def may_be_automagic(source: str) -> bool:
    """A single line that a magic of someone's own could own."""
    found = _ONE_WORD.match(source.strip("\n"))
    return found is not None and bool(found["rest"]) and not found["rest"].startswith(tuple(_OPERATORS))


def without_magics(source: str) -> str:
    """The cell with IPython's lines replaced by Python that does nothing, line by line."""
    lines = source.split("\n")
    index = 0
    while index < len(lines):
        if lines[index].strip() == "\\":
            # Nothing yet but a promise to go on: what counts begins on the next line.
            index += 1
            continue
        plain = _plain(lines[index])
        end = _end_of_magic(lines, index) if plain is not None else _end_of_statement(lines, index)
        if plain is None and _asks_for_help(lines[index:end]):
            plain = _indent(lines[index]) + "pass"
        if plain is not None:
            lines[index:end] = [plain] + [""] * (end - index - 1)
        index = end
    return "\n".join(lines)


def _end_of_magic(lines: Sequence[str], index: int) -> int:
    """A backslash at the end of a line continues it."""
    while index + 1 < len(lines) and lines[index].endswith("\\"):
        index += 1
    return index + 1


def _asks_for_help(lines: Sequence[str]) -> bool:
    """A statement over several lines may end with a question mark too."""
    last = next((line for line in reversed(lines) if line.strip()), "")
    return bool(_HELP.search(last)) and not _in_comment_or_string(last)


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip(" \t"))]


def indentation(source: str) -> str:
    """What IPython takes off the start of each line: the first line's indentation."""
    first = next((line for line in source.split("\n") if line.strip()), "")
    return _indent(first)


def _plain(line: str) -> str | None:
    """What stands for a line of IPython's; None for a line that is Python's."""
    indent = _indent(line)
    if line[len(indent) : len(indent) + 1] in _ESCAPES and line != indent:
        # IPython makes a call of what follows these three: of a comment, a comment, whose indentation says nothing.
        return indent + ("#" if re.match(r"[/,;]\s*#", line[len(indent) :]) else "pass")
    if assigned := _ASSIGNED.match(line):
        return assigned["target"] + "= None"
    if _HELP.search(line) and not _in_comment_or_string(line):
        return indent + "pass"
    return None


def _in_comment_or_string(line: str) -> bool:
    return any(mark in line for mark in "#'\"")


def _end_of_statement(lines: Sequence[str], start: int) -> int:
    """The index of the line after the statement that starts here."""
    if not lines[start].strip() or lines[start].lstrip().startswith("#"):
        return start + 1
    ahead = (f"{lines[index]}\n" for index in range(start, len(lines)))
    try:
        for token in tokenize.generate_tokens(lambda: next(ahead, "")):
            if token.type == tokenize.NEWLINE:
                return start + token.end[0]
    except (tokenize.TokenError, SyntaxError) as error:
        # A bracket or string that is never closed swallows the rest; what else does not tokenize spoils its own line.
        return len(lines) if "multi-line" in str(error) or "triple-quoted" in str(error) else start + 1
    return len(lines)
