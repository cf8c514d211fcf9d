"""Tracking of UDP. Ref: net/netfilter/nf_conntrack_proto_udp.c."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final

from flowtable.clock import SECOND
from flowtable.conntrack.connection import Status
from flowtable.conntrack.tracker import ACCEPT, INVALID
from flowtable.packet.checksum import segment_valid
from flowtable.packet.packet import UDP
from flowtable.ruleset.hook import Hook

if TYPE_CHECKING:
    from flowtable.conntrack.connection import Connection
    from flowtable.conntrack.core import Conntrack
    from flowtable.packet.packet import Packet

# Length and checksum.
_header = Struct(">4xHH").unpack_from
_PREROUTING: Final = int(Hook.PREROUTING)
_SEEN_REPLY: Final = Status.SEEN_REPLY
_NAT_CLASH: Final = Status.NAT_CLASH
_ASSURED: Final = Status.ASSURED

STREAM_AFTER: Final = 2 * SECOND
"""A connection that is answered and older than this is a stream."""


def track(conntrack: Conntrack, connection: Connection, packet: Packet, direction: int, hook: int) -> int:
    """Ref: net/netfilter/nf_conntrack_proto_udp.c:nf_conntrack_udp_packet."""
    data = packet.data
    thoff = packet.thoff
    size = len(data) - thoff
    if size < 8:
        return INVALID
    length, check = _header(data, thoff)
    if not 8 <= length <= size:
        return INVALID
    settings = conntrack.settings if connection.timeouts is None else conntrack.settings_of(connection)
    # A checksum of 0 says that there is none.
    if check and hook == _PREROUTING and settings.checksum and not segment_valid(packet, UDP):
        return INVALID

    status = connection.status
    if not status & _SEEN_REPLY:
        conntrack.refresh(connection, packet, direction, settings.udp)
    elif packet.time - connection.start > STREAM_AFTER:
        conntrack.refresh(connection, packet, direction, settings.udp_stream)
        # One that lost a clash is to time out soon.
        if not status & (_ASSURED | _NAT_CLASH):
            connection.status = status | _ASSURED
    else:
        conntrack.refresh(connection, packet, direction, settings.udp)
    return ACCEPT
