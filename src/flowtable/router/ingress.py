"""Ingress: a frame arrives on a device, meets its ingress hooks, and goes where its type says.

The flowtables of the device and its netdev ingress chains run in the order of their
priorities. A frame that a flowtable knows leaves through the bypass; every other frame goes on
as it came.

Ref: net/core/dev.c:__netif_receive_skb_core.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.flows.datapath import Handover
from flowtable.packet.drop import Drop
from flowtable.packet.packet import (
    ETHERTYPE_ARP,
    ETHERTYPE_IPV4,
    ETHERTYPE_IPV6,
    IPV4,
    IPV6,
    Packet,
    PacketType,
)
from flowtable.router import egress, prerouting
from flowtable.ruleset.evaluate import BaseChain
from flowtable.ruleset.hook import Hook
from flowtable.ruleset.verdict import Verdict

if TYPE_CHECKING:
    from flowtable.router.box import Box
    from flowtable.topology.device import Device

_ETHERNET: Final = 14
_ACCEPT: Final = int(Verdict.ACCEPT)
_HOST: Final = int(PacketType.HOST)
_BROADCAST: Final = int(PacketType.BROADCAST)
_MULTICAST: Final = int(PacketType.MULTICAST)
_INGRESS: Final = int(Hook.INGRESS)
_BROADCAST_MAC: Final = b"\xff" * 6
_FAMILY: Final = {ETHERTYPE_IPV4: IPV4, ETHERTYPE_IPV6: IPV6}


def receive(box: Box, device: Device, frame: bytes, now: int) -> None:
    """Take a frame off the wire: ``frame`` from the destination MAC on, without the checksum."""
    statistics = box.statistics
    statistics.ingress += 1
    if not device.up:
        statistics.drops[Drop.DEVICE_DOWN] += 1
        return
    if len(frame) < _ETHERNET:
        statistics.drops[Drop.ETHERNET_TRUNCATED] += 1
        return
    mac = frame[:6]
    if mac == device.mac:
        pkttype = _HOST
    elif mac[0] & 1:
        pkttype = _BROADCAST if mac == _BROADCAST_MAC else _MULTICAST
    else:
        # The network card's own filter: nothing above it ever sees the frame.
        statistics.drops[Drop.OTHER_HOST] += 1
        return

    for hook in box.ingress_hooks[device.index]:
        if isinstance(hook, BaseChain):
            packet = _packet(device, frame, pkttype, now)
            packet.hook = _INGRESS
            verdict = hook(packet)
            if verdict != _ACCEPT:
                box.ended(packet, verdict)
                return
            frame = packet.link + packet.data
            continue
        statistics.flowtable += 1
        outcome = hook(frame, device.index, now)
        if isinstance(outcome, tuple):
            statistics.bypass += 1
            if isinstance(outcome, Handover):
                egress.hand_over(box, outcome)
            else:
                egress.transmit(box, outcome[0], outcome[1])
            return
        statistics.misses[outcome] += 1
    _demultiplex(box, device, frame, pkttype, now)


def _demultiplex(box: Box, device: Device, frame: bytes, pkttype: int, now: int) -> None:
    ethertype = frame[12] << 8 | frame[13]
    if ethertype == ETHERTYPE_IPV4:
        prerouting.ipv4(box, device, frame, pkttype, now)
    elif ethertype == ETHERTYPE_IPV6:
        prerouting.ipv6(box, device, frame, pkttype, now)
    elif ethertype == ETHERTYPE_ARP:
        box.arp.receive(device, frame, _ETHERNET, pkttype, now)
    else:
        box.statistics.drops[Drop.UNKNOWN_PROTOCOL] += 1


def _packet(device: Device, frame: bytes, pkttype: int, now: int) -> Packet:
    """The packet as a netdev chain sees it: before anything looked into its network header."""
    family = _FAMILY.get(frame[12] << 8 | frame[13], 0)
    data = bytearray(frame[_ETHERNET:])
    return Packet(data, family, link=frame[:_ETHERNET], iif=device, time=now, pkttype=pkttype)
