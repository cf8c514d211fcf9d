"""From a received frame to a packet: what ``ip_rcv`` and ``ipv6_rcv`` check."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from flowtable.packet.drop import Drop
from flowtable.packet.extension import EXTENSION_HEADERS, HOP_BY_HOP, find_transport
from flowtable.packet.packet import IPV4, IPV6, Packet

if TYPE_CHECKING:
    from flowtable.topology.device import Device

# Version and header length, total length, fragment field, protocol.
_ipv4_at = struct.Struct("!BxHxxHxB").unpack_from
# Version, payload length, next header, first byte of the source, of the destination, and the
# byte behind it, which holds the scope of a multicast address.
_ipv6_at = struct.Struct("!B3xHBxB15xBB").unpack_from
_u16_at = struct.Struct("!H").unpack_from
_from_bytes = int.from_bytes

_NO_OPTIONS: Final = 0x45
"""First byte of an IPv4 header of 20 bytes."""
_NOTHING: Final = bytearray()
"""Appending to it makes a bytearray in two thirds of the time that a call of ``bytearray`` takes."""
_LOOPBACK: Final = bytes(15) + b"\1"

_HEADER = Drop.IP_HEADER
_CHECKSUM = Drop.IP_CHECKSUM
_TRUNCATED = Drop.IP_TRUNCATED


def parse_ipv4(
    frame: bytes, offset: int, iif: Device | None = None, time: int = 0, pkttype: int = 0
) -> Packet | Drop:
    """Check the IPv4 header of a received frame and cut the packet out.

    Padding behind the total length is cut off. The packet comes dissected; its options are
    checked after prerouting, by ``ipv4.read_options``.

    Args:
        frame: the frame.
        offset: where its IPv4 header begins.
        iif: the device that received it.
        time: when, in nanoseconds.
        pkttype: to whom it was addressed (``PacketType``).

    Ref: net/ipv4/ip_input.c:ip_rcv_core.
    """
    available = len(frame) - offset
    if available < 20:
        return _HEADER
    vihl, total, fragment, l4proto = _ipv4_at(frame, offset)
    thoff = 20
    if vihl != _NO_OPTIONS:
        thoff = (vihl & 15) * 4
        if vihl >> 4 != 4 or thoff < 20 or available < thoff:
            return _HEADER
    if _from_bytes(frame[offset : offset + thoff], "little") % 0xFFFF:
        return _CHECKSUM
    if available < total:
        return _TRUNCATED
    if total < thoff:
        return _HEADER
    data = _NOTHING + frame
    if available > total:
        del data[offset + total :]
    del data[:offset]
    fragoff = (fragment & 0x1FFF) * 8
    # Keyword arguments would take half as long again.
    return Packet(data, IPV4, frame[:offset], iif, time, pkttype, thoff, l4proto, fragoff)


def parse_ipv6(
    frame: bytes,
    offset: int,
    iif: Device | None = None,
    time: int = 0,
    pkttype: int = 0,
    *,
    loopback: bool = False,
) -> Packet | Drop:
    """Check the IPv6 header of a received frame and cut the packet out.

    Padding behind the payload length is cut off. The packet comes dissected. Options of a
    hop-by-hop header (``data[6]`` is ``HOP_BY_HOP``) are next to be checked, with
    ``extension.read_options``, by a station that can answer to them. Jumbograms (RFC 2675) are
    refused: no Ethernet frame holds one.

    Args:
        frame: the frame.
        offset: where its IPv6 header begins.
        iif: the device that received it.
        time: when, in nanoseconds.
        pkttype: to whom it was addressed (``PacketType``).
        loopback: whether the device is the loopback device, where loopback addresses and
            interface-local groups may appear.

    Ref: net/ipv6/ip6_input.c:ip6_rcv_core.
    """
    available = len(frame) - offset
    if available < 40:
        return _HEADER
    version, length, nexthdr, source, destination, scope = _ipv6_at(frame, offset)
    if version >> 4 != 6:
        return _HEADER
    if source == 0xFF:
        return Drop.MARTIAN_SOURCE
    # RFC 4291 section 2.7: scope 0 is reserved, scope 1 does not leave the interface.
    if destination == 0xFF and (scope & 15 == 0 or (scope & 15 == 1 and not loopback)):
        return _HEADER
    if not loopback:
        # RFC 4291 section 2.5.3.
        if source == 0 and frame[offset + 8 : offset + 24] == _LOOPBACK:
            return Drop.MARTIAN_SOURCE
        if destination == 0 and frame[offset + 24 : offset + 40] == _LOOPBACK:
            return _HEADER
    if length == 0 and nexthdr == HOP_BY_HOP:
        return _HEADER
    end = 40 + length
    if available < end:
        return _TRUNCATED
    data = _NOTHING + frame
    if available > end:
        del data[offset + end :]
    del data[:offset]
    l4proto, thoff, fragoff = nexthdr, 40, 0
    if nexthdr in EXTENSION_HEADERS:
        l4proto, thoff, fragoff = find_transport(data, nexthdr, 40)
    return Packet(data, IPV6, frame[:offset], iif, time, pkttype, thoff, l4proto, fragoff)


def dissect_ipv4(packet: Packet) -> None:
    """Set ``thoff``, ``l4proto`` and ``fragoff`` from the IPv4 header of ``packet.data``."""
    data = packet.data
    packet.thoff = (data[0] & 15) * 4
    packet.l4proto = data[9]
    packet.fragoff = (_u16_at(data, 6)[0] & 0x1FFF) * 8


def dissect_ipv6(packet: Packet) -> None:
    """Set ``thoff``, ``l4proto`` and ``fragoff`` from the IPv6 headers of ``packet.data``.

    See ``extension.find_transport`` for what they are where there is no transport header.
    """
    data = packet.data
    nexthdr = data[6]
    if nexthdr in EXTENSION_HEADERS:
        packet.l4proto, packet.thoff, packet.fragoff = find_transport(data, nexthdr, 40)
    else:
        packet.l4proto, packet.thoff, packet.fragoff = nexthdr, 40, 0


def dissect_unchecked(packet: Packet) -> None:
    """Dissect a packet whose network header nobody has checked, if it can be one of its family.

    Else ``thoff`` stays 0: there is no transport header to match.

    Ref: include/net/netfilter/nf_tables_ipv4.h:nft_set_pktinfo_ipv4_validate,
    nf_tables_ipv6.h:nft_set_pktinfo_ipv6_validate.
    """
    data = packet.data
    size = len(data)
    if packet.family == IPV4 and size >= 20:
        total = _u16_at(data, 2)[0]
        if data[0] >> 4 == 4 and 20 <= (data[0] & 15) * 4 <= total <= size:
            dissect_ipv4(packet)
    elif packet.family == IPV6 and size >= 40 and data[0] >> 4 == 6 and 40 + _u16_at(data, 4)[0] <= size:
        dissect_ipv6(packet)
