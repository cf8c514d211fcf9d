"""How the devices of a box stand on each other, worked out before frames come.

On its way up a frame meets, on each device, its hooks, the VLAN devices on it, and what the
device belongs to: a bridge, a bond, macvlans, a switch. On its way down each device that stands
on another adds its header and hands it on. A device on which nothing stands costs a frame nothing.

Ref: net/core/dev.c:__netif_receive_skb_core, netdev_rx_handler_register.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flowtable.router import bond, bridge, dsa, macvlan, pppoe, vlan, vrf
from flowtable.topology.bond import Bond
from flowtable.topology.bridge import Bridge
from flowtable.topology.dsa import DsaPort
from flowtable.topology.macvlan import Macvlan, MacvlanMode
from flowtable.topology.pppoe import Pppoe
from flowtable.topology.stack import below
from flowtable.topology.tunnel import Tunnel
from flowtable.topology.vlan import Vlan
from flowtable.topology.vrf import Vrf

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowtable.router.box import Box
    from flowtable.topology.device import Device

    Handler = Callable[[Box, Device, bytes, int], bool]
    """Takes a frame that arrived on a device: box, device, frame, packet type; False to let it be."""


@dataclass(frozen=True, slots=True)
class Above:
    """What stands on a device, as frames meet it on arrival there.

    Attributes:
        macs: to which unicast destinations frames are taken besides the device's own address.
        promiscuous: whether all frames are taken.
        vlans: VLAN devices, by ``vlan.key_of`` of their frames.
        handler: what takes frames in place of the protocols of the box.
        sessions: PPPoE sessions.
    """

    macs: frozenset[bytes]
    promiscuous: bool
    vlans: dict[int, Vlan]
    handler: Handler | None
    sessions: pppoe.Sessions


def above(device: Device) -> Above | None:
    """What stands on a device, None if nothing does."""
    if not device.uppers and device.master is None:
        return None
    vlans = {
        vlan.tag_key(upper.protocol, upper.vid): upper for upper in device.uppers if isinstance(upper, Vlan)
    }
    handler = _handler(device)
    if handler is dsa.receive:
        # What comes to a conduit begins with the switch's tag, not with one of a VLAN.
        vlans.clear()
    sessions = {(upper.session, upper.peer): upper for upper in device.uppers if isinstance(upper, Pppoe)}
    return Above(*_heard(device), vlans, handler, sessions)


def _handler(device: Device) -> Handler | None:
    if any(isinstance(upper, DsaPort) for upper in device.uppers):
        return dsa.receive
    match device.master:
        case Bridge():
            return bridge.receive
        case Bond():
            return bond.receive
        case _:
            return macvlan.receive if macvlan.on(device) else None


def _heard(device: Device) -> tuple[frozenset[bytes], bool]:
    """Which frames a device takes for those above it. Ref: net/core/dev.c:dev_uc_add, dev_set_promiscuity."""
    macs: set[bytes] = set()
    promiscuous = isinstance(device.master, Bridge)
    uppers = [upper for upper in device.uppers if isinstance(upper, (Vlan, Macvlan, DsaPort))]
    for upper in [*uppers, device.master] if isinstance(device.master, Bond) else uppers:
        theirs, all_of_them = _heard(upper)
        macs |= theirs | {upper.mac}
        passthru = isinstance(upper, Macvlan) and upper.mode is MacvlanMode.PASSTHRU
        promiscuous = promiscuous or all_of_them or passthru
    macs.discard(device.mac)
    # A bridge does not filter by address: to hear others' frames is to hear all.
    return frozenset(macs), promiscuous or (isinstance(device, Bridge) and bool(macs))


def stands(device: Device) -> bool:
    """Whether frames that leave by a device go on to another, or become part of other packets."""
    return isinstance(device, (Bridge, Bond, Tunnel, Vrf)) or bool(below(device))


def descend(box: Box, device: Device, frame: bytes) -> None:
    """Hand a frame that leaves by a device on to what is below it."""
    match device:
        case Vlan():
            vlan.transmit(box, device, frame)
        case Pppoe():
            pppoe.transmit(box, device, frame)
        case Bridge():
            bridge.transmit(box, device, frame)
        case Bond():
            bond.transmit(box, device, frame)
        case Macvlan():
            macvlan.transmit(box, device, frame)
        case DsaPort():
            dsa.transmit(box, device, frame)
        case Tunnel():
            box.tunnels.transmit(device, frame)
        case Vrf():
            vrf.transmit(box, device, frame)
        case _ if box.chips is not None and device.index in box.chips.conduits:
            box.chips.leave(device, frame)
        case _:
            raise TypeError(f"{device.name} stands on nothing")
