"""Where a shell evaluates a value as an expression, a name or code, although it is quoted: there only a plain number may stand.

- Arithmetic reads `a[$(command)]` as an array's element and runs the command; so do builtins that take the names of variables.
- Decided by the command that the value stands in, up to the value. In doubt a number is asked for.
- Not every way to such a place can be followed (`x[0]={{n}}`, a function's arguments, `read`). Therefore, in a script that evaluates anything at
  all, every other value is guarded: it holds nothing that the shell would run there.
"""

import re
from enum import IntEnum

from spin_cells.shell.command import VALUE, Command


class Care(IntEnum):
    """What is asked of a value."""

    NONE = 0
    GUARDED = 1
    NUMBER = 2


READING = frozenset({"read", "mapfile", "readarray"})
_CODE = frozenset({"eval", "trap", "alias"})
_EVALUATING = READING | _CODE | {"let", "unset", "getopts", "compgen", "complete", "wait"}
_DECLARING = frozenset({"declare", "typeset", "local", "readonly", "export", "integer", "float"})
_SPECIAL = frozenset({"RANDOM", "SRANDOM", "OPTIND", "SECONDS", "LINENO", "HISTCMD", "PS4", "PS0", "PROMPT_COMMAND", "BASH_ENV"})
_COMPARING = frozenset({"-eq", "-ne", "-lt", "-le", "-gt", "-ge", "-v", "-R"})
_CALCULATED = re.compile(r"[-+][A-Za-z]*[inEF]")
_NAMING = ("-v", "-R")
_EXPRESSION = re.compile(r"\(\(|\[\[|\$\[|[\w(]\[|\]\+?=|\$\{[!(]|\$\{[\w@*]+:[^-=+?]|(?<!\S)\.\s|\bwait\s+-|\bexport\s+[-+]\w*[iaAnEF]")
_WORD = re.compile(
    r"(?<![\w-])(?:let|eval|unset|read|mapfile|readarray|getopts|compgen|complete|alias|declare|typeset|integer|float|local|readonly|source)(?![\w-])"
    rf"|\b(?:{'|'.join(sorted(_SPECIAL))})\+?="
)
_TEST, _OPTION = re.compile(r"(?:\[|\btest|\bprintf)\s"), re.compile(r"\s-[vR]\b")


def anywhere(script: str) -> bool:
    """Whether a script, its templates left out, may evaluate anything. Quotes are taken off first: `l"e"t` is `let`."""
    bare = re.sub(r"\\\n|[\\'\"]", "", script)
    return bool(_EXPRESSION.search(bare) or _WORD.search(bare) or (_TEST.search(bare) and _OPTION.search(bare)))


def in_command(command: Command, substituted: bool) -> Care:
    """What a command asks of the value that stands in it now. `substituted`: its output is an operand of arithmetic."""
    name = command.name
    if command.assigned in _SPECIAL:
        return Care.NUMBER
    if command.assigned == "ENV":
        return Care.GUARDED
    if command.redirecting:
        return Care.NUMBER if substituted and name in READING else Care.NONE
    if name in _EVALUATING or (substituted and name in ("echo", "printf")):
        return Care.NUMBER
    if name in _DECLARING and (not command.assigned or command.typed):
        return Care.NUMBER
    return max(_named(command), Care.GUARDED if command.unsure else Care.NONE)


def _named(command: Command) -> Care:
    """After -v comes the name of a variable; a value before may be that -v."""
    last = command.words[-1] if command.words else ""
    if command.name in ("test", "["):
        return Care.NUMBER if last in _NAMING or VALUE in last else Care.NONE
    if command.name != "printf" or len(command.words) > 2:
        return Care.NONE
    if len(command.words) == 2:
        return Care.NUMBER if last.startswith(("-v", VALUE)) else Care.NONE
    return Care.NUMBER if command.starts.startswith("-") else Care.NONE if command.in_word else Care.GUARDED


def compares(command: Command) -> bool:
    """Whether a part of `[[ … ]]`, between && and ||, evaluates its operands."""
    return any(word in _COMPARING for word in command.words)


def after(state: str, character: str) -> str:
    """Where in `${…}` one is after a character: in its name, a subscript, an offset, or in what is plain text."""
    match state:
        case "start" if character == "#":
            return "name"
        case "start" | "name" if character.isalnum() or character == "_":
            return "name"
        case "start" | "name" if character in "!@*[":
            return {"!": "offset", "[": "subscript"}.get(character, "named")
        case "subscript":
            return "named" if character == "]" else "subscript"
        case "start" | "name" | "named" if character == ":":
            return "colon"
        case "colon":
            return "plain" if character in "-=+?" else "offset"
        case "offset":
            return "offset"
    return "plain"


def evaluated_in_braces(text: str) -> str:
    """Of a whole `${text}`, what the shell evaluates: an offset, a subscript, the name of an indirect expansion."""
    if text.startswith("!"):
        return text[1:] if re.fullmatch(r"!\w+", text) else ""
    found = re.match(r"#?[\w@*]+(\[[^\]]*\])?(:(?![-=+?]).*)?", text, re.S)
    return f"{found[1] or ''} {found[2] or ''}" if found else ""


def names(text: str) -> set[str]:
    """The variables that evaluated text may read."""
    return {*re.findall(r"[A-Za-z_]\w*", text)}


def evaluated_by(command: Command) -> str:
    """Of a whole command, the words whose variables it evaluates."""
    name = command.name
    if name in _CODE:
        return " ".join([*re.findall(r"\$([A-Za-z_]\w*)", command.text()), *command.operands])
    if name == "printf" and command.words[1:2] == ["-v"]:
        return "".join(word for word in command.words[2:3] if "[" in word or "$" in word)
    typed = name in _DECLARING and any(_CALCULATED.match(word) for word in command.words)
    named = name in ("test", "[") and any(word in _NAMING for word in command.words)
    return command.text() if typed or named or name in ("let", "unset", "getopts") else ""
