"""What a script opens and closes: quotes, substitutions, arithmetic, groups, here-documents.

What a frame needs to know of those around it, it is given when it is opened: to look for it at every value would take time without end.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from spin_cells.shell import evaluation
from spin_cells.shell.command import Command

CODE = frozenset({"script", "(", "$(", "<(", "=(", "`"})
ARITHMETIC = frozenset({"((", "$((", "$[", "["})
QUOTES = frozenset({"'", '"', "$'"})
BODIES = frozenset({"<<", "<<'"})


@dataclass(eq=False)
class Frame:
    """`around` is the code around what is none; `text` is kept of arithmetic and braces.

    Of code, `command` is the current one, and `array` the variable that `=(` fills.
    """

    kind: str
    line: int = 1
    around: "Frame | None" = None
    quoted: bool = False
    # Whether the shell evaluates what stands here, and whether it evaluates what the code here prints.
    evaluated: bool = False
    substituted: bool = False
    text: list[str] = field(default_factory=list)
    command: Command = field(default_factory=Command)
    depth: int = 0
    word: str = ""
    dash: bool = False
    braces: str = "start"
    array: str = ""
    # Of a group and the like: what comes after it is a new command.
    leads: bool = False

    @property
    def code(self) -> "Frame":
        """The innermost code that this stands in, or is."""
        return self.around or self

    @property
    def is_code(self) -> bool:
        return self.kind in CODE

    @property
    def testing(self) -> bool:
        return self.command.name == "[["

    def evaluates(self) -> bool:
        return self.evaluated or self.kind in ARITHMETIC or (self.kind == "${" and self.braces not in ("plain", "named"))

    def pass_name(self, text: str) -> None:
        for character in text:
            if self.braces in ("plain", "offset"):
                return
            self.braces = evaluation.after(self.braces, character)


def inside(outer: Frame, kind: str, line: int) -> Frame:
    """A frame that is opened in another."""
    if kind in CODE:
        return Frame(kind, line, substituted=outer.substituted or outer.evaluates() or outer.code.testing)
    quoted = kind in ('"', "<<") or (kind == "${" and outer.quoted)
    return Frame(kind, line, outer.code, quoted, outer.evaluates(), outer.substituted)


def keeping(frames: Sequence[Frame]) -> Frame:
    """The frame that what is read belongs to: around quotes, where it stands in some."""
    return frames[-2] if frames[-1].kind in QUOTES else frames[-1]
