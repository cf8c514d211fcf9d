"""Reading tokens, and what happens where they are not what was expected.

Like nft's, the parser goes on after an error at the next newline or semicolon, so that one run
reports several. Ref: nftables src/parser_bison.y.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.ruleset.keywords import RESERVED
from flowtable.ruleset.lexer import Kind, Token, tokenize
from flowtable.ruleset.refused import similar
from flowtable.ruleset.source import Diagnostic, RulesetError, Source, Span, hinted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MAX_ERRORS: Final = 10
"""Errors after which nft gives up."""
MAX_DEPTH: Final = 64
"""Parentheses, braces and blocks within each other; deeper than any ruleset, shallower than the stack."""

_SEPARATORS: Final = (Kind.NEWLINE, Kind.SEMICOLON)
_TEXTS: Final = (Kind.STRING, Kind.QUOTED, Kind.WILDCARD)
_CRLF_HINT: Final = "the line ends with a carriage return; save the file with Unix line ends"
_BOM_HINT: Final = "the file starts with a byte order mark; save it as UTF-8 without one"


class UnsupportedError(RulesetError):
    """A construct of the language that is not understood; what follows makes sense again."""


class Cursor:
    """A cursor over tokens.

    Attributes:
        token: the token to read next.
        previous: the token read last.
        errors: what was wrong so far.
        depth: how deep blocks and parentheses are nested here.
        sources: the texts that are read, in the order in which they were met.
    """

    __slots__ = (
        "_position",
        "_stack",
        "_stopped",
        "_tokens",
        "depth",
        "errors",
        "previous",
        "sources",
        "token",
    )

    def __init__(self, sources: Sequence[Source]) -> None:
        """Read these texts one behind the other; all but the last end with a newline."""
        self._stack = [(tokenize(source), 0) for source in reversed(sources)]
        self._tokens, self._position = self._stack.pop()
        self._stopped = False
        self.token = self._tokens[0]
        self.previous = self.token
        self.errors: list[Diagnostic] = []
        self.sources = list(sources)
        self.depth = 0

    def insert(self, source: Source) -> None:
        """Read that text next, and then go on here."""
        self._stack.append((self._tokens, self._position))
        self._tokens, self._position = tokenize(source), 0
        self.token = self._tokens[0]

    def advance(self) -> Token:
        """Read the token and go on to the next."""
        token = self.previous = self.token
        if token.kind is not Kind.END:
            self._position += 1
            self.token = self._tokens[self._position]
        while self.token.kind is Kind.END and self._stack:
            self._tokens, self._position = self._stack.pop()
            self.token = self._tokens[self._position]
        return token

    @property
    def following(self) -> Token:
        """The token after the next one, in the same file."""
        return self._tokens[min(self._position + 1, len(self._tokens) - 1)]

    def at(self, kind: Kind) -> bool:
        """Whether the next token is of that kind."""
        return self.token.kind is kind

    def at_word(self, *words: str) -> bool:
        """Whether the next token is one of those words."""
        return self.token.kind is Kind.STRING and self.token.text in words

    def accept(self, kind: Kind) -> bool:
        """Read the next token if it is of that kind."""
        if self.token.kind is kind:
            self.advance()
            return True
        return False

    def accept_word(self, *words: str) -> str | None:
        """Read the next token if it is one of those words."""
        if self.at_word(*words):
            return self.advance().text
        return None

    def expect(self, kind: Kind, *expecting: str) -> Token:
        """Read a token of that kind; ``expecting`` is what the error names if there is none."""
        if self.token.kind is kind:
            return self.advance()
        raise self.unexpected(*expecting)

    def expect_word(self, word: str, *expecting: str) -> Token:
        """Read that word."""
        if self.at_word(word):
            return self.advance()
        raise self.unexpected(*(expecting or (word,)))

    def since(self, start: Span) -> Span:
        """From ``start`` to the token read last."""
        last = self.previous
        if last.source is start.source and last.line == start.line:
            return Span(start.source, start.line, start.first, max(last.last, start.first))
        return Span(start.source, start.line, start.first, len(start.source.line(start.line)))

    # Errors

    def unexpected(
        self, *expecting: str, token: Token | None = None, among: Iterable[str] = ()
    ) -> RulesetError:
        """A syntax error at the next token; a hint says which word of ``among`` is nearly it."""
        token = token or self.token
        name = token.text if token.kind is Kind.STRING and token.text in RESERVED else token.kind.value
        message = f"syntax error, unexpected {name}"
        if expecting:
            message += f", expecting {' or '.join(expecting)}"
        hint = None
        if token.kind is Kind.JUNK:
            hint = {"\r": _CRLF_HINT, "\ufeff": _BOM_HINT}.get(token.text)
        elif token.kind is Kind.STRING and among:
            hint = similar(token.text, among)
        return self.error(message, token.span, hint=hint)

    def error(self, message: str, span: Span, *, hint: str | None = None) -> RulesetError:
        """An error at that place, to be raised."""
        return RulesetError([Diagnostic(message, span, hint=hint)])

    def unsupported(self, what: str, span: Span) -> UnsupportedError:
        """The error for a construct of the language that is not understood, to be raised."""
        return UnsupportedError([Diagnostic(f"{what} not supported", span)])

    def too_nested(self, span: Span) -> UnsupportedError:
        """The error for a chain without a name inside of another one, to be raised."""
        last = span._replace(first=span.last)
        return UnsupportedError([Diagnostic("too many levels of nesting", last)])

    def report(self, error: RulesetError) -> None:
        """Keep an error and go on behind the next newline or semicolon."""
        self.errors.extend(error.diagnostics)
        if len(self.errors) >= MAX_ERRORS:
            self._stopped = True
            return
        if isinstance(error, UnsupportedError):
            self.skip_block()
        while self.token.kind not in _SEPARATORS:
            if self.token.kind is Kind.END:
                self._stopped = True
                return
            self.advance()
        self.advance()

    def stopped(self) -> bool:
        """Whether there is nothing more to read."""
        return self._stopped

    def end_of_file(self) -> None:
        """Report that the file ends too early."""
        self.errors.extend(self.unexpected().diagnostics)
        self._stopped = True

    def skip_block(self) -> None:
        """Skip to the end of the line or statement, over a whole block in braces if there is one."""
        depth = 0
        while self.token.kind is not Kind.END:
            if depth == 0 and self.token.kind in _SEPARATORS:
                return
            if self.token.kind is Kind.BRACE_OPEN:
                depth += 1
            elif self.token.kind is Kind.BRACE_CLOSE:
                depth = max(depth - 1, 0)
            self.advance()

    def enter(self) -> None:
        """Note that a block, list or parenthesis starts inside of another."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self.depth = 0
            self._stopped = True
            raise self.error("too deeply nested", self.token.span)

    def leave(self) -> None:
        """Note that a block, list or parenthesis ends."""
        self.depth -= 1

    # What can stand anywhere

    def separator(self) -> None:
        """Read the newline or semicolon that has to follow."""
        if self.token.kind not in _SEPARATORS:
            error = self.unexpected("newline", "semicolon")
            if self.token.kind in (Kind.STRING, Kind.BRACE_CLOSE):
                raise hinted(error, f"put ';' or a new line in front of '{self.token.text}'")
            raise error
        self.advance()

    def at_separator(self) -> bool:
        """Whether a newline or semicolon follows."""
        return self.token.kind in _SEPARATORS

    def skip_newlines(self) -> None:
        """Skip newlines, where a list goes on over several lines."""
        while self.token.kind is Kind.NEWLINE:
            self.advance()

    def name(self, *expecting: str) -> Token:
        """Read the name of something that the ruleset declares."""
        if self.token.kind is Kind.STRING and self.token.text not in RESERVED:
            return self.advance()
        raise self.unexpected(*(expecting or ("string",)))

    def text(self, *expecting: str) -> Token:
        """Read a text, quoted or not."""
        if self.token.kind in _TEXTS and not (self.token.kind is Kind.STRING and self.token.text in RESERVED):
            return self.advance()
        raise self.unexpected(*(expecting or ("string", "quoted string", "string with a trailing asterisk")))

    def number(self, *expecting: str) -> int:
        """Read a number."""
        return int(self.expect(Kind.NUMBER, *expecting).text)
