"""Values, ranges and prefixes as JSON.

Ref: nftables src/json.c:range_expr_json, prefix_expr_json, set_expr_json.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowtable.ruleset.types.interface import InterfaceName
from flowtable.ruleset.values import Exact, format_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from flowtable.ruleset.json.value import Json
    from flowtable.ruleset.types.base import DataType
    from flowtable.ruleset.values import Element, Interval, Key


def key_json(covered: Key | None, datatype: DataType) -> Json:
    """What an element covers, ``"*"`` for the catch-all."""
    match covered:
        case None:
            return "*"
        case Exact(value):
            return datatype.json(value)
        case _ if isinstance(datatype, InterfaceName):
            return format_key(covered, datatype).strip('"')
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
    return datatype.json(data.value) if isinstance(data, Exact) else interval_json(data, datatype)


def set_json(elements: Iterable[Element], datatype: DataType) -> Json:
    """A set in a rule."""
    return {"set": [key_json(element.key, datatype) for element in elements]}


def map_json(elements: Iterable[Element], datatype: DataType, data: Callable[[object], Json]) -> Json:
    """A map in a rule."""
    return {"set": [[key_json(element.key, datatype), data(element.data)] for element in elements]}


def _prefix(base: int, length: int, datatype: DataType) -> Json:
    return {"prefix": {"addr": datatype.json(base), "len": length}}


def _range(covered: Interval, datatype: DataType) -> Json:
    return {"range": [datatype.json_bound(covered.low), datatype.json_bound(covered.high)]}
