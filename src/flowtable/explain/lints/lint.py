"""What a lint is, and what it finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flowtable.explain.lints.subject import Spot, Subject
    from flowtable.ruleset.source import Span

    Find = Callable[[Subject], Iterator["Place"]]
    """Finds the places in a subject that a lint is about."""
    Look = Callable[[Subject, Spot], Iterator["Place"]]
    """Finds them in one rule."""


class Place(NamedTuple):
    """A place that a lint is about.

    Attributes:
        span: where it is in the source.
        message: what is there, one line.
    """

    span: Span
    message: str


@dataclass(slots=True, frozen=True)
class Lint:
    """A lint.

    Attributes:
        id: its name, for ``# flowtable: ignore=ID`` and as the heading in docs/lints.md.
        why: why it matters, one line.
        find: finds the places; None where rules are looked at one by one.
        look: finds them in one rule; None where several are looked at together.
    """

    id: str
    why: str
    find: Find | None = None
    look: Look | None = None


@dataclass(slots=True, frozen=True)
class Finding:
    """A place that a lint has found.

    Attributes:
        lint: the lint.
        span: where it is in the source.
        message: what is there, one line.
    """

    lint: Lint
    span: Span
    message: str
