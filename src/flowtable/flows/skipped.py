"""What the devices that the fast path skips would know of its packets.

Packets that take the fast path pass by the bridge, VLAN, PPP and tunnel devices between the
routed device and the one at the bottom. Their statistics count these packets all the same, and
bridges remember the stations that sent them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.topology.fdb import FdbState
from flowtable.topology.forward_path import BridgeHop, DsaHop, EthernetHop, PppoeHop, TunnelHop, VlanMode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowtable.flows.entry import Direction
    from flowtable.topology.device import Device
    from flowtable.topology.forward_path import Hop

_ETHERNET: Final = 14
_TAG: Final = 4
_PPPOE: Final = 8
_IPV4_HEADER: Final = 20
_IPV6_HEADER: Final = 40


def account(direction: Direction, packets: int, size: int) -> None:
    """Count packets of a direction in the devices that they skipped on arrival and on departure.

    A device counts the packet with what its upper devices put around it, and on departure with
    its Ethernet header.

    Args:
        direction: the direction.
        packets: how many.
        size: their lengths from the IP header on, in bytes.

    Ref: net/8021q/vlan_dev.c:vlan_dev_hard_start_xmit, net/8021q/vlan_core.c:vlan_do_receive,
    net/bridge/br_device.c:br_dev_xmit, drivers/net/ppp/ppp_generic.c:ppp_send_frame.
    """
    entrance, exit_ = direction.entrance, direction.exit
    for device, around in _above(entrance.hops, entrance.port):
        device.statistics.rx_packets += packets
        device.statistics.rx_bytes += size + packets * around
    for device, around in _above(exit_.hops, exit_.exit):
        header = _ETHERNET if device.ethernet else 0
        device.statistics.tx_packets += packets
        device.statistics.tx_bytes += size + packets * (around + header)


def keep_stations(direction: Direction, used: int) -> None:
    """Let the bridges on the way know that the station which sent a packet at ``used`` is alive.

    Ref: net/bridge/br_fdb.c:br_fdb_update, which the fast path skips.
    """
    for hop in direction.entrance.bridges:
        entry = hop.device.fdb.get(hop.mac, hop.vid)
        if entry is not None and entry.state is FdbState.DYNAMIC and entry.port is hop.port:
            entry.updated = max(entry.updated, used)


def _above(hops: tuple[Hop, ...], end: Device) -> Iterator[tuple[Device, int]]:
    """The devices on a way before ``end``, with the bytes around the IP packet there."""
    around = 0
    for hop in hops:
        if hop.device is end:
            return
        yield hop.device, around
        around += _put_on(hop)


def _put_on(hop: Hop) -> int:
    """How many bytes a device puts around a packet."""
    match hop:
        case PppoeHop():
            return _PPPOE
        case TunnelHop():
            return _IPV4_HEADER if len(hop.next_hop) == 4 else _IPV6_HEADER
        case BridgeHop(mode=VlanMode.TAG):
            return _TAG
        case BridgeHop(mode=VlanMode.UNTAG | VlanMode.UNTAG_HARDWARE):
            return -_TAG
        case BridgeHop() | EthernetHop() | DsaHop():
            return 0
        case _:
            return _TAG
