"""Text of a cell on its way to a terminal, pure.

Colours, carriage returns and the few cursor movements of progress bars pass; every other control sequence is taken out, because output may come from
anywhere and a terminal obeys sequences that set its clipboard, its title or its keys. Sequences may be cut in two by message borders.
"""

import re

# What may pass: SGR colours, erase in line, cursor up and down, cursor to column.
_SAFE = re.compile(r"\x1b\[[0-9;:]*[mKABG]")
# Any escape sequence: CSI; the string kinds OSC, DCS, SOS, PM, APC up to their end; two characters.
_ANY = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_].*?(?:\x07|\x1b\\)|\x1b[^\[\]PX^_]|[\x80-\x9f]|[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f]", re.DOTALL
)
_UNFINISHED = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|[\]PX^_](?:(?!\x07|\x1b\\).)*)?\Z", re.DOTALL)
# A sequence longer than this is no sequence but an attempt to swallow output.
_LONGEST = 65536


class TerminalText:
    """One stream's text, message after message."""

    def __init__(self, *, colour: bool) -> None:
        self._colour = colour
        self._rest = ""

    def feed(self, text: str) -> str:
        """What may be written now; an unfinished sequence at the end waits for its rest."""
        text, self._rest = self._rest + text, ""
        unfinished = _UNFINISHED.search(text)
        if unfinished and len(text) - unfinished.start() < _LONGEST:
            text, self._rest = text[: unfinished.start()], text[unfinished.start() :]
        return self._cleaned(text)

    def _cleaned(self, text: str) -> str:
        cleaned = _ANY.sub(self._kept, text)
        # An escape that began a sequence without an end.
        return cleaned if self._colour and "\x1b" not in _SAFE.sub("", cleaned) else _strip(cleaned, self._colour)

    def _kept(self, match: "re.Match[str]") -> str:
        sequence = match.group()
        return sequence if self._colour and _SAFE.fullmatch(sequence) else ""


def clean(text: str, *, colour: bool) -> str:
    """A whole text at once."""
    return TerminalText(colour=colour)._cleaned(text)


def visible(text: str) -> str:
    """Somebody else's words, such as a cell to be approved: what a terminal would obey, or not show, is spelled out."""
    return "".join(one if one.isprintable() or one in "\n\t" else one.encode("unicode_escape").decode() for one in text)


def _strip(text: str, colour: bool) -> str:
    if not colour:
        return text.replace("\x1b", "")
    parts = [part.replace("\x1b", "") for part in _SAFE.split(text)]
    return "".join(part + mark for part, mark in zip(parts, [*_SAFE.findall(text), ""], strict=True))
