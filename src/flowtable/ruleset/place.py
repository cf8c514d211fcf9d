"""Where in a chain a rule goes, or which rule is meant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flowtable.ruleset.model import Chain
    from flowtable.ruleset.parser import Parser
    from flowtable.ruleset.source import Span


@dataclass(slots=True, frozen=True)
class Place:
    """A rule that is there already.

    Attributes:
        number: its handle, or its index in the chain.
        index: ``number`` is an index, from 0.
        span: where errors about it point.
    """

    number: int
    index: bool
    span: Span

    def find(self, chain: Chain) -> int | None:
        """The index of that rule, None if there is none."""
        if self.index:
            return self.number if self.number < len(chain.rules) else None
        for at, rule in enumerate(chain.rules):
            if rule.handle == self.number:
                return at
        return None


def parse_place(parser: Parser) -> Place | None:
    """Read ``handle N``, ``position N``, which is the same, or ``index N``; None without."""
    start = parser.token.span
    word = parser.accept_word("handle", "position", "index")
    if word is None:
        return None
    number = parser.number("number")
    span = parser.previous.span if word == "handle" else parser.since(start)
    return Place(number, word == "index", span)


def parse_handle(parser: Parser) -> Place:
    """Read ``handle N``, which has to follow."""
    if not parser.at_word("handle"):
        raise parser.unexpected("handle")
    place = parse_place(parser)
    assert place is not None
    return place
