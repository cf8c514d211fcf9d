"""Translating packets: addresses, ports and identifiers, and the checksums over them.

``manipulate`` does so for any packet, as the kernel does. ``rewrites`` prepares the same for the
packets of one connection, where what is to change and what that does to the checksums is known.

Ref: net/netfilter/nf_nat_proto.c:nf_nat_manip_pkt.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final

from flowtable.conntrack.connection import Status
from flowtable.packet.checksum import MANGLED_ZERO, adjust, adjust_udp, delta, delta16
from flowtable.packet.packet import GRE, ICMP, ICMPV6, IPV4, TCP, UDP

if TYPE_CHECKING:
    from flowtable.conntrack.connection import Connection
    from flowtable.conntrack.tuple import Tuple
    from flowtable.packet.packet import Packet

# Checksum, addresses and ports of a packet whose transport header follows the IP header at once.
_ends4 = Struct(">H4s4sHH")
_ends6 = Struct(">16s16sHH")
_read4, _write4 = _ends4.unpack_from, _ends4.pack_into
_read6, _write6 = _ends6.unpack_from, _ends6.pack_into
_u16 = Struct(">H")
_read16, _write16 = _u16.unpack_from, _u16.pack_into

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
    if l4proto in (TCP, UDP):
        if room < 8:
            return False
        at = thoff if side == SOURCE else thoff + 2
        port = (target.sport if side == SOURCE else target.dport).to_bytes(2)
        change = delta(old, address) + delta(bytes(data[at : at + 2]), port)
        data[at : at + 2] = port
        if l4proto == UDP:
            check = adjust_udp(data[thoff + 6] << 8 | data[thoff + 7], change)
            data[thoff + 6 : thoff + 8] = check.to_bytes(2)
        elif room >= 20:
            # ICMP errors quote eight bytes, which the checksum is not among.
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

    Ref: net/netfilter/nf_nat_proto.c:tcp_manip_pkt, udp_manip_pkt.
    """

    __slots__ = (
        "_change",
        "_check_at",
        "_header_change",
        "_ipv4",
        "_new",
        "_new_port",
        "_old",
        "_old_port",
        "_thoff",
        "_udp",
    )

    def __init__(self, arriving: Tuple, target: Tuple, side: int) -> None:
        super().__init__(target, side)
        if side == SOURCE:
            self._old, self._old_port = arriving.src, arriving.sport
            self._new, self._new_port = target.src, target.sport
        else:
            self._old, self._old_port = arriving.dst, arriving.dport
            self._new, self._new_port = target.dst, target.dport
        self._header_change = delta(self._old, self._new)
        self._change = self._header_change + delta16(self._old_port, self._new_port)
        self._ipv4 = target.l3proto == IPV4
        self._udp = target.l4proto == UDP
        self._thoff = 20 if self._ipv4 else 40
        self._check_at = self._thoff + (6 if self._udp else 16)

    def apply(self, packet: Packet) -> bool:
        """Change a packet; False if its transport header is not there."""
        data = packet.data
        check_at = self._check_at
        # Anything but a plain header, or a packet that a rule has changed, goes the long way.
        if packet.thoff != self._thoff or len(data) < check_at + 2:
            return manipulate(data, 0, packet.thoff, self.target, self.side)
        if self._ipv4:
            header_check, src, dst, sport, dport = _read4(data, 10)
        else:
            header_check = 0
            src, dst, sport, dport = _read6(data, 8)
        if self.side == SOURCE:
            if src != self._old or sport != self._old_port:
                return manipulate(data, 0, packet.thoff, self.target, SOURCE)
            src, sport = self._new, self._new_port
        else:
            if dst != self._old or dport != self._old_port:
                return manipulate(data, 0, packet.thoff, self.target, DESTINATION)
            dst, dport = self._new, self._new_port
        if self._ipv4:
            _write4(data, 10, (header_check - self._header_change) % 0xFFFF, src, dst, sport, dport)
        else:
            _write6(data, 8, src, dst, sport, dport)
        check = _read16(data, check_at)[0]
        if not self._udp:
            _write16(data, check_at, (check - self._change) % 0xFFFF)
        elif check:
            _write16(data, check_at, (check - self._change) % 0xFFFF or MANGLED_ZERO)
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
    if target.l4proto in (TCP, UDP):
        return PortRewrite(connection.tuple(direction), target, side)
    return Rewrite(target, side)
