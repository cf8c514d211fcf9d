"""Adding elements to named sets and maps, and taking them out.

Ref: net/netfilter/nf_tables_api.c:nft_add_set_elem, nft_del_setelem.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from flowtable.ruleset.element import Element, check_fields, merge
from flowtable.ruleset.references import check_object, check_target
from flowtable.ruleset.refused import EEXIST, ENFILE, ENOENT, refused
from flowtable.ruleset.set_check import merges
from flowtable.ruleset.statements.verdict import VerdictStatement
from flowtable.ruleset.types.concatenation import Concatenation
from flowtable.ruleset.values import bounds, fail, identity

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flowtable.ruleset.model import Table
    from flowtable.ruleset.sets import Set


def unsupported(declared: Set) -> str | None:
    """Why no kind of set of the kernel can do what is asked for, None if one can."""
    if declared.interval and declared.dynamic:
        return "packets cannot add elements to sets with 'flags interval'"
    if declared.constant and declared.timeouts:
        return "elements of sets with 'flags constant' stay"
    return None


def same_kind(known: Set, declared: Set) -> bool:
    """Whether a set can be declared again like this."""
    return (
        known.datatype is declared.datatype
        and known.is_map == declared.is_map
        and known.data is declared.data
        and known.objects is declared.objects
        and known.interval == declared.interval
        and known.constant == declared.constant
        and known.timeouts == declared.timeouts
    )


def put_elements(table: Table, declared: Set, added: list[Element], *, create: bool = False) -> None:
    """Add elements.

    Args:
        table: the table of the set.
        declared: the set or map.
        added: the elements.
        create: none of them may be there.
    """
    for element in added:
        if isinstance(element.data, VerdictStatement):
            check_target(table, element.data, element.span)
        elif declared.objects is not None and isinstance(element.data, str):
            check_object(table, declared.objects, element.data, element.span)
    known = declared.elements
    if merges(declared):
        combined = merge([*known.values(), *added], declared.datatype)
        declared.elements = {identity(element.key): element for element in combined}
    else:
        fresh = []
        for element in added:
            key = identity(element.key)
            other = known.get(key)
            if other is None:
                fresh.append(element)
            elif create or other.data != element.data:
                raise refused(EEXIST, element.span, "this key is there already")
        if declared.interval:
            _check_overlaps(declared, fresh)
        known.update((identity(element.key), element) for element in fresh)
    if declared.size is not None and len(declared.elements) > declared.size:
        over = len(declared.elements) - declared.size
        span = added[max(len(added) - over, 0)].span
        raise refused(ENFILE, span, f"the set takes at most {declared.size} elements")


def _check_overlaps(declared: Set, fresh: list[Element]) -> None:
    known = declared.elements
    if isinstance(declared.datatype, Concatenation):
        if known:
            check_fields([*known.values(), *fresh])
    elif known and fresh:
        _check_disjoint(known.values(), fresh)


def _check_disjoint(known: Iterable[Element], fresh: Iterable[Element]) -> None:
    """Raise nft's error if a new interval overlaps one that is there."""
    ordered = sorted((*bounds(element.key), element.span) for element in known if element.key is not None)
    lows = [low for low, _, _ in ordered]
    for element in fresh:
        if element.key is None:
            continue
        low, high = bounds(element.key)
        place = bisect_right(lows, high) - 1
        if place >= 0 and ordered[place][1] >= low:
            raise fail("conflicting intervals specified", element.span, ordered[place][2])


def take_elements(declared: Set, taken: list[Element], *, destroy: bool) -> None:
    """Delete elements, an interval only as a whole; with ``destroy`` they need not be there."""
    for element in taken:
        if declared.elements.pop(identity(element.key), None) is None and not destroy:
            if merges(declared):
                raise fail("element does not exist", element.span)
            raise refused(ENOENT, element.span)
