"""Prerouting: the packet's header is checked, it is made whole, tracked and perhaps redirected.

Ref: net/ipv4/ip_input.c:ip_rcv, net/ipv6/ip6_input.c:ipv6_rcv.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.packet.drop import Drop
from flowtable.packet.packet import IPV4, Packet
from flowtable.packet.parse import parse_ipv4, parse_ipv6
from flowtable.router import options, routing, vrf
from flowtable.ruleset.hook import Hook
from flowtable.ruleset.verdict import Verdict
from flowtable.topology.vrf import Vrf

if TYPE_CHECKING:
    from flowtable.router.box import Box
    from flowtable.topology.device import Device

_ACCEPT: Final = int(Verdict.ACCEPT)
_ETHERNET: Final = 14
_PREROUTING: Final = int(Hook.PREROUTING)


def ipv4(box: Box, device: Device, frame: bytes, pkttype: int, now: int) -> None:
    """An IPv4 frame enters the classic path."""
    box.statistics.prerouting += 1
    packet = parse_ipv4(frame, _ETHERNET, device, now, pkttype)
    if not isinstance(packet, Packet):  # asked this way round: an enum's instances are told slowly
        box.statistics.drops[packet] += 1
        return
    packet.hook = _PREROUTING
    meet_rules = box.ipv4.prerouting
    verdict = meet_rules(packet)
    if verdict == _ACCEPT and device.master is not None and isinstance(device.master, Vrf):
        verdict = vrf.receive(box, device.master, packet)
    if verdict == _ACCEPT:
        routing.ipv4(box, packet)
    else:
        box.ended(packet, verdict)


def ipv6(box: Box, device: Device, frame: bytes, pkttype: int, now: int) -> None:
    """An IPv6 frame enters the classic path."""
    box.statistics.prerouting += 1
    packet = parse_ipv6(frame, _ETHERNET, device, now, pkttype, loopback=device.loopback)
    if not isinstance(packet, Packet):
        box.statistics.drops[packet] += 1
        return
    if not options.read_ipv6(box, packet):
        box.statistics.drops[Drop.IP_OPTIONS] += 1
        return
    packet.hook = _PREROUTING
    meet_rules = box.ipv6.prerouting
    verdict = meet_rules(packet)
    if verdict == _ACCEPT and device.master is not None and isinstance(device.master, Vrf):
        verdict = vrf.receive(box, device.master, packet)
    if verdict == _ACCEPT:
        routing.ipv6(box, packet)
    else:
        box.ended(packet, verdict)


def looped(box: Box, packet: Packet) -> None:
    """A packet of the box to itself arrives on the loopback device.

    Ref: drivers/net/loopback.c:loopback_xmit.
    """
    box.statistics.prerouting += 1
    packet.iif = box.topology.lo
    packet.oif = None
    packet.dst = None
    packet.hook = _PREROUTING
    ipv4_packet = packet.family == IPV4
    verdict = (box.ipv4 if ipv4_packet else box.ipv6).prerouting(packet)
    if verdict != _ACCEPT:
        box.ended(packet, verdict)
    elif ipv4_packet:
        routing.ipv4(box, packet)
    else:
        routing.ipv6(box, packet)
