"""What a protocol's tracker is, and what it says of a packet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from flowtable.conntrack.connection import Connection
    from flowtable.conntrack.core import Conntrack
    from flowtable.packet.packet import Packet

ACCEPT: Final = 1
"""NF_ACCEPT: the packet belongs to the connection."""
DROP: Final = 0
"""NF_DROP."""
INVALID: Final = -1
"""-NF_ACCEPT: the packet goes on, but without a connection."""
REPEAT: Final = -4
"""-NF_REPEAT: the connection is gone, look the packet up again."""


class Tracker(Protocol):
    """A protocol's part in connection tracking: ``track`` of its module."""

    def __call__(
        self, conntrack: Conntrack, connection: Connection, packet: Packet, direction: int, hook: int
    ) -> int:
        """Check a packet and move its connection on.

        Args:
            conntrack: the station; its ``settings`` and ``refresh`` are for trackers.
            connection: what the packet was looked up to be part of; not confirmed yet if the
                packet is its first.
            packet: the packet.
            direction: ``ORIGINAL`` or ``REPLY``.
            hook: where it is, prerouting or output.

        Returns:
            ``ACCEPT``, ``DROP``, ``INVALID`` or ``REPEAT``.

        Ref: net/netfilter/nf_conntrack_core.c:nf_conntrack_handle_packet.
        """
        ...
