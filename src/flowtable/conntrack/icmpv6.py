"""Tracking of ICMPv6. What keeps a link together (neighbour discovery, MLD) is not tracked.

Ref: net/netfilter/nf_conntrack_proto_icmpv6.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.conntrack.connection import Status
from flowtable.conntrack.icmp import HEADER, is_sound, relate
from flowtable.conntrack.tracker import ACCEPT, INVALID
from flowtable.packet.packet import IPV6, CtInfo

if TYPE_CHECKING:
    from flowtable.conntrack.connection import Connection
    from flowtable.conntrack.core import Conntrack
    from flowtable.packet.packet import Packet

_OPENING: Final = frozenset({128, 139})
"""Echo requests and node information queries: what may begin a connection."""
_UNTRACKED: Final = frozenset({130, 131, 132, 133, 134, 135, 136, 143, 151, 152})
"""MLD, router and neighbour solicitations and advertisements, multicast router discovery."""
_REDIRECT: Final = 137
_REDIRECT_SIZE: Final = 40
_REDIRECTED_HEADER: Final = 4
_FIRST_INFORMATIONAL: Final = 128


def error(conntrack: Conntrack, packet: Packet, zone: int, directions: int, hook: int) -> int:
    """Check a message, attach an error to its connection, mark as untracked what is not tracked.

    Returns:
        ``INVALID``, or ``ACCEPT``: then the packet has its connection or is untracked now, or it
        is neither and to be looked up.

    Ref: net/netfilter/nf_conntrack_proto_icmpv6.c:nf_conntrack_icmpv6_error.
    """
    if not is_sound(conntrack, packet, hook):
        return INVALID
    data = packet.data
    thoff = packet.thoff
    kind = data[thoff]
    if kind in _UNTRACKED:
        packet.ctinfo = int(CtInfo.UNTRACKED)
        return ACCEPT
    if kind == _REDIRECT:
        return _redirect(conntrack, packet, zone, directions)
    if kind >= _FIRST_INFORMATIONAL:
        return ACCEPT
    return relate(conntrack, packet, thoff + HEADER, zone, directions, bytes(data[24:40]))


def _redirect(conntrack: Conntrack, packet: Packet, zone: int, directions: int) -> int:
    """Ref: net/netfilter/nf_conntrack_proto_icmpv6.c:nf_conntrack_icmpv6_redirect."""
    data = packet.data
    thoff = packet.thoff
    if len(data) < thoff + _REDIRECT_SIZE:
        return INVALID
    if data[thoff + 1]:
        return ACCEPT
    link_local = data[8] == 0xFE and data[9] & 0xC0 == 0x80
    if data[7] != 255 or not link_local:
        return INVALID
    option = thoff + _REDIRECT_SIZE
    if len(data) < option + 2 or data[option + 1] == 0:
        return INVALID
    if data[option] != _REDIRECTED_HEADER:
        return ACCEPT
    return relate(conntrack, packet, option + 8, zone, directions, bytes(data[24:40]))


def track(conntrack: Conntrack, connection: Connection, packet: Packet, direction: int, hook: int) -> int:
    """Ref: net/netfilter/nf_conntrack_proto_icmpv6.c:nf_conntrack_icmpv6_packet."""
    if packet.family != IPV6:
        return INVALID
    if not connection.status & Status.CONFIRMED and connection.original.icmp_type not in _OPENING:
        return INVALID
    conntrack.refresh(connection, packet, direction, conntrack.settings.icmpv6)
    return ACCEPT
