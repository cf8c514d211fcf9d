"""Where in a ruleset something stands, and what is wrong there, in nft's shape.

Columns are 1-based and a tab is one column; the line of carets repeats the tabs of the source
line above it, so that it lines up. What a terminal cannot show is escaped in that line.
Ref: nftables src/erec.c:erec_print.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import chain, repeat
from operator import mul
from typing import NamedTuple


@dataclass(slots=True, eq=False)
class Source:
    """One text that was read.

    Attributes:
        name: file name as given, or ``/dev/stdin``.
        text: the whole text, line ends as they were.
        parent: the ``include`` that named it, None for the outermost.
    """

    name: str
    text: str
    parent: Span | None = None
    _lines: list[str] | None = field(default=None, init=False, repr=False)

    def line(self, number: int) -> str:
        """The line of that 1-based number without its line end; past the last line, the last."""
        if self._lines is None:
            self._lines = self.text.removesuffix("\n").split("\n")
        return self._lines[min(number, len(self._lines)) - 1]

    @property
    def depth(self) -> int:
        """How many includes lead here."""
        depth = 0
        parent = self.parent
        while parent is not None:
            depth += 1
            parent = parent.source.parent
        return depth


class Span(NamedTuple):
    """Columns ``first`` to ``last`` (1-based, inclusive) of one line."""

    source: Source
    line: int
    first: int
    last: int

    def to(self, end: Span) -> Span:
        """From the first column of this to the last column of ``end``."""
        return Span(self.source, self.line, self.first, end.last)

    @property
    def place(self) -> str:
        """``FILE:LINE:FIRST-LAST`` as nft writes it."""
        return f"{self.source.name}:{self.line}:{self.first}-{self.last}"


@dataclass(slots=True, frozen=True)
class Diagnostic:
    """One error.

    Attributes:
        message: what nft 1.0.6 says.
        span: what it is about, underlined with carets.
        related: further places of the same line, underlined with tildes.
        hint: one more line of ours, where nft's own words leave the cause open.
        label: what it is, ``Error`` for all that nft knows.
    """

    message: str
    span: Span
    related: tuple[Span, ...] = ()
    hint: str | None = None
    label: str = "Error"

    def __str__(self) -> str:
        lines: list[str] = []
        parents: list[Span] = []
        parent = self.span.source.parent
        while parent is not None:
            parents.append(parent)
            parent = parent.source.parent
        for span in parents:
            lines.append(f"{'In file included' if not lines else '':16} from {span.place}:")
        lines.append(f"{self.span.place}: {self.label}: {self.message}")
        text = self.span.source.line(self.span.line)
        lines.append("".join(map(_shown, text)))
        lines.append(self._underline(text))
        if self.hint is not None:
            lines.append(f"hint: {self.hint}")
        return "\n".join(lines)

    def _underline(self, text: str) -> str:
        width = max(self.span.last, *(span.last for span in self.related), 0)
        marks = ["\t" if text[i : i + 1] == "\t" else " " for i in range(width)]
        for span in self.related:
            if span.source is self.span.source and span.line == self.span.line:
                marks[span.first - 1 : span.last] = "~" * (span.last - span.first + 1)
        marks[self.span.first - 1 : self.span.last] = "^" * (self.span.last - self.span.first + 1)
        widths = [len(_shown(character)) for character in text[:width]]
        return "".join(map(mul, marks, chain(widths, repeat(1))))


def _shown(character: str) -> str:
    """A character as a terminal can show it: escaped if it is a control or was not UTF-8."""
    if character == "\t" or character.isprintable():
        return character
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # of Python's surrogateescape
        code -= 0xDC00
    return f"\\x{code:02x}"


class RulesetError(Exception):
    """A ruleset that cannot be loaded; ``str()`` is what nft would print.

    Attributes:
        diagnostics: every error found, in the order of the text.
    """

    def __init__(self, diagnostics: list[Diagnostic]) -> None:
        super().__init__(diagnostics)
        self.diagnostics = diagnostics

    def __str__(self) -> str:
        return "\n".join(str(diagnostic) for diagnostic in self.diagnostics)


def hinted(error: RulesetError, hint: str) -> RulesetError:
    """The same error with a hint, where it has none."""
    return RulesetError([each if each.hint else replace(each, hint=hint) for each in error.diagnostics])
