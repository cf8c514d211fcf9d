"""From text to tokens.

The words of the language are not told apart here: whether ``state`` is a keyword or a name
depends on where it stands, which only the parser knows. Ref: nftables src/scanner.l. What
nft prints but cannot read itself, the Ethernet types ``8021q`` and ``8021ad``, is read here.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final

from flowtable.ruleset.source import Source, Span


class Kind(Enum):
    """What a token is; the value is what nft calls it in a syntax error."""

    STRING = "string"
    QUOTED = "quoted string"
    WILDCARD = "string with a trailing asterisk"
    NUMBER = "number"
    NEWLINE = "newline"
    SEMICOLON = "semicolon"
    END = "end of file"
    JUNK = "junk"
    COMMA = "comma"
    COLON = "colon"
    BRACE_OPEN = "'{'"
    BRACE_CLOSE = "'}'"
    PAREN_OPEN = "'('"
    PAREN_CLOSE = "')'"
    BRACKET_OPEN = "'['"
    BRACKET_CLOSE = "']'"
    ASSIGN = "'='"
    DOLLAR = "'$'"
    AT = "@"
    DOT = "."
    DASH = "-"
    SLASH = "/"
    ASTERISK = "*"
    PLUS = "+"
    EQ = "=="
    NE = "!="
    LT = "<"
    GT = ">"
    LE = "<="
    GE = ">="
    SHIFT_LEFT = "<<"
    SHIFT_RIGHT = ">>"
    AND = "&"
    OR = "'|'"
    XOR = "^"
    NOT = "!"


class Token:
    """One token.

    Attributes:
        kind: what it is.
        text: how it is written; without the quotes if it is quoted.
        source: the text it stands in.
        line: its line, 1-based.
        first: its first column, 1-based.
        last: its last column, inclusive.
    """

    __slots__ = ("first", "kind", "last", "line", "source", "text")

    def __init__(self, kind: Kind, text: str, source: Source, line: int, first: int, last: int) -> None:
        self.kind = kind
        self.text = text
        self.source = source
        self.line = line
        self.first = first
        self.last = last

    @property
    def span(self) -> Span:
        """Where it stands."""
        return Span(self.source, self.line, self.first, self.last)


_OPERATOR_WORDS: Final = {
    "eq": Kind.EQ,
    "ne": Kind.NE,
    "lt": Kind.LT,
    "gt": Kind.GT,
    "le": Kind.LE,
    "ge": Kind.GE,
    "lshift": Kind.SHIFT_LEFT,
    "rshift": Kind.SHIFT_RIGHT,
    "and": Kind.AND,
    "or": Kind.OR,
    "xor": Kind.XOR,
}

_PUNCTUATION: Final = {
    ";": Kind.SEMICOLON,
    ",": Kind.COMMA,
    ":": Kind.COLON,
    "{": Kind.BRACE_OPEN,
    "}": Kind.BRACE_CLOSE,
    "(": Kind.PAREN_OPEN,
    ")": Kind.PAREN_CLOSE,
    "[": Kind.BRACKET_OPEN,
    "]": Kind.BRACKET_CLOSE,
    "=": Kind.ASSIGN,
    "$": Kind.DOLLAR,
    "@": Kind.AT,
    ".": Kind.DOT,
    "-": Kind.DASH,
    "/": Kind.SLASH,
    "*": Kind.ASTERISK,
    "+": Kind.PLUS,
    "==": Kind.EQ,
    "!=": Kind.NE,
    "<": Kind.LT,
    ">": Kind.GT,
    "<=": Kind.LE,
    ">=": Kind.GE,
    "<<": Kind.SHIFT_LEFT,
    ">>": Kind.SHIFT_RIGHT,
    "&": Kind.AND,
    "|": Kind.OR,
    "^": Kind.XOR,
    "!": Kind.NOT,
}

TOKEN: Final = re.compile(
    r"""
      (?P<space>[ \t]+|\\\n|\#[^\n]*)
    | (?P<newline>\n)
    | (?P<quoted>"[^"\n]*")
    | (?P<address>[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?![0-9A-Za-z_.])
        | (?:[0-9A-Fa-f]{1,4})?(?::[0-9A-Fa-f]{0,4}){2,7}(?:(?:\.[0-9]{1,3}){3})?(?![0-9A-Za-z_.:])
        | [0-9A-Fa-f]{1,4}:[0-9A-Fa-f]{1,4}(?=[ \t\n\-},;])
        | 8021(?:q|ad)(?![0-9A-Za-z_/\-.]))
    | (?P<time>(?=[0-9])(?:[0-9]+d)?(?:[0-9]+h)?(?:[0-9]+m)?(?:[0-9]+s)?(?:[0-9]+ms)?(?<=[dhms])
        (?![0-9A-Za-z_]))
    | (?P<number>0x[0-9A-Fa-f]+|[0-9]+)
    | (?P<word>(?:[A-Za-z_]|\.(?=[A-Za-z0-9/\-_.]))[A-Za-z0-9/\-_.]*(?P<wildcard>\\?\*)?)
    | (?P<mark>==|!=|<=|>=|<<|>>|[;,:{}()\[\]=$@.\-/*+<>&|^!])
    | (?P<junk>.)
    """,
    re.VERBOSE,
)
"""What the text is made of; ``space`` are spaces, continuations and comments."""


def tokenize(source: Source) -> list[Token]:
    """Every token of the text, the last one of kind ``END``."""
    tokens: list[Token] = []
    line = 1
    start = -1  # offset of the character in front of the line
    for match in TOKEN.finditer(source.text):
        group = match.lastgroup
        if group == "space":
            if match.group() == "\\\n":
                line += 1
                start = match.end() - 1
            continue
        text = match.group()
        first = match.start() - start
        last = match.end() - 1 - start
        if group == "newline":
            tokens.append(Token(Kind.NEWLINE, text, source, line, first, last))
            line += 1
            start = match.end() - 1
            continue
        if group == "word" or group == "wildcard":
            if match["wildcard"]:
                kind = Kind.WILDCARD
            else:
                kind = _OPERATOR_WORDS.get(text, Kind.STRING)
        elif group == "mark":
            kind = _PUNCTUATION[text]
        elif group == "number":
            kind, text = _number(text)
        elif group == "quoted":
            kind = Kind.QUOTED
            text = text[1:-1]
        elif group == "junk":
            kind = Kind.JUNK
        else:
            kind = Kind.STRING
        tokens.append(Token(kind, text, source, line, first, last))
    tokens.append(Token(Kind.END, "", source, line, 1, 1))
    return tokens


def _number(text: str) -> tuple[Kind, str]:
    """Numbers in C's notation; ``09`` is no number, which leaves a string."""
    if 1 < len(text) <= 64 and text[0] == "0" and text[1] != "x":
        try:
            return Kind.NUMBER, str(int(text, 8))
        except ValueError:
            return Kind.STRING, text
    if len(text) > 64:
        return Kind.STRING, text
    return Kind.NUMBER, str(int(text, 0))
