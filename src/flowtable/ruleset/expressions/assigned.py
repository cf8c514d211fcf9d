"""What a statement sets something to: a constant, something that is read, or a map.

Ref: net/netfilter/nft_immediate.c:nft_immediate_eval, net/netfilter/nft_lookup.c:nft_lookup_eval.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowtable.ruleset.expressions.bitwise import check_expression
from flowtable.ruleset.expressions.mapping import Mapping, check_mapping
from flowtable.ruleset.selector import Selector
from flowtable.ruleset.syntax import BinaryTerm, ConcatTerm, MapTerm
from flowtable.ruleset.types import CT_EVENT
from flowtable.ruleset.types.number import Integer
from flowtable.ruleset.values import Exact, fail, scalar

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowtable.packet.packet import Packet
    from flowtable.ruleset.code import Load
    from flowtable.ruleset.compiler import Compiler
    from flowtable.ruleset.context import RuleContext
    from flowtable.ruleset.json.value import Json
    from flowtable.ruleset.source import Span
    from flowtable.ruleset.syntax import Term
    from flowtable.ruleset.types.base import DataType, Value

Assigned = Exact | Selector | Mapping


def check_assigned(
    term: Term, datatype: DataType, rule: RuleContext, statement: Span, *, any_number: bool = False
) -> Assigned:
    """Check what a statement sets something of a type to.

    Args:
        term: the value as written.
        datatype: its type.
        rule: the rule.
        statement: what other errors point at.
        any_number: a number of any width will do.

    Raises:
        RulesetError: it is of another type.
    """
    if isinstance(term, MapTerm):
        return check_mapping(term, datatype, rule)
    if not _reads(term):
        return Exact(scalar(term, datatype))
    selector = check_expression(term, rule)
    got = selector.datatype
    if got is not datatype and not isinstance(got, Integer):
        description = got.description
    elif got.bits != datatype.bits and not any_number:
        description = f"{got.description} with length {got.bits}"
    else:
        return selector
    raise fail(
        f"datatype mismatch: expected {datatype.description}, expression has type {description}",
        term.span,
        statement,
    )


def _reads(term: Term) -> bool:
    """Whether a term reads anything."""
    if isinstance(term, BinaryTerm):
        return _reads(term.left) or _reads(term.right)
    if isinstance(term, ConcatTerm):
        return any(map(_reads, term.parts))
    return isinstance(term, Selector)


def assigned_text(assigned: Assigned, datatype: DataType) -> str:
    """As nft prints it."""
    if isinstance(assigned, Exact):
        if datatype is CT_EVENT and isinstance(assigned.value, int):
            return ",".join(CT_EVENT.split(assigned.value))
        return datatype.format(assigned.value)
    return assigned.text()


def assigned_json(assigned: Assigned, datatype: DataType) -> Json:
    """As libnftables writes it."""
    if not isinstance(assigned, Exact):
        return assigned.json()
    if datatype is CT_EVENT and isinstance(assigned.value, int):
        events = CT_EVENT.json_list(assigned.value)
        return events if len(events) > 1 else events[0]
    return datatype.json(assigned.value)


def assigned_selectors(assigned: Assigned) -> tuple[Selector, ...]:
    """What it reads."""
    match assigned:
        case Mapping():
            return (assigned.selector,)
        case Selector():
            return (assigned,)
        case _:
            return ()


def assigned_lookups(assigned: Assigned) -> tuple[str, ...]:
    """The declared maps that it refers to."""
    return assigned.lookups if isinstance(assigned, Mapping) else ()


def anonymous_maps(assigned: object) -> int:
    """How many maps without a name it is: one or none."""
    return int(isinstance(assigned, Mapping) and not assigned.name)


def compile_assigned(assigned: Assigned, compiler: Compiler) -> Load:
    """A function from a packet to the value."""
    if isinstance(assigned, Exact):
        value = assigned.value
        return lambda packet: value
    if isinstance(assigned, Selector):
        return assigned.load(compiler)
    return _single(assigned.compile(compiler))


def _single(find: Callable[[Packet], object]) -> Load:
    def load(packet: Packet) -> Value | None:
        found = find(packet)
        return found.value if isinstance(found, Exact) else None

    return load
