"""Named sets and maps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flowtable.ruleset.element import Element
    from flowtable.ruleset.field_tree import GrowingTree
    from flowtable.ruleset.intervals import Intervals
    from flowtable.ruleset.objects import ObjectKind
    from flowtable.ruleset.source import Span
    from flowtable.ruleset.statement import Statement
    from flowtable.ruleset.types.base import DataType
    from flowtable.ruleset.values import Key


@dataclass(slots=True, eq=False)
class Set:
    """A named set or map.

    Attributes:
        name: unique among the sets and maps of its table.
        span: the name in its source.
        datatype: the type of its keys.
        is_map: it is a map.
        meter: it is the meter of a rule, which only that rule knows.
        data: the type of what its keys map to; None for a set, or for a map of verdicts.
        typeof: the selector that gave the type, as nft prints it; empty if ``type`` did.
        data_typeof: the same for the data.
        elements: what is in it, by what the keys cover.
        statements: what is counted and limited for each of its elements.
        objects: its keys map to objects of that kind, None if they do not.
        dynamic: packets can add elements.
        timeouts: elements can have a timeout.
        timeout: the timeout of elements without one of their own, milliseconds, None without.
        gc_interval: how often ended elements are cleared away, milliseconds, None for the default.
        interval: prefixes and ranges can be elements.
        constant: ``flags constant``.
        auto_merge: intervals that touch are made one.
        size: the most elements it takes, None for any number.
        policy: ``memory`` or ``performance`` where it is given.
        comment: its ``comment``, None without.
        handle: number unique in its table.
        intervals: the elements in order while a transaction needs them so, None otherwise.
    """

    name: str
    span: Span
    datatype: DataType
    is_map: bool = False
    meter: bool = False
    data: DataType | None = None
    typeof: str = ""
    data_typeof: str = ""
    elements: dict[Key | None, Element] = field(default_factory=dict)
    statements: tuple[Statement, ...] = ()
    objects: ObjectKind | None = None
    dynamic: bool = False
    timeouts: bool = False
    timeout: int | None = None
    gc_interval: int | None = None
    interval: bool = False
    constant: bool = False
    auto_merge: bool = False
    size: int | None = None
    policy: str = ""
    comment: str | None = None
    handle: int = 0
    intervals: Intervals | GrowingTree | None = None

    @property
    def word(self) -> str:
        """The keyword of its block."""
        if self.meter:
            return "meter"
        return "map" if self.is_map else "set"

    @property
    def lives(self) -> bool:
        """Whether packets or time change it: then each look-up has to look at the element itself."""
        return (
            self.dynamic
            or self.timeouts
            or bool(self.statements)
            or any(element.statements for element in self.elements.values())
        )
