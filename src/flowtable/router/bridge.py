"""Bridges: where frames of a port go, and frames of the box itself into the bridge.

A frame is admitted to a VLAN of its port, its source is learnt, and it goes to the port where
its destination is, to all ports, or up to the box, which is a station on the bridge. What goes
from port to port never meets the stations of IP, nor a flowtable.

Ref: net/bridge/br_input.c, br_forward.c, br_vlan.c, br_device.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from flowtable.packet.drop import Drop
from flowtable.packet.packet import ETHERTYPE_QINQ, PacketType
from flowtable.router import bridge_hooks
from flowtable.router.bond import link_local
from flowtable.router.vlan import TAGGED_MINIMUM, TAGS, without_tag
from flowtable.ruleset.hook import Hook
from flowtable.topology.bridge import Bridge, PortState
from flowtable.topology.dsa import DsaPort

if TYPE_CHECKING:
    from flowtable.router.box import Box
    from flowtable.topology.bridge import BridgePort, VlanTable
    from flowtable.topology.device import Device

_HOST: Final = int(PacketType.HOST)
_BROADCAST: Final = int(PacketType.BROADCAST)
_MULTICAST: Final = int(PacketType.MULTICAST)
_OTHERHOST: Final = int(PacketType.OTHERHOST)
_ETHERNET: Final = 14
_MACS: Final = 12
_BROADCAST_MAC: Final = b"\xff" * 6
_PAUSE: Final = 0x01
_BRIDGE_GROUP: Final = frozenset({0x00})
"""Last bytes of 01:80:c2:00:00:0X. The spanning tree's is kept to the link only while it runs here."""
_CUSTOMER_GROUPS: Final = frozenset({0x00, 0x0B, 0x0C, 0x0D, 0x0F})
"""What a bridge of service VLANs passes on. Ref: net/bridge/br_private.h:BR_GROUPFWD_8021AD."""
_OVERHEAD: Final = _ETHERNET + 4
"""What a frame may be longer than an MTU, a VLAN tag included. Ref: net/core/dev.c:is_skb_forwardable."""


class _Frame(NamedTuple):
    """A frame inside a bridge.

    Attributes:
        bare: the frame without its outermost tag.
        tag: that tag, 4 bytes with its ethertype; empty if there is none.
        vid: the VLAN it is in, 0 where the bridge does not filter VLANs.
        filtered: whether it does.
        source: the port it came in on, None if the box sends it.
    """

    bare: bytes
    tag: bytes
    vid: int
    filtered: bool
    source: BridgePort | None

    @property
    def group(self) -> bool:
        """Whether it is to more than one station."""
        return bool(self.bare[0] & 1)

    def leaving(self, vlans: VlanTable) -> bytes | None:
        """The frame as it leaves by a port with these VLANs, None if it does not leave there.

        Ref: net/bridge/br_vlan.c:br_allowed_egress, br_handle_vlan.
        """
        if self.filtered:
            tagged = vlans.tagged(self.vid)
            if tagged is None:
                return None
            if not tagged:
                return self.bare
        return self.whole

    @property
    def whole(self) -> bytes:
        """The frame with its tag."""
        return self.bare[:_MACS] + self.tag + self.bare[_MACS:] if self.tag else self.bare


def receive(box: Box, device: Device, frame: bytes, pkttype: int) -> bool:
    """Take a frame from a port; False where the port's own protocols get it.

    Ref: br_handle_frame, br_handle_frame_finish.
    """
    bridge = device.master
    assert isinstance(bridge, Bridge)
    port = bridge.ports[device.index]
    state = port.state if bridge.up and device.up else PortState.DISABLED
    source = frame[6:12]
    if source[0] & 1 or not any(source):
        return _drop(box, Drop.BRIDGE_SOURCE)
    if link_local(frame) and frame[5] not in _passed_on(bridge):
        if frame[5] == _PAUSE:
            return _drop(box, Drop.BRIDGE_GROUP)
        admitted = _admit(bridge, port.vlans, frame, port)
        if admitted is not None and state in _LEARNING:
            _learn(box, bridge, port, source, admitted.vid)
        return False
    if state not in _LEARNING:
        return _drop(box, Drop.BRIDGE_STATE)
    if frame[:6] == bridge.mac:
        pkttype = _HOST
    before = bridge_hooks.passed(box, Hook.PREROUTING, frame, device, None, pkttype)
    if before is None:
        return True
    frame = before
    admitted = _admit(bridge, port.vlans, frame, port)
    if admitted is None:
        return _drop(box, Drop.BRIDGE_VLAN)
    _learn(box, bridge, port, source, admitted.vid)
    if state is not PortState.FORWARDING:
        return _drop(box, Drop.BRIDGE_STATE)

    up = admitted.group or _promiscuous(box, bridge)
    ways = _ways(bridge, admitted)
    if ways is None:
        _pass_up(box, bridge, admitted, pkttype)
        return True
    if not ways and not up:
        return _drop(box, Drop.BRIDGE_NOWHERE)
    box.statistics.copied += len(ways) + up - 1
    if ways:
        box.statistics.bridged += 1
        _send(box, ways, admitted)
    if up:
        _pass_up(box, bridge, admitted, pkttype)
    return True


def transmit(box: Box, bridge: Bridge, frame: bytes) -> None:
    """Send a frame of the box into its bridge. Ref: br_dev_xmit."""
    statistics = bridge.statistics
    statistics.tx_packets += 1
    statistics.tx_bytes += len(frame)
    admitted = _admit(bridge, bridge.vlans, frame, None)
    if admitted is None:
        box.withhold(Drop.BRIDGE_VLAN)
        return
    ways = _ways(bridge, admitted)
    if not ways:
        box.withhold(Drop.BRIDGE_NOWHERE)
        return
    box.statistics.copied += len(ways) - 1
    _send(box, ways, admitted)


_LEARNING: Final = frozenset({PortState.LEARNING, PortState.FORWARDING})


def _passed_on(bridge: Bridge) -> frozenset[int]:
    """Last bytes of the link-local groups that pass. Ref: net/bridge/br_vlan.c:br_recalculate_fwd_mask."""
    if bridge.vlan_filtering and bridge.vlan_protocol == ETHERTYPE_QINQ:
        return _CUSTOMER_GROUPS
    return _BRIDGE_GROUP


def _drop(box: Box, reason: Drop) -> bool:
    box.statistics.drops[reason] += 1
    return True


def _admit(bridge: Bridge, vlans: VlanTable, frame: bytes, source: BridgePort | None) -> _Frame | None:
    """The frame in its VLAN, None if it may not enter. Ref: br_vlan.c:__allowed_ingress."""
    tag = frame[12:16] if frame[12:14] in TAGS and len(frame) >= TAGGED_MINIMUM else b""
    bare = without_tag(frame) if tag else frame
    if not bridge.vlan_filtering:
        return _Frame(bare, tag, 0, False, source)
    protocol = bridge.vlan_protocol.to_bytes(2)
    if tag[:2] != protocol:
        # A tag of the other protocol is payload here.
        bare, tag = frame, b""
    control = int.from_bytes(tag[2:])
    vid = vlans.admit(control & 0x0FFF)
    if vid is None:
        return None
    return _Frame(bare, protocol + (control & 0xF000 | vid).to_bytes(2), vid, True, source)


def _learn(box: Box, bridge: Bridge, port: BridgePort, mac: bytes, vid: int) -> None:
    if port.learning and bridge.ageing_time:
        bridge.fdb.learn(port, mac, vid, box.now)


def _ways(bridge: Bridge, frame: _Frame) -> list[BridgePort] | None:
    """The ports by which a frame leaves; None if it is for the box itself.

    Ref: br_forward.c:br_forward, br_flood. Ports are asked latest first.
    """
    if not frame.group:
        entry = bridge.fdb.get(frame.bare[:6], frame.vid)
        if entry is not None:
            if entry.local:
                return None
            return [entry.port] if entry.port is not None and _may_leave(entry.port, frame) else []
    if not frame.group:
        flooded = [port for port in bridge.ports.values() if port.flood]
    elif frame.source is None:
        flooded = list(bridge.ports.values())
    elif frame.bare[:6] == _BROADCAST_MAC:
        flooded = [port for port in bridge.ports.values() if port.bcast_flood]
    else:
        flooded = [port for port in bridge.ports.values() if port.mcast_flood]
    return [port for port in reversed(flooded) if _may_leave(port, frame)]


def _may_leave(port: BridgePort, frame: _Frame) -> bool:
    """Ref: br_forward.c:should_deliver, br_switchdev.c:nbp_switchdev_allowed_egress."""
    source = frame.source
    if source is None:
        if not port.forwarding:
            return False
    elif not port.takes_from(source) or _switched(source.device, port.device):
        return False
    return not frame.filtered or frame.vid in port.vlans.members


def _switched(source: Device, target: Device) -> bool:
    """Whether both are ports of one switch chip, which has forwarded the frame itself."""
    return isinstance(source, DsaPort) and isinstance(target, DsaPort) and source.lower is target.lower


def _send(box: Box, ways: list[BridgePort], frame: _Frame) -> None:
    for port in ways:
        out = frame.leaving(port.vlans)
        assert out is not None
        passed = _past_rules(box, out, frame.source, port)
        if passed is None:
            box.statistics.withheld += 1
        elif len(frame.bare) > port.device.mtu + _OVERHEAD:
            box.withhold(Drop.BRIDGE_MTU)
        else:
            box.descend(port.device, passed)


def _past_rules(box: Box, out: bytes, source: BridgePort | None, port: BridgePort) -> bytes | None:
    """A frame past forward, or output if it is the box's, and past postrouting, which knows no way in.

    Ref: net/bridge/br_forward.c:__br_forward, br_forward_finish.
    """
    if source is None:
        hook, device, pkttype = Hook.OUTPUT, None, _HOST
    else:
        hook, device, pkttype = Hook.FORWARD, source.device, _addressed(out)
    passed = bridge_hooks.passed(box, hook, out, device, port.device, pkttype)
    if passed is None:
        return None
    return bridge_hooks.passed(box, Hook.POSTROUTING, passed, None, port.device, pkttype)


def _addressed(frame: bytes) -> int:
    """To whom a frame is that is not the box's own."""
    if not frame[0] & 1:
        return _OTHERHOST
    return _BROADCAST if frame[:6] == _BROADCAST_MAC else _MULTICAST


def _pass_up(box: Box, bridge: Bridge, frame: _Frame, pkttype: int) -> None:
    """Hand a frame to the box as a station on its bridge. Ref: br_input.c:br_pass_frame_up."""
    out = frame.leaving(bridge.vlans)
    if out is None:
        if not _promiscuous(box, bridge):
            box.statistics.drops[Drop.BRIDGE_VLAN] += 1
            return
        out = frame.whole
    source = None if frame.source is None else frame.source.device
    passed = bridge_hooks.passed(box, Hook.INPUT, out, source, None, pkttype)
    if passed is not None:
        box.climb(bridge, passed, pkttype)


def _promiscuous(box: Box, bridge: Bridge) -> bool:
    """Whether the box hears all frames on a bridge, for a device on it that has another MAC address."""
    above = box.ports[bridge.index].above
    return above is not None and above.promiscuous
