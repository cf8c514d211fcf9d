"""One direction of a flow, worked out: what every packet needs is computed when it is installed.

The key of a flow fixes addresses and ports, so all of them that leave are constants, and what
NAT and the TTL do to the checksums is one number each: one's complement deltas add up
(RFC 1624). A hit reads a few header fields, compares them, and builds the frame in one go.

``self.unpack(...)`` would look for a method first: functions kept in an attribute are fetched,
then called.

The steps are those of the kernel, in its order: length against the MTU, TCP flags, route,
neighbour, rewrite. No byte has changed when a packet is refused.

Ref: net/netfilter/nf_flow_table_ip.c:nf_flow_offload_forward, nf_flow_offload_ipv6_forward.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from struct import Struct
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from flowtable.datapath.encapsulation import Encapsulation
from flowtable.flows.datapath import Handover
from flowtable.flows.entry import FlowFlag
from flowtable.flows.teardown import Teardown
from flowtable.packet.checksum import MANGLED_ZERO, TTL_DELTA, delta
from flowtable.packet.miss import Miss
from flowtable.packet.packet import (
    ETHERTYPE_IPV4,
    ETHERTYPE_IPV6,
    GRE,
    IPV4,
    IPV6,
    TCP,
    UDP,
)
from flowtable.profile import Length, TcpClosing
from flowtable.topology.device import Device
from flowtable.topology.neighbour import Neighbour, NeighbourState

if TYPE_CHECKING:
    from flowtable.flows.datapath import OnEnd, Outcome
    from flowtable.flows.entry import Direction, FlowEntry
    from flowtable.packet.flowkey import FlowKey
    from flowtable.profile import Profile

_ETHERNET: Final = 14
_IPV6_HEADER: Final = 40
_NO_HEAD: Final = bytes(_ETHERNET)
_GONE: Final = -1
"""A limit below every length: packets of a flow that is gone fail the first comparison."""

_FIN: Final = 0x01
_SYN: Final = 0x02
_RST: Final = 0x04

_ETHERTYPE: Final = {IPV4: ETHERTYPE_IPV4.to_bytes(2, "big"), IPV6: ETHERTYPE_IPV6.to_bytes(2, "big")}

_STALE: Final = NeighbourState.STALE
_UNWATCHED: Final = Neighbour(Device("unwatched", 0), b"", None, NeighbourState.NOARP)
"""Stands in for neighbours that do not age: it is never STALE."""


class _Layout(NamedTuple):
    """What to read behind the link-layer header, what to write, and where the rest begins."""

    unpack: Callable[[bytes, int], tuple[Any, ...]]
    pack: Callable[..., bytes]
    tail: int
    minimum: int


def _layout(read: str, write: str, minimum: int) -> _Layout:
    header = Struct("!14s" + write)
    return _Layout(Struct("!" + read).unpack_from, header.pack, header.size, minimum)


# IPv4: version to TOS, length, identification and fragment field, TTL and protocol, checksum.
# IPv6: version to flow label, payload length, next header and hop limit.
# Behind addresses and ports: what lies before the transport checksum, and that checksum.
_TCP4: Final = _layout("2sH4sHH12x12sH", "2sH4sHH12s12sH", 40)
_UDP4: Final = _layout("2sH4sHH12x2sH", "2sH4sHH12s2sH", 28)
_GRE4: Final = _layout("2sH4sHH", "2sH4sHH", 24)
_TCP6: Final = _layout("4sHH36x12sH", "4sHH36s12sH", 20)
_UDP6: Final = _layout("4sHH36x2sH", "4sHH36s2sH", 8)
_GRE6: Final = _layout("4sHH", "4sHH", 4)
_TTL: Final = 0x0100
"""One of the TTL, in a number with the protocol behind it."""


class Path(ABC):
    """A direction of an installed entry. ``forward`` takes one frame of it.

    Attributes:
        entry: the entry.
        direction: the direction of the entry.
        key: under which it is found.
        older: the path with the same key that it hides.
        on_end: told of packets that end the flow.
        encapsulation: what is around the packets besides a bare Ethernet header, None for nothing.
        unpack: reads the fields that matter from the IP header on.
        pack: writes a frame up to ``tail``.
        tail: where that begins which no packet of the flow has changed.
        minimum: the least length that the IP header may give.
        tcp: whether the transport protocol is TCP.
        closing: what FIN and RST do.
        whole: the frame tells the length of the packet, not its IP header.
        profile: how it behaves.
        queue: a packet without a resolved next hop goes to the neighbour layer.
        granularity: how much later than the last refresh a packet has to come to refresh.
        limit: the largest packet that may leave; below every length once the flow is gone.
        neighbour: the next hop, watched for becoming stale.
        head: link-layer header to leave with, empty while there is none to be had.
        device: the device to leave through.
        wire: addresses and ports to leave with.
        ip_delta: what that and the TTL do to the IPv4 header checksum.
        l4_delta: what that does to the transport checksum, 0 where it is not to be touched.
        packets: packets forwarded.
        bytes: their lengths.
        used: when the last one arrived.
    """

    __slots__ = (
        "bytes",
        "closing",
        "device",
        "direction",
        "encapsulation",
        "entry",
        "granularity",
        "head",
        "ip_delta",
        "key",
        "l4_delta",
        "limit",
        "minimum",
        "neighbour",
        "older",
        "on_end",
        "pack",
        "packets",
        "profile",
        "queue",
        "tail",
        "tcp",
        "unpack",
        "used",
        "whole",
        "wire",
    )

    def __init__(
        self, entry: FlowEntry, direction: Direction, layout: _Layout, profile: Profile, on_end: OnEnd
    ) -> None:
        self.unpack, self.pack, self.tail, self.minimum = layout
        self.tcp = direction.key.l4proto == TCP
        self.entry = entry
        self.direction = direction
        self.key: FlowKey = direction.key
        self.older: Path | None = None
        self.on_end = on_end
        self.closing = profile.tcp_closing
        self.granularity = profile.refresh_granularity
        self.queue = profile.queue_unresolved
        self.whole = profile.length is Length.FRAME
        self.profile = profile
        self.packets = direction.packets
        self.bytes = direction.bytes
        self.used = direction.used
        self.update()

    def update(self) -> None:
        """Work everything out again after the entry changed."""
        entry = self.entry
        direction = self.direction
        key = self.key
        old = key.wire
        new = direction.rewritten
        translated = entry.flags & (FlowFlag.SNAT | FlowFlag.DNAT)
        self.device = direction.device
        self.wire = new
        self.l4_delta = delta(old, new) if translated else 0
        self.ip_delta = TTL_DELTA + (delta(old[:-4], new[:-4]) if translated else 0)
        self.limit = _GONE if entry.flags & (FlowFlag.TEARDOWN | FlowFlag.GONE) else direction.mtu
        self.neighbour = (direction.ages and direction.neighbour) or _UNWATCHED
        if direction.destination and not direction.stale:
            self.head = direction.destination + direction.source + _ETHERTYPE[key.l3proto]
        else:
            self.head = b""
        self.encapsulation = Encapsulation.of(direction, self.profile)

    def encapsulated(self, around: Encapsulation, frame: bytes, now: int) -> Outcome:
        """Forward one frame in which more than a bare Ethernet header is around the packet."""
        bare = around.take_off(frame)
        if not isinstance(bare, bytes):
            return bare
        outcome = self.forward(bare, now)
        if not around.puts_on or type(outcome) is not tuple:
            return outcome
        device, sent = outcome
        return device, around.put_on(frame, sent)

    @abstractmethod
    def forward(self, frame: bytes, now: int) -> Outcome:
        """Forward one frame, its IP header behind 14 bytes."""

    def too_long(self) -> Miss:
        """Why a packet does not fit: there is no way any more, or it is longer than the MTU."""
        flags = self.entry.flags
        if flags & FlowFlag.TEARDOWN:
            return Miss.TEARDOWN
        if flags & FlowFlag.GONE:
            return Miss.CONNECTION_GONE
        return Miss.TOO_BIG

    def tcp_flags(self, flags: int, now: int) -> Miss | None:
        """What SYN, FIN and RST do; None to go on.

        Ref: net/netfilter/nf_flow_table_ip.c:nf_flow_state_check.
        """
        entry = self.entry
        if flags & _SYN and entry.flags & FlowFlag.CLOSING:
            self.on_end(entry, Teardown.REOPEN, now)
            return Miss.TCP_REOPEN
        if flags & (_FIN | _RST):
            match self.closing:
                case TcpClosing.CLASSIC:
                    self.on_end(entry, Teardown.RST if flags & _RST else Teardown.FIN, now)
                    return Miss.TCP_CLOSING
                case TcpClosing.BYPASS:
                    entry.flags |= FlowFlag.CLOSING
        return None

    def count(self, size: int, now: int) -> None:
        """Account a packet that goes through, and keep the flow alive.

        Ref: net/netfilter/nf_flow_table_core.c:flow_offload_refresh.
        """
        self.packets += 1
        self.bytes += size
        self.used = now
        entry = self.entry
        if now - entry.refreshed > self.granularity:
            entry.refreshed = now

    def unready(self, frame: bytes, now: int) -> Handover | Miss:
        """What becomes of a packet while there is no MAC address to just send it to."""
        direction = self.direction
        if direction.stale:
            self.on_end(self.entry, Teardown.ROUTE, now)
            return Miss.STALE_ROUTE
        if not self.head and not self.queue:
            return Miss.NO_NEIGHBOUR
        # The same way for this one packet, with a neighbour who takes it and no header yet.
        # A SYN that came as far found the flow not CLOSING: its own FIN must not make it a reopen now.
        closing = self.entry.flags & FlowFlag.CLOSING
        self.entry.flags &= ~FlowFlag.CLOSING
        head, neighbour = self.head, self.neighbour
        self.head, self.neighbour = _NO_HEAD, _UNWATCHED
        try:
            outcome = self.forward(frame, now)
        finally:
            self.head, self.neighbour = head, neighbour
            self.entry.flags |= closing
        assert type(outcome) is tuple
        return Handover(direction.device, direction.next_hop, outcome[1][_ETHERNET:])


class _Ipv4(Path):
    """TCP or UDP over IPv4."""

    __slots__ = ()

    def forward(self, frame: bytes, now: int) -> Outcome:
        size = len(frame) - _ETHERNET
        unpack = self.unpack
        service, length, identity, lifetime, check, middle, l4_check = unpack(frame, _ETHERNET)
        if length != size and not self.whole:
            if length > size or length < self.minimum:
                return Miss.TRUNCATED
            frame = frame[: _ETHERNET + length]
            size = length
        if size > self.limit:
            return self.too_long()
        tcp = self.tcp
        if tcp and middle[9] & 7:
            miss = self.tcp_flags(middle[9], now)
            if miss is not None:
                return miss
        head = self.head
        if not head or self.neighbour.state is _STALE:
            return self.unready(frame, now)

        self.packets += 1
        self.bytes += size
        self.used = now
        entry = self.entry
        if now - entry.refreshed > self.granularity:
            entry.refreshed = now

        l4_delta = self.l4_delta
        if l4_delta:
            if tcp:
                l4_check = (l4_check - l4_delta) % 0xFFFF
            elif l4_check:
                l4_check = (l4_check - l4_delta) % 0xFFFF or MANGLED_ZERO
        check = (check - self.ip_delta) % 0xFFFF
        pack = self.pack
        header = pack(head, service, length, identity, lifetime - _TTL, check, self.wire, middle, l4_check)
        return self.device, header + frame[self.tail :]


class _Ipv6(Path):
    """TCP or UDP over IPv6."""

    __slots__ = ()

    def forward(self, frame: bytes, now: int) -> Outcome:
        size = len(frame) - _ETHERNET
        unpack = self.unpack
        flow, payload, lifetime, middle, l4_check = unpack(frame, _ETHERNET)
        if payload != size - _IPV6_HEADER and not self.whole:
            if payload > size - _IPV6_HEADER or payload < self.minimum:
                return Miss.TRUNCATED
            size = payload + _IPV6_HEADER
            frame = frame[: _ETHERNET + size]
        if size > self.limit:
            return self.too_long()
        tcp = self.tcp
        if tcp and middle[9] & 7:
            miss = self.tcp_flags(middle[9], now)
            if miss is not None:
                return miss
        head = self.head
        if not head or self.neighbour.state is _STALE:
            return self.unready(frame, now)

        self.packets += 1
        self.bytes += size
        self.used = now
        entry = self.entry
        if now - entry.refreshed > self.granularity:
            entry.refreshed = now

        l4_delta = self.l4_delta
        if l4_delta:
            if tcp:
                l4_check = (l4_check - l4_delta) % 0xFFFF
            elif l4_check:
                l4_check = (l4_check - l4_delta) % 0xFFFF or MANGLED_ZERO
        pack = self.pack
        header = pack(head, flow, payload, lifetime - 1, self.wire, middle, l4_check)
        return self.device, header + frame[self.tail :]


class _Gre4(Path):
    """GRE over IPv4, which is never translated."""

    __slots__ = ()

    def forward(self, frame: bytes, now: int) -> Outcome:
        size = len(frame) - _ETHERNET
        unpack = self.unpack
        service, length, identity, lifetime, check = unpack(frame, _ETHERNET)
        if length != size and not self.whole:
            if length > size or length < self.minimum:
                return Miss.TRUNCATED
            frame = frame[: _ETHERNET + length]
            size = length
        if size > self.limit:
            return self.too_long()
        head = self.head
        if not head or self.neighbour.state is _STALE:
            return self.unready(frame, now)
        self.count(size, now)
        check = (check - self.ip_delta) % 0xFFFF
        pack = self.pack
        header = pack(head, service, length, identity, lifetime - _TTL, check)
        return self.device, header + frame[self.tail :]


class _Gre6(Path):
    """GRE over IPv6, which is never translated."""

    __slots__ = ()

    def forward(self, frame: bytes, now: int) -> Outcome:
        size = len(frame) - _ETHERNET
        unpack = self.unpack
        flow, payload, lifetime = unpack(frame, _ETHERNET)
        if payload != size - _IPV6_HEADER and not self.whole:
            if payload > size - _IPV6_HEADER or payload < self.minimum:
                return Miss.TRUNCATED
            size = payload + _IPV6_HEADER
            frame = frame[: _ETHERNET + size]
        if size > self.limit:
            return self.too_long()
        head = self.head
        if not head or self.neighbour.state is _STALE:
            return self.unready(frame, now)
        self.count(size, now)
        pack = self.pack
        header = pack(head, flow, payload, lifetime - 1)
        return self.device, header + frame[self.tail :]


_KINDS: Final[dict[tuple[int, int], tuple[type[Path], _Layout]]] = {
    (IPV4, TCP): (_Ipv4, _TCP4),
    (IPV4, UDP): (_Ipv4, _UDP4),
    (IPV4, GRE): (_Gre4, _GRE4),
    (IPV6, TCP): (_Ipv6, _TCP6),
    (IPV6, UDP): (_Ipv6, _UDP6),
    (IPV6, GRE): (_Gre6, _GRE6),
}


def make_path(entry: FlowEntry, direction: Direction, profile: Profile, on_end: OnEnd) -> Path:
    """Work out a direction of an entry.

    Args:
        entry: the entry.
        direction: one of its directions.
        profile: how it behaves.
        on_end: what to tell of packets that end the flow.

    Raises:
        KeyError: no flow has such a protocol.
    """
    kind, layout = _KINDS[direction.key.l3proto, direction.key.l4proto]
    return kind(entry, direction, layout, profile, on_end)
