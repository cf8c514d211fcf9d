"""Adding elements to named sets and maps, and taking them out.

Ref: net/netfilter/nf_tables_api.c:nft_add_set_elem, nft_del_setelem.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowtable.ruleset.element import corners, extent, field_bounds, merge
from flowtable.ruleset.field_tree import GrowingTree
from flowtable.ruleset.intervals import Intervals
from flowtable.ruleset.references import check_object, check_target
from flowtable.ruleset.refused import EEXIST, ENFILE, ENOENT, refused
from flowtable.ruleset.set_check import merges
from flowtable.ruleset.statements.verdict import VerdictStatement
from flowtable.ruleset.types.concatenation import Concatenation
from flowtable.ruleset.values import bounds, fail, identity

if TYPE_CHECKING:
    from flowtable.ruleset.element import Element
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
    if merges(declared):
        _merge(declared, added)
    else:
        _add(declared, added, create=create)
    if declared.size is not None and len(declared.elements) > declared.size:
        over = len(declared.elements) - declared.size
        span = added[max(len(added) - over, 0)].span
        raise refused(ENFILE, span, f"the set takes at most {declared.size} elements")


def _add(declared: Set, added: list[Element], *, create: bool) -> None:
    known = declared.elements
    fresh = []
    for element in added:
        other = known.get(identity(element.key))
        if other is None:
            fresh.append(element)
        elif create or other.data != element.data:
            raise refused(EEXIST, element.span, "this key is there already")
    if declared.interval and known:
        if isinstance(declared.datatype, Concatenation):
            _check_boxes(declared, fresh)
        else:
            _check_overlaps(declared, fresh)
    known.update((identity(element.key), element) for element in fresh)


def _check_overlaps(declared: Set, fresh: list[Element]) -> None:
    """Raise nft's error if a new interval overlaps one that is there."""
    intervals = _intervals(declared)
    for element in fresh:
        if element.key is None:
            continue
        others = intervals.within(*bounds(element.key))
        if others:
            raise fail("conflicting intervals specified", element.span, others[0].span)
        intervals.add(element)


def _check_boxes(declared: Set, fresh: list[Element]) -> None:
    """Raise the kernel's error if a new concatenation begins or ends within one that is there."""
    if not isinstance(declared.intervals, GrowingTree):
        keys = (element.key for element in declared.elements.values())
        declared.intervals = GrowingTree([field_bounds(key) for key in keys if key is not None])
    for element in fresh:
        if element.key is not None:
            box = field_bounds(element.key)
            if any(map(declared.intervals.around, corners(box))):
                raise refused(EEXIST, element.span, "it overlaps an element that is there")
            declared.intervals.add(box)


def _intervals(declared: Set) -> Intervals:
    if not isinstance(declared.intervals, Intervals):
        declared.intervals = Intervals(declared.elements.values())
    return declared.intervals


def _merge(declared: Set, added: list[Element]) -> None:
    """Add intervals and make one of those that touch."""
    if not declared.elements:
        declared.elements.update((identity(element.key), element) for element in added)
        return
    intervals = _intervals(declared)
    for element in added:
        if element.key is None:
            declared.elements.setdefault(None, element)
            continue
        low, high = bounds(element.key)
        touched = intervals.within(low - 1, high + 1)
        if len(touched) == 1 and extent(touched[0])[0] <= low and high <= extent(touched[0])[1]:
            continue
        for other in touched:
            intervals.remove(other)
            del declared.elements[identity(other.key)]
        (whole,) = merge([*touched, element], declared.datatype)
        intervals.add(whole)
        declared.elements[identity(whole.key)] = whole


def take_elements(declared: Set, taken: list[Element], *, destroy: bool) -> None:
    """Delete elements, an interval only as a whole; with ``destroy`` they need not be there."""
    declared.intervals = None
    for element in taken:
        if declared.elements.pop(identity(element.key), None) is None and not destroy:
            if merges(declared):
                raise fail("element does not exist", element.span)
            raise refused(ENOENT, element.span)
