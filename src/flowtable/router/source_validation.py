"""Whether an IPv4 packet can have come from its source: martians and the reverse path filter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.packet.drop import Drop
from flowtable.packet.packet import IPV4
from flowtable.topology.route import REJECTING, RouteType
from flowtable.topology.vrf import domain

if TYPE_CHECKING:
    from flowtable.topology.device import Device
    from flowtable.topology.topology import Topology

_BROADCAST: Final = b"\xff" * 4


def may_be_source(topology: Topology, device: Device, source: bytes) -> bool:
    """Whether an address is a host's: neither of a group nor, where that is not routed, of loopback.

    Ref: net/ipv4/route.c:ip_route_input_slow, ip_mc_validate_source.
    """
    if source[0] & 0xF0 == 0xE0 or source == _BROADCAST:
        return False
    return source[0] != 127 or topology.sysctls.route_localnet(device.name)


def validate_source(
    topology: Topology, device: Device, source: bytes, destination: bytes, out: Device | None
) -> bool | Drop:
    """Whether the source is on the link it came from.

    Args:
        topology: the box.
        device: where the packet came in.
        source: its source address.
        destination: its destination address.
        out: where it is going to leave, None if it does not.

    Returns:
        Whether it is; why the packet ends where it cannot have come from there.

    Ref: net/ipv4/fib_frontend.c:fib_validate_source, __fib_validate_source.
    """
    if device.loopback:
        return False
    fib = topology.fib4
    sysctls = topology.sysctls
    vrf = domain(device)
    back = fib.lookup(source, oif=vrf, iif=out, source=destination)
    if back is not None and back.type is RouteType.LOCAL and not sysctls.accept_local(device.name):
        return Drop.MARTIAN_SOURCE
    filtering = sysctls.rp_filter(device.name)
    if not filtering and out is not device:
        return False
    if back is None or back.type in REJECTING:
        return Drop.REVERSE_PATH if filtering else False
    if back.type is not RouteType.UNICAST and back.type is not RouteType.LOCAL:
        return Drop.MARTIAN_SOURCE
    if device in (back.device, back.oif, vrf and domain(back.oif)):
        return back.gateway is None
    unnumbered = not any(own.family == IPV4 for own in device.addresses)
    if filtering == 1 or (filtering and unnumbered):
        return Drop.REVERSE_PATH
    back = fib.lookup(source, oif=device)
    return back is not None and back.type is RouteType.UNICAST and back.gateway is None
