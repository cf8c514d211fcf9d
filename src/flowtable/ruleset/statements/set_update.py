"""Packets that change sets: ``add``, ``update`` and ``delete @set``.

Ref: net/netfilter/nft_dynset.c:nft_dynset_init, nft_dynset_eval.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from flowtable.ruleset.code import BREAK, GO_ON, Do
from flowtable.ruleset.expressions.assigned import (
    assigned_json,
    assigned_lookups,
    assigned_selectors,
    assigned_text,
    check_assigned,
    compile_assigned,
)
from flowtable.ruleset.expressions.bitwise import check_expression
from flowtable.ruleset.json.value import without_counts
from flowtable.ruleset.lexer import Kind
from flowtable.ruleset.selector import Selector
from flowtable.ruleset.statement import Statement
from flowtable.ruleset.statements.ct_count import CtCount
from flowtable.ruleset.syntax import BinaryTerm, ConcatTerm, MapTerm
from flowtable.ruleset.types import TIME
from flowtable.ruleset.values import Exact, fail, key

if TYPE_CHECKING:
    from flowtable.packet.packet import Packet
    from flowtable.ruleset.code import Load, Op, Step
    from flowtable.ruleset.compiler import Compiler
    from flowtable.ruleset.context import RuleContext
    from flowtable.ruleset.expressions.assigned import Assigned
    from flowtable.ruleset.json.value import Json
    from flowtable.ruleset.parser import Parser
    from flowtable.ruleset.sets import Set
    from flowtable.ruleset.source import Span
    from flowtable.ruleset.store import Store
    from flowtable.ruleset.syntax import ReferenceTerm, Term


DEFAULT_SIZE: Final = 65535
"""The most elements of a set that packets add to, where it names no size."""


class ElementSyntax(NamedTuple):
    """What is between the braces.

    Attributes:
        key: what is read for the key.
        timeout: milliseconds, None without.
        statements: what is counted and limited for the element.
        data: what the key maps to, None in a set.
    """

    key: Term
    timeout: int | None = None
    statements: tuple[Statement, ...] = ()
    data: Term | None = None


class SetUpdate(Statement):
    """``add @s { ip saddr timeout 30s counter }``.

    Attributes:
        operation: ``add``, ``update`` or ``delete``.
        declared: the set or map.
        selector: what is read for the key.
        data: what the key maps to, None in a set.
        timeout: milliseconds, None for that of the set.
        statements: what is counted and limited for the element.
    """

    __slots__ = ("data", "declared", "operation", "selector", "statements", "timeout")

    def __init__(
        self,
        operation: str,
        declared: Set,
        selector: Selector,
        data: Assigned | None,
        timeout: int | None,
        statements: tuple[Statement, ...],
        span: Span,
    ) -> None:
        super().__init__(span)
        self.operation = operation
        self.declared = declared
        self.selector = selector
        self.data = data
        self.timeout = timeout
        self.statements = statements

    @property
    def selectors(self) -> tuple[Selector, ...]:
        """What is read for key and data."""
        return (self.selector, *(() if self.data is None else assigned_selectors(self.data)))

    def lookups(self) -> tuple[str, ...]:
        """The set, and the maps that the data are looked up in."""
        return (self.declared.name, *(() if self.data is None else assigned_lookups(self.data)))

    def updates(self) -> tuple[str, ...]:
        """The set."""
        return (self.declared.name,)

    def text(self, *, stateless: bool = False) -> str:
        """As nft prints it."""
        del stateless
        inside = element_text(self.selector, self.timeout, self.statements)
        if self.data is not None and self.declared.data is not None:
            inside += f" : {assigned_text(self.data, self.declared.data)}"
        return f"{self.operation} @{self.declared.name} {{ {inside} }}"

    def json(self) -> Json:
        """Operation, element, set and statements."""
        written: dict[str, Json] = {"op": self.operation, "elem": elem_json(self.selector, self.timeout)}
        if self.data is not None and self.declared.data is not None:
            written["data"] = assigned_json(self.data, self.declared.data)
        word = "set" if self.data is None else "map"
        written[word] = f"@{self.declared.name}"
        if self.statements:
            written["stmt"] = [without_counts(statement.json()) for statement in self.statements]
        return {word: written}

    def compile(self, compiler: Compiler) -> Step:
        """Change the set; a set that is full, and a statement that says so, end the rule."""
        for statement in self.statements:
            # For what it asks of the box; each element gets one of its own.
            statement.compile(compiler)
        load = self.selector.load(compiler)
        store = compiler.store(self.declared.name)
        if self.operation == "delete":
            return Do(_delete(store, load))
        data = None if self.data is None else compile_assigned(self.data, compiler)
        return Do(_put(store, load, data, self))


def element_text(selector: Selector, timeout: int | None, statements: tuple[Statement, ...]) -> str:
    """What stands between the braces; state is the elements', so none is shown."""
    parts = [selector.text()]
    if timeout:
        parts.append(f"timeout {TIME.format(timeout)}")
    parts.extend(statement.text(stateless=True) for statement in statements)
    return " ".join(parts)


def elem_json(selector: Selector, timeout: int | None) -> Json:
    """The key, and its timeout in seconds."""
    if not timeout:
        return selector.json()
    return {"elem": {"val": selector.json(), "timeout": timeout // 1000}}


def _delete(store: Store, load: Load) -> Op:
    def run(packet: Packet) -> int:
        value = load(packet)
        if value is None:
            return BREAK
        store.take(value)
        return GO_ON

    return run


def _put(store: Store, load: Load, data: Load | None, update: SetUpdate) -> Op:
    refresh = update.operation == "update"
    timeout, statements = update.timeout or None, update.statements

    def run(packet: Packet) -> int:
        value = load(packet)
        if value is None:
            return BREAK
        mapped = None
        if data is not None:
            found = data(packet)
            if found is None:
                return BREAK
            mapped = Exact(found)
        return store.put(packet, value, mapped, timeout, statements, refresh=refresh)

    return run


class SetUpdateSyntax(Statement):
    """The statement as written.

    Attributes:
        operation: ``add``, ``update`` or ``delete``.
        reference: the set.
        element: what is between the braces.
    """

    __slots__ = ("element", "operation", "reference")

    def __init__(self, operation: str, reference: ReferenceTerm, element: ElementSyntax, span: Span) -> None:
        super().__init__(span)
        self.operation = operation
        self.reference = reference
        self.element = element

    def check(self, rule: RuleContext) -> SetUpdate:
        """Check key, data and statements against the set."""
        declared = rule.sets.get(self.reference.name)
        if declared is None:
            raise fail("No such file or directory", self.reference.span)
        selector = self._key(declared, rule)
        statements = tuple(statement.check(rule) for statement in self.element.statements)
        data = self._data(declared, rule)
        timeout = self.element.timeout
        self._check_kernel(declared, statements)
        if declared.statements and len(statements) == len(declared.statements):
            statements = ()
        if declared.handle == 0:
            declared.dynamic = not declared.is_map or declared.dynamic
            declared.size = declared.size or DEFAULT_SIZE
        return SetUpdate(self.operation, declared, selector, data, timeout, statements, self.span)

    def _key(self, declared: Set, rule: RuleContext) -> Selector:
        term = self.element.key
        if not reads(term):
            key(term, declared.datatype)
            raise fail("Key expression can not be constant", term.span)
        selector = check_expression(term, rule)
        if selector.datatype is not declared.datatype:
            raise fail(
                f"datatype mismatch: expected {declared.datatype.description}, expression has type "
                f"{selector.datatype.description}",
                term.span,
                self.span,
            )
        return selector

    def _data(self, declared: Set, rule: RuleContext) -> Assigned | None:
        term = self.element.data
        if term is None:
            if declared.is_map:
                raise fail("Could not process rule: Invalid argument", self.span)
            return None
        if declared.data is None:
            raise fail("Expression is not a map of values", self.reference.span)
        return check_assigned(term, declared.data, rule, self.span)

    def _check_kernel(self, declared: Set, statements: tuple[Statement, ...]) -> None:
        """What the kernel refuses."""
        if declared.constant:
            raise fail("Could not process rule: Device or resource busy", self.span)
        unsupported = (
            (declared.interval and declared.handle)
            or (declared.timeouts and any(isinstance(each, CtCount) for each in statements))
            or (self.element.timeout and not declared.timeouts)
            or (statements and declared.statements and not _same(statements, declared.statements))
        )
        if unsupported:
            raise fail("Could not process rule: Operation not supported", self.span)


def _same(statements: tuple[Statement, ...], others: tuple[Statement, ...]) -> bool:
    return [type(statement) for statement in statements] == [type(statement) for statement in others]


def reads(term: Term) -> bool:
    """Whether a term reads anything from a packet."""
    match term:
        case BinaryTerm(_, left, right, _):
            return reads(left) or reads(right)
        case ConcatTerm(parts, _):
            return any(map(reads, parts))
        case MapTerm():
            return True
        case _:
            return isinstance(term, Selector)


def parse(parser: Parser) -> SetUpdateSyntax:
    """Read ``add @s { ... }``, ``update``, ``delete``, or the older ``set add KEY @s``."""
    start = parser.token.span
    if parser.accept_word("set"):
        if not parser.at_word("add", "update", "delete"):
            raise parser.unexpected()
        operation = parser.advance().text
        element = parse_key(parser)
        return SetUpdateSyntax(operation, _parse_reference(parser), element, parser.since(start))
    operation = parser.advance().text
    reference = _parse_reference(parser)
    parser.expect(Kind.BRACE_OPEN, "'{'")
    parser.enter()
    element = parse_key(parser)
    element = element._replace(statements=parser.stateful_statements())
    if parser.accept(Kind.COLON):
        element = element._replace(data=parser.concatenation(statement=True))
        if not parser.at(Kind.BRACE_CLOSE):
            raise parser.unexpected("'}'")
    elif not parser.at(Kind.BRACE_CLOSE):
        raise parser.unexpected()
    parser.advance()
    parser.leave()
    return SetUpdateSyntax(operation, reference, element, parser.since(start))


def _parse_reference(parser: Parser) -> ReferenceTerm:
    if not parser.at(Kind.AT):
        raise parser.unexpected("@", "'$'")
    return parser.reference()


def parse_key(parser: Parser) -> ElementSyntax:
    """Read the key of an element and its timeout."""
    term = parser.concatenation(statement=True)
    timeout = None
    while word := parser.accept_word("timeout", "expires", "comment"):
        if word == "comment":
            parser.text()
            raise parser.error("Key expression comments are not supported", term.span)
        time = parser.time()
        timeout = time if word == "timeout" else timeout
    return ElementSyntax(term, timeout)
