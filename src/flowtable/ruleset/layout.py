"""The layout of a ruleset file: indentation, spaces and separators, and nothing else.

Works on tokens, so that comments, variables, includes and the author's line breaks in lists stay,
and a file need not be complete to be laid out. What is written is read back to the same tokens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from flowtable.ruleset.lexer import TOKEN, Kind, tokenize
from flowtable.ruleset.source import Diagnostic, RulesetError, Source, Span
from flowtable.ruleset.table_name import FAMILIES

if TYPE_CHECKING:
    from collections.abc import Iterator

_DECLARATIONS: Final = frozenset(
    (
        *("table", "chain", "set", "map", "flowtable"),
        *("counter", "quota", "limit", "synproxy", "secmark", "ct helper", "ct timeout", "ct expectation"),
    )
)
"""What a brace behind the name of starts a block; other braces start lists."""
_VERBS: Final = ("add", "create", "delete", "destroy")


class _Piece(NamedTuple):
    """A token, newline, continuation or comment.

    Attributes:
        text: as written.
        apart: there is space in front of it.
        place: where it stands.
    """

    text: str
    apart: bool
    place: Span


def lay_out(text: str, name: str) -> str:
    """Lay a file out.

    Args:
        text: the file.
        name: what errors call it.

    Raises:
        RulesetError: it has characters that are none of the language, or braces that do not match.
    """
    source = Source(name, text)
    laid_out = _Layout().run(_pieces(source))
    assert _significant(source) == _significant(Source(name, laid_out)), "layout changes no token"
    return laid_out


def _significant(source: Source) -> list[tuple[Kind, str]]:
    """The tokens, but for separators: where those may be is the grammar's business."""
    separators = (Kind.NEWLINE, Kind.SEMICOLON)
    return [(token.kind, token.text) for token in tokenize(source) if token.kind not in separators]


def _pieces(source: Source) -> Iterator[_Piece]:
    apart = False
    line, start = 1, -1
    for match in TOKEN.finditer(source.text):
        text = match.group()
        place = Span(source, line, match.start() - start, match.end() - 1 - start)
        if match.lastgroup == "junk":
            raise RulesetError([Diagnostic("syntax error, unexpected junk", place)])
        if text.endswith("\n"):
            line += 1
            start = match.end() - 1
        if match.lastgroup == "space" and text[0] not in "#\\":
            apart = True
            continue
        yield _Piece(text.rstrip() if text[0] == "#" else text, apart, place)
        apart = False
    yield _Piece("\n", apart=False, place=Span(source, line, 1, 1))


class _Layout:
    """Lines so far, the line being written, and the braces that are open."""

    __slots__ = (
        "_braces",
        "_closed",
        "_comment",
        "_continued",
        "_gap",
        "_indent",
        "_last",
        "_line",
        "_lines",
        "_words",
    )

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._line = ""
        self._comment: int | None = None  # where one begins in the line
        self._words: list[str] = []  # of the statement being written
        self._braces: list[tuple[bool, Span]] = []  # whether each starts a block, and where it is
        self._continued = False  # the statement goes on in the next line, if there is more of it
        self._closed = False  # the statement has ended, but a comment may follow on its line
        self._gap = 0  # newlines since the last line
        self._indent = 0  # of the line being written
        self._last = ""  # the token written last

    def run(self, pieces: Iterator[_Piece]) -> str:
        for piece in pieces:
            self._take(piece)
        if self._braces:
            place = self._braces[-1][1]
            raise RulesetError([Diagnostic("this brace is never closed", place)])
        return "".join(f"{line}\n" for line in self._lines)

    @property
    def _in_list(self) -> bool:
        return bool(self._braces) and not self._braces[-1][0]

    def _take(self, piece: _Piece) -> None:
        text = piece.text
        if text == "\n":
            self._newline()
        elif text == "\\\n":
            self._continued = bool(self._line)
        elif text[0] == "#":
            self._start_line()
            self._comment = len(self._line)
            self._line += f" {text}" if self._line else text
        elif text == ";" and not self._in_list:
            self._continued = False
            self._closed = bool(self._words)
        elif text == "}":
            self._close(piece)
        else:
            if self._closed:
                self._next_statement(text)
            elif self._continued:
                self._line += " \\"
                self._flush()
                self._last = "\\"
            self._continued = False
            self._write(piece)

    def _newline(self) -> None:
        self._continued = False
        if self._line:
            self._flush()
        self._gap += 1
        self._closed = False
        if not self._in_list:
            self._end_statement()

    def _end_statement(self) -> None:
        self._words.clear()
        self._closed = False
        self._last = ""

    def _next_statement(self, word: str) -> None:
        """Another statement on the same line of the source: ``policy`` stays where it is."""
        if word == "policy" and self._words[:1] == ["type"]:
            self._line += ";"
            self._words.clear()
            self._closed = False
            return
        self._flush()
        self._end_statement()

    def _start_line(self) -> None:
        if not self._line:
            lists = sum(1 for block, _ in self._braces if not block)
            blocks = len(self._braces) - lists
            self._indent = blocks + lists + (1 if self._last == "\\" and not lists else 0)

    def _write(self, piece: _Piece) -> None:
        self._start_line()
        text = piece.text
        self._line += self._space(piece) + text
        if text == "{":
            block = self._starts_block()
            self._braces.append((block, piece.place))
            if block:
                self._flush()
                self._end_statement()
                return
        self._words.append(text)
        self._last = text

    def _space(self, piece: _Piece) -> str:
        """What stands between the last token and this one: as in the source, but for lists and ``=``."""
        text, last = piece.text, self._last
        if not self._line or text == "," or (text == ";" and self._in_list):
            return ""
        if "=" in (text, last) or "{" in (text, last):
            return " "
        if self._in_list and (last == "," or ":" in (text, last)):
            return " "
        return " " if piece.apart or last == "}" else ""

    def _starts_block(self) -> bool:
        """Whether a brace starts the block of a declaration, or a chain without a name."""
        words = [word for word in self._words if word not in _VERBS]
        if words and words[-1] in ("jump", "goto"):
            return True
        kind = next((size for size in (1, 2) if " ".join(words[:size]) in _DECLARATIONS), None)
        if kind is None:
            return False
        names = words[kind:]
        qualified = bool(names) and names[0] in FAMILIES
        if qualified:
            names = names[1:]
        match len(self._braces):
            case 0 if words[0] == "table":
                return len(names) == 1
            case 0:  # with its table, or in a file that is included in one
                return len(names) == 2 or (len(names) == 1 and not qualified)
            case 1:
                return len(names) == 1 and not qualified
            case _:
                return False

    def _close(self, piece: _Piece) -> None:
        self._continued = False
        if not self._braces:
            raise RulesetError([Diagnostic("syntax error, unexpected '}'", piece.place)])
        if self._in_list:
            self._braces.pop()
            if self._line:
                self._line += " }"
            else:
                self._start_line()
                self._line = "}"
            self._words.append("}")
            self._last = "}"
            return
        if self._line:
            self._flush()
        self._braces.pop()
        self._gap = 0
        self._start_line()
        self._line = "}"
        self._words[:] = ["}"]
        self._closed = True
        self._last = "}"

    def _flush(self) -> None:
        """Write the line; headers of base chains end in a semicolon, as nft prints them."""
        line = self._line
        header = self._words[:1] == ["policy"] or (self._words[:1] == ["type"] and "hook" in self._words)
        if header and not self._in_list and not line.endswith("\\"):
            end = len(line) if self._comment is None else self._comment
            line = f"{line[:end]};{line[end:]}"
        if self._gap > 1 and self._lines and not self._lines[-1].endswith("{") and line != "}":
            self._lines.append("")
        self._lines.append("\t" * self._indent + line)
        self._line = ""
        self._comment = None
        self._gap = 0
