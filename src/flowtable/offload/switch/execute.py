"""How a chip does what a rule says, action by action, on a frame that it has read."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final

from flowtable.offload.rule import (
    Accept,
    Checksum,
    Header,
    Mangle,
    PppoePush,
    Redirect,
    VlanPop,
    VlanPush,
)
from flowtable.packet.checksum import MANGLED_ZERO, TTL_DELTA, delta
from flowtable.packet.packet import (
    ETHERTYPE_IPV4,
    ETHERTYPE_IPV6,
    ETHERTYPE_PPPOE_SESSION,
    TCP,
    UDP,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowtable.offload.rule import Action
    from flowtable.offload.switch.frame import Read
    from flowtable.topology.device import Device

_TAG: Final = Struct("!HH").pack
_SESSION: Final = Struct("!HBBHHH").pack
_PPP: Final = {ETHERTYPE_IPV4: 0x0021, ETHERTYPE_IPV6: 0x0057}
_L4: Final = {ETHERTYPE_IPV4: 20, ETHERTYPE_IPV6: 40}
_LIFETIME: Final = {ETHERTYPE_IPV4: 8, ETHERTYPE_IPV6: 7}
_CHECK: Final = {TCP: 16, UDP: 6}
_IPV4_CHECK: Final = 10
_PPPOE_HEADER: Final = 8

_word_at = Struct("!I")
_u16_at = Struct("!H")


def execute(actions: Sequence[Action], read: Read) -> tuple[Device, bytes] | None:
    """Forward a frame.

    Args:
        actions: those of the rule that it matches, each of which the chip can do.
        read: the frame.

    Returns:
        The device to leave by and the frame; None if it is more than that device carries.
    """
    macs = bytearray(read.macs)
    tags = list(read.tags)
    session = 0
    packet = bytearray(read.packet)
    ethertype, l4 = read.ethertype, _L4[read.ethertype]
    way_out: Device | None = None
    # IPv6 has no checksum of its own, and Linux no action for that of its transport.
    ipv4, transport = False, read.protocol if ethertype == ETHERTYPE_IPV6 else None
    for action in actions:
        match action:
            case Mangle(header, offset, mask, value):
                into, base = packet, 0
                if header is Header.ETHERNET:
                    into = macs
                elif header is Header.TCP or header is Header.UDP:
                    base = l4
                (old,) = _word_at.unpack_from(into, base + offset)
                _word_at.pack_into(into, base + offset, old & mask | value)
            case VlanPop():
                tags.pop(0)
            case VlanPush(vid, protocol):
                tags.insert(0, (vid, protocol))
            case PppoePush(number):
                session = number
            case Checksum(ipv4_too, protocol):
                ipv4, transport = ipv4_too, protocol
            case Redirect(device):
                way_out = device
            case Accept():
                raise ValueError("a chip was given an action without a meaning")
    assert way_out is not None
    if len(packet) + (_PPPOE_HEADER if session else 0) > way_out.mtu:
        return None
    _adjust(packet, read, ipv4=ipv4, transport=transport)
    return way_out, bytes(macs) + _around(tags, session, ethertype, len(packet)) + packet


def _adjust(packet: bytearray, read: Read, *, ipv4: bool, transport: int | None) -> None:
    """Decrement the TTL and have the checksums follow."""
    ethertype = read.ethertype
    packet[_LIFETIME[ethertype]] -= 1
    at = 12 if ethertype == ETHERTYPE_IPV4 else 8
    new = bytes(packet[at : at + len(read.wire)])
    old = read.wire
    if ethertype == ETHERTYPE_IPV4:
        change = TTL_DELTA + (delta(old[:-4], new[:-4]) if ipv4 else 0)
        (check,) = _u16_at.unpack_from(packet, _IPV4_CHECK)
        _u16_at.pack_into(packet, _IPV4_CHECK, (check - change) % 0xFFFF)
    if transport in _CHECK and (change := delta(old, new)):
        place = _L4[ethertype] + _CHECK[transport]
        (check,) = _u16_at.unpack_from(packet, place)
        if transport == TCP:
            _u16_at.pack_into(packet, place, (check - change) % 0xFFFF)
        elif check:
            _u16_at.pack_into(packet, place, (check - change) % 0xFFFF or MANGLED_ZERO)


def _around(tags: Sequence[tuple[int, int]], session: int, ethertype: int, size: int) -> bytes:
    """What is between the MAC addresses and the packet."""
    headers = b"".join(_TAG(protocol, control) for control, protocol in tags)
    if session:
        return headers + _SESSION(ETHERTYPE_PPPOE_SESSION, 0x11, 0, session, size + 2, _PPP[ethertype])
    return headers + ethertype.to_bytes(2)
