"""The rules for ARP messages, on their way in and out.

Ref: net/ipv4/arp.c:arp_rcv, arp_xmit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.packet.packet import Packet
from flowtable.ruleset.evaluate import ARP
from flowtable.ruleset.hook import Hook
from flowtable.ruleset.verdict import Verdict

if TYPE_CHECKING:
    from flowtable.router.box import Box
    from flowtable.topology.device import Device

_ETHERNET: Final = 14
_ACCEPT: Final = int(Verdict.ACCEPT)


def arrived(box: Box, device: Device, frame: bytes, pkttype: int, now: int) -> bytes | None:
    """A frame with an ARP message as the rules of input leave it, None if they drop it."""
    if not box.program.chains(ARP, Hook.INPUT):
        return frame
    packet = Packet(bytearray(frame[_ETHERNET:]), ARP, frame[:_ETHERNET], device, now, pkttype)
    return _pass(box, packet, Hook.INPUT)


def leaving(box: Box, device: Device, frame: bytes, now: int) -> bytes | None:
    """A frame with an ARP message as the rules of output leave it, None if they drop it."""
    if not box.program.chains(ARP, Hook.OUTPUT):
        return frame
    packet = Packet(bytearray(frame[_ETHERNET:]), ARP, frame[:_ETHERNET], time=now)
    packet.oif = device
    return _pass(box, packet, Hook.OUTPUT)


def _pass(box: Box, packet: Packet, hook: Hook) -> bytes | None:
    packet.hook = int(hook)
    for chain in box.program.chains(ARP, hook):
        verdict = chain(packet)
        if verdict != _ACCEPT:
            box.ended(packet, verdict)
            return None
    return packet.link + packet.data
