"""Verdict maps.

Ref: net/netfilter/nft_lookup.c:nft_lookup_eval into the verdict register.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowtable.ruleset.code import BREAK, Do
from flowtable.ruleset.element import Element, elements
from flowtable.ruleset.expressions.bitwise import check_expression
from flowtable.ruleset.expressions.collection import (
    check_map_elements,
    find_map,
    format_map,
)
from flowtable.ruleset.json.keys import map_json
from flowtable.ruleset.lookup import build
from flowtable.ruleset.statement import Statement
from flowtable.ruleset.statements.verdict import VerdictStatement, verdict_op
from flowtable.ruleset.syntax import ReferenceTerm, SetTerm, VerdictTerm
from flowtable.ruleset.values import fail

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from flowtable.packet.packet import Packet
    from flowtable.ruleset.code import Load, Op, Step
    from flowtable.ruleset.compiler import Compiler
    from flowtable.ruleset.context import RuleContext
    from flowtable.ruleset.json.value import Json
    from flowtable.ruleset.selector import Selector
    from flowtable.ruleset.source import Span
    from flowtable.ruleset.store import Store
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
    def selectors(self) -> tuple[Selector, ...]:
        """What is looked up."""
        return (self.selector,)

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

        def data(element: Element) -> Op:
            verdict = element.data
            assert isinstance(verdict, VerdictStatement)
            op = verdict_op(verdict.verdict, verdict.chain, compiler)
            return (lambda packet: op) if isinstance(op, int) else op

        load = self.selector.load(compiler)
        if self.name and compiler.lives(self.name):
            return Do(_from_store(compiler.store(self.name), load, data))
        found = compiler.sets[self.name].elements.values() if self.name else self.elements
        find = build(found, self.selector.datatype, compiler, data).finder()

        def run(packet: Packet) -> int:
            value = load(packet)
            if value is None:
                return BREAK
            op = find(value)
            return BREAK if op is None else op(packet)

        return Do(run)


def _from_store(store: Store, load: Load, data: Callable[[Element], Op]) -> Op:
    ops = {id(element): data(element) for element in store.declared.elements.values()}

    def run(packet: Packet) -> int:
        value = load(packet)
        if value is None:
            return BREAK
        element = store.find(packet, value)
        return BREAK if element is None else ops[id(element)](packet)

    return run


def element_jumps(found: Iterable[Element]) -> tuple[str, ...]:
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
        selector = check_expression(self.key, rule)
        if isinstance(self.mapping, ReferenceTerm):
            declared = find_map(self.mapping, selector, rule)
            if declared.data is not None:
                raise fail("the map holds no verdicts", self.mapping.span)
            return VerdictMap(selector, [], declared.name, self.span)
        found = elements(self.mapping, selector.datatype, selector.span, check_verdict)
        return VerdictMap(selector, check_map_elements(found, selector.datatype), "", self.span)
