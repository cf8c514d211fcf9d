"""A connection that is to be offloaded, and how its packets were routed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flowtable.conntrack.connection import Connection
    from flowtable.packet.packet import Packet
    from flowtable.topology.device import Device
    from flowtable.topology.route import Route


@dataclass(slots=True, frozen=True)
class Offer:
    """What a flowtable has to know to look for the ways of a flow.

    Attributes:
        connection: the connection.
        reply: whether the other fields are of its reply direction.
        iif: the routed device that packets of the direction arrive on.
        route: the route they take.
        mark: the mark it was looked up with.
        station: MAC address they come from, None where it is not known.
    """

    connection: Connection
    reply: bool
    iif: Device
    route: Route
    mark: int
    station: bytes | None

    @classmethod
    def of(cls, packet: Packet, connection: Connection) -> Offer:
        """The offer that a routed packet of a connection makes."""
        iif, route = packet.iif, packet.dst
        assert iif is not None and route is not None
        return cls(connection, packet.reply, iif, route, packet.mark, packet.link[6:12] or None)
