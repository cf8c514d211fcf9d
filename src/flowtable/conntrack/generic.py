"""Tracking of every protocol that has no tracker of its own: by addresses and protocol number."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowtable.conntrack.tracker import ACCEPT

if TYPE_CHECKING:
    from flowtable.conntrack.connection import Connection
    from flowtable.conntrack.core import Conntrack
    from flowtable.packet.packet import Packet


def track(conntrack: Conntrack, connection: Connection, packet: Packet, direction: int, hook: int) -> int:
    """Ref: net/netfilter/nf_conntrack_core.c:generic_packet."""
    conntrack.refresh(connection, packet, direction, conntrack.settings.generic)
    return ACCEPT
