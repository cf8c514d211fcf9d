"""Output: packets that the box makes itself, from their route to postrouting.

Ref: net/ipv4/ip_output.c:__ip_local_out, net/ipv6/output_core.c:__ip6_local_out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.packet.drop import Drop
from flowtable.packet.packet import IPV4
from flowtable.router import postrouting, vrf
from flowtable.ruleset.hook import Hook
from flowtable.ruleset.model import ChainType
from flowtable.ruleset.verdict import Verdict
from flowtable.topology.route import REJECTING
from flowtable.topology.vrf import Vrf

if TYPE_CHECKING:
    from flowtable.packet.packet import Packet
    from flowtable.router.box import Box

_ACCEPT: Final = int(Verdict.ACCEPT)
_OUTPUT: Final = int(Hook.OUTPUT)


def send(box: Box, packet: Packet) -> None:
    """Send a packet of the box's own, routed already, through the output and postrouting hooks."""
    box.statistics.output += 1
    device = packet.oif
    if device is not None and isinstance(device.master, Vrf):
        verdict = vrf.send(box, device.master, packet)
        if verdict != _ACCEPT:
            box.ended(packet, verdict)
            return
    leave(box, packet)


def leave(box: Box, packet: Packet) -> None:
    """Take a routed packet through the output and postrouting hooks.

    Where the rules of the output hook change its destination, it is routed again; where they
    change its mark, too, if there is a chain of type route.

    Ref: net/netfilter/nf_nat_proto.c:nf_nat_ipv4_local_fn, net/netfilter/nft_chain_route.c,
    net/ipv4/netfilter.c:ip_route_me_harder.
    """
    packet.hook = _OUTPUT
    before, mark = _destination(packet), packet.mark
    ipv4 = packet.family == IPV4
    verdict = (box.ipv4 if ipv4 else box.ipv6).output(packet)
    if verdict != _ACCEPT:
        box.ended(packet, verdict)
        return
    changed = _destination(packet) != before or (packet.mark != mark and _routes_by_mark(box, packet.family))
    if changed and not _route_again(box, packet):
        box.statistics.drops[Drop.NO_ROUTE] += 1
        return
    if ipv4:
        postrouting.ipv4(box, packet)
    else:
        postrouting.ipv6(box, packet)


def _routes_by_mark(box: Box, family: int) -> bool:
    return any(chain.type is ChainType.ROUTE for chain in box.program.chains(family, Hook.OUTPUT))


def _route_again(box: Box, packet: Packet) -> bool:
    route = box.topology.fib(packet.family).lookup(
        _destination(packet), source=_source(packet), mark=packet.mark
    )
    if route is None or route.type in REJECTING or route.device is None:
        return False
    packet.dst = route
    packet.oif = route.device
    return True


def _source(packet: Packet) -> bytes:
    return bytes(packet.data[12:16] if packet.family == IPV4 else packet.data[8:24])


def _destination(packet: Packet) -> bytes:
    return bytes(packet.data[16:20] if packet.family == IPV4 else packet.data[24:40])
