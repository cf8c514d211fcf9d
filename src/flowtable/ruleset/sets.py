"""Named sets and maps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flowtable.ruleset.source import Span
    from flowtable.ruleset.types.base import DataType
    from flowtable.ruleset.values import Element


@dataclass(slots=True, eq=False)
class Set:
    """A named set or map.

    Attributes:
        name: unique among the sets and maps of its table.
        span: the name in its source.
        datatype: the type of its keys.
        is_map: it is a map.
        data: the type of what its keys map to; None for a set, or for a map of verdicts.
        typeof: the selector that gave the type, as nft prints it; empty if ``type`` did.
        data_typeof: the same for the data.
        elements: what is in it, in ascending order.
        interval: prefixes and ranges can be elements.
        constant: ``flags constant``.
        auto_merge: intervals that touch are made one.
        size: the most elements it takes, None for any number.
        policy: ``memory`` or ``performance`` where it is given.
        comment: its ``comment``, None without.
        handle: number unique in its table.
    """

    name: str
    span: Span
    datatype: DataType
    is_map: bool = False
    data: DataType | None = None
    typeof: str = ""
    data_typeof: str = ""
    elements: list[Element] = field(default_factory=list)
    interval: bool = False
    constant: bool = False
    auto_merge: bool = False
    size: int | None = None
    policy: str = ""
    comment: str | None = None
    handle: int = 0
