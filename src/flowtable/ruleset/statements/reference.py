"""Named objects in rules: ``counter name "web"``, ``ct helper set "ftp-standard"``.

Ref: net/netfilter/nft_objref.c:nft_objref_eval, nft_objref_map_eval.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.ruleset.code import BREAK, Do, step_op
from flowtable.ruleset.element import Element, elements
from flowtable.ruleset.expressions.bitwise import check_expression
from flowtable.ruleset.expressions.collection import check_map_elements, find_map, format_map
from flowtable.ruleset.json.keys import map_json
from flowtable.ruleset.lexer import Kind
from flowtable.ruleset.lookup import build
from flowtable.ruleset.objects import ObjectKind
from flowtable.ruleset.statement import Statement
from flowtable.ruleset.syntax import MapTerm, ReferenceTerm, VerdictTerm, Word
from flowtable.ruleset.types.number import Integer
from flowtable.ruleset.values import fail

if TYPE_CHECKING:
    from flowtable.packet.packet import Packet
    from flowtable.ruleset.code import Op, Step
    from flowtable.ruleset.compiler import Compiler
    from flowtable.ruleset.context import RuleContext
    from flowtable.ruleset.json.value import Json
    from flowtable.ruleset.parser import Parser
    from flowtable.ruleset.selector import Selector
    from flowtable.ruleset.source import Span
    from flowtable.ruleset.syntax import Term

_PREFIXES: Final = {
    ObjectKind.CT_HELPER: "ct helper set",
    ObjectKind.CT_TIMEOUT: "ct timeout set",
    ObjectKind.CT_EXPECTATION: "ct expectation set",
    ObjectKind.SECMARK: "meta secmark set",
}


_OPAQUE: Final = (ObjectKind.SYNPROXY, ObjectKind.CT_EXPECTATION)


class ObjectReference(Statement):
    """A statement that uses a named object.

    Attributes:
        kind: the kind of the object.
        name: its name; empty where a map says which.
        name_span: where the name stands.
        selector: what is looked up in the map, None without one.
        elements: the map as written in place, in ascending order.
        map_name: the name of a declared map, empty otherwise.
    """

    __slots__ = ("elements", "kind", "map_name", "name", "name_span", "selector")

    def __init__(
        self,
        kind: ObjectKind,
        span: Span,
        name: str = "",
        name_span: Span | None = None,
        *,
        selector: Selector | None = None,
        found: tuple[Element, ...] = (),
        map_name: str = "",
    ) -> None:
        super().__init__(span)
        self.kind = kind
        self.name = name
        self.name_span = name_span or span
        self.selector = selector
        self.elements = found
        self.map_name = map_name

    @property
    def selectors(self) -> tuple[Selector, ...]:
        """What is looked up."""
        return () if self.selector is None else (self.selector,)

    @property
    def opaque(self) -> bool:
        """Only a kernel answers SYNs for servers, and expects connections."""
        return self.kind in _OPAQUE or super().opaque

    @property
    def names(self) -> list[tuple[str, Span]]:
        """The objects that it names, and where."""
        if self.selector is None:
            return [(self.name, self.name_span)]
        return [(object_name(element), element.span) for element in self.elements]

    @property
    def anonymous_sets(self) -> int:
        """The map, where it is written in place."""
        return int(self.selector is not None and not self.map_name)

    def lookups(self) -> tuple[str, ...]:
        """The declared map."""
        return (self.map_name,) if self.map_name else ()

    def text(self, *, stateless: bool = False) -> str:
        """``counter name "web"``."""
        del stateless
        prefix = _PREFIXES.get(self.kind) or f"{self.kind.value} name"
        if self.selector is None:
            return f'{prefix} "{self.name}"'
        if self.map_name:
            return f"{prefix} {self.selector.text()} map @{self.map_name}"
        shown = format_map(self.elements, self.selector.datatype, '"{}"'.format)
        return f"{prefix} {self.selector.text()} map {shown}"

    def json(self) -> Json:
        """The name, or the map."""
        if self.selector is None:
            return {self.kind.value: self.name}
        data: Json = f"@{self.map_name}"
        if not self.map_name:
            data = map_json(self.elements, self.selector.datatype, str)
        return {self.kind.value: {"map": {"key": self.selector.json(), "data": data}}}

    def compile(self, compiler: Compiler) -> Step:
        """Do what the object does; nothing found ends the rule."""
        if self.selector is None:
            return Do(object_op(self.kind, self.name, compiler))
        load = self.selector.load(compiler)
        found = compiler.sets[self.map_name].elements.values() if self.map_name else self.elements
        if self.map_name and compiler.lives(self.map_name):
            return Do(self._from_store(compiler))

        def data(element: Element) -> Op:
            return object_op(self.kind, object_name(element), compiler)

        find = build(found, self.selector.datatype, compiler, data).finder()

        def run(packet: Packet) -> int:
            value = load(packet)
            if value is None:
                return BREAK
            op = find(value)
            return BREAK if op is None else op(packet)

        return Do(run)

    def _from_store(self, compiler: Compiler) -> Op:
        assert self.selector is not None
        load = self.selector.load(compiler)
        store = compiler.store(self.map_name)
        ops = {
            id(element): object_op(self.kind, object_name(element), compiler)
            for element in store.declared.elements.values()
        }

        def run(packet: Packet) -> int:
            value = load(packet)
            if value is None:
                return BREAK
            element = store.find(packet, value)
            return BREAK if element is None else ops[id(element)](packet)

        return run


def object_name(element: Element) -> str:
    """The object that an element of a map stands for."""
    assert isinstance(element.data, str)
    return element.data


def object_op(kind: ObjectKind, name: str, compiler: Compiler) -> Op:
    """What an object does to a packet."""
    body = compiler.table.objects[kind, name].body
    return step_op(body.compile(compiler))


def check_object_name(term: Term | VerdictTerm) -> str:
    """Check what an element of a map of objects stands for: a name."""
    if isinstance(term, Word):
        return term.text
    raise fail("datatype mismatch, expected string", term.span)


class ReferenceSyntax(Statement):
    """The statement as written.

    Attributes:
        kind: the kind of the object.
        target: its name, or a map that gives it.
    """

    __slots__ = ("kind", "target")

    def __init__(self, kind: ObjectKind, target: Term, span: Span) -> None:
        super().__init__(span)
        self.kind = kind
        self.target = target

    def check(self, rule: RuleContext) -> ObjectReference:
        """Check name or map."""
        target = self.target
        if isinstance(target, Word):
            return ObjectReference(self.kind, self.span, target.text, target.span)
        if not isinstance(target, MapTerm):
            selector = check_expression(target, rule)
            if isinstance(selector.datatype, Integer):
                raise fail("Counter expression must be constant", target.span)
            raise fail(
                f"datatype mismatch: expected string, expression has type {selector.datatype.description}",
                target.span,
                self.span,
            )
        selector = check_expression(target.key, rule)
        if isinstance(target.mapping, ReferenceTerm):
            known = rule.sets.get(target.mapping.name)
            if known is not None and known.objects is None:
                raise fail("Expression is not a map with objects", target.mapping.span)
            declared = find_map(target.mapping, selector, rule)
            return ObjectReference(self.kind, self.span, selector=selector, map_name=declared.name)
        found = elements(target.mapping, selector.datatype, selector.span, check_object_name)
        ordered = check_map_elements(found, selector.datatype)
        return ObjectReference(self.kind, self.span, selector=selector, found=tuple(ordered))


def parse_reference(parser: Parser, kind: ObjectKind, start: Span) -> ReferenceSyntax:
    """Read what stands behind ``name`` or ``set``: the name of an object, or a map of objects."""
    if parser.at(Kind.QUOTED):
        token = parser.advance()
        target: Term = Word(token.text, token.span, token.kind)
    else:
        target = parser.expression()
    return ReferenceSyntax(kind, target, parser.since(start))
