"""Tracking of UDP-Lite (RFC 3828). Ref: net/netfilter/nf_conntrack_proto_udp.c."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final

from flowtable.conntrack.connection import Status
from flowtable.conntrack.tracker import ACCEPT, INVALID
from flowtable.packet.checksum import checksum, pseudo_header
from flowtable.packet.packet import IPV4, UDP
from flowtable.ruleset.hook import Hook

if TYPE_CHECKING:
    from flowtable.conntrack.connection import Connection
    from flowtable.conntrack.core import Conntrack
    from flowtable.packet.packet import Packet

# Checksum coverage and checksum.
_header = Struct(">4xHH").unpack_from
_HEADER_SIZE: Final = 8
_PREROUTING: Final = int(Hook.PREROUTING)


def track(conntrack: Conntrack, connection: Connection, packet: Packet, direction: int, hook: int) -> int:
    """Ref: net/netfilter/nf_conntrack_proto_udp.c:nf_conntrack_udplite_packet."""
    if not _sound(packet, check=hook == _PREROUTING and conntrack.settings.checksum):
        return INVALID
    settings = conntrack.settings
    status = connection.status
    if not status & Status.SEEN_REPLY:
        conntrack.refresh(connection, packet, direction, settings.udp)
        return ACCEPT
    conntrack.refresh(connection, packet, direction, settings.udp_stream)
    if not status & Status.NAT_CLASH:
        connection.status = status | Status.ASSURED
    return ACCEPT


def _sound(packet: Packet, *, check: bool) -> bool:
    """Whether the header is right; with ``check`` the checksum over what it covers as well.

    Linux takes the protocol number of UDP for that checksum, so what senders compute is wrong
    there: with ``nf_conntrack_checksum`` practically all of UDP-Lite is invalid.

    Ref: net/netfilter/nf_conntrack_proto_udp.c:udplite_error.
    """
    data, thoff = packet.data, packet.thoff
    size = len(data) - thoff
    if size < _HEADER_SIZE:
        return False
    covered, stored = _header(data, thoff)
    # A coverage of 0 is all of it; other than in UDP, there is always a checksum.
    covered = covered or size
    if not _HEADER_SIZE <= covered <= size or not stored:
        return False
    if not check:
        return True
    addresses = data[12:20] if packet.family == IPV4 else data[8:40]
    return checksum(data[thoff : thoff + covered], pseudo_header(addresses, UDP, size)) == 0
