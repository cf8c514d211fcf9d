"""Named sets and maps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flowtable.ruleset.source import Span


@dataclass(slots=True, eq=False)
class Set:
    """A named set.

    Attributes:
        name: unique among the sets and maps of its table.
        span: the name in its source.
    """

    name: str
    span: Span
