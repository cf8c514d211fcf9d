"""What is known while one rule is checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from flowtable.ruleset.family import Family
from flowtable.ruleset.selector import Identity, Layer
from flowtable.ruleset.source import Diagnostic, RulesetError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flowtable.ruleset.sets import Set
    from flowtable.ruleset.source import Span
    from flowtable.ruleset.statement import Statement


_ONE_NETWORK: Final = (Family.IP, Family.IP6, Family.ARP)


class Known(NamedTuple):
    """What earlier statements of the rule say of the protocol of a layer.

    Attributes:
        protocols: the names that it can have, those of a set in its order.
        span: the match that says so, None where the family of the table does.
        certain: it can be no other protocol.
    """

    protocols: tuple[str, ...]
    span: Span | None = None
    certain: bool = True

    @property
    def protocol(self) -> str:
        """The name, the last one of several."""
        return self.protocols[-1]

    def conflict(self, protocol: str) -> str | None:
        """A protocol that it can be beside this one, None if there is no other."""
        return next((name for name in self.protocols if name != protocol), None)


class RuleContext:
    """The rule as checked so far.

    Attributes:
        family: family of the table.
        sets: the named sets and maps that the rule can refer to.
        statements: matches and statements so far, implied protocol tests included.
        link: what is known of the link layer.
        tags: how many VLAN tags the packet has for sure.
        network: what is known of the network layer.
        transport: what is known of the transport layer.
        message: the ICMP type that is known.
    """

    __slots__ = ("family", "link", "message", "network", "sets", "statements", "tags", "transport")

    def __init__(self, family: Family, sets: Mapping[str, Set]) -> None:
        self.family = family
        self.sets = sets
        self.statements: list[Statement] = []
        self.link: Known | None = Known(("ether",)) if family is Family.BRIDGE else None
        self.tags = 0
        self.network: Known | None = None
        self.transport: Known | None = None
        self.message: Known | None = None
        if family in _ONE_NETWORK:
            self.network = Known((family.value,))

    @classmethod
    def outside(cls) -> RuleContext:
        """The context of statements that are in no rule: those of sets and their elements."""
        return cls(Family.INET, {})

    def inner(self) -> RuleContext:
        """A rule of a chain without a name, which starts anew."""
        return RuleContext(self.family, self.sets)

    def learn(self, identities: Sequence[Identity], span: Span, *, certain: bool = True) -> None:
        """Take note of a protocol of a layer that a match has established, or of several."""
        known = Known(tuple(identity.protocol for identity in identities), span, certain)
        match identities[0].layer:
            case Layer.LINK:
                self.link = known
                self.tags += known.protocol == "vlan"
            case Layer.NETWORK if self.family not in _ONE_NETWORK:
                self.network = known
            case Layer.TRANSPORT:
                self.transport = known
            case Layer.MESSAGE:
                self.message = known
            case Layer.NETWORK:
                pass

    def error(self, message: str, span: Span, *related: Span | None) -> RulesetError:
        """An error in this rule, to be raised."""
        return RulesetError([Diagnostic(message, span, tuple(place for place in related if place))])
