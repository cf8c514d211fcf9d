"""What a box has for hardware that forwards flows: chips, their ports, and what they can do.

A chip is described here as its data sheet would; how it behaves with frames is ``offload.switch``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from flowtable.clock import MILLISECOND, SECOND
from flowtable.topology.device import Device, DeviceKind
from flowtable.topology.dsa import DsaPort
from flowtable.topology.error import TopologyError

MICROSECOND: Final = 1000

QUEUE_LATENCY: Final = 500 * MICROSECOND
"""From the request of a flow to the worker that carries it out, where a box file does not say."""


class Feature(Enum):
    """Something that a rule may need and a chip may lack; the value is its name in a box file."""

    IPV6 = "ipv6"
    NAT = "nat"
    IPV6_NAT = "ipv6-nat"
    VLAN = "vlan"
    QINQ = "qinq"
    DOT1AD = "802.1ad"
    PPPOE = "pppoe"
    GRE = "gre"


class Eviction(Enum):
    """What a chip does with a new rule when there is no room for it."""

    NONE = "none"
    """It refuses it: the flow stays in software."""
    OLDEST = "oldest"
    """The rule that was inserted first makes room."""
    LRU = "lru"
    """The rule that forwarded nothing for the longest time makes room."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChipModel:
    """What a kind of chip can do.

    Attributes:
        entries: rules that the table holds; a flow takes one for each direction.
        ways: a rule has this many places, chosen by a hash of its key; None: it has any.
        eviction: what happens to a rule without a place.
        insert_latency: from the driver's call to the rule in effect, nanoseconds.
        insert_rate: rules per second that the driver can write or delete; None: any number.
        counters: whether rules count packets and bytes, and know when the last one came.
        counter_interval: how old counters may be that are read, nanoseconds.
        bind_threshold: packets that have to match within a second before a rule forwards.
        ageing: after how long without packets the chip forgets a rule itself, nanoseconds; None: never.
        lacks: what it cannot do.
    """

    entries: int = 65536
    ways: int | None = None
    eviction: Eviction = Eviction.NONE
    insert_latency: int = 0
    insert_rate: int | None = None
    counters: bool = True
    counter_interval: int = 0
    bind_threshold: int = 0
    ageing: int | None = None
    lacks: frozenset[Feature] = frozenset()


PRESETS: Final[dict[str, ChipModel]] = {
    "ideal": ChipModel(),
    "packet-engine": ChipModel(
        entries=16384,
        ways=4,
        insert_latency=20 * MICROSECOND,
        insert_rate=20000,
        counter_interval=100 * MILLISECOND,
        bind_threshold=30,
        lacks=frozenset({Feature.IPV6_NAT, Feature.DOT1AD, Feature.GRE}),
    ),
    "dsa-switch": ChipModel(
        entries=2048,
        insert_latency=200 * MICROSECOND,
        insert_rate=2000,
        counter_interval=SECOND,
        lacks=frozenset({Feature.IPV6_NAT, Feature.PPPOE, Feature.QINQ, Feature.DOT1AD, Feature.GRE}),
    ),
    "nic": ChipModel(
        entries=1 << 20,
        insert_latency=30 * MICROSECOND,
        insert_rate=50000,
        counter_interval=SECOND,
        lacks=frozenset({Feature.PPPOE}),
    ),
}
"""Typical parts by the name that a box file calls them: a home router's packet engine with a bind
threshold, a switch that routes, a network card with an embedded switch. No part of any maker: the
figures are of the right order, and a box file may give others."""


@dataclass(frozen=True, slots=True)
class Chip:
    """A chip of a box.

    Attributes:
        name: what the box file calls it.
        ports: the devices whose wires end in it: network cards, or user ports of a switch.
        model: what it can do.
    """

    name: str
    ports: tuple[Device, ...]
    model: ChipModel


@dataclass(slots=True)
class Hardware:
    """All that forwards flows besides the box's processors.

    Attributes:
        queue_latency: from the request of a flow to the worker that carries it out, nanoseconds.
        chips: in the order of the box file.
    """

    queue_latency: int = QUEUE_LATENCY
    chips: list[Chip] = field(default_factory=list)

    def add(self, chip: Chip) -> None:
        """Add a chip.

        Raises:
            TopologyError: its name or a port is another's, or a device can be no port.
        """
        if not chip.ports:
            raise TopologyError("a chip has ports", "ports")
        if any(other.name == chip.name for other in self.chips):
            raise TopologyError(f"there is already a chip {chip.name!r}", "name")
        taken = {port: other for other in self.chips for port in other.ports}
        for number, port in enumerate(chip.ports):
            if port.kind not in (DeviceKind.ETHERNET, DeviceKind.DSA):
                raise TopologyError(f"a {port.kind.value} device is no port of a chip", "ports")
            if port in chip.ports[:number]:
                raise TopologyError(f"{port.name} is listed twice", "ports")
            if port in taken:
                raise TopologyError(f"{port.name} belongs to {taken[port].name}", "ports")
            if any(isinstance(upper, DsaPort) for upper in port.uppers):
                raise TopologyError(f"{port.name} is a conduit; its user ports are the chip's", "ports")
        self.chips.append(chip)
