"""One side of a flow: where packets to it leave, and where packets from it arrive.

What is to be put on for a station is what its own packets carry, so one walk down from the
routed device tells both.

Ref: net/netfilter/nf_flow_table_path.c:struct nft_forward_info; include/net/netfilter/
nf_flow_table.h:struct nf_flow_route.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from flowtable.topology.forward_path import BridgeHop, EthernetHop, TunnelHop

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowtable.packet.flowkey import Encap
    from flowtable.topology.device import Device
    from flowtable.topology.forward_path import Hop


class Transmit(Enum):
    """How packets leave. Ref: include/net/netfilter/nf_flow_table.h:flow_offload_xmit_type."""

    NEIGH = "neigh"
    """To the neighbour that is the next hop of their route."""
    DIRECT = "direct"
    """Through a device below the routed one, with the MAC addresses that were found with it."""


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a flow.

    Attributes:
        routed: the device that routing knows.
        port: the device at which packets from there arrive, and are looked up.
        encap: tags, sessions and tunnels around them there, outermost first.
        exit: the device that packets to there are given to.
        push: which of ``encap`` the fast path puts around these; what is missing the devices
            below ``exit`` put on.
        transmit: how they leave.
        source: MAC address they leave with, and to which those from there are addressed.
        peer: MAC address of the far end of a PPPoE session, None where it is the neighbour's.
        link: the device on whose link the next hop is.
        next_hop: 4 or 16 bytes.
        station: MAC address that it was found by, None where that is the neighbour's.
        hops: the way down from ``routed``.
    """

    routed: Device
    port: Device
    encap: Encap
    exit: Device
    push: Encap
    transmit: Transmit
    source: bytes
    peer: bytes | None
    link: Device
    next_hop: bytes
    station: bytes | None
    hops: tuple[Hop, ...]

    @property
    def stacked(self) -> bool:
        """Whether the IP layer sees packets on another device than the flowtable does."""
        return self.port is not self.routed

    @property
    def plain(self) -> bool:
        """Whether it is an Ethernet device and nothing else."""
        return len(self.hops) == 1 and type(self.hops[0]) is EthernetHop

    @property
    def bridges(self) -> Iterator[BridgeHop]:
        """The bridges on the way."""
        for hop in self.hops:
            if isinstance(hop, BridgeHop):
                yield hop

    @property
    def tunnel(self) -> TunnelHop | None:
        """The tunnel on the way."""
        for hop in self.hops:
            if isinstance(hop, TunnelHop):
                return hop
        return None

    @property
    def devices(self) -> Iterator[Device]:
        """Every device that packets depend on, those included that the fast path skips."""
        for hop in self.hops:
            yield hop.device
