"""Meters: the older way to write a set that packets add to.

Ref: nftables src/statement.c:meter_stmt_print, net/netfilter/nft_dynset.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowtable.ruleset.code import BREAK, Do
from flowtable.ruleset.expressions.bitwise import check_expression
from flowtable.ruleset.json.value import without_counts
from flowtable.ruleset.lexer import Kind
from flowtable.ruleset.sets import Set
from flowtable.ruleset.statement import Statement
from flowtable.ruleset.statements.set_update import (
    DEFAULT_SIZE,
    ElementSyntax,
    elem_json,
    element_text,
    parse_key,
)
from flowtable.ruleset.store import Store
from flowtable.ruleset.values import fail

if TYPE_CHECKING:
    from flowtable.packet.packet import Packet
    from flowtable.ruleset.code import Step
    from flowtable.ruleset.compiler import Compiler
    from flowtable.ruleset.context import RuleContext
    from flowtable.ruleset.json.value import Json
    from flowtable.ruleset.parser import Parser
    from flowtable.ruleset.selector import Selector
    from flowtable.ruleset.source import Span


class Meter(Statement):
    """``meter m size 65535 { ip saddr limit rate 10/second }``: a set that only this rule knows.

    Attributes:
        set: the set; its name is unique among the sets of the table.
        selector: what is read for the key.
        timeout: milliseconds, None without.
        statements: what is counted and limited for each key.
    """

    __slots__ = ("selector", "set", "statements", "timeout")

    def __init__(
        self,
        name: str,
        size: int,
        selector: Selector,
        timeout: int | None,
        statements: tuple[Statement, ...],
        span: Span,
    ) -> None:
        super().__init__(span)
        timeouts = timeout is not None
        self.set = Set(name, span, selector.datatype, meter=True, size=size, dynamic=True, timeouts=timeouts)
        self.selector = selector
        self.timeout = timeout
        self.statements = statements

    @property
    def selectors(self) -> tuple[Selector, ...]:
        """What is read for the key."""
        return (self.selector,)

    @property
    def anonymous_sets(self) -> int:
        """Its set."""
        return 1

    def text(self, *, stateless: bool = False) -> str:
        """As nft prints it."""
        del stateless
        inside = element_text(self.selector, self.timeout, self.statements)
        return f"meter {self.set.name} size {self.set.size} {{ {inside} }}"

    def json(self) -> Json:
        """Key, statement, size and name."""
        written = [without_counts(statement.json()) for statement in self.statements]
        key = elem_json(self.selector, self.timeout)
        return {"meter": {"key": key, "stmt": written[0], "size": self.set.size, "name": self.set.name}}

    def compile(self, compiler: Compiler) -> Step:
        """Find or add the key's element and run its statements."""
        for statement in self.statements:
            # For what it asks of the box; each element gets one of its own.
            statement.compile(compiler)
        store = Store(self.set, compiler)
        load = self.selector.load(compiler)
        timeout, statements = self.timeout, self.statements

        def run(packet: Packet) -> int:
            value = load(packet)
            if value is None:
                return BREAK
            return store.put(packet, value, None, timeout, statements, refresh=timeout is not None)

        return Do(run)


class MeterSyntax(Statement):
    """The statement as written.

    Attributes:
        name: its name.
        size: the most elements it takes.
        element: what is between the braces.
    """

    __slots__ = ("element", "name", "size")

    def __init__(self, name: str, size: int, element: ElementSyntax, span: Span) -> None:
        super().__init__(span)
        self.name = name
        self.size = size
        self.element = element

    def check(self, rule: RuleContext) -> Meter:
        """Check key and statements."""
        selector = check_expression(self.element.key, rule)
        if self.name in rule.sets:
            raise fail("Could not process rule: File exists", self.element.key.span)
        statements = tuple(statement.check(rule) for statement in self.element.statements)
        return Meter(self.name, self.size, selector, self.element.timeout, statements, self.span)


def parse_meter(parser: Parser) -> MeterSyntax:
    """Read ``meter NAME [size N] { KEY [timeout T] STATEMENT }``, or ``flow table`` for ``meter``."""
    start = parser.previous.span if parser.previous.text == "flow" else parser.token.span
    parser.advance()
    name = parser.name()
    size = DEFAULT_SIZE
    if parser.accept_word("size"):
        size = parser.number("number")
        parser.expect(Kind.BRACE_OPEN, "'{'")
    else:
        parser.expect(Kind.BRACE_OPEN, "size", "'{'")
    parser.enter()
    element = parse_key(parser)
    statements = parser.stateful_statements()
    if not statements or not parser.at(Kind.BRACE_CLOSE):
        raise parser.unexpected()
    parser.advance()
    parser.leave()
    element = element._replace(statements=statements)
    return MeterSyntax(name.text, size, element, parser.since(start))
