"""Reading tokens: the cursor, the errors, and how values are written.

Recursive descent with one token of lookahead. Like nft's, the parser goes on after an error at
the next newline or semicolon, so that one run reports several. Ref: nftables src/parser_bison.y.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Final

from flowtable.ruleset.keywords import PLAIN_VALUES, PROTOCOL_VALUES, RESERVED
from flowtable.ruleset.lexer import Kind, Token, tokenize
from flowtable.ruleset.scope import Scope
from flowtable.ruleset.source import Diagnostic, RulesetError, Source, Span
from flowtable.ruleset.syntax import (
    BinaryTerm,
    ConcatTerm,
    ElementTerm,
    FlagsTerm,
    ListTerm,
    Literal,
    MapTerm,
    PrefixTerm,
    RangeTerm,
    ReferenceTerm,
    SetTerm,
    VerdictTerm,
    Word,
)
from flowtable.ruleset.types import INET_PROTO

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flowtable.ruleset.include import Reader
    from flowtable.ruleset.selector import Selector
    from flowtable.ruleset.syntax import Term

    ParseSelector = Callable[["Parser"], Selector]

MAX_ERRORS: Final = 10
"""Syntax errors after which nft gives up."""
MAX_INCLUDES: Final = 16
MAX_ELEMENTS: Final = 1_000_000
"""More elements than any set of a router has; bounds what nested variables expand to."""
MAX_DEPTH: Final = 64
"""Parentheses, braces and blocks within each other; deeper than any ruleset, shallower than the stack."""

_SEPARATORS: Final = (Kind.NEWLINE, Kind.SEMICOLON)
_TEXTS: Final = (Kind.STRING, Kind.QUOTED, Kind.WILDCARD)
_PRECEDENCE: Final = {
    Kind.OR: 0,
    Kind.XOR: 1,
    Kind.AND: 2,
    Kind.SHIFT_LEFT: 3,
    Kind.SHIFT_RIGHT: 3,
}
"""Loosest first."""
_VERDICTS: Final = frozenset(("accept", "drop", "continue", "return", "jump", "goto"))
_CRLF_HINT: Final = "the line ends with a carriage return; save the file with Unix line ends"
_BOM_HINT: Final = "the file starts with a byte order mark; save it as UTF-8 without one"


class UnsupportedError(RulesetError):
    """A construct of the language that is not understood; what follows makes sense again."""


class Parser:
    """A cursor over tokens.

    Attributes:
        token: the token to read next.
        previous: the token read last.
        scope: the variables that can be seen here.
        errors: what was wrong so far.
        selectors: keyword to the function that reads the selector it starts.
        depth: how deep blocks and parentheses are nested here.
    """

    __slots__ = (
        "_position",
        "_reader",
        "_stack",
        "_stopped",
        "_tokens",
        "depth",
        "errors",
        "previous",
        "scope",
        "selectors",
        "token",
    )

    def __init__(self, source: Source, reader: Reader, selectors: Mapping[str, ParseSelector]) -> None:
        self._tokens = tokenize(source)
        self._position = 0
        self._stack: list[tuple[list[Token], int]] = []
        self._reader = reader
        self._stopped = False
        self.token = self._tokens[0]
        self.previous = self.token
        self.scope = Scope()
        self.errors: list[Diagnostic] = []
        self.selectors = selectors
        self.depth = 0

    # The cursor

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

    def unexpected(self, *expecting: str, token: Token | None = None) -> RulesetError:
        """A syntax error at the next token."""
        token = token or self.token
        name = token.text if token.kind is Kind.STRING and token.text in RESERVED else token.kind.value
        message = f"syntax error, unexpected {name}"
        if expecting:
            message += f", expecting {' or '.join(expecting)}"
        hint = None
        if token.kind is Kind.JUNK:
            hint = {"\r": _CRLF_HINT, "\ufeff": _BOM_HINT}.get(token.text)
        return self.error(message, token.span, hint=hint)

    def error(self, message: str, span: Span, *, hint: str | None = None) -> RulesetError:
        """An error at that place, to be raised."""
        return RulesetError([Diagnostic(message, span, hint=hint)])

    def unsupported(self, what: str, span: Span) -> UnsupportedError:
        """The error for a construct of the language that is not understood, to be raised."""
        return UnsupportedError([Diagnostic(f"{what} not supported", span)])

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

    # Separators, names, includes and variables

    def separator(self) -> None:
        """Read the newline or semicolon that has to follow."""
        if self.token.kind not in _SEPARATORS:
            raise self.unexpected("newline", "semicolon")
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

    def include(self) -> None:
        """Read ``include "file"`` and go on in that file."""
        start = self.advance().span
        pattern = self.expect(Kind.QUOTED, "quoted string").text
        self.separator()
        span = self.since(start)
        if start.source.depth + 1 > MAX_INCLUDES:
            raise self.error("Include nested too deeply, max 16 levels", span)
        try:
            files = self._reader(pattern)
        except OSError as error:
            raise self.error(f"{error.strerror or error}", span) from None
        if files is None:
            raise self.error(f"File not found: {pattern}", span)
        for name, text in reversed(files):
            self._stack.append((self._tokens, self._position))
            text = text if text.endswith("\n") else text + "\n"
            self._tokens, self._position = tokenize(Source(name, text, span)), 0
            self.token = self._tokens[0]

    def define(self) -> None:
        """Read ``define``, ``redefine`` or ``undefine``."""
        keyword = self.advance().text
        name = self.name()
        if keyword == "undefine":
            self.separator()
            self.scope.undefine(name.text)
            return
        self.expect(Kind.ASSIGN, "'='")
        value = self._initializer()
        self.separator()
        if not self.scope.define(name.text, value, again=keyword == "redefine"):
            raise self.error(f"redefinition of symbol '{name.text}'", name.span)

    def _initializer(self) -> Term:
        if self.at(Kind.DASH):
            start = self.advance().span
            number = self.expect(Kind.NUMBER, "number").text
            return Word(f"-{number}", self.since(start), Kind.NUMBER)
        if self.at(Kind.BRACE_OPEN) and self.following.kind is Kind.BRACE_CLOSE:
            start = self.advance().span
            self.advance()
            return SetTerm((), self.since(start), 0)
        return self.right_side()

    def variable(self) -> Term:
        """Read ``$name``: the value that it stands for."""
        self.advance()
        name = self.name()
        value = self.scope.find(name.text)
        if value is None:
            message = f"unknown identifier '{name.text}'"
            near = difflib.get_close_matches(name.text, self.scope.names(), n=1)
            if near:
                message += f"; did you mean identifier ‘{near[0]}’?"
            raise self.error(message, name.span)
        return value

    # Left sides: what is read from a packet, or computed of it

    def expression(self, *, statement: bool = False) -> Term:
        """Read a selector, a value, or a computation of those.

        Args:
            statement: it is what a statement sets something to, where a selector can also stand
                behind an operator.
        """
        right = self._primary if statement else self._right_primary
        term = self._concatenation(lambda: self._binary(self._primary, right))
        if self.at_word("map"):
            self.advance()
            mapping = self.mapping(verdicts=False)
            return MapTerm(term, mapping, self.since(term.span))
        return term

    def _primary(self) -> Term:
        token = self.token
        match token.kind:
            case Kind.STRING:
                parse = self.selectors.get(token.text)
                if parse is not None:
                    return parse(self)
                if token.text in RESERVED and token.text not in PLAIN_VALUES:
                    raise self.unexpected()
                return self._word()
            case Kind.QUOTED | Kind.WILDCARD | Kind.NUMBER:
                return self._word()
            case Kind.DOLLAR:
                return self.variable()
            case Kind.PAREN_OPEN:
                return self._parenthesis(self._primary)
            case Kind.AT:
                raise self.unsupported("raw payload expressions are", token.span)
            case _:
                raise self.unexpected()

    def _word(self) -> Word:
        token = self.advance()
        return Word(token.text, token.span, token.kind)

    def _parenthesis(self, read: Callable[[], Term]) -> Term:
        start = self.advance().span
        self.enter()
        term = self._binary(read, read)
        self.expect(Kind.PAREN_CLOSE, "')'")
        self.leave()
        if isinstance(term, BinaryTerm):
            return BinaryTerm(term.operator, term.left, term.right, self.since(start))
        return term

    def _binary(self, read: Callable[[], Term], right: Callable[[], Term], loosest: int = 0) -> Term:
        """Read operands joined by bit operators, by precedence climbing."""
        left = read()
        while True:
            level = _PRECEDENCE.get(self.token.kind, -1)
            if level < loosest:
                return left
            operator = self.advance().kind
            operand = self._binary(right, right, level + 1)
            left = BinaryTerm(operator, left, operand, self.since(left.span))

    def _concatenation(self, read: Callable[[], Term]) -> Term:
        first = read()
        if not self.at(Kind.DOT):
            return first
        parts = [first]
        while self.accept(Kind.DOT):
            parts.append(read())
        return ConcatTerm(tuple(parts), self.since(first.span))

    # Right sides: what it is compared with

    def right_side(self) -> Term:
        """Read a value, range, prefix, list, set or reference to a set."""
        match self.token.kind:
            case Kind.BRACE_OPEN:
                return self.elements(data=None)
            case Kind.AT:
                return self.reference()
            case _:
                pass
        first = self._concatenation(self._value)
        items = [first]
        while self.accept(Kind.COMMA):
            items.append(self._value())
        term: Term = first if len(items) == 1 else ListTerm(tuple(items), self.since(first.span))
        if not self.at(Kind.SLASH) or isinstance(term, PrefixTerm | RangeTerm):
            return term
        self.advance()
        mask = self._value()
        if not self.at(Kind.COMMA):
            raise self.unexpected("comma")
        masks = [mask]
        while self.accept(Kind.COMMA):
            masks.append(self._value())
        return FlagsTerm(term, ListTerm(tuple(masks), self.since(mask.span)), self.since(first.span))

    def _value(self) -> Term:
        low = self._binary(self._right_primary, self._right_primary)
        if self.at(Kind.SLASH) and self.following.kind is Kind.NUMBER:
            self.advance()
            length = self.number()
            return PrefixTerm(low, length, self.since(low.span))
        if self.accept(Kind.DASH):
            high = self._binary(self._right_primary, self._right_primary)
            return RangeTerm(low, high, self.since(low.span))
        return low

    def _right_primary(self) -> Term:
        token = self.token
        match token.kind:
            case Kind.STRING:
                protocol = PROTOCOL_VALUES.get(token.text)
                if protocol is not None:
                    self.advance()
                    return Literal(INET_PROTO, protocol, token.span)
                if token.text in RESERVED and token.text not in PLAIN_VALUES | {"redirect"}:
                    raise self.unexpected()
                return self._word()
            case Kind.QUOTED | Kind.WILDCARD | Kind.NUMBER:
                return self._word()
            case Kind.DOLLAR:
                return self.variable()
            case Kind.PAREN_OPEN:
                return self._parenthesis(self._right_primary)
            case _:
                raise self.unexpected()

    def reference(self) -> ReferenceTerm:
        """Read ``@name``."""
        start = self.advance().span
        name = self.name()
        return ReferenceTerm(name.text, self.since(start))

    def mapping(self, *, verdicts: bool) -> SetTerm | ReferenceTerm:
        """Read the map behind ``map`` or ``vmap``."""
        match self.token.kind:
            case Kind.BRACE_OPEN:
                return self.elements(data=verdicts)
            case Kind.AT:
                return self.reference()
            case Kind.DOLLAR:
                span = self.token.span
                term = self.variable()
                if isinstance(term, SetTerm):
                    return term
                raise self.error("Expression is not a map", span)
            case _:
                raise self.unexpected("@", "'{'", "'$'")

    def elements(self, *, data: bool | None) -> SetTerm:
        """Read ``{ ... }``.

        Args:
            data: True for a map of verdicts, False for a map of values, None where either a set
                or any map can stand.
        """
        start = self.advance().span
        self.enter()
        self.skip_newlines()
        elements: list[ElementTerm] = []
        while True:
            if self.at(Kind.BRACE_CLOSE) and elements:
                break
            elements.append(self._element(data))
            self.skip_newlines()
            if not self.at(Kind.COMMA):
                break
            while self.accept(Kind.COMMA):
                self.skip_newlines()
        self.expect(Kind.BRACE_CLOSE, "comma", "'}'")
        self.leave()
        span = self.since(start)
        size = sum(element.key.size if isinstance(element.key, SetTerm) else 1 for element in elements)
        if size > MAX_ELEMENTS:
            raise self.error(f"more than {MAX_ELEMENTS} elements", span)
        return SetTerm(tuple(elements), span, size)

    def _element(self, data: bool | None) -> ElementTerm:
        start = self.token.span
        key: Term | None
        if self.at(Kind.ASTERISK):
            self.advance()
            key = None
        elif self.at(Kind.BRACE_OPEN):
            key = self.elements(data=None)
        else:
            key = self._concatenation(self._value)
        span = self.since(start)
        comment = self._element_comment()
        if data is None and not self.at(Kind.COLON):
            return ElementTerm(key, None, span, comment)
        self.expect(Kind.COLON, "colon")
        if data or (data is None and self.at_word(*_VERDICTS)):
            return ElementTerm(key, self.verdict(), span, comment)
        return ElementTerm(key, self._concatenation(self._value), span, comment)

    def _element_comment(self) -> str | None:
        comment = None
        while True:
            if self.accept_word("comment"):
                comment = self.text().text
            elif self.at_word("timeout", "expires", "counter", "limit", "quota", "last"):
                raise self.unsupported("timeouts and statements of set elements are", self.token.span)
            else:
                return comment

    def verdict(self) -> VerdictTerm:
        """Read the verdict of a map element."""
        if not self.at_word(*_VERDICTS):
            raise self.unexpected()
        token = self.advance()
        if token.text not in ("jump", "goto"):
            return VerdictTerm(token.text, token.span)
        chain, span = self.chain_name("string", "'$'")
        return VerdictTerm(token.text, self.since(token.span), chain, span)

    def chain_name(self, *expecting: str) -> tuple[str, Span]:
        """Read the target of a jump, by name or by variable."""
        if self.at(Kind.DOLLAR):
            span = self.token.span
            term = self.variable()
            if isinstance(term, Word):
                return term.text, term.span
            raise self.error("invalid verdict chain expression value", self.since(span))
        if self.at(Kind.BRACE_OPEN):
            raise self.unsupported("anonymous chains are", self.token.span)
        token = self.name(*(expecting or ("'{'",)))
        return token.text, token.span


def parse_block(parser: Parser, item: Callable[[], None], *, nested: bool = True) -> None:
    """Read ``{ ... }`` with ``item`` for each item; errors skip to the next separator.

    Args:
        parser: stands in front of the brace.
        item: reads one item.
        nested: a separator has to follow; as for nft, the block goes on if there is none.
    """
    parser.expect(Kind.BRACE_OPEN, "'{'")
    depth = parser.depth
    parser.enter()
    while not parser.stopped():
        if parser.at_separator():
            parser.advance()
        elif parser.accept(Kind.BRACE_CLOSE):
            if not nested or parser.at_separator():
                break
            parser.report(parser.unexpected("newline", "semicolon"))
        elif parser.at(Kind.END):
            parser.end_of_file()
        else:
            try:
                if parser.at_word("include"):
                    parser.include()
                elif parser.at_word("define", "redefine", "undefine"):
                    parser.define()
                else:
                    item()
            except RulesetError as error:
                parser.depth = depth + 1
                parser.report(error)
    parser.depth = depth
