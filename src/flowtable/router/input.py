"""Input: the packet is for the box itself.

Where connections are not tracked nothing has made it whole yet: IPv4 does so before the input
hook, IPv6 behind it.

Ref: net/ipv4/ip_input.c:ip_local_deliver, net/ipv6/ip6_input.c:ip6_input.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.packet.packet import IPV4
from flowtable.ruleset.hook import Hook
from flowtable.ruleset.verdict import Verdict

if TYPE_CHECKING:
    from flowtable.packet.packet import Packet
    from flowtable.router.box import Box

_ACCEPT: Final = int(Verdict.ACCEPT)
_INPUT: Final = int(Hook.INPUT)


def ipv4(box: Box, packet: Packet) -> None:
    """Deliver an IPv4 packet."""
    box.statistics.input += 1
    verdict = box.reassembly4.gather(packet)
    if verdict == _ACCEPT:
        packet.hook = _INPUT
        verdict = box.ipv4.input(packet)
    _deliver(box, packet, verdict)


def ipv6(box: Box, packet: Packet) -> None:
    """Deliver an IPv6 packet."""
    box.statistics.input += 1
    packet.hook = _INPUT
    verdict = box.ipv6.input(packet)
    if verdict == _ACCEPT:
        verdict = box.local_reassembly6.gather(packet)
    _deliver(box, packet, verdict)


def _deliver(box: Box, packet: Packet, verdict: int) -> None:
    if verdict != _ACCEPT:
        box.ended(packet, verdict)
        return
    local = box.local
    drop = local.ipv4(packet, box.now) if packet.family == IPV4 else local.ipv6(packet, box.now)
    if drop is None:
        box.statistics.delivered += 1
    else:
        box.statistics.drops[drop] += 1
