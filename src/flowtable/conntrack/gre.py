"""Tracking of GRE: by addresses alone, and by the call identifier in version 1 (PPTP).

Ref: net/netfilter/nf_conntrack_proto_gre.c.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final

from flowtable.conntrack.connection import Status
from flowtable.conntrack.tracker import ACCEPT

if TYPE_CHECKING:
    from flowtable.conntrack.connection import Connection
    from flowtable.conntrack.core import Conntrack
    from flowtable.packet.packet import Packet

_header = Struct(">HH").unpack_from
_call_id = Struct(">H").unpack_from
_VERSION: Final = 0x7
_VERSION_PPTP: Final = 1
_PROTOCOL_PPP: Final = 0x880B


def ports(data: bytes | bytearray, offset: int) -> int | None:
    """The keys of a packet as the table has them: source key in the upper 16 bits.

    The source key would be known from a PPTP control connection that a helper followed; as
    there is none, it is 0.

    Args:
        data: the packet.
        offset: where its GRE header begins.

    Returns:
        None where the packet is not to be tracked.

    Ref: net/netfilter/nf_conntrack_proto_gre.c:gre_pkt_to_tuple.
    """
    size = len(data)
    if size < offset + 4:
        return 0
    flags, protocol = _header(data, offset)
    if flags & _VERSION != _VERSION_PPTP or size < offset + 8:
        return 0
    if protocol != _PROTOCOL_PPP:
        return None
    call_id: int = _call_id(data, offset + 6)[0]
    return call_id


def track(conntrack: Conntrack, connection: Connection, packet: Packet, direction: int, hook: int) -> int:
    """Ref: net/netfilter/nf_conntrack_proto_gre.c:nf_conntrack_gre_packet."""
    status = connection.status
    settings = conntrack.settings
    if not status & Status.SEEN_REPLY:
        conntrack.refresh(connection, packet, direction, settings.gre)
        return ACCEPT
    conntrack.refresh(connection, packet, direction, settings.gre_stream)
    if not status & Status.NAT_CLASH:
        connection.status = status | Status.ASSURED
    return ACCEPT
