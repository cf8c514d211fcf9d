"""PPPoE sessions. Ref: drivers/net/ppp/pppoe.c, drivers/net/ppp/ppp_generic.c."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.packet import pppoe
from flowtable.packet.drop import Drop
from flowtable.packet.packet import (
    ETHERTYPE_IPV4,
    ETHERTYPE_IPV6,
    ETHERTYPE_PPPOE_SESSION,
    PacketType,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flowtable.router.box import Box
    from flowtable.topology.pppoe import Pppoe

    Sessions = Mapping[tuple[int, bytes], Pppoe]
    """By session id and MAC address of the peer."""

ETHERTYPE_DISCOVERY: Final = 0x8863
_ETHERNET: Final = 14
_HEADER: Final = 6
_PROTOCOL: Final = 2
_OTHERHOST: Final = int(PacketType.OTHERHOST)
_SESSION: Final = ETHERTYPE_PPPOE_SESSION.to_bytes(2)
_NO_MACS: Final = bytes(12)
_CARRIED: Final = {
    pppoe.PPP_IPV4: _NO_MACS + ETHERTYPE_IPV4.to_bytes(2),
    pppoe.PPP_IPV6: _NO_MACS + ETHERTYPE_IPV6.to_bytes(2),
}
"""By PPP protocol the header that its packets have inside the box."""
_PROTOCOL_OF: Final = {
    ETHERTYPE_IPV4.to_bytes(2): pppoe.PPP_IPV4,
    ETHERTYPE_IPV6.to_bytes(2): pppoe.PPP_IPV6,
}


def receive(box: Box, sessions: Sessions, frame: bytes, pkttype: int) -> None:
    """Take a frame of a session.

    Args:
        box: the box.
        sessions: those over the device that it came in on.
        frame: with ethertype 0x8864.
        pkttype: to whom it was addressed.

    Ref: pppoe_rcv, ppp_input, ppp_receive_nonmp_frame. The version, type and code fields are
    not looked at there either.
    """
    drops = box.statistics.drops
    if pkttype == _OTHERHOST:
        drops[Drop.OTHER_HOST] += 1
        return
    if len(frame) < _ETHERNET + _HEADER:
        drops[Drop.PPPOE_MALFORMED] += 1
        return
    header = pppoe.Pppoe(frame, _ETHERNET)
    end = _ETHERNET + _HEADER + header.length
    if len(frame) < end:
        drops[Drop.PPPOE_MALFORMED] += 1
        return
    device = sessions.get((header.session, frame[6:12]))
    if device is None:
        drops[Drop.PPPOE_SESSION] += 1
        return
    payload = frame[_ETHERNET + _HEADER : end]
    if payload and payload[0] & 1:
        # The peer left the zero in front out (protocol field compression).
        payload = b"\0" + payload
    if len(payload) < _PROTOCOL:
        drops[Drop.PPPOE_MALFORMED] += 1
        return
    link = _CARRIED.get(int.from_bytes(payload[:_PROTOCOL]))
    if link is None:
        drops[Drop.PPP_CONTROL] += 1
        return
    box.climb(device, link + payload[_PROTOCOL:], int(PacketType.HOST))


def transmit(box: Box, device: Pppoe, frame: bytes) -> None:
    """Send a packet to the peer of a session.

    Ref: ppp_start_xmit, __pppoe_xmit.
    """
    lower = device.lower
    assert lower is not None
    protocol = _PROTOCOL_OF.get(frame[12:14])
    if protocol is None:
        box.withhold(Drop.PPP_CONTROL)
        return
    payload = frame[_ETHERNET:]
    statistics = device.statistics
    statistics.tx_packets += 1
    statistics.tx_bytes += len(payload)
    session = pppoe.build(device.session, protocol, payload)
    box.descend(lower, device.peer + lower.mac + _SESSION + session)
