"""What lies below a routed device: the way down to the device that frames really leave through.

The same way, walked upwards, is the one that frames from there take. A device on the way is a
``Hop``; the last one is an ``EthernetHop``, the device at which a flowtable sees the frames.

Ref: net/core/dev.c:dev_fill_forward_path and the ndo_fill_forward_path of each kind of device.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, TypeAlias

from flowtable.packet.reason import Reason
from flowtable.topology.bridge import Bridge, BridgePort
from flowtable.topology.device import Device, DeviceKind
from flowtable.topology.dsa import DsaPort
from flowtable.topology.pppoe import Pppoe
from flowtable.topology.route import Route, RouteType
from flowtable.topology.tunnel import Tunnel
from flowtable.topology.vlan import Vlan

if TYPE_CHECKING:
    from flowtable.profile import Profile
    from flowtable.topology.topology import Topology


class VlanMode(Enum):
    """What a bridge does to the tag of frames to a port.

    Ref: include/linux/netdevice.h:DEV_PATH_BR_VLAN_KEEP.
    """

    KEEP = "keep"
    """Nothing: tagged frames stay tagged, untagged ones untagged."""
    TAG = "tag"
    """It puts the tag of the bridge's own PVID on."""
    UNTAG = "untag"
    """It takes the tag off."""
    UNTAG_HARDWARE = "untag-hw"
    """The switch chip that the port belongs to takes the tag off."""


@dataclass(frozen=True, slots=True)
class EthernetHop:
    """The device at the bottom: whatever it is, nothing is known below it."""

    device: Device


@dataclass(frozen=True, slots=True)
class VlanHop:
    """A VLAN device puts its tag on. Ref: net/8021q/vlan_dev.c:vlan_dev_fill_forward_path.

    Attributes:
        device: the VLAN device.
        vid: VLAN id.
        protocol: ethertype of the tag.
    """

    device: Vlan
    vid: int
    protocol: int


@dataclass(frozen=True, slots=True)
class PppoeHop:
    """A PPP device puts its PPPoE header on. Ref: drivers/net/ppp/pppoe.c:pppoe_fill_forward_path.

    Attributes:
        device: the PPP device.
        session: session id.
        peer: MAC address of the access concentrator.
    """

    device: Pppoe
    session: int
    peer: bytes


@dataclass(frozen=True, slots=True)
class BridgeHop:
    """A bridge chooses the port. Ref: net/bridge/br_device.c:br_fill_forward_path.

    Attributes:
        device: the bridge.
        port: the port at which the station lives.
        mac: the station's MAC address.
        vid: the VLAN it is in, 0 where the bridge does not filter VLANs.
        mode: what happens to the tag.
    """

    device: Bridge
    port: BridgePort
    mac: bytes
    vid: int
    mode: VlanMode


@dataclass(frozen=True, slots=True)
class DsaHop:
    """A switch port puts its tag on for the conduit. Ref: net/dsa/user.c:dsa_user_fill_forward_path."""

    device: DsaPort


@dataclass(frozen=True, slots=True)
class TunnelHop:
    """A tunnel puts its outer IP header on. Ref: net/ipv4/ipip.c:ipip_fill_forward_path.

    Attributes:
        device: the tunnel.
        route: the route to its remote end.
        next_hop: the neighbour on that route, 4 or 16 bytes.
    """

    device: Tunnel
    route: Route
    next_hop: bytes


Hop: TypeAlias = EthernetHop | VlanHop | PppoeHop | BridgeHop | DsaHop | TunnelHop


class PathFailure(Reason):
    """Why there is no way down from a device."""

    NO_NEIGHBOUR = (
        "next hop behind a bridge whose MAC address is not known",
        "a packet may add the flow once the neighbour is resolved",
        "net/netfilter/nft_flow_offload.c:nft_dev_fill_forward_path",
    )
    PATH_DEPTH = (
        "more devices on top of each other than path discovery follows",
        "never offloaded on these devices",
        "net/core/dev.c:dev_fwd_path",
    )
    PATH_VLANS = (
        "more VLAN devices on top of each other than path discovery follows",
        "never offloaded on these devices",
        "net/8021q/vlan_dev.c:vlan_dev_fill_forward_path",
    )
    BRIDGE_PORT = (
        "routed device that is itself a port of a bridge",
        "never offloaded on this device",
        "net/bridge/br_device.c:br_fill_forward_path",
    )
    NO_FDB_ENTRY = (
        "station that the bridge has in no forwarding database entry",
        "a packet may add the flow once the bridge has learnt the station's port",
        "net/bridge/br_device.c:br_fill_forward_path",
    )
    FDB_LOCAL = (
        "MAC address of the next hop that is the bridge's own",
        "a packet may add the flow once the address is that of a station",
        "net/bridge/br_device.c:br_fill_forward_path",
    )
    VLAN_NOT_ON_PORT = (
        "VLAN that is not on the bridge port",
        "a packet may add the flow once the VLAN is on the port",
        "net/bridge/br_vlan.c:br_vlan_fill_forward_path_mode",
    )
    VLAN_NOT_ON_BRIDGE = (
        "VLAN that the bridge itself is not in",
        "a packet may add the flow once the bridge itself is in the VLAN",
        "net/bridge/br_vlan.c:br_allowed_ingress",
    )
    VLAN_ONE_WAY = (
        "VLAN that leaves the bridge port untagged, where untagged frames arrive in another VLAN",
        "a packet may add the flow once the VLAN is the port's PVID",
        "net/bridge/br_vlan.c:__allowed_ingress",
    )
    PORT_BLOCKED = (
        "bridge port that does not forward",
        "a packet may add the flow once the port is up and in state forwarding",
        "net/bridge/br_forward.c:should_deliver",
    )
    UNKNOWN_DEVICE = (
        "device of a kind that has no frames with MAC addresses, and that is not known otherwise",
        "never offloaded on this device",
        "include/linux/netdevice.h:struct net_device, type",
    )
    NO_SESSION = (
        "PPPoE session that is not connected",
        "a packet may add the flow once the session is connected",
        "drivers/net/ppp/pppoe.c:pppoe_fill_forward_path",
    )
    TUNNEL_ROUTE = (
        "tunnel to whose remote end there is no route",
        "a packet may add the flow once there is a route",
        "net/ipv4/ipip.c:ipip_fill_forward_path",
    )
    TUNNEL_LIMIT = (
        "ip6ip6 tunnel that sends an encapsulation limit",
        "never offloaded; make the tunnel with `encaplimit none`",
        "net/ipv6/ip6_tunnel.c:ip6_tnl_fill_forward_path",
    )
    TUNNEL_IN_TUNNEL = (
        "tunnel inside a tunnel",
        "never offloaded",
        "net/netfilter/nf_flow_table_path.c:nft_dev_path_info",
    )


class _Walk:
    """A walk: the hops so far, and what they carry on."""

    def __init__(self, topology: Topology, profile: Profile, device: Device, mac: bytes | None) -> None:
        self._topology = topology
        self._profile = profile
        self.device = device
        self._mac = mac
        self._vlans: list[tuple[int, int]] = []
        self.hops: list[Hop] = []

    def step(self) -> Hop | PathFailure:
        """What the device reports; the next device is ``device`` afterwards."""
        match self.device:
            case Vlan() as vlan:
                return self._vlan(vlan)
            case Pppoe() as ppp:
                return self._pppoe(ppp)
            case Bridge() as bridge:
                return self._bridge(bridge)
            case DsaPort() as port:
                return self._dsa(port)
            case Tunnel() as tunnel if self._profile.tunnels and tunnel.kind is not DeviceKind.SIT:
                return self._tunnel(tunnel)
            case Device(kind=DeviceKind.OTHER):
                return PathFailure.UNKNOWN_DEVICE
            case device:
                return EthernetHop(device)

    def _vlan(self, vlan: Vlan) -> Hop | PathFailure:
        if len(self._vlans) == self._profile.path_vlans:
            return PathFailure.PATH_VLANS
        assert vlan.lower is not None
        self._vlans.append((vlan.vid, vlan.protocol))
        self.device = vlan.lower
        return VlanHop(vlan, vlan.vid, vlan.protocol)

    def _pppoe(self, ppp: Pppoe) -> Hop | PathFailure:
        if ppp.lower is None or not ppp.session or not ppp.up:
            return PathFailure.NO_SESSION
        self._mac = ppp.peer
        self.device = ppp.lower
        return PppoeHop(ppp, ppp.session, ppp.peer)

    def _dsa(self, port: DsaPort) -> Hop:
        assert port.lower is not None
        self.device = port.lower
        return DsaHop(port)

    def _tunnel(self, tunnel: Tunnel) -> Hop | PathFailure:
        """Ref: net/ipv6/ip6_tunnel.c:ip6_tnl_fill_forward_path."""
        if any(isinstance(hop, TunnelHop) for hop in self.hops):
            return PathFailure.TUNNEL_IN_TUNNEL
        if tunnel.encaplimit is not None:
            return PathFailure.TUNNEL_LIMIT
        family = self._topology.fib4 if len(tunnel.remote) == 4 else self._topology.fib6
        route = family.lookup(tunnel.remote, oif=tunnel.lower)
        if route is None or route.type is not RouteType.UNICAST or route.device is None:
            return PathFailure.TUNNEL_ROUTE
        next_hop = tunnel.remote if route.gateway is None else route.gateway
        neighbour = self._topology.neighbours.get(route.device, next_hop)
        self._mac = neighbour.mac if neighbour is not None and neighbour.valid else None
        self.device = route.device
        return TunnelHop(tunnel, route, next_hop)

    def _bridge(self, bridge: Bridge) -> Hop | PathFailure:
        sound = self._profile.sound_path
        if bridge.master is not None and bridge.master.kind is DeviceKind.BRIDGE:
            return PathFailure.BRIDGE_PORT
        if self._mac is None:
            return PathFailure.NO_NEIGHBOUR
        mode, vid = self._entry(bridge)
        if sound and bridge.vlan_filtering and bridge.vlans.tagged(vid) is None:
            return PathFailure.VLAN_NOT_ON_BRIDGE
        entry = bridge.fdb.get(self._mac, vid)
        if entry is None:
            return PathFailure.NO_FDB_ENTRY
        port = entry.port
        if port is None or (sound and entry.local):
            return PathFailure.FDB_LOCAL
        if sound and not port.forwarding:
            return PathFailure.PORT_BLOCKED
        if bridge.vlan_filtering:
            tagged = port.vlans.tagged(vid)
            if tagged is None:
                return PathFailure.VLAN_NOT_ON_PORT
            if not tagged:
                if sound and port.vlans.pvid != vid:
                    return PathFailure.VLAN_ONE_WAY
                mode = _untagged(mode, port)
        if mode is VlanMode.TAG:
            if len(self._vlans) == self._profile.path_vlans:
                return PathFailure.PATH_VLANS
            self._vlans.append((vid, bridge.vlan_protocol))
        elif mode is not VlanMode.KEEP:
            self._vlans.pop()
        self.device = port.device
        return BridgeHop(bridge, port, self._mac, vid, mode)

    def _entry(self, bridge: Bridge) -> tuple[VlanMode, int]:
        """How frames enter from above. Ref: net/bridge/br_vlan.c:br_vlan_fill_forward_path_pvid."""
        if not bridge.vlan_filtering:
            return VlanMode.KEEP, 0
        if self._vlans and self._vlans[-1][1] == bridge.vlan_protocol:
            return VlanMode.KEEP, self._vlans[-1][0]
        return VlanMode.TAG, bridge.vlans.pvid


def _untagged(mode: VlanMode, port: BridgePort) -> VlanMode:
    """What becomes of the tag at a port that the VLAN leaves untagged."""
    if mode is VlanMode.TAG:
        return VlanMode.KEEP
    return VlanMode.UNTAG_HARDWARE if isinstance(port.device, DsaPort) else VlanMode.UNTAG


def forward_path(
    topology: Topology, profile: Profile, device: Device, mac: bytes | None
) -> tuple[Hop, ...] | PathFailure:
    """The way from a routed device down to a station.

    Args:
        topology: the box.
        profile: how deep the way may be, what is known of tunnels, and whether it has to be one
            that frames do take, both ways.
        device: the device of the route.
        mac: MAC address of the next hop, None while it is not known: that matters behind bridges.

    Returns:
        The devices on the way, the routed one first; or why there is no way.
    """
    if profile.sound_path and device.master is not None and device.master.kind is DeviceKind.BRIDGE:
        return PathFailure.BRIDGE_PORT
    walk = _Walk(topology, profile, device, mac)
    hops = walk.hops
    while not hops or not isinstance(hops[-1], EthernetHop):
        if len(hops) == profile.path_depth:
            return PathFailure.PATH_DEPTH
        hop = walk.step()
        if isinstance(hop, PathFailure):
            return hop
        hops.append(hop)
    return tuple(hops)
