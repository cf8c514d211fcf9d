"""Statements that count and limit, which elements of sets can have too: from JSON to text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.ruleset.json.access import mapping, member, number, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flowtable.ruleset.json.value import Json


def counter(body: Json) -> str:
    """``counter packets 1 bytes 2``."""
    if body is None:
        return "counter"
    found = mapping(body, "counter")
    counts = (f" {name} {number(found[name], 'counter')}" for name in ("packets", "bytes") if name in found)
    return f"counter{''.join(counts)}"


def limit(body: Json) -> str:
    """``limit rate 10/second``."""
    return f"limit {rate(mapping(body, 'limit'))}"


def rate(found: Json) -> str:
    """What a limit is: ``rate 10/second burst 5 packets``."""
    members = mapping(found, "limit")
    over = "over " if members.get("inv") else ""
    amount = number(member(members, "rate", "limit"), "limit: rate")
    unit = plain(members.get("rate_unit", "packets"), "limit: rate_unit")
    amount_text = f"{amount}" if unit == "packets" else f"{amount} {unit}"
    text = f"rate {over}{amount_text}/{plain(members.get('per', 'second'), 'limit: per')}"
    burst = number(members.get("burst", 0), "limit: burst")
    if burst:
        text += f" burst {burst} {plain(members.get('burst_unit', unit), 'limit: burst_unit')}"
    return text


def quota(body: Json) -> str:
    """``quota over 10 mbytes``."""
    found = mapping(body, "quota")
    over = "over " if found.get("inv") else ""
    text = f"quota {over}{_size(found, 'val')}"
    return f"{text} used {_size(found, 'used')}" if "used" in found else text


def _size(members: Mapping[str, Json], name: str) -> str:
    amount = number(member(members, name, "quota"), f"quota: {name}")
    return f"{amount} {plain(members.get(f'{name}_unit', 'bytes'), f'quota: {name}_unit')}"


def connection_count(body: Json) -> str:
    """``ct count over 5``."""
    found = mapping(body, "ct count")
    over = "over " if found.get("inv") else ""
    return f"ct count {over}{number(member(found, 'val', 'ct count'), 'ct count: val')}"


def last(body: Json) -> str:
    """``last``."""
    if isinstance(body, dict) and "used" in body:
        return f"last used {number(body['used'], 'last: used')}ms"
    return "last"


STATEFUL: Final[dict[str, Callable[[Json], str]]] = {
    "counter": counter,
    "limit": limit,
    "quota": quota,
    "last": last,
    "ct count": connection_count,
}
"""By key: what reads such a statement."""
