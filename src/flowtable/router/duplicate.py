"""Copies of packets, and frames sent on from where they came in: what ``dup`` and ``fwd`` ask for.

Ref: net/ipv4/netfilter/nf_dup_ipv4.c, net/ipv6/netfilter/nf_dup_ipv6.c,
net/netfilter/nf_dup_netdev.c, net/netfilter/nft_fwd_netdev.c.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from flowtable.packet.checksum import TTL_DELTA, adjust, fill_ipv4
from flowtable.packet.drop import Drop
from flowtable.packet.packet import ETHERTYPE_IPV4, ETHERTYPE_IPV6, IPV4, IPV6, CtInfo, Packet
from flowtable.packet.parse import dissect_unchecked
from flowtable.router import egress, output
from flowtable.ruleset.hook import Hook
from flowtable.topology.route import REJECTING

if TYPE_CHECKING:
    from flowtable.router.box import Box
    from flowtable.topology.device import Device

_DONT_FRAGMENT: Final = 0x40
_ETHERTYPE: Final = {IPV4: ETHERTYPE_IPV4.to_bytes(2), IPV6: ETHERTYPE_IPV6.to_bytes(2)}
_ON_THE_WAY_IN: Final = (Hook.PREROUTING, Hook.INPUT)


class Duplicates:
    """Sends copies; a copy is not copied again."""

    __slots__ = ("_box", "_busy")

    def __init__(self, box: Box) -> None:
        self._box = box
        self._busy = False

    def duplicate(self, packet: Packet, gateway: bytes | None, device: Device | None) -> None:
        """Send a copy of a packet to a gateway, or of its frame out of a device."""
        if self._busy:
            return
        self._busy = True
        if gateway is not None:
            self._to_gateway(packet, gateway, device)
        elif device is not None:
            self._box.statistics.duplicated += 1
            egress.transmit(self._box, device, bytes(packet.link + packet.data))
        self._busy = False

    def _to_gateway(self, packet: Packet, gateway: bytes, device: Device | None) -> None:
        """Send it as a packet of the box's own, which is not tracked. Ref: nf_dup_ipv4, nf_dup_ipv6."""
        route = self._box.topology.fib(packet.family).lookup(gateway, oif=device)
        if route is None or route.type in REJECTING or route.device is None:
            return
        copy = Packet(bytearray(packet.data), packet.family, time=packet.time)
        dissect_unchecked(copy)
        copy.ctinfo = int(CtInfo.UNTRACKED)
        copy.mark, copy.priority = packet.mark, packet.priority
        if packet.hook in _ON_THE_WAY_IN:
            copy.data[8 if packet.family == IPV4 else 7] -= 1
        if packet.family == IPV4:
            copy.data[6] |= _DONT_FRAGMENT
            fill_ipv4(copy.data)
        copy.dst = route if route.gateway is not None else replace(route, gateway=gateway)
        copy.oif = route.device
        output.send(self._box, copy)

    def forward(self, packet: Packet, gateway: bytes | None, device: Device | None) -> bool:
        """Send a frame out of a device as it is, or its packet to a host there; whether it could be."""
        if device is None:
            return False
        if gateway is None:
            egress.transmit(self._box, device, bytes(packet.link + packet.data))
            return True
        return self._to_neighbour(packet, gateway, device)

    def _to_neighbour(self, packet: Packet, gateway: bytes, device: Device) -> bool:
        """Ref: nft_fwd_netdev.c:nft_fwd_neigh_eval."""
        data = packet.data
        if packet.family != (IPV4 if len(gateway) == 4 else IPV6):
            return False
        at = 8 if packet.family == IPV4 else 7
        if data[at] <= 1:
            self._box.statistics.drops[Drop.TTL_EXPIRED] += 1
            return True
        data[at] -= 1
        if packet.family == IPV4:
            data[10:12] = adjust(int.from_bytes(data[10:12]), TTL_DELTA).to_bytes(2)
        packet.oif = device
        mac = self._box.neighbours.resolve(packet, device, gateway, self._box.now)
        if mac is not None:
            egress.transmit(self._box, device, mac + device.mac + _ETHERTYPE[packet.family] + data)
        return True
