"""Bridges, their ports and their VLANs. Ref: net/bridge/br_if.c, net/bridge/br_vlan.c."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from flowtable.clock import SECOND
from flowtable.packet.packet import ETHERTYPE_VLAN
from flowtable.topology.device import Device, DeviceKind
from flowtable.topology.error import TopologyError
from flowtable.topology.fdb import Fdb, Station

AGEING_TIME: Final = 300 * SECOND
"""Ref: net/bridge/br_private.h:BR_DEFAULT_AGEING_TIME."""


class PortState(Enum):
    """Spanning tree state of a port. Ref: include/uapi/linux/if_bridge.h:BR_STATE_*."""

    DISABLED = "disabled"
    LISTENING = "listening"
    LEARNING = "learning"
    FORWARDING = "forwarding"
    BLOCKING = "blocking"


@dataclass(slots=True)
class VlanTable:
    """The VLANs of a port, or of the bridge itself: what ``bridge vlan show`` prints.

    Attributes:
        members: VLAN id to whether frames leave untagged.
        pvid: the VLAN of untagged frames on arrival, 0 for none.
    """

    members: dict[int, bool] = field(default_factory=dict)
    pvid: int = 0

    def admit(self, vid: int) -> int | None:
        """The VLAN of a frame on arrival; None if the port is not in it, so that the frame ends.

        Args:
            vid: of the tag; 0 for a priority tag, a tag of another protocol than the bridge's,
                or none.

        Ref: net/bridge/br_vlan.c:__allowed_ingress.
        """
        vid = vid or self.pvid
        return vid if vid in self.members else None

    def tagged(self, vid: int) -> bool | None:
        """Whether frames of a VLAN leave tagged; None if they do not leave here.

        Ref: net/bridge/br_vlan.c:br_allowed_egress, br_handle_vlan.
        """
        untagged = self.members.get(vid)
        return None if untagged is None else not untagged

    def add(self, vid: int, *, pvid: bool = False, untagged: bool = False) -> None:
        """Add a VLAN, or change how it is a member. Ref: net/bridge/br_vlan.c:__vlan_add_flags.

        Raises:
            TopologyError: there is no such VLAN id.
        """
        if not 1 <= vid <= 4094:
            raise TopologyError("Vlan id is invalid")
        self.members[vid] = untagged
        if pvid:
            self.pvid = vid
        elif self.pvid == vid:
            self.pvid = 0

    def remove(self, vid: int) -> None:
        """Remove a VLAN.

        Raises:
            TopologyError: it is not there.
        """
        if vid not in self.members:
            raise TopologyError("No such file or directory")
        del self.members[vid]
        if self.pvid == vid:
            self.pvid = 0


@dataclass(slots=True, eq=False)
class BridgePort:
    """A device as a port of a bridge.

    Attributes:
        device: the device; its ``master`` is the bridge.
        bridge: the bridge.
        state: spanning tree state, of meaning while the device is up.
        learning: whether source addresses are learnt.
        flood: whether frames to unknown stations leave here.
        mcast_flood: whether multicast leaves here.
        bcast_flood: whether broadcast leaves here.
        hairpin: whether frames may leave where they came in.
        isolated: whether it talks to ports only that are not isolated.
        vlans: its VLANs, of meaning where the bridge filters.
    """

    device: Device
    bridge: Bridge
    state: PortState = PortState.FORWARDING
    learning: bool = True
    flood: bool = True
    mcast_flood: bool = True
    bcast_flood: bool = True
    hairpin: bool = False
    isolated: bool = False
    vlans: VlanTable = field(default_factory=VlanTable)

    @property
    def forwarding(self) -> bool:
        """Whether frames pass."""
        return self.state is PortState.FORWARDING and self.device.up

    def takes_from(self, source: BridgePort) -> bool:
        """Whether a frame that came in on a port may leave here, its VLAN aside.

        Ref: net/bridge/br_forward.c:should_deliver.
        """
        if not self.forwarding or (source is self and not self.hairpin):
            return False
        return not (self.isolated and source.isolated)


@dataclass(slots=True, eq=False, repr=False, kw_only=True)
class Bridge(Device):
    """A bridge, which is also the device by which the box is a station on it.

    Attributes:
        fdb: where stations are.
        ports: by the index of their devices, in the order in which they joined.
        ageing_time: how long a station that is not heard is remembered, nanoseconds.
        vlan_filtering: whether VLAN tags tell networks apart.
        vlan_protocol: ethertype of the tags that do.
        vlan_default_pvid: the VLAN that new ports are in, untagged; 0 for none.
        vlans: the VLANs that the box itself is in.
    """

    kind: DeviceKind = DeviceKind.BRIDGE
    fdb: Fdb = field(default_factory=Fdb)
    ports: dict[int, BridgePort] = field(default_factory=dict)
    ageing_time: int = AGEING_TIME
    vlan_filtering: bool = False
    vlan_protocol: int = ETHERTYPE_VLAN
    vlan_default_pvid: int = 1
    vlans: VlanTable = field(default_factory=VlanTable)

    def default_vlans(self) -> VlanTable:
        """What a new port, and the bridge itself, are in. Ref: nbp_vlan_init, br_vlan_init."""
        table = VlanTable()
        if self.vlan_default_pvid:
            table.add(self.vlan_default_pvid, pvid=True, untagged=True)
        return table

    def own_stations(self) -> dict[Station, BridgePort | None]:
        """Where frames are the box's own: the addresses of the ports and its own, in their VLANs.

        Ref: net/bridge/br_fdb.c:br_fdb_add_local, br_fdb_change_mac_address.
        """
        stations: dict[Station, BridgePort | None] = {}
        for port in self.ports.values():
            for vid in (0, *port.vlans.members):
                stations.setdefault((vid, port.device.mac), port)
        for vid in (0, *self.vlans.members) if any(self.mac) else ():
            stations.setdefault((vid, self.mac), None)
        return stations


def check_port(device: Device) -> None:
    """Check that a device may be a port of a bridge. Ref: net/bridge/br_if.c:br_add_if.

    Raises:
        TopologyError: it may not.
    """
    if not device.ethernet:
        raise TopologyError(f"{device.name} is not Ethernet", "master")
    if isinstance(device, Bridge):
        raise TopologyError("Can not enslave a bridge to a bridge", "master")
