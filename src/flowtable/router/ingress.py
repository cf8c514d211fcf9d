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
    ETHERTYPE_QINQ,
    ETHERTYPE_VLAN,
    IPV4,
    IPV6,
    Packet,
    PacketType,
)
from flowtable.packet.parse import dissect_unchecked
from flowtable.router import egress, prerouting
from flowtable.ruleset.evaluate import BaseChain
from flowtable.ruleset.hook import Hook
from flowtable.ruleset.verdict import Verdict

if TYPE_CHECKING:
    from flowtable.router.box import Box
    from flowtable.router.hooks import IngressHook, Process
    from flowtable.topology.device import Device

_ETHERNET: Final = 14
_ACCEPT: Final = int(Verdict.ACCEPT)
_HOST: Final = int(PacketType.HOST)
_BROADCAST: Final = int(PacketType.BROADCAST)
_MULTICAST: Final = int(PacketType.MULTICAST)
_INGRESS: Final = int(Hook.INGRESS)
_BROADCAST_MAC: Final = b"\xff" * 6
_ETHERTYPE_IPV4: Final = ETHERTYPE_IPV4.to_bytes(2)
_ETHERTYPE_IPV6: Final = ETHERTYPE_IPV6.to_bytes(2)
_ETHERTYPE_ARP: Final = ETHERTYPE_ARP.to_bytes(2)
_TAGS: Final = frozenset({ETHERTYPE_VLAN.to_bytes(2), ETHERTYPE_QINQ.to_bytes(2)})
_FAMILY: Final = {_ETHERTYPE_IPV4: IPV4, _ETHERTYPE_IPV6: IPV6}


class Port:
    """A device as frames meet it on arrival.

    Attributes:
        process: the flowtable, where it is the only thing registered at ingress.
        hooks: all that is registered, in order.
    """

    __slots__ = ("hooks", "process")

    def __init__(self, hooks: tuple[IngressHook, ...]) -> None:
        self.hooks = hooks
        first = hooks[0] if len(hooks) == 1 else None
        self.process: Process | None = None if isinstance(first, BaseChain) else first


def receive(box: Box, device: Device, frame: bytes, now: int) -> None:
    """Take a frame off the wire: ``frame`` from the destination MAC on, without the checksum."""
    statistics = box.statistics
    statistics.ingress += 1
    if not device.up:
        statistics.drops[Drop.DEVICE_DOWN] += 1
        return
    mac = frame[:6]
    if mac == device.mac:
        pkttype = _HOST
    elif len(frame) >= _ETHERNET and mac[0] & 1:
        pkttype = _BROADCAST if mac == _BROADCAST_MAC else _MULTICAST
    else:
        # A network card's own filter: nothing above it ever sees the frame.
        statistics.drops[Drop.OTHER_HOST if len(frame) >= _ETHERNET else Drop.ETHERNET_TRUNCATED] += 1
        return

    port = box.ports[device.index]
    process = port.process
    if process is not None:
        outcome = process(frame, device.index, now)
        if isinstance(outcome, tuple):
            _bypass(box, outcome)
            return
        statistics.misses[outcome] += 1
    elif port.hooks:
        passed = _traverse(box, device, port.hooks, frame, pkttype, now)
        if passed is None:
            return
        frame = passed

    ethertype = frame[12:14]
    if ethertype == _ETHERTYPE_IPV4:
        prerouting.ipv4(box, device, frame, pkttype, now)
    elif ethertype == _ETHERTYPE_IPV6:
        prerouting.ipv6(box, device, frame, pkttype, now)
    else:
        _not_ip(box, device, frame, pkttype, now)


def _traverse(
    box: Box, device: Device, hooks: tuple[IngressHook, ...], frame: bytes, pkttype: int, now: int
) -> bytes | None:
    """Take a frame past several hooks; None once one of them has taken it."""
    for hook in hooks:
        if not isinstance(hook, BaseChain):
            outcome = hook(frame, device.index, now)
            if isinstance(outcome, tuple):
                _bypass(box, outcome)
                return None
            box.statistics.misses[outcome] += 1
        elif len(frame) >= _ETHERNET:
            packet = _packet(device, frame, pkttype, now)
            packet.hook = _INGRESS
            verdict = hook(packet)
            if verdict != _ACCEPT:
                box.ended(packet, verdict)
                return None
            frame = packet.link + packet.data
    return frame


def _bypass(box: Box, outcome: tuple[Device, bytes] | Handover) -> None:
    """The flowtable forwarded a frame."""
    box.statistics.bypass += 1
    if isinstance(outcome, Handover):
        egress.hand_over(box, outcome)
    else:
        egress.transmit(box, outcome[0], outcome[1])


def _not_ip(box: Box, device: Device, frame: bytes, pkttype: int, now: int) -> None:
    if len(frame) < _ETHERNET:
        box.statistics.drops[Drop.ETHERNET_TRUNCATED] += 1
    elif frame[12:14] == _ETHERTYPE_ARP:
        box.statistics.arp += 1
        box.arp.receive(device, frame, _ETHERNET, pkttype, now)
    elif (untagged := _without_priority(frame)) is not frame:
        if untagged[12:14] == _ETHERTYPE_IPV4:
            prerouting.ipv4(box, device, untagged, pkttype, now)
        elif untagged[12:14] == _ETHERTYPE_IPV6:
            prerouting.ipv6(box, device, untagged, pkttype, now)
        else:
            _not_ip(box, device, untagged, pkttype, now)
    else:
        box.statistics.drops[Drop.UNKNOWN_PROTOCOL] += 1


def _without_priority(frame: bytes) -> bytes:
    """The frame without tags that name no VLAN and give it a priority only (IEEE 802.1Q, VLAN 0)."""
    at = 12
    while (
        frame[at : at + 2] in _TAGS and len(frame) >= at + 6 and not (frame[at + 2] & 0x0F or frame[at + 3])
    ):
        at += 4
    return frame if at == 12 else frame[:12] + frame[at:]


def _packet(device: Device, frame: bytes, pkttype: int, now: int) -> Packet:
    """The packet as a netdev chain sees it: before anything checked its network header."""
    family = _FAMILY.get(frame[12:14], 0)
    data = bytearray(frame[_ETHERNET:])
    packet = Packet(data, family, link=frame[:_ETHERNET], iif=device, time=now, pkttype=pkttype)
    dissect_unchecked(packet)
    return packet
