"""Input: the packet is for the box itself.

Ref: net/ipv4/ip_input.c:ip_local_deliver, net/ipv6/ip6_input.c:ip6_input.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.router.hooks import run
from flowtable.ruleset.hook import Hook
from flowtable.ruleset.verdict import Verdict

if TYPE_CHECKING:
    from flowtable.packet.packet import Packet
    from flowtable.router.box import Box

_ACCEPT: Final = int(Verdict.ACCEPT)
_INPUT: Final = int(Hook.INPUT)


def ipv4(box: Box, packet: Packet) -> None:
    """Deliver an IPv4 packet, put together first if it is still in fragments."""
    box.statistics.input += 1
    if packet.data[6] & 0x20 or packet.fragoff:
        # Without connection tracking nothing has made it whole before.
        if box.reassembly4(packet) != _ACCEPT:
            return
    packet.hook = _INPUT
    verdict = run(box.ipv4.input, packet)
    if verdict == _ACCEPT:
        box.deliver(packet)
    else:
        box.ended(packet, verdict)


def ipv6(box: Box, packet: Packet) -> None:
    """Deliver an IPv6 packet."""
    box.statistics.input += 1
    packet.hook = _INPUT
    verdict = run(box.ipv6.input, packet)
    if verdict == _ACCEPT:
        box.deliver(packet)
    else:
        box.ended(packet, verdict)
