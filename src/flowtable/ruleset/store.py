"""A named set or map while rules run: what packets and time make of it.

Ref: net/netfilter/nft_lookup.c:nft_lookup_eval, nft_dynset.c:nft_dynset_eval,
include/net/netfilter/nf_tables.h:nft_set_elem_update_expr.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowtable.clock import MILLISECOND
from flowtable.ruleset.code import BREAK, GO_ON, step_op
from flowtable.ruleset.element import Element
from flowtable.ruleset.lookup import build
from flowtable.ruleset.values import Exact

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowtable.packet.packet import Packet
    from flowtable.ruleset.code import Op
    from flowtable.ruleset.compiler import Compiler
    from flowtable.ruleset.sets import Set
    from flowtable.ruleset.statement import Statement
    from flowtable.ruleset.types.base import Value


class Store:
    """The elements of a set or map, changed by packets and by time.

    Attributes:
        declared: the set.
    """

    __slots__ = ("_catch_all", "_compiler", "_exact", "_find", "_size", "declared")

    def __init__(self, declared: Set, compiler: Compiler) -> None:
        self.declared = declared
        self._compiler = compiler
        self._size = declared.size
        for element in declared.elements.values():
            element.act = compile_statements(element.statements, compiler)
        lookup = build(declared.elements.values(), declared.datatype, compiler, lambda element: element)
        self._catch_all = lookup.default
        lookup.default = None
        self._exact = lookup.exact
        self._find = lookup.finder()

    def find(self, packet: Packet, value: Value) -> Element | None:
        """The element that covers a value, after its statements let the packet pass; None if none."""
        element = self._live(value, packet.time)
        if element is None or (element.act is not None and element.act(packet) != GO_ON):
            return None
        return element

    def has(self, packet: Packet, value: Value) -> bool:
        """Whether an element covers a value."""
        return self._live(value, packet.time) is not None

    def _live(self, value: Value, now: int) -> Element | None:
        element = self._find(value)
        if element is None or element.expired(now):
            element = self._catch_all
            if element is None or element.expired(now):
                return None
        return element

    def put(
        self,
        packet: Packet,
        value: Value,
        data: object | None,
        timeout: int | None,
        statements: Sequence[Statement],
        *,
        refresh: bool,
    ) -> int:
        """Add an element, or find the one that is there, and run its statements.

        Args:
            packet: the packet that does.
            value: the key, as it was read from the packet.
            data: what it maps to, None in a set.
            timeout: milliseconds, None for that of the set.
            statements: what is counted and limited for it; copied.
            refresh: start its timeout again if it is there (``update``).

        Returns:
            ``BREAK`` if the set is full or a statement says so, else ``GO_ON``.
        """
        now = packet.time
        lifetime = self.declared.timeout if timeout is None else timeout
        element = self._exact.get(value)
        if element is None or element.expired(now):
            if element is None and not self._has_room(now):
                return BREAK
            element = self._add(value, data, timeout, lifetime, statements, now)
        elif refresh and element.deadline is not None and lifetime:
            element.deadline = now + lifetime * MILLISECOND
        return GO_ON if element.act is None else element.act(packet)

    def _add(
        self,
        value: Value,
        data: object | None,
        timeout: int | None,
        lifetime: int | None,
        statements: Sequence[Statement],
        now: int,
    ) -> Element:
        own = tuple(statement.fresh() for statement in statements or self.declared.statements)
        key = Exact(self.declared.datatype.unkey(value))
        element = Element(
            key,
            self.declared.span,
            data,
            timeout=timeout if timeout != self.declared.timeout else None,
            statements=own,
        )
        if lifetime:
            element.remaining = lifetime
            element.start(now)
        element.act = compile_statements(own, self._compiler)
        self._exact[value] = element
        self.declared.elements[key] = element
        return element

    def _has_room(self, now: int) -> bool:
        if self._size is None or len(self._exact) < self._size:
            return True
        for value, element in list(self._exact.items()):
            if element.expired(now):
                self.take(value)
        return len(self._exact) < self._size

    def take(self, value: Value) -> None:
        """Delete the element of a value, if there is one."""
        if self._exact.pop(value, None) is not None:
            del self.declared.elements[Exact(self.declared.datatype.unkey(value))]


def compile_statements(statements: Sequence[Statement], compiler: Compiler) -> Op | None:
    """Do all, up to the first that ends the rule; None for none."""
    ops = tuple(step_op(statement.compile(compiler)) for statement in statements)
    if not ops:
        return None

    def run(packet: Packet) -> int:
        for op in ops:
            code = op(packet)
            if code:
                return code
        return GO_ON

    return run
