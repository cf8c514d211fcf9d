"""Verdict maps.

Ref: net/netfilter/nft_lookup.c:nft_lookup_eval into the verdict register.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowtable.ruleset.code import BREAK, Do
from flowtable.ruleset.expressions.bitwise import check_expression
from flowtable.ruleset.expressions.collection import (
    build,
    check_map_elements,
    find_set,
    format_map,
)
from flowtable.ruleset.json.keys import map_json
from flowtable.ruleset.statement import Statement
from flowtable.ruleset.statements.verdict import VerdictStatement, verdict_op
from flowtable.ruleset.syntax import ConcatTerm, ReferenceTerm, SetTerm, VerdictTerm
from flowtable.ruleset.values import Element, elements, fail

if TYPE_CHECKING:
    from flowtable.packet.packet import Packet
    from flowtable.ruleset.code import Op, Step
    from flowtable.ruleset.compiler import Compiler
    from flowtable.ruleset.context import RuleContext
    from flowtable.ruleset.json.value import Json
    from flowtable.ruleset.selector import Identity, Selector
    from flowtable.ruleset.source import Span
    from flowtable.ruleset.syntax import Term


class VerdictMap(Statement):
    """``ct state vmap { established : accept, invalid : drop }``.

    Attributes:
        selector: what is looked up.
        elements: the map in ascending order, empty where it has a name.
        name: the name of a declared map, empty where it is written in place.
    """

    __slots__ = ("elements", "name", "selector")

    def __init__(self, selector: Selector, found: list[Element], name: str, span: Span) -> None:
        super().__init__(span)
        self.selector = selector
        self.elements = found
        self.name = name

    @property
    def headers(self) -> tuple[Identity, ...]:
        """The header that is read."""
        header = self.selector.header
        return () if header is None else (header,)

    @property
    def jumps(self) -> tuple[str, ...]:
        """Targets of its verdicts; those of a declared map are the map's."""
        return element_jumps(self.elements)

    @property
    def anonymous_sets(self) -> int:
        """The map, unless it is a declared one."""
        return int(not self.name)

    def lookups(self) -> tuple[str, ...]:
        """The name of the map, if it is a declared one."""
        return (self.name,) if self.name else ()

    def text(self, *, stateless: bool = False) -> str:
        """As nft prints it."""
        del stateless
        if self.name:
            return f"{self.selector.text()} vmap @{self.name}"
        shown = format_map(self.elements, self.selector.datatype, format_verdict)
        return f"{self.selector.text()} vmap {shown}"

    def json(self) -> Json:
        """Key and data."""
        data: Json = f"@{self.name}"
        if not self.name:
            data = map_json(self.elements, self.selector.datatype, verdict_json)
        return {"vmap": {"key": self.selector.json(), "data": data}}

    def compile(self, compiler: Compiler) -> Step:
        """Look up and do what is found; nothing found ends the rule."""
        found = compiler.sets[self.name].elements if self.name else self.elements

        def data(element: Element) -> Op:
            verdict = element.data
            assert isinstance(verdict, VerdictStatement)
            op = verdict_op(verdict.verdict, verdict.chain, compiler)
            return (lambda packet: op) if isinstance(op, int) else op

        find = build(found, self.selector.datatype, compiler, data).finder()
        load = self.selector.load(compiler)

        def run(packet: Packet) -> int:
            value = load(packet)
            if value is None:
                return BREAK
            op = find(value)
            return BREAK if op is None else op(packet)

        return Do(run)


def element_jumps(found: list[Element]) -> tuple[str, ...]:
    """The chains that the verdicts of a map go to."""
    return tuple(
        chain
        for element in found
        if isinstance(element.data, VerdictStatement)
        for chain in element.data.jumps
    )


def format_verdict(data: object) -> str:
    """A verdict as nft prints it."""
    assert isinstance(data, VerdictStatement)
    return data.text()


def verdict_json(data: object) -> Json:
    """A verdict as libnftables writes it."""
    assert isinstance(data, VerdictStatement)
    return data.json()


def check_verdict(term: Term | VerdictTerm) -> VerdictStatement:
    """Check what an element of a verdict map stands for."""
    if not isinstance(term, VerdictTerm):
        raise fail("a value is no verdict", term.span)
    return VerdictStatement(term.verdict, term.span, term.chain, term.chain_span)


class VerdictMapSyntax(Statement):
    """A verdict map as written.

    Attributes:
        key: what is looked up.
        mapping: the map.
    """

    __slots__ = ("key", "mapping")

    def __init__(self, key: Term, mapping: SetTerm | ReferenceTerm, span: Span) -> None:
        super().__init__(span)
        self.key = key
        self.mapping = mapping

    def check(self, rule: RuleContext) -> VerdictMap:
        """Check key and elements."""
        if isinstance(self.key, ConcatTerm):
            raise fail("concatenations are not supported", self.key.span)
        selector = check_expression(self.key, rule)
        if isinstance(self.mapping, ReferenceTerm):
            declared = find_set(self.mapping, selector, rule)
            if not declared.is_map:
                raise fail("Expression is not a map", self.mapping.span)
            if declared.data is not None:
                raise fail("the map holds no verdicts", self.mapping.span)
            return VerdictMap(selector, [], declared.name, self.span)
        found = elements(self.mapping, selector.datatype, selector.span, check_verdict)
        return VerdictMap(selector, check_map_elements(found, selector.datatype), "", self.span)
