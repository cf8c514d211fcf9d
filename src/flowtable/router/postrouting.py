"""Postrouting: the last rules before the packet leaves, source translation, confirmation.

Ref: net/ipv4/ip_output.c:ip_output, net/ipv6/ip6_output.c:ip6_output.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.router import egress
from flowtable.ruleset.hook import Hook
from flowtable.ruleset.verdict import Verdict

if TYPE_CHECKING:
    from flowtable.packet.packet import Packet
    from flowtable.router.box import Box

_ACCEPT: Final = int(Verdict.ACCEPT)
_POSTROUTING: Final = int(Hook.POSTROUTING)


def ipv4(box: Box, packet: Packet) -> None:
    """Hand a routed IPv4 packet to the rules of the way out, then to its device."""
    box.statistics.postrouting += 1
    packet.hook = _POSTROUTING
    meet_rules = box.ipv4.postrouting
    verdict = meet_rules(packet)
    if verdict == _ACCEPT:
        egress.ipv4(box, packet)
    else:
        box.ended(packet, verdict)


def ipv6(box: Box, packet: Packet) -> None:
    """Hand a routed IPv6 packet to the rules of the way out, then to its device."""
    box.statistics.postrouting += 1
    packet.hook = _POSTROUTING
    meet_rules = box.ipv6.postrouting
    verdict = meet_rules(packet)
    if verdict == _ACCEPT:
        egress.ipv6(box, packet)
    else:
        box.ended(packet, verdict)
