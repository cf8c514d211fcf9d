"""Which protocol tests a listing leaves out, because what follows them implies them anyway.

Ref: nftables src/payload.c:payload_dependency_kill, src/netlink_delinearize.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from flowtable.packet.packet import ETHERTYPE_VLAN
from flowtable.ruleset.expressions.payload import Payload
from flowtable.ruleset.family import Family
from flowtable.ruleset.selector import Identity, Layer
from flowtable.ruleset.statements.last import text_at
from flowtable.ruleset.statements.match import Match
from flowtable.ruleset.statements.reject import Reject
from flowtable.ruleset.values import Exact

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowtable.ruleset.model import Rule
    from flowtable.ruleset.selector import Selector
    from flowtable.ruleset.statement import Statement


def visible(statements: list[Statement], family: Family) -> list[Statement]:
    """The statements of a rule that a listing shows.

    A test is shown if something with an effect of its own stands between it and what implies it.
    What is left is the same once it has been read back: a test that is written twice goes
    altogether.
    """
    shown = _Walk(statements, family).visible()
    while len(shown) < len(statements):
        statements, shown = shown, _Walk(shown, family).visible()
    return shown


_CARRIER: Final = {"icmp": "ip", "icmpv6": "ip6"}
"""What carries a protocol where a listing leaves out the test for that."""


def rule_text(rule: Rule, family: Family, now: int | None = None, *, stateless: bool) -> str:
    """A rule as nft prints it.

    Args:
        rule: the rule.
        family: family of its table.
        now: when, nanoseconds; None before the rules run.
        stateless: without counts.
    """
    shown = visible(rule.statements, family)
    texts = [text_at(statement, now, stateless=stateless) for statement in shown]
    if rule.comment is not None:
        texts.append(f'comment "{rule.comment}"')
    return " ".join(texts)


class _Pending(NamedTuple):
    """A protocol test that what follows may imply.

    Attributes:
        place: where it stands in the rule.
        test: the test.
        new: it does not contradict what stands in front of it.
    """

    place: int
    test: Match
    new: bool


class _Walk:
    """One walk over the statements of a rule.

    Attributes:
        hidden: places of the tests that are left out.
    """

    __slots__ = ("_family", "_known", "_pending", "_statements", "hidden")

    def __init__(self, statements: list[Statement], family: Family) -> None:
        self._statements = statements
        self._family = family
        self._pending: dict[Layer, _Pending] = {}
        self._known: dict[Layer, str] = {}
        self.hidden: set[int] = set()

    @property
    def _network_known(self) -> bool:
        """Whether the test for what carries IGMP is shown; it would be added where it is not."""
        return self._one_network or Layer.NETWORK in self._known

    @property
    def _one_network(self) -> bool:
        """Whether the table sees one network protocol only."""
        return self._family in (Family.IP, Family.IP6)

    def visible(self) -> list[Statement]:
        """Walk."""
        for index, statement in enumerate(self._statements):
            self._hide_implied(statement)
            if isinstance(statement, Match):
                self._note(index, statement)
            else:
                self._pending.clear()
        return [statement for index, statement in enumerate(self._statements) if index not in self.hidden]

    def _hide_implied(self, statement: Statement) -> None:
        if self._one_network:
            own = Identity(Layer.NETWORK, self._family.value)
            network = self._pending.get(Layer.NETWORK)
            if network is not None and network.test.identity == own and not network.test.headers:
                self._hide(Layer.NETWORK)
            if isinstance(statement, Reject) and statement.reply == "tcp reset":
                self._hide(Layer.TRANSPORT)
        for header in _headers(statement):
            pending = self._pending.get(header.layer)
            if pending is not None and self._implies(pending.test, header):
                self._hide(header.layer)
        if any(_of_one_message(selector) for selector in statement.selectors):
            self._hide(Layer.MESSAGE)

    def _hide(self, layer: Layer) -> None:
        pending = self._pending.get(layer)
        if pending is not None and pending.new:
            self.hidden.add(pending.place)
            del self._pending[layer]

    def _implies(self, test: Match, header: Identity) -> bool:
        """Whether reading a header implies a test that stands in front of it."""
        if test.identity != header or (header.protocol == "igmp" and not self._network_known):
            return False
        if isinstance(test.left, Payload) and test.left.of.layer is Layer.LINK:
            if header.layer is Layer.NETWORK:
                return True
            return test.left.of.name == "ether" and test.right == Exact(ETHERTYPE_VLAN)
        if test.left.headers:
            return self._one_network
        return not (self._family is Family.INET and test.left.text() == "meta protocol")

    def _note(self, index: int, match: Match) -> None:
        identity = match.identity
        if identity is not None:
            layer, protocol = identity
            new = self._known.get(layer, protocol) == protocol
            self._pending[layer] = _Pending(index, match, new)
        for layer, protocol in match.identities:
            self._known[layer] = protocol if identity is not None else ""
        for header in _headers(match):
            self._known.setdefault(header.layer, header.protocol)


def _headers(statement: Statement) -> Iterator[Identity]:
    """The headers that a statement needs, and those that these need below them."""
    selectors = statement.selectors
    for header in (
        (header for each in selectors for header in _implied(each)) if selectors else statement.headers
    ):
        yield header
        network = _CARRIER.get(header.protocol)
        if network is not None:
            yield Identity(Layer.NETWORK, network)


def _implied(selector: Selector) -> tuple[Identity, ...]:
    """The headers that a selector needs; nft shows what the type behind a VLAN tag needs."""
    if isinstance(selector, Payload) and selector.of.name == "vlan" and selector.name == "type":
        return ()
    return selector.implies


def _of_one_message(selector: Selector) -> bool:
    """Whether it is a field that only one type of ICMP message has."""
    return isinstance(selector, Payload) and len(selector.field.messages) == 1
