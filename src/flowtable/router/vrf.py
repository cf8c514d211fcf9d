"""Routing domains: a packet that a slave received is the VRF's from the routing decision on.

Ref: drivers/net/vrf.c:vrf_ip_rcv, vrf_ip6_rcv; include/net/l3mdev.h:l3mdev_l3_rcv.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.packet.drop import Drop
from flowtable.packet.packet import ICMPV6, IPV4
from flowtable.packet.parse import parse_ipv4, parse_ipv6
from flowtable.router import nd
from flowtable.ruleset.hook import Hook
from flowtable.ruleset.verdict import Verdict
from flowtable.topology.route import REJECTING

if TYPE_CHECKING:
    from flowtable.packet.packet import Packet
    from flowtable.router.box import Box
    from flowtable.topology.vrf import Vrf

_ACCEPT: Final = int(Verdict.ACCEPT)
_OUTPUT: Final = int(Hook.OUTPUT)
_POSTROUTING: Final = int(Hook.POSTROUTING)
_ETHERNET: Final = 14


def receive(box: Box, vrf: Vrf, packet: Packet) -> int:
    """Make a packet the VRF's, whose prerouting rules it meets as well.

    Neighbour discovery stays the slave's.

    Returns:
        A ``Verdict``.
    """
    data = packet.data
    if packet.family == IPV4:
        packet.iif = vrf
        if data[16] & 0xF0 == 0xE0:
            return _ACCEPT
        _count(vrf, packet)
        return box.ipv4.prerouting(packet)
    if packet.l4proto == ICMPV6 and len(data) > packet.thoff and data[packet.thoff] in nd.TYPES:
        return box.ipv6.prerouting(packet)
    packet.iif = vrf
    if data[24] == 0xFF or (data[24] == 0xFE and data[25] & 0xC0 == 0x80):
        return _ACCEPT
    _count(vrf, packet)
    return box.ipv6.prerouting(packet)


def send(box: Box, vrf: Vrf, packet: Packet) -> int:
    """Take a packet of the box's own that leaves by a slave past the rules on the VRF first.

    Returns:
        A ``Verdict``.

    Ref: vrf_ip_out_direct, vrf_output_direct.
    """
    data = packet.data
    if packet.family == IPV4:
        on_link = data[16] & 0xF0 == 0xE0
    else:
        on_link = data[24] == 0xFF or (data[24] == 0xFE and data[25] & 0xC0 == 0x80)
    if on_link:
        return _ACCEPT
    stations = box.ipv4 if packet.family == IPV4 else box.ipv6
    slave, packet.oif = packet.oif, vrf
    packet.hook = _OUTPUT
    verdict = stations.output(packet)
    if verdict == _ACCEPT:
        packet.hook = _POSTROUTING
        verdict = stations.postrouting(packet)
    packet.oif = slave
    return verdict


def transmit(box: Box, vrf: Vrf, frame: bytes) -> None:
    """Send a packet that another domain's route handed to the VRF, by the VRF's own routes.

    Ref: vrf_process_v4_outbound, vrf_process_v6_outbound.
    """
    parse = parse_ipv4 if frame[12:14] == b"\x08\x00" else parse_ipv6
    packet = parse(frame, _ETHERNET, None, box.now)
    if isinstance(packet, Drop):
        box.withhold(packet)
        return
    data = packet.data
    destination = bytes(data[16:20] if packet.family == IPV4 else data[24:40])
    route = box.topology.fib(packet.family).lookup(destination, oif=vrf)
    if route is None or route.type in REJECTING or route.device is None or route.device is vrf:
        box.withhold(Drop.NO_ROUTE)
        return
    vrf.statistics.tx_packets += 1
    vrf.statistics.tx_bytes += len(data)
    packet.dst = route
    packet.oif = route.device
    box.send_again(packet)


def _count(vrf: Vrf, packet: Packet) -> None:
    vrf.statistics.rx_packets += 1
    vrf.statistics.rx_bytes += len(packet.data)
