"""Values, ranges and prefixes as JSON.

Ref: nftables src/json.c:range_expr_json, prefix_expr_json, set_expr_json.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowtable.ruleset.types.concatenation import Concatenation
from flowtable.ruleset.types.interface import InterfaceName
from flowtable.ruleset.values import Exact, Fields, Interval, format_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from flowtable.ruleset.element import Element
    from flowtable.ruleset.json.value import Json
    from flowtable.ruleset.types.base import DataType
    from flowtable.ruleset.values import Key


def key_json(covered: Key | None, datatype: DataType) -> Json:
    """What an element covers, ``"*"`` for the catch-all."""
    match covered:
        case None:
            return "*"
        case Exact(value):
            return datatype.json(value)
        case Fields(parts):
            return _concatenation(parts, datatype, key_json)
        case _ if isinstance(datatype, InterfaceName):
            return format_key(covered, datatype).strip('"')
        case Interval(low, high) if low == high:
            return datatype.json(low)
        case _:
            host = covered.low ^ covered.high
            if datatype.prefixes and host & host + 1 == 0 and covered.low & host == 0:
                return _prefix(covered.low, datatype.bits - host.bit_length(), datatype)
            return _range(covered, datatype)


def interval_json(covered: Interval, datatype: DataType) -> Json:
    """An interval in a rule: a prefix only if it was written as one."""
    if covered.prefixlen >= 0:
        return _prefix(covered.low, covered.prefixlen, datatype)
    return _range(covered, datatype)


def data_json(data: Key, datatype: DataType) -> Json:
    """What an element of a map stands for."""
    match data:
        case Exact(value):
            return datatype.json(value)
        case Interval():
            return key_json(data, datatype)
        case Fields(parts):
            return _concatenation(parts, datatype, data_json)


def _concatenation(
    parts: Iterable[Exact | Interval],
    datatype: DataType,
    part_json: Callable[[Exact | Interval, DataType], Json],
) -> Json:
    assert isinstance(datatype, Concatenation)
    pairs = zip(parts, datatype.parts, strict=True)
    return {"concat": [part_json(part, one) for part, one in pairs]}


def element_json(element: Element, datatype: DataType, now: int | None = None) -> Json:
    """An element without what it maps to; bare if it is nothing but its key.

    Args:
        element: the element.
        datatype: the type of its key.
        now: the time that it is written at, nanoseconds; None before the rules run.
    """
    key = key_json(element.key, datatype)
    more: dict[str, Json] = {}
    if element.timeout is not None:
        more["timeout"] = element.timeout // 1000
    left = element.left(now)
    if left is not None:
        more["expires"] = left // 1000
    if element.comment is not None:
        more["comment"] = element.comment
    for statement in element.statements:
        written = statement.json()
        if isinstance(written, dict):
            more.update(written)
    return {"elem": {"val": key, **more}} if more else key


def set_json(elements: Iterable[Element], datatype: DataType) -> Json:
    """A set in a rule."""
    return {"set": [element_json(element, datatype) for element in elements]}


def map_json(elements: Iterable[Element], datatype: DataType, data: Callable[[object], Json]) -> Json:
    """A map in a rule."""
    return {"set": [[element_json(element, datatype), data(element.data)] for element in elements]}


def _prefix(base: int, length: int, datatype: DataType) -> Json:
    return {"prefix": {"addr": datatype.json(base), "len": length}}


def _range(covered: Interval, datatype: DataType) -> Json:
    return {"range": [datatype.json_bound(covered.low), datatype.json_bound(covered.high)]}
