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
from flowtable.packet.miss import Miss
from flowtable.packet.packet import (
    ETHERTYPE_ARP,
    ETHERTYPE_IPV4,
    ETHERTYPE_IPV6,
    ETHERTYPE_PPPOE_SESSION,
    IPV4,
    IPV6,
    Packet,
    PacketType,
)
from flowtable.packet.parse import dissect_unchecked
from flowtable.router import arp_hooks, egress, pppoe, prerouting, vlan
from flowtable.ruleset.evaluate import BaseChain
from flowtable.ruleset.hook import Hook
from flowtable.ruleset.verdict import Verdict
from flowtable.topology.bond import Bond
from flowtable.topology.dsa import DsaPort
from flowtable.topology.macvlan import Macvlan

if TYPE_CHECKING:
    from flowtable.flows.datapath import Outcome
    from flowtable.router.box import Box
    from flowtable.router.hooks import IngressHook, Process
    from flowtable.router.stack import Above
    from flowtable.topology.device import Device

_ETHERNET: Final = 14
_MACS: Final = 12
_ACCEPT: Final = int(Verdict.ACCEPT)
_HOST: Final = int(PacketType.HOST)
_BROADCAST: Final = int(PacketType.BROADCAST)
_MULTICAST: Final = int(PacketType.MULTICAST)
_OTHERHOST: Final = int(PacketType.OTHERHOST)
_INGRESS: Final = int(Hook.INGRESS)
_BROADCAST_MAC: Final = b"\xff" * 6
_ETHERTYPE_IPV4: Final = ETHERTYPE_IPV4.to_bytes(2)
_ETHERTYPE_IPV6: Final = ETHERTYPE_IPV6.to_bytes(2)
_ETHERTYPE_ARP: Final = ETHERTYPE_ARP.to_bytes(2)
_ETHERTYPE_PPPOE: Final = ETHERTYPE_PPPOE_SESSION.to_bytes(2)
_ETHERTYPE_PPPOE_DISCOVERY: Final = pppoe.ETHERTYPE_DISCOVERY.to_bytes(2)
_COUNT_HEADER: Final = (Bond, DsaPort, Macvlan)
"""Devices that count the Ethernet header of what they receive."""
_FAMILY: Final = {_ETHERTYPE_IPV4: IPV4, _ETHERTYPE_IPV6: IPV6}


class Port:
    """A device as frames meet it on arrival.

    Attributes:
        process: the flowtable, where it is the only thing registered at ingress.
        hooks: all that is registered, in order.
        above: what stands on the device, None if nothing does.
    """

    __slots__ = ("above", "hooks", "process")

    def __init__(self, hooks: tuple[IngressHook, ...], above: Above | None) -> None:
        self.hooks = hooks
        self.above = above
        first = hooks[0] if len(hooks) == 1 else None
        self.process: Process | None = None if isinstance(first, BaseChain) else first


def receive(box: Box, device: Device, frame: bytes, now: int) -> None:
    """Take a frame off the wire: ``frame`` from the destination MAC on, without the checksum."""
    statistics = box.statistics
    statistics.ingress += 1
    if not device.up:
        statistics.drops[Drop.DEVICE_DOWN] += 1
        return
    port = box.ports[device.index]
    above = port.above
    mac = frame[:6]
    if mac == device.mac:
        pkttype = _HOST
    elif len(frame) >= _ETHERNET and mac[0] & 1:
        pkttype = _BROADCAST if mac == _BROADCAST_MAC else _MULTICAST
    elif above is not None and len(frame) >= _ETHERNET and (above.promiscuous or mac in above.macs):
        pkttype = _OTHERHOST
    else:
        # A network card's own filter: nothing above it ever sees the frame.
        statistics.drops[Drop.OTHER_HOST if len(frame) >= _ETHERNET else Drop.ETHERNET_TRUNCATED] += 1
        return

    process = port.process
    if process is not None:
        outcome = process(frame, device.index, now)
        if type(outcome) is tuple:
            # The way of most packets: what `_bypass` does, without a call.
            statistics.bypass += 1
            way_out, leaving = outcome
            egress.transmit(box, way_out, leaving)
            return
        if not isinstance(outcome, Miss):
            _bypass(box, outcome)
            return
        statistics.misses[outcome] += 1
    elif port.hooks:
        passed = _traverse(box, device, port.hooks, frame, pkttype, now)
        if passed is None:
            return
        frame = passed
    _go_on(box, device, above, frame, pkttype, now)


def judged(box: Box, device: Device, frame: bytes, outcome: Outcome, now: int) -> None:
    """Take a frame off the wire that the device takes, and that its flowtable has looked at already."""
    statistics = box.statistics
    statistics.ingress += 1
    if not isinstance(outcome, Miss):
        _bypass(box, outcome)
        return
    statistics.misses[outcome] += 1
    pkttype = _HOST if frame[:6] == device.mac else _OTHERHOST
    _go_on(box, device, box.ports[device.index].above, frame, pkttype, now)


def _go_on(box: Box, device: Device, above: Above | None, frame: bytes, pkttype: int, now: int) -> None:
    """A frame has passed all that is registered at ingress."""
    if above is not None and _climbed(box, device, above, frame, pkttype):
        return
    ethertype = frame[12:14]
    if ethertype == _ETHERTYPE_IPV4:
        prerouting.ipv4(box, device, frame, pkttype, now)
    elif ethertype == _ETHERTYPE_IPV6:
        prerouting.ipv6(box, device, frame, pkttype, now)
    else:
        _not_ip(box, device, frame, pkttype, now)


def another_round(box: Box, device: Device, frame: bytes, pkttype: int) -> None:
    """A frame that came in on another device has climbed to this one.

    Args:
        box: the box.
        device: one that stands on that other device.
        frame: as this device has it, behind an Ethernet header.
        pkttype: to whom it is addressed.
    """
    if not device.up:
        box.statistics.drops[Drop.DEVICE_DOWN] += 1
        return
    statistics = device.statistics
    statistics.rx_packets += 1
    statistics.rx_bytes += len(frame) - (0 if isinstance(device, _COUNT_HEADER) else _ETHERNET)
    port = box.ports[device.index]
    if port.hooks:
        passed = _traverse(box, device, port.hooks, frame, pkttype, box.now)
        if passed is None:
            return
        frame = passed
    if port.above is None or not _climbed(box, device, port.above, frame, pkttype):
        take(box, device, frame, pkttype)


def take(box: Box, device: Device, frame: bytes, pkttype: int) -> None:
    """A frame goes to the protocols of the box."""
    if pkttype == _OTHERHOST:
        box.statistics.drops[Drop.OTHER_HOST] += 1
    elif frame[12:14] == _ETHERTYPE_IPV4:
        prerouting.ipv4(box, device, frame, pkttype, box.now)
    elif frame[12:14] == _ETHERTYPE_IPV6:
        prerouting.ipv6(box, device, frame, pkttype, box.now)
    else:
        _not_ip(box, device, frame, pkttype, box.now)


def _climbed(box: Box, device: Device, above: Above, frame: bytes, pkttype: int) -> bool:
    """Hand a frame to what stands on its device; False if the protocols of the box are next."""
    if len(frame) < _ETHERNET:
        return False
    if frame[12:14] in vlan.TAGS and len(frame) >= vlan.TAGGED_MINIMUM:
        upper = above.vlans.get(vlan.key_of(frame))
        if upper is not None:
            vlan.receive(box, upper, frame, pkttype)
            return True
    if above.handler is not None and above.handler(box, device, frame, pkttype):
        return True
    if pkttype == _OTHERHOST:
        box.statistics.drops[Drop.OTHER_HOST] += 1
        return True
    return False


def _traverse(
    box: Box, device: Device, hooks: tuple[IngressHook, ...], frame: bytes, pkttype: int, now: int
) -> bytes | None:
    """Take a frame past several hooks; None once one of them has taken it."""
    for hook in hooks:
        if not isinstance(hook, BaseChain):
            outcome = hook(frame, device.index, now)
            if not isinstance(outcome, Miss):
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
    ethertype = frame[12:14]
    if len(frame) < _ETHERNET:
        box.statistics.drops[Drop.ETHERNET_TRUNCATED] += 1
    elif ethertype == _ETHERTYPE_ARP:
        passed = arp_hooks.arrived(box, device, frame, pkttype, now)
        if passed is not None:
            box.statistics.arp += 1
            box.arp.receive(device, passed, _ETHERNET, pkttype, now)
    elif ethertype in vlan.TAGS:
        _tagged(box, device, frame, pkttype)
    elif ethertype == _ETHERTYPE_PPPOE:
        above = box.ports[device.index].above
        pppoe.receive(box, {} if above is None else above.sessions, frame, pkttype)
    elif ethertype == _ETHERTYPE_PPPOE_DISCOVERY:
        box.statistics.drops[Drop.PPPOE_DISCOVERY] += 1
    else:
        box.statistics.drops[Drop.UNKNOWN_PROTOCOL] += 1


def _tagged(box: Box, device: Device, frame: bytes, pkttype: int) -> None:
    """A frame whose tag nobody took: it is another host's, unless the tag gives it a priority only.

    Ref: net/core/dev.c:__netif_receive_skb_core (check_vlan_id).
    """
    above = box.ports[device.index].above
    at = _MACS
    while frame[at : at + 2] in vlan.TAGS:
        if len(frame) < at + vlan.TAGGED_MINIMUM - _MACS:
            box.statistics.drops[Drop.ETHERNET_TRUNCATED] += 1
            return
        upper = None if above is None else above.vlans.get(vlan.key_of(frame, at))
        if upper is not None:
            vlan.receive(box, upper, frame[:_MACS] + frame[at:], pkttype)
            return
        if frame[at + 2] & 0x0F or frame[at + 3]:
            box.statistics.drops[Drop.VLAN_UNKNOWN] += 1
            return
        at += vlan.TAG
    take(box, device, frame[:_MACS] + frame[at:], pkttype)


def _packet(device: Device, frame: bytes, pkttype: int, now: int) -> Packet:
    """The packet as a netdev chain sees it: before anything checked its network header.

    The outermost VLAN tag is part of the link layer. Ref: net/core/skbuff.c:skb_vlan_untag.
    """
    start = vlan.TAGGED_HEADER if frame[12:14] in vlan.TAGS else _ETHERNET
    family = _FAMILY.get(frame[start - 2 : start], 0)
    packet = Packet(
        bytearray(frame[start:]), family, link=frame[:start], iif=device, time=now, pkttype=pkttype
    )
    dissect_unchecked(packet)
    return packet
