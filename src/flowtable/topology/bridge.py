"""Bridges, their ports and their VLANs. Ref: net/bridge/br_if.c, net/bridge/br_vlan.c."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final

from flowtable.clock import SECOND
from flowtable.packet.packet import ETHERTYPE_VLAN
from flowtable.topology.device import Device

if TYPE_CHECKING:
    from flowtable.topology.fdb import Fdb

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

    def tagged(self, vid: int) -> bool | None:
        """Whether frames of a VLAN leave tagged; None if it is not a member."""
        untagged = self.members.get(vid)
        return None if untagged is None else not untagged


@dataclass(slots=True, eq=False)
class BridgePort:
    """A device as a port of a bridge.

    Attributes:
        device: the device; its ``master`` is the bridge.
        bridge: the bridge.
        state: spanning tree state.
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

    fdb: Fdb
    ports: dict[int, BridgePort] = field(default_factory=dict)
    ageing_time: int = AGEING_TIME
    vlan_filtering: bool = False
    vlan_protocol: int = ETHERTYPE_VLAN
    vlan_default_pvid: int = 1
    vlans: VlanTable = field(default_factory=VlanTable)
