"""Forward: what is routed through loses one TTL, must fit the way out, and meets the rules.

Ref: net/ipv4/ip_forward.c:ip_forward, net/ipv6/ip6_output.c:ip6_forward.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final

from flowtable.packet import icmp, icmpv6
from flowtable.packet.drop import Drop
from flowtable.packet.packet import GRE, TCP, UDP, PacketType
from flowtable.router import options, postrouting
from flowtable.ruleset.hook import Hook
from flowtable.ruleset.verdict import Verdict

if TYPE_CHECKING:
    from flowtable.packet.packet import Packet
    from flowtable.router.box import Box
    from flowtable.topology.device import Device
    from flowtable.topology.route import Route

# TTL, protocol, checksum.
_lifetime = Struct(">BBH")
_read_lifetime, _write_lifetime = _lifetime.unpack_from, _lifetime.pack_into

_NO_OPTIONS: Final = 0x45
"""First byte of an IPv4 header of 20 bytes."""
_ACCEPT: Final = int(Verdict.ACCEPT)
_OFFLOADABLE: Final = frozenset({TCP, UDP, GRE})
_FORWARD: Final = int(Hook.FORWARD)
_HOST: Final = int(PacketType.HOST)


def ipv4(box: Box, packet: Packet, route: Route, device: Device, redirect: bool) -> None:
    """Forward an IPv4 packet along ``route``, out of its ``device``.

    ``redirect`` tells its sender of a shorter way.
    """
    statistics = box.statistics
    statistics.forward += 1
    if packet.l4proto in _OFFLOADABLE:
        statistics.offloadable += 1
    data = packet.data
    if packet.pkttype != _HOST:
        statistics.drops[Drop.NOT_FORWARDABLE] += 1
        return
    ttl, protocol, check = _read_lifetime(data, 8)
    if ttl <= 1:
        box.icmp_error(packet, icmp.TIME_EXCEEDED, icmp.TTL_EXCEEDED)
        statistics.drops[Drop.TTL_EXPIRED] += 1
        return
    mtu = route.mtu or device.mtu  # path_mtu, without the price of a property
    # Fragments that carried the don't-fragment bit and did not fit arrive here made whole
    # (frag_df with frag_max_size): they are judged by the size they had.
    if data[6] & 0x40 and len(data) > mtu and (packet.frag_max_size == 0 or packet.frag_max_size > mtu):
        box.icmp_error(packet, icmp.DESTINATION_UNREACHABLE, icmp.FRAGMENTATION_NEEDED, mtu)
        statistics.drops[Drop.TOO_BIG] += 1
        return

    check += 0x0100
    if check >= 0xFFFF:
        check = check + 1 & 0xFFFF
    _write_lifetime(data, 8, ttl - 1, protocol, check)

    if redirect:
        box.redirects.ipv4(packet, route, box.now)
    packet.hook = _FORWARD
    meet_rules = box.ipv4.forward
    verdict = meet_rules(packet)
    if verdict == _ACCEPT:
        if data[0] != _NO_OPTIONS:
            options.record_ipv4(box, packet)
        postrouting.ipv4(box, packet)
    else:
        box.ended(packet, verdict)


def ipv6(box: Box, packet: Packet, route: Route, device: Device) -> None:
    """Forward an IPv6 packet along ``route``, out of its ``device``."""
    statistics = box.statistics
    statistics.forward += 1
    if packet.l4proto in _OFFLOADABLE:
        statistics.offloadable += 1
    data = packet.data
    if packet.pkttype != _HOST:
        statistics.drops[Drop.NOT_FORWARDABLE] += 1
        return
    if data[7] <= 1:
        box.icmpv6_error(packet, icmpv6.TIME_EXCEEDED, icmpv6.HOP_LIMIT_EXCEEDED)
        statistics.drops[Drop.TTL_EXPIRED] += 1
        return
    if packet.iif is device:
        box.redirects.ipv6(packet, route, box.now)
    elif not _routable_source(data):
        if data[8] == 0xFE and data[9] & 0xC0 == 0x80:
            box.icmpv6_error(packet, icmpv6.DESTINATION_UNREACHABLE, icmpv6.BEYOND_SCOPE)
        statistics.drops[Drop.NOT_FORWARDABLE] += 1
        return
    # The MTU of a route, which is not locked, counts on the way out only.
    # Ref: include/net/ip6_route.h:ip6_dst_mtu_maybe_forward.
    mtu = device.mtu
    size = packet.frag_max_size or len(data)
    if len(data) > mtu and size > mtu:
        box.icmpv6_error(packet, icmpv6.PACKET_TOO_BIG, 0, mtu)
        statistics.drops[Drop.TOO_BIG] += 1
        return
    data[7] -= 1

    packet.hook = _FORWARD
    meet_rules = box.ipv6.forward
    verdict = meet_rules(packet)
    if verdict == _ACCEPT:
        postrouting.ipv6(box, packet)
    else:
        box.ended(packet, verdict)


def _routable_source(data: bytearray) -> bool:
    """Whether packets of this IPv6 source may leave their link.

    Ref: net/ipv6/ip6_output.c:ip6_forward; multicast sources were refused on receipt.
    """
    link_local = data[8] == 0xFE and data[9] & 0xC0 == 0x80
    return not link_local and (any(data[8:23]) or data[23] > 1)
