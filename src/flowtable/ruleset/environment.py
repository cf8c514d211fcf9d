"""What rules ask of the box they run in."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from flowtable.packet.packet import Packet
    from flowtable.ruleset.family import Family
    from flowtable.ruleset.nat import NatKind, NatRange
    from flowtable.topology.device import Device


class RejectKind(Enum):
    """How a packet is refused towards its sender."""

    UNREACHABLE = "unreachable"
    """ICMP(v6) destination unreachable, by the family of the packet."""
    TCP_RESET = "tcp reset"


@dataclass(slots=True, frozen=True)
class RejectWith:
    """The answer that a ``reject`` sends.

    Attributes:
        kind: which answer.
        code: the destination-unreachable code of the packet's own family (an ``icmpx`` code is
            translated already), 0 for a reset.
    """

    kind: RejectKind
    code: int = 0


@dataclass(slots=True, frozen=True)
class LogEntry:
    """What a ``log`` statement says beside the packet.

    Attributes:
        prefix: text in front, empty without.
        level: syslog level 0 (emerg) to 7 (debug), 8 for ``audit``, None when sent to ``group``.
        flags: names in nft's order, e.g. ``("tcp sequence", "ip options")``.
        group: nfnetlink_log group, None for the system log.
        snaplen: bytes of the packet to copy, 0 for all.
        queue_threshold: packets to collect before sending.
    """

    prefix: str = ""
    level: int | None = 4
    flags: tuple[str, ...] = ()
    group: int | None = None
    snaplen: int = 0
    queue_threshold: int = 0


@dataclass(slots=True, frozen=True)
class FibQuery:
    """What a ``fib`` expression asks the routing tables.

    Attributes:
        source: the packet's source address is looked up, not its destination.
        mark: the packet's mark takes part in the lookup.
        iif: the result has to do with the device the packet came in on.
        oif: the same with the device it goes out of.
    """

    source: bool
    mark: bool = False
    iif: bool = False
    oif: bool = False


class Environment(Protocol):
    """The box, as its rules see it."""

    def nat(self, packet: Packet, kind: NatKind, nat_range: NatRange) -> int:
        """Set up the translation of the packet's new connection; returns a ``Verdict``."""
        ...

    def flow_add(self, packet: Packet, family: Family, table: str, flowtable: str) -> bool:
        """Offload the packet's connection; False ends the rule (BREAK)."""
        ...

    def reject(self, packet: Packet, reply: RejectWith) -> None:
        """Answer the sender; the rule then drops the packet itself."""
        ...

    def log(self, packet: Packet, entry: LogEntry) -> None:
        """Write the packet to a log."""
        ...

    def interface_index(self, name: str) -> int | None:
        """Index of the device of that name, None if there is none (asked at compile time)."""
        ...

    def random(self) -> int:
        """The next random number, 32 bits."""
        ...

    def fib_type(self, packet: Packet, query: FibQuery) -> int | None:
        """What kind of address it is (an RTN number); None if the packet has none to look up."""
        ...

    def fib_device(self, packet: Packet, query: FibQuery) -> Device | None:
        """The device that packets to the address leave by, None where they do not leave."""
        ...

    def maximum_segment(self, packet: Packet) -> int:
        """The largest TCP segment that fits the packet's way in both directions, in bytes."""
        ...

    def set_zone(self, packet: Packet, zone: int, directions: int) -> None:
        """Choose the zone that an untracked packet will be tracked in.

        Args:
            packet: the packet.
            zone: 0..65535.
            directions: bit 0 for the original, bit 1 for the reply tuple.
        """
        ...

    def duplicate(self, packet: Packet, gateway: bytes | None, device: int | None) -> None:
        """Send a copy of a packet.

        Args:
            packet: the packet.
            gateway: to which host, 4 or 16 bytes; None sends the frame as it is.
            device: the index of the device it leaves by; None leaves that to the route.
        """
        ...

    def forward(self, packet: Packet, gateway: bytes | None, device: int | None) -> bool:
        """Send the packet itself out of a device, like a copy; False if it cannot be (BREAK)."""
        ...

    def opaque(self, packet: Packet, place: str) -> bool:
        """A packet reached a rule that cannot be evaluated.

        Args:
            packet: the packet.
            place: file and line of the rule.

        Returns:
            Whether it goes on behind the rule; otherwise it ends there.
        """
        ...
