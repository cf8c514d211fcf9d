"""How values are written: recursive descent with one token of lookahead.

Ref: nftables src/parser_bison.y, the rules around ``expr`` and ``rhs_expr``.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Final

from flowtable.ruleset.cursor import Cursor
from flowtable.ruleset.keywords import PLAIN_VALUES, PROTOCOL_VALUES, RESERVED
from flowtable.ruleset.lexer import Kind
from flowtable.ruleset.scope import Scope
from flowtable.ruleset.source import RulesetError, Source, Span
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
from flowtable.ruleset.types import BOOLEAN, INET_PROTO, TIME

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from flowtable.ruleset.command import RuleSyntax
    from flowtable.ruleset.include import Reader
    from flowtable.ruleset.selector import Selector
    from flowtable.ruleset.statement import Statement
    from flowtable.ruleset.syntax import Term

    ParseSelector = Callable[["Parser"], Selector]
    ParseStatement = Callable[["Parser"], Statement]

MAX_INCLUDES: Final = 16
MAX_ELEMENTS: Final = 1_000_000
"""More elements than any set of a router has; bounds what nested variables expand to."""

_PRECEDENCE: Final = {
    Kind.OR: 0,
    Kind.XOR: 1,
    Kind.AND: 2,
    Kind.SHIFT_LEFT: 3,
    Kind.SHIFT_RIGHT: 3,
}
"""Loosest first."""
_PRESENCE: Final = {"exists": 1, "missing": 0}
_LOOKED_UP: Final = frozenset(("fib", "exthdr", "frag", "hbh", "dst", "mh", "srh", "rt0", "rt2", "ipsec"))
"""Selectors that statements cannot set something to."""
_VERDICTS: Final = frozenset(("accept", "drop", "continue", "return", "jump", "goto"))


class Parser(Cursor):
    """A cursor that knows how values, sets and variables are written.

    Attributes:
        scope: the variables that can be seen here.
        selectors: keyword to the function that reads the selector it starts.
        stateful: keyword to the function that reads the stateful statement it starts.
        rule: reads a rule.
        in_block: whether it is in a chain without a name, which cannot hold another one.
    """

    __slots__ = ("_reader", "in_block", "rule", "scope", "selectors", "stateful")

    def __init__(
        self,
        sources: Sequence[Source],
        reader: Reader,
        selectors: Mapping[str, ParseSelector],
        stateful: Mapping[str, ParseStatement],
        rule: Callable[[Parser], RuleSyntax],
    ) -> None:
        super().__init__(sources)
        self._reader = reader
        self.scope = Scope()
        self.selectors = selectors
        self.stateful = stateful
        self.rule = rule
        self.in_block = False

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
        sources = [Source(name, text if text.endswith("\n") else text + "\n", span) for name, text in files]
        self.sources += sources
        for source in reversed(sources):
            self.insert(source)

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
        term = self.concatenation(statement=statement)
        if self.at_word("map"):
            self.advance()
            mapping = self.mapping(verdicts=False)
            return MapTerm(term, mapping, self.since(term.span))
        return term

    def concatenation(self, *, statement: bool = False) -> Term:
        """Read the same where no map can stand."""
        left = self._statement_primary if statement else self._primary
        right = left if statement else self._right_primary
        return self._concatenation(lambda: self._binary(left, right))

    def _statement_primary(self) -> Term:
        if self.at_word(*_LOOKED_UP):
            raise self.unexpected()
        return self._primary()

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
                return self.selectors["@"](self)
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
        if isinstance(first, PrefixTerm) and self.at(Kind.COMMA):  # 2 / 2,4: no prefix after all
            number = self.previous
            return self._flags(first.base, Word(number.text, number.span, number.kind))
        term = self._list(first)
        if not self.at(Kind.SLASH) or isinstance(term, PrefixTerm | RangeTerm):
            return term
        self.advance()
        mask = self._plain_value()
        if not self.at(Kind.COMMA):
            raise self.unexpected("comma")
        return self._flags(term, mask)

    def _flags(self, value: Term, mask: Term) -> FlagsTerm:
        """Read what follows ``value / mask``: the other flags of the mask."""
        return FlagsTerm(value, self._list(mask), self.since(value.span))

    def _list(self, first: Term) -> Term:
        """Read the other values of a list."""
        items = [first]
        while self.accept(Kind.COMMA):
            items.append(self._plain_value())
        return first if len(items) == 1 else ListTerm(tuple(items), self.since(first.span))

    def _plain_value(self) -> Term:
        return self._binary(self._right_primary, self._right_primary)

    def _value(self) -> Term:
        low = self._plain_value()
        if self.at(Kind.SLASH) and self.following.kind is Kind.NUMBER:
            self.advance()
            length = self.number()
            return PrefixTerm(low, length, self.since(low.span))
        if self.accept(Kind.DASH):
            high = self._plain_value()
            return RangeTerm(low, high, self.since(low.span))
        return low

    def _right_primary(self) -> Term:
        token = self.token
        match token.kind:
            case Kind.STRING:
                if token.text in _PRESENCE:
                    self.advance()
                    return Literal(BOOLEAN, _PRESENCE[token.text], token.span)
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
        element = self._element_options(ElementTerm(key, None, self.since(start)))
        if data is None and not self.at(Kind.COLON):
            return element
        self.expect(Kind.COLON, "colon")
        if data or (data is None and self.at_word(*_VERDICTS)):
            return element._replace(data=self.verdict())
        return element._replace(data=self._concatenation(self._value))

    def _element_options(self, element: ElementTerm) -> ElementTerm:
        """Read what stands behind the key of an element: statements, times and a comment."""
        statements = self.stateful_statements()
        while word := self.accept_word("comment", "timeout", "expires"):
            match word:
                case "comment":
                    element = element._replace(comment=self.text().text)
                case "timeout":
                    element = element._replace(timeout=self.time())
                case _:
                    element = element._replace(expires=self.time())
        return element._replace(statements=statements)

    def stateful_statements(self) -> tuple[Statement, ...]:
        """Read the statements of an element of a set, if there are any."""
        statements = []
        while self.token.kind is Kind.STRING and (parse := self.stateful.get(self.token.text)) is not None:
            if self.following.text == "name":
                raise self.error("elements of sets have no named objects", self.following.span)
            statements.append(parse(self))
        return tuple(statements)

    def time(self) -> int:
        """Read a time, in milliseconds."""
        token = self.expect(Kind.STRING, "string")
        try:
            value = TIME.parse(Word(token.text, token.span))
        except ValueError as error:
            raise self.error(str(error), token.span) from None
        assert isinstance(value, int)
        return value

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
