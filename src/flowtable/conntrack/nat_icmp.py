"""ICMP errors about translated connections: the quoted packet is translated back as well.

Ref: net/netfilter/nf_nat_proto.c:nf_nat_icmp_reply_translation, nf_nat_icmpv6_reply_translation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.conntrack.connection import Status
from flowtable.conntrack.icmp import HEADER
from flowtable.conntrack.nat_mangle import NAT_BIT, SIDES, manipulate, target_of
from flowtable.conntrack.wire import transport_of
from flowtable.packet.checksum import l4_checksum, l4_valid
from flowtable.packet.packet import ICMP, ICMPV6, IPV4

if TYPE_CHECKING:
    from flowtable.conntrack.connection import Connection
    from flowtable.packet.packet import Packet

_REDIRECT: Final = {ICMP: 5, ICMPV6: 137}


def translate_error(connection: Connection, packet: Packet, hook: int) -> bool:
    """Translate an ICMP or ICMPv6 error.

    The quoted packet is the one that the sender of the error saw. Where the error's destination
    changes, so does the quoted source, and the other way round.

    Args:
        connection: what the error relates to.
        packet: the error.
        hook: where it is.

    Returns:
        False where it has to be dropped: malformed, or a redirect, which cannot be right for
        both sides of a translation.
    """
    data = packet.data
    thoff = packet.thoff
    inner = thoff + HEADER
    if len(data) < inner + (20 if packet.family == IPV4 else 40) or not l4_valid(packet):
        return False
    status = connection.status
    if data[thoff] == _REDIRECT[packet.l4proto] and (
        status & Status.NAT_DONE_MASK != Status.NAT_DONE_MASK or status & Status.NAT_MASK
    ):
        return False
    direction = int(packet.reply)
    side = SIDES[hook]
    if not status & NAT_BIT[direction][side]:
        return True

    transport = transport_of(data, inner, packet.family)
    if transport is None:
        return False
    quoted = connection.tuple(1 - direction)
    if not manipulate(data, inner, transport[1], quoted, 1 - side):
        return False
    data[thoff + 2 : thoff + 4] = l4_checksum(packet).to_bytes(2)
    target = target_of(connection, direction)._replace(l4proto=packet.l4proto)
    return manipulate(data, 0, thoff, target, side)
