"""Tracking of ICMP: queries are connections of their own, errors relate to the one they quote.

Ref: net/netfilter/nf_conntrack_proto_icmp.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.conntrack.tracker import ACCEPT, INVALID
from flowtable.conntrack.tuple import REPLY
from flowtable.conntrack.wire import quoted_tuple
from flowtable.packet.checksum import l4_valid
from flowtable.packet.packet import IPV4, CtInfo
from flowtable.ruleset.hook import Hook

if TYPE_CHECKING:
    from flowtable.conntrack.connection import Connection
    from flowtable.conntrack.core import Conntrack
    from flowtable.packet.packet import Packet

_PREROUTING: Final = int(Hook.PREROUTING)

HEADER: Final = 8
"""Size of the header of a message, of ICMPv6 as well."""
_OPENING: Final = frozenset({8, 13, 15, 17})
"""Echo, timestamp, information and address mask requests: what may begin a connection."""
_ERRORS: Final = frozenset({3, 4, 5, 11, 12})
"""Ref: include/linux/icmp.h:icmp_is_err."""
_HIGHEST_TYPE: Final = 18
"""NR_ICMP_TYPES."""


def error(conntrack: Conntrack, packet: Packet, zone: int, directions: int, hook: int) -> int:
    """Check a message, and attach an error to the connection that it is about.

    Returns:
        ``INVALID``, or ``ACCEPT``: then the packet has its connection now, or it is no error.

    Ref: net/netfilter/nf_conntrack_proto_icmp.c:nf_conntrack_icmpv4_error.
    """
    if not is_sound(conntrack, packet, hook):
        return INVALID
    kind = packet.data[packet.thoff]
    if kind > _HIGHEST_TYPE:
        return INVALID
    if kind not in _ERRORS:
        return ACCEPT
    return relate(conntrack, packet, packet.thoff + HEADER, zone, directions, bytes(packet.data[16:20]))


def is_sound(conntrack: Conntrack, packet: Packet, hook: int) -> bool:
    """Whether the header of a message, ICMPv6 or not, is there, and its checksum right if it counts."""
    if len(packet.data) < packet.thoff + HEADER:
        return False
    return hook != _PREROUTING or not conntrack.settings.checksum or l4_valid(packet)


def relate(
    conntrack: Conntrack, packet: Packet, offset: int, zone: int, directions: int, outer: bytes
) -> int:
    """Attach an ICMP or ICMPv6 error to the connection whose packet it quotes.

    Args:
        conntrack: where to look for it.
        packet: the error.
        offset: where the quoted IP header begins.
        zone: the zone to look in.
        directions: for which direction the zone holds.
        outer: destination address of the error itself. It must be that of the connection, or
            anyone could get packets between others related by quoting them.

    Ref: net/netfilter/nf_conntrack_proto_icmp.c:nf_conntrack_inet_error.
    """
    quoted = quoted_tuple(packet.data, offset, packet.family)
    inverse = None if quoted is None else quoted.invert()
    if inverse is None:
        return INVALID
    entry = conntrack.find_key(inverse.key, zone, directions, packet.time)
    if entry is None:
        return INVALID
    connection, direction = entry
    if connection.tuple(direction).dst != outer:
        return INVALID
    packet.ct = connection
    packet.ctinfo = int(CtInfo.RELATED_REPLY if direction == REPLY else CtInfo.RELATED)
    return ACCEPT


def track(conntrack: Conntrack, connection: Connection, packet: Packet, direction: int, hook: int) -> int:
    """Ref: net/netfilter/nf_conntrack_proto_icmp.c:nf_conntrack_icmp_packet."""
    if packet.family != IPV4 or connection.original.icmp_type not in _OPENING:
        return INVALID
    conntrack.refresh(connection, packet, direction, conntrack.settings.icmp)
    return ACCEPT
