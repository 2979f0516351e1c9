"""Where a shell evaluates a value as an expression, a name or code, although it is quoted: there only a plain number may stand.

- Arithmetic reads `a[$(command)]` as an array's element and runs the command; so do builtins that take the names of variables.
- Decided by the words of the command that the value stands in, up to the value. In doubt a number is asked for.
- In the texts below VALUE stands for a template, INNER for an expansion or a group, and SPACE for a space in quotes.
"""

import re

VALUE, INNER, SPACE = "\0", "\2", "\1"
_BEFORE_COMMANDS = frozenset({"if", "then", "elif", "else", "while", "until", "do", "!", "{", "time", "-p", "command", "builtin", "exec", "coproc"})
_ASSIGNED = re.compile(r"(?:^|\s)([A-Za-z_]\w*)\+?=\S*\Z")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*(\[\S*\])?\+?=")
_FUNCTION = re.compile(rf"[\w-]+{INNER}+\Z")
_EVALUATING = frozenset({"let", "eval", "trap", "unset", "read", "mapfile", "readarray", "getopts", "compgen", "complete", "alias", "wait"})
_DECLARING = frozenset({"declare", "typeset", "local", "readonly", "export", "integer", "float"})
_TYPED = re.compile(r"\s[-+][A-Za-z]*[iaAnEF]")
_SPECIAL = frozenset({"RANDOM", "OPTIND", "SECONDS", "LINENO", "HISTCMD", "PS4", "PS0", "PROMPT_COMMAND"})
_REDIRECTED = re.compile(r"[<>]&?\s*\S*\Z")
_COMPARING = re.compile(r"\s-(eq|ne|lt|le|gt|ge|v|R)(\s|\Z)")
# After -v comes the name of a variable; a value before may be that -v.
_NAMED = {
    "printf": re.compile(rf"\sprintf[\"']*\s+[\"']*(-v|{VALUE})[\"']*\s*\S*\Z"),
    "test": re.compile(rf"\s[\"']*-v|{VALUE}[\"']*\s*\S*\Z"),
}
_NAMED["["] = _NAMED["test"]


def head(command: str) -> str:
    """The command's name: the first word that is no keyword, assignment or heading of a function."""
    words = command.split()
    while words and (words[0] in _BEFORE_COMMANDS or _ASSIGNMENT.match(words[0]) or _FUNCTION.match(words[0])):
        words.pop(0)
    return re.sub(rf"[\\'\"{INNER}]", "", words[0]) if words else ""


def in_command(before: str, substituted: bool) -> bool:
    """Whether a command evaluates the value after these words. `substituted`: its output is an operand of arithmetic."""
    name, assigned = head(before), _ASSIGNED.search(before)
    if assigned and assigned[1] in _SPECIAL:
        return True
    if name in ("read", "mapfile", "readarray") and _REDIRECTED.search(before):
        return substituted
    if name in _DECLARING:
        return not assigned or bool(_TYPED.search(before))
    if name in _NAMED and _NAMED[name].search(f" {before}"):
        return True
    return name in _EVALUATING or (substituted and name in ("echo", "printf"))


def in_test(segment: str) -> bool:
    """Whether a part of `[[ … ]]`, between && and ||, evaluates its operands."""
    return bool(_COMPARING.search(segment))


def in_braces(text: str) -> bool:
    """Whether the value after `${` and this text is the name of a variable, a subscript or an offset."""
    return not text or text[0] == "!" or bool(re.match(r"#?\w*\Z|#?\w+\[[^\]]*\Z|\w+(\[[^\]]*\])?:(?![-=+?])", text))


def evaluated_in_braces(text: str) -> str:
    """Of a whole `${text}`, what the shell evaluates: an offset, a subscript, the name of an indirect expansion."""
    if text.startswith("!"):
        return text[1:] if re.fullmatch(r"!\w+", text) else ""
    found = re.match(r"#?\w+(\[[^\]]*\])?(:(?![-=+?]).*)?", text, re.S)
    return f"{found[1] or ''} {found[2] or ''}" if found else ""


def receiving(before: str) -> set[str]:
    """The shell's variables that get the value after these words."""
    if assigned := _ASSIGNED.search(before):
        return {assigned[1]}
    if looped := re.match(r"\s*(?:for|select)\s+(\w+)\s+in\s", before):
        return {looped[1]}
    return {*re.findall(r"[A-Za-z_]\w*", before)} if head(before) in ("read", "mapfile", "readarray") else set()


def names(text: str) -> set[str]:
    """The variables that evaluated text may read."""
    return {*re.findall(r"[A-Za-z_]\w*", text)}


def evaluated_by(command: str) -> str:
    """Of a whole command, the words whose variables it evaluates."""
    name = head(command)
    typed = name in _DECLARING and _TYPED.search(command)
    named = name in _NAMED and re.search(r"\s-v\s", command)
    return command if typed or named or name in ("let", "unset", "getopts") else ""
