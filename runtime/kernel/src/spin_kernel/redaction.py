"""Known secret values taken out of text, as a help beside the boundary and never instead of it.

- A value is found as it is, as it stands in a string of JSON or Python, in HTML, URL-encoded, and in base64 (both alphabets, wherever it
  begins in the encoded text). Code that means to show a value can always write it in another way.
- A value of fewer than `SHORTEST` characters is left alone: it would be found everywhere.
- In a stream a value may be cut in pieces. What may be the beginning of one is held back until more comes, or the end.
- Of a value of several lines, such as a private key, each line is a value of its own.
- All are searched for at once, in the text's bytes: whatever is printed passes here, and ten secrets have a hundred forms.
"""

import base64
import json
import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from html import escape
from urllib.parse import quote, quote_plus

from ahocorasick_rs import BytesAhoCorasick, Implementation, MatchKind

SHORTEST = 6

# What stands in the place of a value, given its name and the text that was found.
Mark = Callable[[str, str], str]


class Redactor:
    """Finds the values of a mapping from names to secrets; a mark stands where a value stood."""

    def __init__(self, secrets: Mapping[str, str], mark: Mark = lambda name, _: f"[redacted {name}]", encoding: str = "utf-8") -> None:
        """`encoding` is one that has every character of the texts; the search is in it."""
        self._names = {form: name for name, value in secrets.items() for form in forms(value)}
        self._mark = mark
        self._sorted = sorted(self._names)
        self._longest = max(map(len, self._sorted), default=0)
        self._firsts = frozenset(form[0] for form in self._sorted)
        self._finder = Finder(self._sorted, encoding)

    def text(self, text: str) -> str:
        """The text with a mark in the place of each value."""
        data, decoded = self._finder.encoded(text), self._finder.decoded
        found = self._finder.places(data)
        if not found:
            return text
        shown: list[str] = []
        at = 0
        for which, start, end in found:
            form = self._sorted[which]
            shown += decoded(data[at:start]), self._mark(self._names[form], form)
            at = end
        return "".join([*shown, decoded(data[at:])])

    def stream(self) -> "RedactedStream":
        return RedactedStream(self)

    def cut(self, text: str) -> int:
        """Where to cut a text so that what stands before is whole, and what stands behind may be the beginning of a value."""
        tails = range(min(self._longest - 1, len(text)), 0, -1)
        cut = len(text) - next((length for length in tails if text[-length] in self._firsts and self._begins(text[-length:])), 0)
        if cut == len(text):
            return cut
        # A value may stand across the cut, and end with what begins another.
        begin = max(0, cut - self._longest)
        finder = self._finder
        data, limit = finder.encoded(text[begin:]), len(finder.encoded(text[begin:cut]))
        across = (end for _, start, end in finder.places(data) if start < limit < end)
        return next((begin + len(finder.decoded(data[:end])) for end in across), cut)

    def _begins(self, tail: str) -> bool:
        at = bisect_left(self._sorted, tail)
        return at < len(self._sorted) and self._sorted[at].startswith(tail)


class Finder:
    """Looks for many texts at once. Of those that begin at one place the longest counts, so that a value that contains another is taken whole."""

    def __init__(self, texts: Sequence[str], encoding: str = "utf-8") -> None:
        self._texts, self._encoding = texts, encoding

    @cached_property
    def _automaton(self) -> BytesAhoCorasick | None:
        """Not before it is needed, and of the kind that is made soonest: what makes the search quick is the same in all kinds."""
        if not self._texts:
            return None
        return BytesAhoCorasick(map(self.encoded, self._texts), matchkind=MatchKind.LeftmostLongest, implementation=Implementation.NoncontiguousNFA)

    def finds(self, text: str) -> bool:
        return bool(self.places(self.encoded(text)))

    def places(self, data: bytes) -> Sequence[tuple[int, int, int]]:
        """Which text, and where it begins and ends; none overlaps another."""
        return self._automaton.find_matches_as_indexes(data) if self._automaton is not None else ()

    def encoded(self, text: str) -> bytes:
        # A lone surrogate is no reason to lose a message.
        return text.encode(self._encoding, "surrogatepass")

    def decoded(self, data: bytes) -> str:
        return data.decode(self._encoding, "surrogatepass")


class RedactedStream:
    """Text in pieces, as it is printed."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor, self._kept = redactor, ""

    def feed(self, piece: str) -> str:
        """What may be shown now: all but what may be the beginning of a value."""
        text = self._kept + piece
        cut = self._redactor.cut(text)
        self._kept = text[cut:]
        return self._redactor.text(text[:cut])

    def flush(self) -> str:
        """What was held back, when nothing more comes."""
        kept, self._kept = self._kept, ""
        return self._redactor.text(kept)


def forms(value: str) -> Iterator[str]:
    """The ways in which a value is looked for."""
    for line in {value, *value.splitlines()}:
        if len(line) >= SHORTEST:
            yield from _written(line)


def _written(value: str) -> Iterable[str]:
    percent = {quote(value, safe=""), quote(value), quote_plus(value)}
    plain = {
        value,
        repr(value)[1:-1],
        escape(value),
        escape(value, quote=False),
        *(json.dumps(value, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False)),
    }
    lower = {re.sub("%[0-9A-F]{2}", lambda found: found.group().lower(), text) for text in percent}
    return {form for form in plain | percent | lower | _base64(value.encode()) if len(form) >= SHORTEST}


def _base64(data: bytes) -> set[str]:
    """The characters that depend on the value alone, for each of the three places where it may begin in the encoded text."""
    found = set()
    for before in range(3):
        # 3 bytes make 4 characters: those that share bits with what stands before or behind are left out.
        encoded = base64.b64encode(bytes(before) + data).decode().rstrip("=")
        whole = (before + len(data)) * 8 // 6
        middle = encoded[-(-before * 8 // 6) : whole]
        found |= {middle, middle.replace("+", "-").replace("/", "_")}
    return found
