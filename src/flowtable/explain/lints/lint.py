"""What a lint is, and what it finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flowtable.explain.lints.subject import Subject
    from flowtable.ruleset.source import Span

    Find = Callable[[Subject], Iterator["Place"]]
    """Finds the places in a subject that a lint is about."""


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
        find: finds the places.
    """

    id: str
    why: str
    find: Find


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
