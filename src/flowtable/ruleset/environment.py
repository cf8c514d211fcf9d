"""What rules ask of the box they run in."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from flowtable.packet.packet import Packet
    from flowtable.ruleset.family import Family
    from flowtable.ruleset.nat import NatKind, NatRange


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
