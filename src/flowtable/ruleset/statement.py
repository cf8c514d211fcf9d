"""What every statement of a rule can do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from flowtable.ruleset.source import Span


class Statement(Protocol):
    """A match or a statement, checked and in normal form."""

    span: Span
