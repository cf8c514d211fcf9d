"""VLAN devices: one tagged network of the device below.

Ref: net/8021q/vlan_core.c:vlan_do_receive, net/8021q/vlan_dev.c:vlan_dev_hard_start_xmit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.packet.packet import ETHERTYPE_QINQ, ETHERTYPE_VLAN, PacketType

if TYPE_CHECKING:
    from flowtable.router.box import Box
    from flowtable.topology.vlan import Vlan

TAGS: Final = frozenset({ETHERTYPE_VLAN.to_bytes(2), ETHERTYPE_QINQ.to_bytes(2)})
"""Ethertypes that announce a tag."""
TAG: Final = 4
"""Bytes of a tag."""
TAGGED_HEADER: Final = 18
"""Bytes of an Ethernet header with one tag."""
TAGGED_MINIMUM: Final = TAGGED_HEADER + 2
"""Bytes of the shortest frame whose tag is looked at. Ref: net/core/skbuff.c:skb_vlan_untag."""
_MACS: Final = 12
_ETHERNET: Final = 14
_HOST: Final = int(PacketType.HOST)
_OTHERHOST: Final = int(PacketType.OTHERHOST)


def tag_key(protocol: int, vid: int) -> int:
    """What ``key_of`` reads from a frame of a VLAN."""
    return protocol << 16 | vid


def key_of(frame: bytes, at: int = _MACS) -> int:
    """Ethertype and VLAN id of the tag of a frame whose ethertype is at an offset."""
    return int.from_bytes(frame[at : at + TAG]) & 0xFFFF0FFF


def without_tag(frame: bytes) -> bytes:
    """The frame without its outermost tag."""
    return frame[:_MACS] + frame[_MACS + TAG :]


def receive(box: Box, vlan: Vlan, frame: bytes, pkttype: int) -> None:
    """Take a frame that came in with the VLAN's tag."""
    if pkttype == _OTHERHOST and frame[:6] == vlan.mac:
        pkttype = _HOST
    frame = without_tag(frame)
    box.climb(vlan, frame, pkttype)


def transmit(box: Box, vlan: Vlan, frame: bytes) -> None:
    """Tag a frame and hand it to the device below; its priority is 0."""
    statistics = vlan.statistics
    statistics.tx_packets += 1
    statistics.tx_bytes += len(frame)
    assert vlan.lower is not None
    tag = vlan.protocol.to_bytes(2) + vlan.vid.to_bytes(2)
    box.descend(vlan.lower, frame[:_MACS] + tag + frame[_MACS:])
