"""What is known while one rule is checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from flowtable.ruleset.family import Family
from flowtable.ruleset.selector import Identity, Layer
from flowtable.ruleset.source import Diagnostic, RulesetError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flowtable.ruleset.sets import Set
    from flowtable.ruleset.source import Span
    from flowtable.ruleset.statement import Statement


class Known(NamedTuple):
    """What earlier statements of the rule say of the protocol of a layer.

    Attributes:
        protocol: its name.
        span: the match that says so, None where the family of the table does.
        certain: it can be no other protocol.
    """

    protocol: str
    span: Span | None = None
    certain: bool = True


class RuleContext:
    """The rule as checked so far.

    Attributes:
        family: family of the table.
        sets: the named sets and maps that the rule can refer to.
        statements: matches and statements so far, implied protocol tests included.
        network: what is known of the network layer.
        transport: what is known of the transport layer.
        message: the ICMP type that is known.
    """

    __slots__ = ("family", "message", "network", "sets", "statements", "transport")

    def __init__(self, family: Family, sets: Mapping[str, Set]) -> None:
        self.family = family
        self.sets = sets
        self.statements: list[Statement] = []
        self.network: Known | None = None
        self.transport: Known | None = None
        self.message: Known | None = None
        if family in (Family.IP, Family.IP6):
            self.network = Known(family.value)

    def learn(self, identity: Identity, span: Span, *, certain: bool = True) -> None:
        """Take note of a protocol that a match has established."""
        known = Known(identity.protocol, span, certain)
        match identity.layer:
            case Layer.NETWORK:
                self.network = known
            case Layer.TRANSPORT:
                self.transport = known
            case Layer.MESSAGE:
                self.message = known
            case Layer.LINK:
                pass

    def error(self, message: str, span: Span, *related: Span | None) -> RulesetError:
        """An error in this rule, to be raised."""
        return RulesetError([Diagnostic(message, span, tuple(place for place in related if place))])
