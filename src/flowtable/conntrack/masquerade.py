"""Which of its own addresses the box translates to, for ``masquerade`` and ``redirect``.

Ref: net/netfilter/nf_nat_masquerade.c, net/netfilter/nf_nat_redirect.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.packet.packet import IPV4, IPV6
from flowtable.ruleset.hook import Hook
from flowtable.topology.device import Scope, link_local
from flowtable.topology.source import inet_select_addr, ipv6_select_addr

if TYPE_CHECKING:
    from flowtable.packet.packet import Packet
    from flowtable.topology.topology import Topology

_LOOPBACK4: Final = b"\x7f\0\0\1"
_LOOPBACK6: Final = bytes(15) + b"\1"


def masquerade_address(topology: Topology, packet: Packet) -> bytes | None:
    """The source address for a packet that leaves through ``packet.oif``; None if it has none.

    Ref: net/netfilter/nf_nat_masquerade.c:nf_nat_masquerade_ipv4, nf_nat_masquerade_ipv6.
    """
    devices = topology.devices.values()
    if packet.family == IPV4:
        route = packet.dst
        gateway = None if route is None else route.gateway
        if gateway is None or len(gateway) != 4:
            gateway = bytes(packet.data[16:20])
        return inet_select_addr(devices, packet.oif, gateway, Scope.UNIVERSE)
    return ipv6_select_addr(devices, packet.oif, bytes(packet.data[24:40]))


def redirect_address(packet: Packet, hook: int) -> bytes | None:
    """The box's own address for a packet that came in through ``packet.iif``; None if it has none.

    Packets of the box itself go to the loopback address.

    Ref: net/netfilter/nf_nat_redirect.c:nf_nat_redirect_ipv4, nf_nat_redirect_ipv6.
    """
    if hook == Hook.OUTPUT:
        return _LOOPBACK4 if packet.family == IPV4 else _LOOPBACK6
    if packet.iif is None:
        return None
    own = [a.address for a in packet.iif.addresses if a.family == packet.family]
    if packet.family == IPV6:
        # Addresses of the widest scope come first, and link-local destinations need the like.
        own.sort(key=link_local)
        if _link_scope(bytes(packet.data[24:40])):
            own = [address for address in own if link_local(address)]
    return own[0] if own else None


def _link_scope(address: bytes) -> bool:
    """Ref: include/net/ipv6.h:ipv6_addr_scope."""
    return link_local(address) or (address[0] == 0xFF and address[1] & 0x0F == 2)
