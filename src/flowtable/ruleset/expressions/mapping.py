"""Maps: what is read stands for another value.

Ref: net/netfilter/nft_lookup.c:nft_lookup_eval.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from flowtable.ruleset.element import Element, elements
from flowtable.ruleset.expressions.bitwise import check_expression
from flowtable.ruleset.expressions.collection import (
    check_map_elements,
    find_map,
    format_map,
)
from flowtable.ruleset.json.keys import data_json, map_json
from flowtable.ruleset.lookup import build
from flowtable.ruleset.syntax import ReferenceTerm, VerdictTerm
from flowtable.ruleset.types.concatenation import Concatenation
from flowtable.ruleset.values import Exact, Fields, Interval, Key, fail, format_key, key, mismatch

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowtable.packet.packet import Packet
    from flowtable.ruleset.code import Load
    from flowtable.ruleset.compiler import Compiler
    from flowtable.ruleset.context import RuleContext
    from flowtable.ruleset.json.value import Json
    from flowtable.ruleset.selector import Selector
    from flowtable.ruleset.store import Store
    from flowtable.ruleset.syntax import MapTerm, Term
    from flowtable.ruleset.types.base import DataType


class Mapping:
    """``tcp dport map { 80 : 8080 }`` or ``tcp dport map @name``.

    Attributes:
        selector: what is read.
        datatype: the type of what it stands for.
        elements: the map in ascending order, empty where it has a name.
        name: the name of a declared map, empty where it is written in place.
    """

    __slots__ = ("datatype", "elements", "name", "selector")

    def __init__(self, selector: Selector, datatype: DataType, found: list[Element], name: str) -> None:
        self.selector = selector
        self.datatype = datatype
        self.elements = found
        self.name = name

    @property
    def lookups(self) -> tuple[str, ...]:
        """The name of the map, if it is a declared one."""
        return (self.name,) if self.name else ()

    @property
    def ranges(self) -> bool:
        """Whether values stand for ranges, in a map that is written in place."""
        return any(isinstance(element.data, Interval) for element in self.elements)

    def text(self) -> str:
        """As nft prints it."""
        if self.name:
            return f"{self.selector.text()} map @{self.name}"
        shown = format_map(self.elements, self.selector.datatype, self._format)
        return f"{self.selector.text()} map {shown}"

    def json(self) -> Json:
        """Key and data."""
        data: Json = f"@{self.name}"
        if not self.name:
            data = map_json(self.elements, self.selector.datatype, self._json)
        return {"map": {"key": self.selector.json(), "data": data}}

    def _json(self, data: object) -> Json:
        return data_json(cast("Key", data), self.datatype)

    def _format(self, data: Key) -> str:
        return format_data(data, self.datatype)

    def compile(self, compiler: Compiler) -> Callable[[Packet], Key | None]:
        """A function from a packet to what its value stands for; None where there is nothing."""
        load = self.selector.load(compiler)
        if self.name and compiler.lives(self.name):
            return _from_store(compiler.store(self.name), load)
        found = compiler.sets[self.name].elements.values() if self.name else self.elements
        find = build(found, self.selector.datatype, compiler, _data).finder()

        def run(packet: Packet) -> Key | None:
            value = load(packet)
            return None if value is None else find(value)

        return run


def _from_store(store: Store, load: Load) -> Callable[[Packet], Key | None]:
    def run(packet: Packet) -> Key | None:
        value = load(packet)
        if value is None:
            return None
        element = store.find(packet, value)
        return None if element is None else _data(element)

    return run


def _data(element: Element) -> Key:
    return cast("Key", element.data)


def format_data(data: Key, datatype: DataType) -> str:
    """What an element of a map stands for, as nft prints it."""
    if isinstance(data, Exact):
        return datatype.format(data.value)
    if isinstance(data, Fields):
        assert isinstance(datatype, Concatenation)
        pairs = zip(data.parts, datatype.parts, strict=True)
        return " . ".join(format_data(part, one) for part, one in pairs)
    return format_key(data, datatype)


def check_data(datatype: DataType) -> Callable[[Term | VerdictTerm], Key]:
    """A function that checks what an element of a map stands for."""

    def check(term: Term | VerdictTerm) -> Key:
        if isinstance(term, VerdictTerm):
            raise fail("a verdict is no value", term.span)
        return key(term, datatype)

    return check


def check_mapping(term: MapTerm, datatype: DataType, rule: RuleContext) -> Mapping:
    """Check a map whose values have to be of a type.

    Raises:
        RulesetError: they are not, or there is no such map.
    """
    selector = check_expression(term.key, rule)
    if isinstance(term.mapping, ReferenceTerm):
        declared = find_map(term.mapping, selector, rule)
        if declared.data is not datatype:
            if declared.data is None:
                raise fail("Expression is not a map of values", term.mapping.span)
            raise mismatch(datatype, declared.data, term.mapping.span, selector.span)
        return Mapping(selector, datatype, [], declared.name)
    found = elements(term.mapping, selector.datatype, selector.span, check_data(datatype))
    return Mapping(selector, datatype, check_map_elements(found, selector.datatype), "")
