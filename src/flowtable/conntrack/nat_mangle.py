"""Translating packets: addresses, ports and identifiers, and the checksums over them.

``manipulate`` does so for any packet, as the kernel does. ``rewrites`` prepares the same for the
packets of one connection, where what is to change and what that does to the checksums is known.

Ref: net/netfilter/nf_nat_proto.c:nf_nat_manip_pkt.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final

from flowtable.conntrack.connection import Status
from flowtable.conntrack.wire import PORTS
from flowtable.packet.checksum import MANGLED_ZERO, adjust, adjust_udp, delta
from flowtable.packet.packet import GRE, ICMP, ICMPV6, IPV4, SCTP, TCP, UDP, UDPLITE
from flowtable.packet.sctp import fill_checksum

if TYPE_CHECKING:
    from flowtable.conntrack.connection import Connection
    from flowtable.conntrack.tuple import Tuple
    from flowtable.packet.packet import Packet

# Checksum of an IPv4 header; addresses and ports, in one piece where the transport header follows
# the IP header at once; what lies before the transport checksum, and that checksum.
_TCP4: Final = Struct(">H12s12sH")
_UDP4: Final = Struct(">H12s2sH")
_TCP6: Final = Struct(">36s12sH")
_UDP6: Final = Struct(">36s2sH")

SOURCE: Final = 0
"""NF_NAT_MANIP_SRC."""
DESTINATION: Final = 1
"""NF_NAT_MANIP_DST."""

SIDES: Final = (DESTINATION, SOURCE, SOURCE, DESTINATION, SOURCE)
"""Which side each ``Hook`` translates; at forward there is no translation.

Ref: include/net/netfilter/nf_nat.h:HOOK2MANIP.
"""

NAT_BIT: Final = ((Status.SRC_NAT, Status.DST_NAT), (Status.DST_NAT, Status.SRC_NAT))
"""By direction and side, the status bit of connections whose packets change there."""

_ICMP_QUERIES: Final = frozenset({0, 8, 13, 14, 15, 16, 17, 18})
_ICMPV6_ECHOES: Final = frozenset({128, 129})


def target_of(connection: Connection, direction: int) -> Tuple:
    """What packets of a direction look like when they have been through.

    Ref: net/netfilter/nf_nat_proto.c:nf_nat_manip_pkt, which inverts the other direction.
    """
    return connection.tuple(1 - direction).inverse()


def manipulate(data: bytearray, offset: int, thoff: int, target: Tuple, side: int) -> bool:
    """Give a packet the source or destination of a tuple.

    Args:
        data: what holds the packet.
        offset: where its IP header begins.
        thoff: where its transport header begins.
        target: the tuple; its protocol says how the transport header is read.
        side: ``SOURCE`` or ``DESTINATION``.

    Returns:
        Whether the transport header was there. If not, nothing was changed.

    Ref: net/netfilter/nf_nat_proto.c:nf_nat_ipv4_manip_pkt, nf_nat_ipv6_manip_pkt.
    """
    address = target.src if side == SOURCE else target.dst
    size = len(address)
    if target.l3proto == IPV4:
        at = offset + (12 if side == SOURCE else 16)
    else:
        at = offset + (8 if side == SOURCE else 24)
    old = bytes(data[at : at + size])
    if not _manipulate_transport(data, thoff, target, side, old, address):
        return False
    if target.l3proto == IPV4:
        _adjust_at(data, offset + 10, delta(old, address))
    data[at : at + size] = address
    return True


def _manipulate_transport(
    data: bytearray, thoff: int, target: Tuple, side: int, old: bytes, address: bytes
) -> bool:
    """Ref: net/netfilter/nf_nat_proto.c:l4proto_manip_pkt."""
    room = len(data) - thoff
    l4proto = target.l4proto
    if l4proto in PORTS:
        if room < 8:
            return False
        at = thoff if side == SOURCE else thoff + 2
        port = (target.sport if side == SOURCE else target.dport).to_bytes(2)
        change = delta(old, address) + delta(bytes(data[at : at + 2]), port)
        data[at : at + 2] = port
        if l4proto == UDP:
            check = adjust_udp(data[thoff + 6] << 8 | data[thoff + 7], change)
            data[thoff + 6 : thoff + 8] = check.to_bytes(2)
        elif l4proto == UDPLITE:
            # Other than that of UDP, its checksum of 0 does not say that there is none (RFC 3828).
            check = adjust(data[thoff + 6] << 8 | data[thoff + 7], change) or MANGLED_ZERO
            data[thoff + 6 : thoff + 8] = check.to_bytes(2)
        # ICMP errors may quote no more than eight bytes, which the checksum is not among.
        elif l4proto == SCTP:
            fill_checksum(data, thoff)
        elif room >= 20:
            _adjust_at(data, thoff + 16, change)
        return True
    if l4proto == ICMP:
        if room < 8:
            return False
        if data[thoff] in _ICMP_QUERIES:
            identifier = target.sport.to_bytes(2)
            _adjust_at(data, thoff + 2, delta(bytes(data[thoff + 4 : thoff + 6]), identifier))
            data[thoff + 4 : thoff + 6] = identifier
        return True
    if l4proto == ICMPV6:
        if room < 8:
            return False
        change = delta(old, address)
        if data[thoff] in _ICMPV6_ECHOES:
            identifier = target.sport.to_bytes(2)
            change += delta(bytes(data[thoff + 4 : thoff + 6]), identifier)
            data[thoff + 4 : thoff + 6] = identifier
        _adjust_at(data, thoff + 2, change)
        return True
    if l4proto == GRE:
        return _manipulate_gre(data, thoff, target, side)
    return True


def _manipulate_gre(data: bytearray, thoff: int, target: Tuple, side: int) -> bool:
    """Only the call identifier of version 1 changes, which names the receiver.

    Ref: net/netfilter/nf_nat_proto.c:gre_manip_pkt.
    """
    if len(data) - thoff < 8:
        return False
    if side == SOURCE:
        return True
    version = data[thoff + 1] & 7
    if version == 1:
        data[thoff + 6 : thoff + 8] = target.dport.to_bytes(2)
    return version <= 1


def _adjust_at(data: bytearray, at: int, change: int) -> None:
    data[at : at + 2] = adjust(data[at] << 8 | data[at + 1], change).to_bytes(2)


class Rewrite:
    """What becomes of one side of the packets of one direction of a connection.

    Attributes:
        target: the tuple whose source or destination they get.
        side: ``SOURCE`` or ``DESTINATION``.
    """

    __slots__ = ("side", "target")

    def __init__(self, target: Tuple, side: int) -> None:
        self.target = target
        self.side = side

    def apply(self, packet: Packet) -> bool:
        """Change a packet; False if its transport header is not there."""
        return manipulate(packet.data, 0, packet.thoff, self.target, self.side)


class PortRewrite(Rewrite):
    """The same for TCP and UDP, where what changes in plain packets can be worked out before.

    Anything but a plain header, or a packet that a rule has changed, goes the long way.

    Ref: net/netfilter/nf_nat_proto.c:tcp_manip_pkt, udp_manip_pkt.
    """

    __slots__ = ("_change", "_header_change", "_new", "_old", "_read", "_room", "_udp", "_write")

    def __init__(self, layout: Struct, room: int, old: Tuple, new: Tuple, target: Tuple, side: int) -> None:
        """Work the changes out.

        Args:
            layout: what is read of a packet and written back.
            room: bytes of a packet that reach behind its transport checksum.
            old: how packets look before.
            new: how they look after.
            target: see ``Rewrite``.
            side: see ``Rewrite``.
        """
        super().__init__(target, side)
        self._read = layout.unpack_from
        self._write = layout.pack_into
        self._room = room
        self._udp = target.l4proto == UDP
        self._old = old.wire
        self._new = new.wire
        self._header_change = delta(self._old[:-4], self._new[:-4])
        self._change = delta(self._old, self._new)


class PortRewrite4(PortRewrite):
    """Over IPv4."""

    __slots__ = ()

    def apply(self, packet: Packet) -> bool:
        """Change a packet; False if its transport header is not there."""
        data = packet.data
        if packet.thoff != 20 or len(data) < self._room:
            return manipulate(data, 0, packet.thoff, self.target, self.side)
        read, write = self._read, self._write  # `self._read(...)` would look for a method first
        header_check, ends, middle, check = read(data, 10)
        if ends != self._old:
            return manipulate(data, 0, packet.thoff, self.target, self.side)
        if not self._udp:
            check = (check - self._change) % 0xFFFF
        elif check:
            check = (check - self._change) % 0xFFFF or MANGLED_ZERO
        write(data, 10, (header_check - self._header_change) % 0xFFFF, self._new, middle, check)
        return True


class PortRewrite6(PortRewrite):
    """Over IPv6."""

    __slots__ = ()

    def apply(self, packet: Packet) -> bool:
        """Change a packet; False if its transport header is not there."""
        data = packet.data
        if packet.thoff != 40 or len(data) < self._room:
            return manipulate(data, 0, packet.thoff, self.target, self.side)
        read, write = self._read, self._write
        ends, middle, check = read(data, 8)
        if ends != self._old:
            return manipulate(data, 0, packet.thoff, self.target, self.side)
        if not self._udp:
            check = (check - self._change) % 0xFFFF
        elif check:
            check = (check - self._change) % 0xFFFF or MANGLED_ZERO
        write(data, 8, self._new, middle, check)
        return True


def rewrites(connection: Connection) -> tuple[Rewrite | None, ...]:
    """What changes packets of a connection whose tuples are final, at ``direction * 2 + side``."""
    return tuple(
        _rewrite(connection, direction, side) for direction in (0, 1) for side in (SOURCE, DESTINATION)
    )


def _rewrite(connection: Connection, direction: int, side: int) -> Rewrite | None:
    if not connection.status & NAT_BIT[direction][side]:
        return None
    target = target_of(connection, direction)
    if target.l4proto not in (TCP, UDP):
        return Rewrite(target, side)
    # The destination is translated first.
    arriving = connection.tuple(direction)
    half = arriving._replace(dst=target.dst, dport=target.dport)
    old, new = (arriving, half) if side == DESTINATION else (half, target)
    tcp = target.l4proto == TCP
    if target.l3proto == IPV4:
        return PortRewrite4(_TCP4 if tcp else _UDP4, 38 if tcp else 28, old, new, target, side)
    return PortRewrite6(_TCP6 if tcp else _UDP6, 58 if tcp else 48, old, new, target, side)
