"""What a connection would know had conntrack seen the packets that took the fast path."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowtable.conntrack.connection import Status
from flowtable.conntrack.tuple import REPLY
from flowtable.conntrack.udp import STREAM_AFTER
from flowtable.packet.packet import UDP

if TYPE_CHECKING:
    from flowtable.conntrack.settings import Settings
    from flowtable.flows.entry import FlowEntry


def account(entry: FlowEntry) -> None:
    """Count the packets since the last look in the connection, if it counts any.

    Ref: net/netfilter/nf_conntrack_core.c:nf_ct_acct_add.
    """
    connection = entry.connection
    if connection.packets is None or connection.bytes is None:
        return
    for d, (packets, size) in enumerate(entry.forwarded):
        known, known_size = entry.reported[d]
        connection.packets[d] += packets - known
        connection.bytes[d] += size - known_size


def show_replies(entry: FlowEntry, settings: Settings) -> int:
    """Tell the connection of replies among the packets since the last look.

    Returns:
        The timeout that the last of those packets would have given it, nanoseconds.

    Ref: net/netfilter/nf_conntrack_proto_udp.c:nf_conntrack_udp_packet,
    nf_conntrack_proto_gre.c:nf_conntrack_gre_packet.
    """
    connection = entry.connection
    if connection.tcp is not None:
        return settings.tcp[connection.tcp.state]
    original, reply = entry.used
    replies, _ = entry.forwarded[REPLY]
    udp = connection.l4proto == UDP
    # A reply changes what the packets after it do, and not what it does itself.
    answered = connection.status & Status.SEEN_REPLY or replies > 1 or original > reply > 0
    if replies:
        connection.status |= Status.SEEN_REPLY
    if not answered or (udp and max(original, reply) - connection.start <= STREAM_AFTER):
        return settings.udp if udp else settings.gre
    connection.status |= Status.ASSURED
    return settings.udp_stream if udp else settings.gre_stream
