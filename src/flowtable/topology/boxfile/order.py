"""The order in which devices are made: what a device stands on comes before it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from flowtable.topology.boxfile.document import Scalar
from flowtable.topology.boxfile.reader import Field

_TAKES_AFTER_MEMBERS: Final = {"bridge": ("mac", "mtu"), "bond": ("mac",)}
"""Kinds of masters, and what they take from their members unless it is given."""


def in_order(items: list[Field]) -> list[Field]:
    """The devices, each behind those it stands on or takes after; else in the order of the file.

    One that stands on itself, by way of others, is noted.
    """
    by_name = {word(item, "name"): item for item in reversed(items)}
    members: dict[str | None, list[Field]] = {}
    for item in items:
        members.setdefault(word(item, "master"), []).append(item)

    def needs(item: Field) -> Iterator[Field]:
        parent = by_name.get(word(item, "parent"))
        if parent is not None and word(item, "parent") is not None:
            yield parent
        given = _TAKES_AFTER_MEMBERS.get(word(item, "kind") or "", ())
        if any(item.child(key) is None for key in given):
            yield from members.get(word(item, "name"), ())

    placed: dict[Field, None] = {}
    for item in items:
        waiting = {item: needs(item)}
        while waiting:
            last, rest = next(reversed(waiting.items()))
            needed = next(rest, None)
            if needed is None:
                waiting.popitem()
                placed[last] = None
            elif needed in waiting:
                place = last.child("parent") or last.child("name") or last
                place.note(f"{word(last, 'name')} stands on itself")
            elif needed not in placed:
                waiting[needed] = needs(needed)
    return list(placed)


def word(item: Field, key: str) -> str | None:
    """The text that a device has for a key, None where it has none."""
    field = item.child(key)
    return field.node.text if field is not None and isinstance(field.node, Scalar) else None
