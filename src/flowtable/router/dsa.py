"""User ports of a switch chip, whose frames the conduit carries with a tag.

Ref: net/dsa/tag.c:dsa_switch_rcv, net/dsa/user.c:dsa_user_xmit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.packet import dsa
from flowtable.packet.drop import Drop
from flowtable.packet.malformed import Malformed
from flowtable.packet.packet import PacketType
from flowtable.topology.bridge import Bridge
from flowtable.topology.dsa import DsaPort, TagProtocol

if TYPE_CHECKING:
    from flowtable.router.box import Box
    from flowtable.topology.device import Device

_HOST: Final = int(PacketType.HOST)
_OTHERHOST: Final = int(PacketType.OTHERHOST)
_READ: Final = {
    TagProtocol.DSA: dsa.read_dsa,
    TagProtocol.EDSA: dsa.read_edsa,
    TagProtocol.MTK: dsa.read_mtk,
    TagProtocol.BRCM: dsa.read_brcm,
}


def receive(box: Box, conduit: Device, frame: bytes, pkttype: int) -> bool:
    """Take a frame from the switch; there are no others on a conduit."""
    users = [upper for upper in conduit.uppers if isinstance(upper, DsaPort)]
    try:
        tagged = _READ[users[0].tag](frame)
    except Malformed:
        box.statistics.drops[Drop.DSA_TAG] += 1
        return True
    user = next((user for user in users if user.port == tagged.port), None)
    if user is None:
        box.statistics.drops[Drop.DSA_TAG] += 1
        return True
    if not tagged.frame[0] & 1:
        pkttype = _HOST if tagged.frame[:6] == user.mac else _OTHERHOST
    box.climb(user, tagged.frame, pkttype)
    return True


def transmit(box: Box, user: DsaPort, frame: bytes) -> None:
    """Tag a frame for its port and hand it to the conduit."""
    conduit = user.lower
    assert conduit is not None
    statistics = user.statistics
    statistics.tx_packets += 1
    statistics.tx_bytes += len(frame)
    vid = dsa.BRIDGED_VID if isinstance(user.master, Bridge) else dsa.STANDALONE_VID
    match user.tag:
        case TagProtocol.DSA:
            tagged = dsa.write_dsa(frame, user.port, vid)
        case TagProtocol.EDSA:
            tagged = dsa.write_edsa(frame, user.port, vid)
        case TagProtocol.MTK:
            tagged = dsa.write_mtk(frame, user.port)
        case TagProtocol.BRCM:
            tagged = dsa.write_brcm(frame, user.port)
    box.descend(conduit, tagged)
