"""Egress: the packet is cut to the way out, gets its link-layer header and leaves.

Ref: net/ipv4/ip_output.c:ip_finish_output, net/ipv6/ip6_output.c:ip6_finish_output,
net/core/dev.c:__dev_queue_xmit.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final

from flowtable.packet.drop import Drop
from flowtable.packet.packet import IPV4, IPV6, Packet
from flowtable.packet.parse import dissect_unchecked
from flowtable.router import fragment, stack, vlan
from flowtable.ruleset.hook import Hook
from flowtable.ruleset.verdict import Verdict
from flowtable.topology.route import RouteType
from flowtable.topology.tunnel import Tunnel

if TYPE_CHECKING:
    from flowtable.flows.datapath import Handover
    from flowtable.router.box import Box
    from flowtable.topology.device import Device
    from flowtable.topology.neighbour import Neighbour
    from flowtable.topology.route import Route

_destination4 = Struct("16x4s").unpack_from
_destination6 = Struct("24x16s").unpack_from

_ACCEPT: Final = int(Verdict.ACCEPT)
_UNICAST: Final = RouteType.UNICAST
_EGRESS: Final = int(Hook.EGRESS)
_ETHERNET: Final = 14
_NO_MACS: Final = bytes(12)
_BROADCAST_MAC: Final = b"\xff" * 6
_ETHERTYPE: Final = {IPV4: b"\x08\x00", IPV6: b"\x86\xdd"}
_FAMILY: Final = {ethertype: family for family, ethertype in _ETHERTYPE.items()}


def ipv4(box: Box, packet: Packet) -> None:
    """Send a routed IPv4 packet, in fragments where it must be."""
    route, device = packet.dst, packet.oif
    assert route is not None and device is not None
    mtu = route.mtu or device.mtu  # path_mtu, without the price of a property
    if len(packet.data) > mtu or packet.frag_max_size:
        pieces = fragment.ipv4(packet, mtu)
        if pieces is None:
            box.too_big(packet, mtu)
            return
        box.statistics.fragmented += len(pieces) - 1
        for piece in pieces:
            neighbour_output(box, piece, route, device)
    else:
        neighbour_output(box, packet, route, device)


def ipv6(box: Box, packet: Packet) -> None:
    """Send a routed IPv6 packet; one that arrived in fragments leaves in fragments."""
    route, device = packet.dst, packet.oif
    assert route is not None and device is not None
    mtu = route.mtu or device.mtu  # path_mtu, without the price of a property
    size = len(packet.data)
    if size > mtu or (packet.frag_max_size and size > packet.frag_max_size):
        pieces = fragment.ipv6(packet, mtu, box.identifiers)
        if pieces is None:
            box.too_big(packet, mtu)
            return
        box.statistics.fragmented += len(pieces) - 1
        for piece in pieces:
            neighbour_output(box, piece, route, device)
    else:
        neighbour_output(box, packet, route, device)


def neighbour_output(box: Box, packet: Packet, route: Route, device: Device) -> None:
    """Give a packet the MAC address of its next hop; it waits while that is being resolved.

    Ref: net/ipv4/ip_output.c:ip_finish_output2, net/ipv6/ip6_output.c:ip6_finish_output2.
    """
    if box.unaddressed and device.index in box.unaddressed:
        point_to_point(box, packet, device)
        return
    next_hop = route.gateway
    if next_hop is None:
        (next_hop,) = (_destination4 if packet.family == IPV4 else _destination6)(packet.data)
    if route.type is _UNICAST:
        mac = box.neighbours.resolve(packet, device, next_hop, box.now)
        if mac is None:
            return
    elif device.loopback:
        box.loop_back(packet)
        return
    else:
        mac = _group_mac(next_hop)
    transmit(box, device, mac + device.mac + _ETHERTYPE[packet.family] + packet.data)


def to_neighbour(box: Box, packet: Packet, neighbour: Neighbour) -> None:
    """Send a packet that waited for its neighbour."""
    device = neighbour.device
    assert neighbour.mac is not None
    transmit(box, device, neighbour.mac + device.mac + _ETHERTYPE[packet.family] + packet.data)


def hand_over(box: Box, handover: Handover) -> None:
    """Resolve the next hop of a packet that the fast path has changed already.

    Ref: net/netfilter/nf_flow_table_ip.c:nf_flow_offload_ip_hook, neigh_xmit.
    """
    device, next_hop, data = handover.device, handover.next_hop, handover.packet
    packet = Packet(bytearray(data), IPV4 if len(next_hop) == 4 else IPV6, time=box.now)
    packet.oif = device
    if device.index in box.unaddressed:
        point_to_point(box, packet, device)
        return
    mac = box.neighbours.resolve(packet, device, next_hop, box.now)
    if mac is not None:
        transmit(box, device, mac + device.mac + _ETHERTYPE[packet.family] + data)


def point_to_point(box: Box, packet: Packet, device: Device) -> None:
    """Send a packet by a device that has no MAC addresses, and so nobody to ask for."""
    frame = _NO_MACS + _ETHERTYPE[packet.family] + packet.data
    if not isinstance(device, Tunnel):
        transmit(box, device, frame)
        return
    passed = _leave(box, device, frame)
    if passed is None:
        box.statistics.withheld += 1
        return
    packet.data[:] = passed[_ETHERNET:]
    box.tunnels.send(device, packet)


def _group_mac(group: bytes) -> bytes:
    """The MAC address of a broadcast or multicast destination.

    Ref: net/ipv4/arp.c:arp_mc_map, net/ipv6/ndisc.c:ndisc_mc_map.
    """
    if len(group) == 16:
        return b"\x33\x33" + group[12:]
    if group[0] & 0xF0 != 0xE0:
        return _BROADCAST_MAC
    return b"\x01\x00\x5e" + bytes((group[1] & 0x7F,)) + group[2:]


def transmit(box: Box, device: Device, frame: bytes) -> None:
    """Hand a complete frame to its device, past the egress chains of that device.

    A device that stands on others hands it on to them.
    """
    if box.egress_hooks or not device.up:
        passed = _leave(box, device, frame)
        if passed is None:
            box.statistics.withheld += 1
            return
        frame = passed
    if box.stacked and device.index in box.stacked:
        stack.descend(box, device, frame)
        return
    box.statistics.transmit += 1
    transmit = box.transmit
    transmit(device, frame, box.now)


def _leave(box: Box, device: Device, frame: bytes) -> bytes | None:
    """The frame as it leaves, None if it does not."""
    if not device.up:
        box.statistics.drops[Drop.DEVICE_DOWN] += 1
        return None
    for chain in box.egress_hooks.get(device.index, ()):
        start = vlan.TAGGED_HEADER if frame[12:14] in vlan.TAGS else _ETHERNET
        family = _FAMILY.get(frame[start - 2 : start], 0)
        packet = Packet(bytearray(frame[start:]), family, link=frame[:start], time=box.now)
        packet.oif = device
        packet.header = _ETHERNET if device.ethernet else 0
        packet.hook = _EGRESS
        dissect_unchecked(packet)
        verdict = chain(packet)
        if verdict != _ACCEPT:
            box.ended(packet, verdict)
            return None
        frame = packet.link + packet.data
    return frame
