"""Path discovery: which devices, tags and addresses one side of a flow has.

Ref: net/netfilter/nft_flow_offload.c:nft_dev_path_info, nft_dev_forward_path (6.12);
net/netfilter/nf_flow_table_path.c (since 6.19).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.flows.refusal import Refusal
from flowtable.flows.side import Side, Transmit
from flowtable.packet.flowkey import IPPROTO_IPIP, IPPROTO_IPV6
from flowtable.packet.packet import ETHERTYPE_PPPOE_SESSION
from flowtable.topology.forward_path import (
    BridgeHop,
    DsaHop,
    EthernetHop,
    PathFailure,
    PppoeHop,
    TunnelHop,
    VlanHop,
    VlanMode,
    forward_path,
)

if TYPE_CHECKING:
    from collections.abc import Collection

    from flowtable.packet.flowkey import Encap
    from flowtable.profile import Profile
    from flowtable.topology.device import Device
    from flowtable.topology.forward_path import Hop
    from flowtable.topology.topology import Topology


_KNOWN: Final = 4096
"""Sides that are remembered at most."""


class Discovery:
    """Finds what is on one side of flows, and remembers it until the box changes: flows share sides.

    Attributes:
        topology: the box.
        profile: how the way is found, and what happens where it is not.
        devices: names of the devices of the flowtable.
    """

    __slots__ = ("_changes", "_known", "_offload", "devices", "profile", "topology")

    def __init__(
        self, topology: Topology, profile: Profile, devices: Collection[str], *, offload: bool = False
    ) -> None:
        """Know nothing yet.

        Args:
            topology: the box.
            profile: how the way is found.
            devices: names of the devices of the flowtable.
            offload: whether the flowtable has ``flags offload``: packets then leave directly from
                every Ethernet device, so that hardware and software send the same.
        """
        self.topology = topology
        self.profile = profile
        self.devices = devices
        self._offload = offload
        self._known: dict[tuple[Device, bytes, bytes | None], Side | Refusal] = {}
        self._changes = topology.changes

    def side(self, routed: Device, next_hop: bytes, mac: bytes | None = None) -> Side | Refusal:
        """One side of a flow.

        Args:
            routed: the device of the route.
            next_hop: the neighbour on it, 4 or 16 bytes.
            mac: the MAC address to look for, instead of the neighbour's.

        Returns:
            The side; or why there is none, which only profiles with ``require_path`` say.
        """
        changes = self.topology.changes
        if changes != self._changes or len(self._known) >= _KNOWN:
            self._known.clear()
            self._changes = changes
        key = (routed, next_hop, mac)
        side = self._known.get(key)
        if side is None:
            side = self._known[key] = self._discover(routed, next_hop, mac)
        return side

    def _discover(self, routed: Device, next_hop: bytes, given: bytes | None) -> Side | Refusal:
        topology, profile = self.topology, self.profile
        mac = _neighbour(topology, routed, next_hop) if given is None else given
        if mac is None and routed.ethernet and not profile.sound_path:
            # The kernel insists on the neighbour also where it does not matter.
            return _as_routed(routed, next_hop)
        hops = forward_path(topology, profile, routed, mac)
        if isinstance(hops, PathFailure):
            return Refusal[hops.name] if profile.require_path else _as_routed(routed, next_hop)
        side = _interpret(hops, profile, routed, next_hop, given, offload=self._offload)
        if isinstance(side, Side) and not profile.require_devices and side.port.name not in self.devices:
            return _as_routed(routed, next_hop)
        return side


def _neighbour(topology: Topology, device: Device, address: bytes) -> bytes | None:
    """The MAC address of a neighbour, None where packets cannot be sent to one."""
    neighbour = topology.neighbours.get(device, address)
    return neighbour.mac if neighbour is not None and neighbour.valid else None


def _as_routed(routed: Device, next_hop: bytes) -> Side:
    """What routing knows, which is all that is left. Ref: nft_default_forward_path."""
    return Side(
        routed=routed,
        port=routed,
        encap=(),
        exit=routed,
        push=(),
        transmit=Transmit.NEIGH,
        source=routed.mac,
        peer=None,
        link=routed,
        next_hop=next_hop,
        station=None,
        hops=(EthernetHop(routed),),
    )


def _interpret(
    hops: tuple[Hop, ...],
    profile: Profile,
    routed: Device,
    next_hop: bytes,
    given: bytes | None,
    *,
    offload: bool,
) -> Side | Refusal:
    """Ref: nft_dev_path_info."""
    encap: Encap = ()
    inner: Encap = ()
    topmost: Device | None = None
    source = bytes(6)
    peer: bytes | None = None
    link = routed
    transmit = Transmit.NEIGH
    port = routed
    for hop in hops:
        port = hop.device
        if not any(source):
            source = port.mac
        added: Encap = ()
        match hop:
            case EthernetHop():
                pass
            case DsaHop():
                break
            case VlanHop():
                topmost = topmost or port
                added = ((hop.vid, hop.protocol),)
            case PppoeHop():
                topmost = topmost or port
                added = ((hop.session, ETHERTYPE_PPPOE_SESSION),)
                peer = hop.peer
                if profile.push_encap:
                    transmit = Transmit.DIRECT
            case TunnelHop():
                tunnel = hop.device
                protocol = IPPROTO_IPIP if len(tunnel.remote) == 4 else IPPROTO_IPV6
                inner = ((int.from_bytes(tunnel.remote + tunnel.local), protocol),)
                # What is sent there leaves with the addresses of the device below.
                link, next_hop, source = hop.route.device or routed, hop.next_hop, bytes(6)
            case BridgeHop():
                transmit = Transmit.DIRECT
                match hop.mode:
                    case VlanMode.KEEP:
                        pass
                    case VlanMode.TAG:
                        added = ((hop.vid, hop.device.vlan_protocol),)
                    case VlanMode.UNTAG | VlanMode.UNTAG_HARDWARE:
                        # Either way the box has the frame without its tag on the port.
                        encap = encap[1:]
        if added and len(encap) >= profile.max_encap:
            if profile.require_path:
                return Refusal.ENCAPSULATION
            # The kernel notes the overflow, and forgets it at the next device.
            continue
        encap = added + encap
    encap += inner
    if offload and port.ethernet:
        transmit = Transmit.DIRECT
    if not profile.push_encap:
        exit_ = routed if transmit is Transmit.NEIGH else topmost or port
        push: Encap = ()
    else:
        exit_, push = port, encap
    return Side(
        routed=routed,
        port=port,
        encap=encap,
        exit=exit_,
        push=push,
        transmit=transmit,
        source=source,
        peer=peer,
        link=link,
        next_hop=next_hop,
        station=given,
        hops=hops,
    )
