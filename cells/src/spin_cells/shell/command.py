"""One command of a script, taken in as it is read: its name, and what decides whether it evaluates a value that stands in it.

- Everything is known as soon as it is read, so a value costs the same however long the command is.
- In the texts VALUE stands for a template, INNER for an expansion or a group, and HIDDEN for a `$` that expands nothing.
- The name is the first word that is no keyword, assignment, redirection or heading of a function. A word that may turn out to be
  anything, or nothing, is no name: it makes the command `unsure`, and the next word may be its name.
"""

import re

VALUE, INNER, HIDDEN = "\0", "\2", "\1"
_COMPOUND = frozenset({"{", "[[", "if", "while", "until", "for", "select", "case"})
_OPENERS = frozenset({"if", "then", "elif", "else", "while", "until", "do", "!", "{", "begin", "and", "or", "not"})
_BEFORE_COMMANDS = _OPENERS | {"time", "command", "builtin", "exec", "coproc", "function", "noglob", "nocorrect"}
_ASSIGNED = re.compile(rf"([A-Za-z_]\w*)(?:[{INNER}\[].*)?\+?=", re.S)
_DESCRIPTOR = re.compile(r"\d*|\{\w+\}")
_TYPED = re.compile(r"[-+][A-Za-z]*[iaAnEF]")
_NAME = re.compile(r"[A-Za-z_]\w*")


class Command:
    """`words` are the complete ones from the name on; `cases` counts what `case` opened and `esac` has not closed."""

    def __init__(self, cases: int = 0) -> None:
        self.words: list[str] = []
        self.operands: list[str] = []
        self.assigned = ""
        self.redirecting = self.unsure = self.typed = False
        self.cases = cases
        # Variables that `read` and its like fill: known when the command is over.
        self.receivers: set[str] = set()
        # Values in a part of [[ … ]], which count when it compares.
        self.tested: list[int] = []
        self._word: list[str] = []
        self._prefix = ""
        self._equals = False
        # Whether the current word is a name so far, as before a subscript.
        self.named = True

    @property
    def name(self) -> str:
        return self.words[0] if self.words else ""

    @property
    def in_word(self) -> bool:
        return bool(self._word)

    @property
    def filling(self) -> str:
        """The variable that a list in parentheses, if one comes now, is assigned to."""
        return self.assigned if self._word and self._word[-1] == "=" else ""

    @property
    def starts(self) -> str:
        """What the current word starts with."""
        return "".join(self._word[:2])

    def text(self) -> str:
        return " ".join([*self.words, "".join(self._word), *self.operands])

    def add(self, text: str) -> None:
        """A character that stands in no quotes, or several of a word."""
        if text.isspace():
            self.end_word()
        elif text in "<>":
            self._redirect()
        elif self._word or not self.redirecting or text not in "&|":
            self.grow(text)

    def grow(self, text: str, quoted: bool = False) -> None:
        if text == "=" and not quoted and not self._equals:
            self._equals = True
            found = _ASSIGNED.fullmatch("".join(self._word) + "=")
            self.assigned = found[1] if found else ""
        self.named = self.named and not quoted and text.replace("_", "a").isalnum()
        self._word.append(text)

    def _redirect(self) -> None:
        if _DESCRIPTOR.fullmatch("".join(self._word)):
            self._forget_word()
        else:
            self.end_word()
        self.redirecting = True

    def _forget_word(self) -> None:
        self._word, self._equals, self.assigned, self.named = [], False, "", True

    def end_word(self) -> None:
        if not self._word:
            return
        word, assigned = "".join(self._word), self.assigned
        self._forget_word()
        if self.redirecting:
            self.redirecting = False
        elif self.words and not (self._prefix == "coproc" and len(self.words) == 1 and word in _COMPOUND):
            # A pattern may be called `case` as well: it has no second word.
            self.cases += len(self.words) == 1 and self.name == "case"
            self.words.append(word)
            self.typed = self.typed or bool(_TYPED.match(word))
        else:
            self.words.clear()
            self._begin(word, assigned)

    def _begin(self, word: str, assigned: str) -> None:
        """A word where the command's name may stand."""
        before, self._prefix = self._prefix, word
        option = word.startswith("-") and before in ("time", "command", "builtin", "exec", "-p", "--")
        if word in _BEFORE_COMMANDS or assigned or option or before == "function":
            return
        bare = word.replace(INNER, "")
        self.unsure = self.unsure or bare != word or "$" in word or VALUE in word
        if bare and not word.startswith("$"):
            self._prefix = before
            self.words.append(bare)
            self.cases -= bare == "esac"

    def receiving(self) -> set[str]:
        """The shell's variables that get a value which stands here."""
        if self.assigned:
            return {self.assigned}
        if self.name in ("for", "select") and self.words[2:3] == ["in"]:
            return {self.words[1]}
        if self.name == "printf" and self.words[1:2] == ["-v"]:
            return {*_NAME.findall(self.words[2])} if len(self.words) > 2 else set()
        return self.receivers
