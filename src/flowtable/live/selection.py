"""Which connections a ``conntrack`` command is about.

Ref: conntrack-tools src/conntrack.c:nfct_filter; libnetfilter_conntrack src/conntrack/compare.c.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flowtable.conntrack.connection import Status
from flowtable.conntrack.tuple import Tuple
from flowtable.live.ctnetlink.request import ANY, Masked
from flowtable.packet.packet import ICMP, ICMPV6

if TYPE_CHECKING:
    from flowtable.live.ctnetlink.report import Report


@dataclass(slots=True, frozen=True)
class Net:
    """An address and which of its bits count."""

    address: bytes
    mask: bytes

    def __contains__(self, address: bytes) -> bool:
        return len(address) == len(self.address) and all(
            (one ^ other) & bits == 0
            for one, other, bits in zip(address, self.address, self.mask, strict=True)
        )


@dataclass(slots=True, frozen=True)
class Side:
    """What is asked of one direction; None for anything."""

    source: Net | None = None
    destination: Net | None = None
    sport: int | None = None
    dport: int | None = None

    def matches(self, tuple_: Tuple) -> bool:
        """Whether it is so."""
        return (
            (self.source is None or tuple_.src in self.source)
            and (self.destination is None or tuple_.dst in self.destination)
            and (self.sport is None or tuple_.sport == self.sport)
            and (self.dport is None or tuple_.dport == self.dport)
        )


@dataclass(slots=True, frozen=True)
class Nat:
    """A translation: to any address and port, or to these."""

    address: bytes | None = None
    port: int | None = None

    def matches(self, translated: tuple[bytes, int], plain: tuple[bytes, int]) -> bool:
        """Whether a translation turned one address and port into the other."""
        address = translated[0] != plain[0] and self.address in (None, translated[0])
        port = translated[1] != plain[1] and self.port in (None, translated[1])
        if self.address is None and self.port is None:
            return address or port
        return (self.address is None or address) and (self.port is None or port)


@dataclass(slots=True)
class Selection:
    """Connections with all that is asked for; None for anything.

    Attributes:
        family: ``IPV4``, ``IPV6`` or ``ANY``.
        protocol: transport protocol.
        original: of the direction that created them.
        reply: of the answers.
        icmp: type, code and identifier of ICMP, each or None.
        state: of the protocol.
        mark: bits of the mark.
        status: bits of ``Status``.
        labels: bits of the labels.
        zone: the zone that holds for both directions.
        zone_original: the zone that holds for the original direction only.
        zone_reply: the zone that holds for the reply direction only.
        snat: translation of sources.
        dnat: translation of destinations.
        any_nat: whether one of the two will do.
    """

    family: int = ANY
    protocol: int | None = None
    original: Side = Side()
    reply: Side = Side()
    icmp: tuple[int | None, int | None, int | None] = (None, None, None)
    state: int | None = None
    mark: Masked | None = None
    status: Masked | None = None
    labels: int = 0
    zone: int | None = None
    zone_original: int | None = None
    zone_reply: int | None = None
    snat: Nat | None = None
    dnat: Nat | None = None
    any_nat: bool = False

    def matches(self, report: Report, status: int | None) -> bool:
        """Whether a report is of such a connection; its status is what listings show."""
        original, reply = report.original, report.reply
        return (
            self.family in (ANY, report.family)
            and self.protocol in (None, original.l4proto)
            and self.original.matches(original)
            and self.reply.matches(reply)
            and self._icmp(original)
            and self.state in (None, _state(report))
            and (self.mark is None or ((report.mark or 0) & self.mark.mask) == self.mark.value)
            and (self.status is None or ((status or 0) & self.status.mask) == self.status.value)
            and not self.labels & ~(report.labels or 0)
            and self.zone in (None, report.zone)
            and self.zone_original in (None, report.zone_original)
            and self.zone_reply in (None, report.zone_reply)
            and self._nat(original, reply)
        )

    def _icmp(self, original: Tuple) -> bool:
        kind, code, ident = self.icmp
        return (
            kind in (None, original.icmp_type)
            and code in (None, original.icmp_code)
            and ident in (None, original.icmp_id)
        )

    def _nat(self, original: Tuple, reply: Tuple) -> bool:
        sources = (reply.dst, reply.dport), (original.src, original.sport)
        targets = (reply.src, reply.sport), (original.dst, original.dport)
        if original.l4proto in (ICMP, ICMPV6):
            sources = (reply.dst, reply.icmp_id), (original.src, original.icmp_id)
            targets = (reply.src, 0), (original.dst, 0)
        wanted = [
            (nat, pair) for nat, pair in ((self.snat, sources), (self.dnat, targets)) if nat is not None
        ]
        if not wanted:
            return True
        found = [nat.matches(*pair) for nat, pair in wanted]
        return any(found) if self.any_nat else all(found)

    @property
    def kernel_status(self) -> Masked | None:
        """The part of the status that Linux can be asked for: it does not know what we offload."""
        ours = Status.OFFLOAD | Status.HW_OFFLOAD
        if self.status is None or self.status.mask & ours:
            return None
        return self.status


def _state(report: Report) -> int | None:
    tcp = report.tcp
    return report.sctp_state if tcp is None else tcp.state
