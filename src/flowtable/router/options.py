"""IP options: the ones that a router has to read, and to write, on the way through.

Ref: net/ipv4/ip_input.c:ip_rcv_options, net/ipv4/ip_options.c; net/ipv6/exthdrs.c:ipv6_parse_hopopts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowtable.packet import extension, icmp, icmpv6, ipv4
from flowtable.packet.malformed import Malformed
from flowtable.router.reply import midnight
from flowtable.topology.route import RouteType

if TYPE_CHECKING:
    from flowtable.packet.packet import Packet
    from flowtable.router.box import Box


def read_ipv4(box: Box, packet: Packet) -> bool:
    """Whether the options of a received packet let it go on; the sender of bad ones is told.

    A source route is refused: ``net.ipv4.conf.all.accept_source_route`` is off.
    """
    data = packet.data
    try:
        options = ipv4.read_options(data)
    except Malformed as malformed:
        box.icmp_error(packet, icmp.PARAMETER_PROBLEM, 0, malformed.offset << 24)
        return False
    return not options.source_route


def record_ipv4(box: Box, packet: Packet) -> None:
    """Write the box into the record route and timestamp options of a forwarded packet.

    Ref: net/ipv4/ip_options.c:ip_forward_options.
    """
    data = packet.data
    route = packet.dst
    assert route is not None
    fib = box.topology.fib4
    options = ipv4.read_options(data)
    address = fib.select_source(route, bytes(data[16:20])) or bytes(4)

    def is_local(own: bytes) -> bool:
        found = fib.lookup(own)
        return found is not None and found.type is RouteType.LOCAL

    ipv4.record(data, options, address, midnight(box.now), is_local)


def read_ipv6(box: Box, packet: Packet) -> bool:
    """Whether the hop-by-hop options of a received packet let it go on."""
    data = packet.data
    if data[6] != extension.HOP_BY_HOP:
        return True
    try:
        extension.read_options(data, 40, hop_by_hop=True)
    except extension.UnknownOption as unknown:
        if unknown.answer:
            code = icmpv6.UNKNOWN_OPTION
            box.icmpv6_error(packet, icmpv6.PARAMETER_PROBLEM, code, unknown.offset)
        return False
    except Malformed:
        return False
    return True
