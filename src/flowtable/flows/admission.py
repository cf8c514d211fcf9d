"""Which connections may be added to a flowtable, and by which of their packets.

Ref: net/netfilter/nft_flow_offload.c:nft_flow_offload_eval.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.conntrack.connection import Status, TcpState
from flowtable.flows.refusal import Refusal
from flowtable.packet.packet import GRE, IPV4, TCP, UDP
from flowtable.profile import TcpAdmission

if TYPE_CHECKING:
    from flowtable.conntrack.connection import Connection
    from flowtable.packet.packet import Packet
    from flowtable.profile import Profile

_ESTABLISHED: Final = int(TcpState.ESTABLISHED)
_IPV4_MINIMUM: Final = 20
_TCP_MINIMUM: Final = 20
_TCP_FLAGS: Final = 13
_FIN_OR_RST: Final = 0x05


def refuse(packet: Packet, profile: Profile) -> Refusal | None:
    """Why the packet may not add its connection; None if it may."""
    if packet.family == IPV4 and (packet.data[0] & 15) * 4 > _IPV4_MINIMUM:
        return Refusal.IP_OPTIONS
    connection = packet.ct
    if connection is None:
        return Refusal.NO_CONNECTION
    if packet.l4proto != connection.l4proto and not profile.related_adds:
        return Refusal.RELATED
    if connection.l4proto == TCP:
        data = packet.data
        thoff = packet.thoff
        if len(data) < thoff + _TCP_MINIMUM:
            return Refusal.TCP_HEADER
        if data[thoff + _TCP_FLAGS] & _FIN_OR_RST:
            return Refusal.TCP_CLOSING
    return refuse_connection(connection, profile)


def refuse_connection(connection: Connection, profile: Profile) -> Refusal | None:
    """Why the connection may not be added, whichever packet would add it; None if it may."""
    protocol = connection.l4proto
    if protocol == TCP:
        refusal = _refuse_tcp(connection, profile)
        if refusal is not None:
            return refusal
    elif protocol == GRE and profile.gre:
        if connection.status & Status.NAT_MASK:
            return Refusal.GRE_NAT
        if connection.original.sport or connection.original.dport:
            return Refusal.GRE_KEY
    elif protocol != UDP:
        return Refusal.PROTOCOL
    if connection.helper is not None:
        return Refusal.HELPER
    status = connection.status
    if status & Status.SEQ_ADJUST:
        return Refusal.SEQ_ADJUST
    if status & Status.NAT_CLASH:
        return Refusal.NAT_CLASH
    if not status & Status.CONFIRMED:
        return Refusal.UNCONFIRMED
    if status & Status.OFFLOAD:
        return Refusal.OFFLOADED
    return None


def _refuse_tcp(connection: Connection, profile: Profile) -> Refusal | None:
    match profile.tcp_admission:
        case TcpAdmission.CONFIRMED:
            return None
        case TcpAdmission.ESTABLISHED:
            if connection.tcp is None or connection.tcp.state != _ESTABLISHED:
                return Refusal.NOT_ESTABLISHED
            if not connection.status & Status.ASSURED:
                return Refusal.NOT_ASSURED
            return None
