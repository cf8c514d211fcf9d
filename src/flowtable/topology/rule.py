"""Policy routing: which routing table a packet's route is looked up in.

Ref: net/core/fib_rules.c, net/ipv4/fib_rules.c, net/ipv6/fib6_rules.c.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from flowtable.topology.error import TopologyError
from flowtable.topology.prefix import covers
from flowtable.topology.route import RouteTable

if TYPE_CHECKING:
    from flowtable.topology.device import Device

L3MDEV_PRIORITY: Final = 1000
"""Where the first VRF puts its rule. Ref: drivers/net/vrf.c:FIB_RULE_PREF."""


class RuleAction(Enum):
    """What a rule does with packets that match. Ref: include/uapi/linux/fib_rules.h:FR_ACT_*."""

    LOOKUP = "lookup"
    """Look the route up in a table; the next rule is asked if it has none."""
    BLACKHOLE = "blackhole"
    UNREACHABLE = "unreachable"
    PROHIBIT = "prohibit"
    UNKNOWN = "unknown"
    """It asks for more than is known here: what becomes of packets that may match cannot be told."""


Network = tuple[bytes, int]
"""Address and prefix length."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule: what ``ip rule`` prints as one line. What is None or 0 matches everything.

    Attributes:
        priority: the lowest is asked first.
        action: what happens to packets that match.
        table: number of the table to look in.
        source: network of the source address (``from``).
        destination: network of the destination address (``to``).
        iif: name of the device that a packet came in on; ``lo`` for the box's own packets.
        oif: name of the device that a socket is bound to.
        fwmark: the packet's mark has to be this,
        fwmask: in these bits.
        l3mdev: look in the table of the VRF that a device is in, for packets of a VRF.
        invert: it is for the packets that do not match (``not``).
        suppress_prefixlength: a route with a prefix no longer than that is as none; None: every
            route will do.
    """

    priority: int
    action: RuleAction = RuleAction.LOOKUP
    table: int = 0
    source: Network | None = None
    destination: Network | None = None
    iif: str | None = None
    oif: str | None = None
    fwmark: int = 0
    fwmask: int = 0
    l3mdev: bool = False
    invert: bool = False
    suppress_prefixlength: int | None = None


@dataclass(slots=True)
class Flow:
    """What rules look at. Ref: include/net/flow.h:struct flowi_common.

    Attributes:
        destination: 4 or 16 bytes.
        source: all zero while it is not chosen yet.
        iif: None for the box's own packets.
        oif: the device that the route has to lead through, None for any.
        mark: the packet's mark.
        table: of the VRF that the packet belongs to, 0 for none.
    """

    destination: bytes
    source: bytes
    iif: Device | None
    oif: Device | None
    mark: int
    table: int


def matches(rule: Rule, flow: Flow) -> bool:
    """Whether a rule is for a packet. Ref: net/core/fib_rules.c:fib_rule_match."""
    return _selects(rule, flow) is not rule.invert


def _selects(rule: Rule, flow: Flow) -> bool:
    if rule.iif is not None and rule.iif != ("lo" if flow.iif is None else flow.iif.name):
        return False
    if rule.oif is not None and (flow.oif is None or rule.oif != flow.oif.name):
        return False
    if (rule.fwmark ^ flow.mark) & rule.fwmask:
        return False
    if rule.l3mdev and not flow.table:
        return False
    return (rule.source is None or covers(*rule.source, flow.source)) and (
        rule.destination is None or covers(*rule.destination, flow.destination)
    )


STANDARD: Final = (
    Rule(0, table=RouteTable.LOCAL),
    Rule(32766, table=RouteTable.MAIN),
    Rule(32767, table=RouteTable.DEFAULT),
)
"""The rules that are there from the start. Ref: net/ipv4/fib_rules.c:fib_default_rules_init."""
L3MDEV: Final = Rule(L3MDEV_PRIORITY, l3mdev=True)


class Rules:
    """The rules of one family in the order in which they are asked.

    Attributes:
        standard: whether they are those that are there from the start: no packet is asked for
            more than its destination.
    """

    __slots__ = ("_rules", "standard")

    def __init__(self) -> None:
        self._rules = list(STANDARD)
        self.standard = True

    def __iter__(self) -> Iterator[Rule]:
        return iter(self._rules)

    def add(self, rule: Rule) -> None:
        """Add a rule, behind those of the same priority.

        Raises:
            TopologyError: there is the same one already.
        """
        if rule in self._rules:
            raise TopologyError("File exists: there is such a rule already")
        insort(self._rules, rule, key=lambda r: r.priority)
        self._changed()

    def remove(self, rule: Rule) -> None:
        """Remove a rule.

        Raises:
            TopologyError: there is no such rule.
        """
        if rule not in self._rules:
            raise TopologyError("No such file or directory")
        self._rules.remove(rule)
        self._changed()

    def replace(self, rules: Iterable[Rule]) -> None:
        """Have these instead, in this order where their priorities are the same."""
        self._rules = sorted(rules, key=lambda rule: rule.priority)
        self._changed()

    def _changed(self) -> None:
        # Linux has no rule for the table `default` in IPv6.
        self.standard = tuple(self._rules) in (STANDARD, STANDARD[:2])
