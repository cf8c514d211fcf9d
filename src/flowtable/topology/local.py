"""The routes that follow from the addresses of a device.

Ref: net/ipv4/fib_frontend.c:fib_add_ifaddr, net/ipv6/addrconf.c.
"""

from __future__ import annotations

from typing import Final

from flowtable.packet.packet import IPV4, IPV6
from flowtable.topology.bond import Bond
from flowtable.topology.device import IPV6_MIN_MTU, Address, Device, Scope
from flowtable.topology.route import Route, RouteProtocol, RouteTable, RouteType
from flowtable.topology.vrf import Vrf, domain

IPV6_CONNECTED_METRIC: Final = 256
"""IP6_RT_PRIO_ADDRCONF."""
IPV6_LOOPBACK: Final = bytes(15) + b"\x01"


def derive4(device: Device, lo: Device) -> list[Route]:
    """Local, broadcast and connected IPv4 routes of a device, in the order Linux adds them.

    Since Linux 5.14 the lowest address of a subnet is an ordinary one; the highest is its
    broadcast address.
    """
    routes: list[Route] = []
    for address in device.addresses:
        if address.family != IPV4:
            continue
        secondary = device.secondary(address)
        source = _primary_of(device, address).address
        routes.append(_local(IPV4, device, lo, address.address, 32, source))
        if address.broadcast is not None and address.broadcast != b"\xff\xff\xff\xff":
            routes.append(_broadcast(device, address.broadcast, source))
        host = (1 << 32 - address.prefixlen) - 1
        network = int.from_bytes(address.on_link) & ~host
        prefix = network.to_bytes(4)
        if not network or secondary or (prefix == address.address and address.prefixlen == 32):
            continue
        if device.loopback:
            routes.append(_local(IPV4, device, lo, prefix, address.prefixlen, source))
        elif not address.noprefixroute:
            routes.append(
                Route(
                    IPV4,
                    prefix,
                    address.prefixlen,
                    device=device,
                    metric=address.metric,
                    source=source,
                    scope=Scope.LINK,
                    table=_table(device, RouteTable.MAIN),
                    protocol=RouteProtocol.KERNEL,
                    oif=device,
                )
            )
        if address.prefixlen < 31:
            routes.append(_broadcast(device, (network | host).to_bytes(4), source))
    return _distinct(routes)


def derive6(device: Device, lo: Device, *, forwarding: bool) -> list[Route]:
    """Local, anycast, connected and multicast IPv6 routes of a device.

    None while its MTU is too small for IPv6 or it is a slave of a bond. A router answers to the
    subnet-router anycast address (RFC 4291 section 2.6.1) of its subnets.
    """
    if device.mtu < IPV6_MIN_MTU or isinstance(device.master, Bond):
        return []
    routes: list[Route] = []
    for address in device.addresses:
        if address.family != IPV6:
            continue
        routes.append(_local(IPV6, device, lo, address.address, 128, None))
        host = (1 << 128 - address.prefixlen) - 1
        prefix = (int.from_bytes(address.address) & ~host).to_bytes(16)
        if forwarding and address.prefixlen < 127 and any(prefix):
            routes.append(_local(IPV6, device, lo, prefix, 128, None, RouteType.ANYCAST))
        metric = address.metric or IPV6_CONNECTED_METRIC
        if not address.noprefixroute and address.address != IPV6_LOOPBACK:
            routes.append(_connected6(device, prefix, address.prefixlen, metric))
        if address.peer is not None:
            routes.append(_connected6(device, address.peer, 128, metric))
    if not (device.loopback or isinstance(device, Vrf)):
        routes.append(
            Route(
                IPV6,
                b"\xff" + bytes(15),
                8,
                RouteType.MULTICAST,
                device=device,
                metric=IPV6_CONNECTED_METRIC,
                table=_table(device, RouteTable.LOCAL),
                protocol=RouteProtocol.KERNEL,
                oif=device,
            )
        )
    return _distinct(routes)


def _primary_of(device: Device, address: Address) -> Address:
    """The first address of the subnet. Ref: net/ipv4/devinet.c:inet_ifa_byprefix."""
    for own in device.addresses:
        if own.family == IPV4 and own.prefixlen == address.prefixlen and own.covers(address.on_link):
            return own
    return address


def _local(
    family: int,
    device: Device,
    lo: Device,
    destination: bytes,
    prefixlen: int,
    source: bytes | None,
    kind: RouteType = RouteType.LOCAL,
) -> Route:
    return Route(
        family,
        destination,
        prefixlen,
        kind,
        device=lo,
        source=source,
        scope=Scope.HOST,
        table=_table(device, RouteTable.LOCAL),
        protocol=RouteProtocol.KERNEL,
        oif=device,
    )


def _broadcast(device: Device, destination: bytes, source: bytes) -> Route:
    return Route(
        IPV4,
        destination,
        32,
        RouteType.BROADCAST,
        device=device,
        source=source,
        scope=Scope.LINK,
        table=_table(device, RouteTable.LOCAL),
        protocol=RouteProtocol.KERNEL,
        oif=device,
    )


def _connected6(device: Device, prefix: bytes, prefixlen: int, metric: int) -> Route:
    return Route(
        IPV6,
        prefix,
        prefixlen,
        device=device,
        metric=metric,
        table=_table(device, RouteTable.MAIN),
        protocol=RouteProtocol.KERNEL,
        oif=device,
    )


def _table(device: Device, usual: RouteTable) -> int:
    """All routes of a device in a VRF are in the VRF's table. Ref: fib_add_ifaddr, l3mdev_fib_table."""
    vrf = domain(device)
    return usual if vrf is None else vrf.table


def _distinct(routes: list[Route]) -> list[Route]:
    kept: list[Route] = []
    for route in routes:
        if not any(route.same(other) for other in kept):
            kept.append(route)
    return kept
