"""Devices on top of each other: each stack with what a frame looks like at its bottom."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1AD, Dot1Q, Ether
from scapy.layers.ppp import PPP, PPPoE
from scapy.packet import Packet as Scapy

from flowtable.topology.bond import Bond
from flowtable.topology.bridge import Bridge, BridgePort, VlanTable
from flowtable.topology.device import Address, Device, DeviceKind
from flowtable.topology.dsa import DsaPort
from flowtable.topology.fdb import FdbEntry, FdbState
from flowtable.topology.macvlan import Macvlan
from flowtable.topology.neighbour import NeighbourState
from flowtable.topology.pppoe import Pppoe
from flowtable.topology.topology import Topology
from flowtable.topology.tunnel import Tunnel
from flowtable.topology.vlan import Vlan

CONCENTRATOR = bytes.fromhex("0200000000ac")
OTHER_STATION = bytes.fromhex("0200000000dd")
SESSION = 0x1234


@dataclass
class Stack:
    """A routed device and what is below it.

    Attributes:
        routed: the device of routes and addresses.
        port: where a flowtable sees its frames.
        layers: what is around the IP packet there, outermost first.
        mac: the box's MAC address there.
        station: the other side's.
        topmost: where Linux before 6.19 gives frames behind a bridge, None for ``port``.
        direct: whether packets leave past a bridge.
    """

    routed: Device
    port: Device
    mac: bytes
    station: bytes
    layers: list[Callable[[], Scapy]] = field(default_factory=list)
    topmost: Device | None = None
    direct: bool = False

    def frame(self, packet: Scapy, *, inward: bool) -> bytes:
        """The packet on the wire, on its way into the box or out of it."""
        to, fro = (self.mac, self.station) if inward else (self.station, self.mac)
        frame: Scapy = Ether(dst=to.hex(":"), src=fro.hex(":"))
        for layer in self.layers:
            header = layer()
            if isinstance(header, PPPoE):
                header = header / PPP(proto=0x57 if IPv6 in packet else 0x21)
            elif isinstance(header, IP | IPv6):
                ends = (header.src, header.dst)
                header.src, header.dst = reversed(ends) if inward else ends
                header = outer(header, packet)
            frame = frame / header
        return bytes(frame / packet)


def outer(header: Scapy, packet: Scapy) -> Scapy:
    """An outer header with what it takes over from the packet."""
    packet = packet.__class__(bytes(packet))
    if isinstance(header, IP):
        header.ttl, header.tos, header.id, header.flags = packet.ttl, packet.tos & 3, 0, "DF"
    else:
        header.hlim, header.tc = packet.hlim, packet.tc & 3
    return header


class Builder:
    """Makes one stack in a topology; names begin with ``name``, the routed device has that name."""

    def __init__(self, topology: Topology, name: str, mac: bytes, station: bytes) -> None:
        self.topology = topology
        self.name = name
        self.mac = mac
        self.station = station

    def add(self, kind: type[Any], suffix: str, /, **fields: Any) -> Any:
        """Add a device."""
        fields.setdefault("mac", self.mac)
        index = max(self.topology.indexes) + 1
        return self.topology.add_device(kind(self.name + suffix, index, **fields))

    def nic(self, suffix: str = "") -> Device:
        device: Device = self.add(Device, suffix)
        return device

    def port_mac(self) -> bytes:
        """The MAC address of a port: not that of the bridge, so that mistakes show."""
        return self.mac[:4] + bytes((0x77, max(self.topology.indexes)))

    def vlan(self, lower: Device, vid: int, suffix: str = "", protocol: int = 0x8100) -> Vlan:
        device: Vlan = self.add(Vlan, suffix, lower=lower, vid=vid, protocol=protocol)
        return device

    def bridge(self, suffix: str = "", *, filtering: bool = False, pvid: int = 1) -> Bridge:
        device: Bridge = self.add(Bridge, suffix, vlan_filtering=filtering, vlan_default_pvid=pvid)
        return device

    def port(self, suffix: str = "-0") -> Device:
        device: Device = self.add(Device, suffix, mac=self.port_mac())
        return device

    def enslave(self, device: Device, bridge: Bridge, vlans: VlanTable | None = None) -> BridgePort:
        self.topology.enslave(device, bridge)
        port = bridge.ports[device.index]
        if vlans is not None:
            self.topology.set_vlans(port, vlans)
        return port

    def learn(self, port: BridgePort, vid: int = 0, mac: bytes | None = None) -> FdbEntry:
        entry = FdbEntry(mac or self.station, vid, port, FdbState.DYNAMIC)
        port.bridge.fdb.add(entry)
        return entry

    def stack(self, routed: Device, port: Device, *layers: Callable[[], Scapy], **more: Any) -> Stack:
        more.setdefault("mac", self.mac)
        more.setdefault("station", self.station)
        return Stack(routed, port, layers=list(layers), **more)


def tag(vid: int) -> Callable[[], Scapy]:
    return lambda: Dot1Q(vlan=vid)


def service_tag(vid: int) -> Callable[[], Scapy]:
    return lambda: Dot1AD(vlan=vid)


def session() -> Scapy:
    return PPPoE(sessionid=SESSION)


def nic(b: Builder) -> Stack:
    device = b.nic()
    return b.stack(device, device)


def vlan(b: Builder) -> Stack:
    port = b.nic("-0")
    return b.stack(b.vlan(port, 10), port, tag(10))


def vlan_with_a_mac(b: Builder) -> Stack:
    port = b.nic("-0")
    mac = bytes.fromhex("02000000aa01")
    routed = b.add(Vlan, "", lower=port, vid=10, mac=mac)
    return b.stack(routed, port, tag(10), mac=mac)


def qinq(b: Builder) -> Stack:
    port = b.nic("-0")
    outer_ = b.vlan(port, 100, "-1", 0x88A8)
    return b.stack(b.vlan(outer_, 10), port, service_tag(100), tag(10))


def qinq_8021ad_inside(b: Builder) -> Stack:
    port = b.nic("-0")
    outer_ = b.vlan(port, 100, "-1", 0x88A8)
    return b.stack(b.vlan(outer_, 10, protocol=0x88A8), port, service_tag(100), service_tag(10))


def three_tags(b: Builder) -> Stack:
    port = b.nic("-0")
    middle = b.vlan(b.vlan(port, 100, "-1", 0x88A8), 50, "-2")
    return b.stack(b.vlan(middle, 10), port, service_tag(100), tag(50), tag(10))


def _pppoe(b: Builder, lower: Device, port: Device, *layers: Callable[[], Scapy]) -> Stack:
    routed = b.add(
        Pppoe,
        "",
        lower=lower,
        mac=bytes(6),
        mtu=1492,
        session=SESSION,
        peer=CONCENTRATOR,
    )
    return b.stack(routed, port, *layers, session, station=CONCENTRATOR)


def pppoe(b: Builder) -> Stack:
    port = b.nic("-0")
    return _pppoe(b, port, port)


def pppoe_over_vlan(b: Builder) -> Stack:
    port = b.nic("-0")
    return _pppoe(b, b.vlan(port, 7, "-1"), port, tag(7))


def pppoe_over_qinq(b: Builder) -> Stack:
    port = b.nic("-0")
    return _pppoe(b, b.vlan(b.vlan(port, 100, "-1", 0x88A8), 7, "-2"), port, service_tag(100), tag(7))


def pppoe_over_bridge(b: Builder) -> Stack:
    bridge, port = b.bridge("-br"), b.port("-0")
    b.learn(b.enslave(port, bridge), mac=CONCENTRATOR)
    stack = _pppoe(b, bridge, port)
    stack.topmost, stack.direct = stack.routed, True
    return stack


def bridge(b: Builder) -> Stack:
    routed, port, other = b.bridge(), b.port("-0"), b.port("-1")
    b.enslave(other, routed)
    b.learn(b.enslave(port, routed))
    return b.stack(routed, port, direct=True)


def bridge_pvid_untagged(b: Builder) -> Stack:
    routed, port = b.bridge(filtering=True), b.port("-0")
    b.enslave(b.port("-1"), routed)
    b.learn(b.enslave(port, routed, VlanTable({1: True, 20: False}, 1)), 1)
    return b.stack(routed, port, direct=True)


def bridge_pvid_tagged(b: Builder) -> Stack:
    routed, port = b.bridge(filtering=True, pvid=10), b.port("-0")
    b.enslave(b.port("-1"), routed, VlanTable({10: False}))
    b.learn(b.enslave(port, routed, VlanTable({10: False})), 10)
    return b.stack(routed, port, tag(10), direct=True)


def _vlan_on_bridge(b: Builder, vlans: VlanTable, *layers: Callable[[], Scapy]) -> Stack:
    below, port = b.bridge("-br", filtering=True), b.port("-0")
    b.topology.add_vlan(below, 20)
    b.enslave(b.port("-1"), below, VlanTable(dict(vlans.members), vlans.pvid))
    b.learn(b.enslave(port, below, vlans), 20)
    routed = b.vlan(below, 20)
    return b.stack(routed, port, *layers, topmost=routed, direct=True)


def vlan_on_bridge_tagged(b: Builder) -> Stack:
    return _vlan_on_bridge(b, VlanTable({1: True, 20: False}, 1), tag(20))


def vlan_on_bridge_untagged(b: Builder) -> Stack:
    return _vlan_on_bridge(b, VlanTable({20: True}, 20))


def vlan_on_plain_bridge(b: Builder) -> Stack:
    below, port = b.bridge("-br"), b.port("-0")
    b.learn(b.enslave(port, below))
    routed = b.vlan(below, 20)
    return b.stack(routed, port, tag(20), topmost=routed, direct=True)


def vlan_as_port(b: Builder) -> Stack:
    routed, port = b.bridge(), b.port("-0")
    upper = b.vlan(port, 10, "-1")
    b.learn(b.enslave(upper, routed))
    return b.stack(routed, port, tag(10), topmost=upper, direct=True)


def service_tag_of_a_bridge(b: Builder) -> Stack:
    """An 802.1Q device on an 802.1ad bridge: the bridge adds its own tag."""
    below, port = b.bridge("-br", filtering=True, pvid=200), b.port("-0")
    below.vlan_protocol = 0x88A8
    b.learn(b.enslave(port, below, VlanTable({200: False})), 200)
    routed = b.vlan(below, 10)
    return b.stack(routed, port, service_tag(200), tag(10), topmost=routed, direct=True)


def _dsa(b: Builder, suffix: str) -> DsaPort:
    port: DsaPort = b.add(DsaPort, suffix, lower=b.nic("-cpu"), port=3)
    return port


def dsa(b: Builder) -> Stack:
    port = _dsa(b, "")
    return b.stack(port, port)


def dsa_vlan(b: Builder) -> Stack:
    port = _dsa(b, "-0")
    return b.stack(b.vlan(port, 10), port, tag(10))


def dsa_in_bridge(b: Builder) -> Stack:
    below, port = b.bridge("-br", filtering=True), _dsa(b, "-0")
    b.topology.add_vlan(below, 20)
    b.learn(b.enslave(port, below, VlanTable({20: True}, 20)), 20)
    routed = b.vlan(below, 20)
    return b.stack(routed, port, topmost=routed, direct=True)


def macvlan(b: Builder) -> Stack:
    routed = b.add(Macvlan, "", lower=b.port())
    return b.stack(routed, routed)


def bond(b: Builder) -> Stack:
    routed = b.add(Bond, "")
    for suffix in ("-0", "-1"):
        b.topology.enslave(b.port(suffix), routed)
    return b.stack(routed, routed)


def vlan_on_bond(b: Builder) -> Stack:
    port = b.add(Bond, "-0")
    return b.stack(b.vlan(port, 10), port, tag(10))


TUNNEL_ENDS = {4: ("203.0.113.1", "203.0.113.2"), 6: ("2001:db8:aaaa::1", "2001:db8:aaaa::2")}


def _tunnel(b: Builder, version: int, kind: DeviceKind, link: Device, port: Device, *layers: Any) -> Stack:
    local, remote = TUNNEL_ENDS[version]
    b.topology.add_address(link, Address.parse(f"{local}/{24 if version == 4 else 64}"))
    b.topology.neighbours.set(link, ip_address(remote).packed, b.station, NeighbourState.REACHABLE)
    routed = b.add(
        Tunnel,
        "",
        kind=kind,
        mac=bytes(6),
        mtu=1480 if version == 4 else 1460,
        local=ip_address(local).packed,
        remote=ip_address(remote).packed,
    )
    header = IP if version == 4 else IPv6
    return b.stack(routed, port, *layers, lambda: header(src=local, dst=remote))


def ipip(b: Builder) -> Stack:
    port = b.nic("-0")
    return _tunnel(b, 4, DeviceKind.IPIP, port, port)


def ipip_over_vlan(b: Builder) -> Stack:
    port = b.nic("-0")
    return _tunnel(b, 4, DeviceKind.IPIP, b.vlan(port, 10, "-1"), port, tag(10))


def ip6ip6(b: Builder) -> Stack:
    port = b.nic("-0")
    return _tunnel(b, 6, DeviceKind.IP6IP6, port, port)


STACKS: dict[str, Callable[[Builder], Stack]] = {
    maker.__name__: maker
    for maker in (
        nic,
        vlan,
        vlan_with_a_mac,
        qinq,
        qinq_8021ad_inside,
        three_tags,
        pppoe,
        pppoe_over_vlan,
        pppoe_over_qinq,
        pppoe_over_bridge,
        bridge,
        bridge_pvid_untagged,
        bridge_pvid_tagged,
        vlan_on_bridge_tagged,
        vlan_on_bridge_untagged,
        vlan_on_plain_bridge,
        vlan_as_port,
        service_tag_of_a_bridge,
        dsa,
        dsa_vlan,
        dsa_in_bridge,
        macvlan,
        bond,
        vlan_on_bond,
        ipip,
        ipip_over_vlan,
        ip6ip6,
    )
}
FAMILIES = {"ipip": (4,), "ipip_over_vlan": (4,), "ip6ip6": (6,)}
"""Stacks for one IP version only."""
