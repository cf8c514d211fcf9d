"""The Internet checksum: whole, and updated for a change of a few header bytes.

Whole checksums use that 2**16 is 1 modulo 0xffff: the one's complement sum of the 16-bit words of
a buffer is the buffer, read as one big-endian number, modulo 0xffff. One's complement has two
zeros; a folded sum is 0 only where every word was 0, and 0xffff for every other multiple.
Read as a little-endian number, which CPython does in two thirds of the time and which pads an
odd length by itself, the sum comes out with its two bytes swapped: 256 times the sum.

A change is a *delta*, the one's complement sum of ``~old + new`` (RFC 1624 equation 3). Deltas
add up with ``+``: one delta precomputed for addresses, ports and TTL gives the bits that the
kernel's field by field updates give, whichever zero those arrive at.

Ref: include/net/checksum.h; include/asm-generic/checksum.h; net/core/utils.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.packet.packet import ICMP, ICMPV6, IPV4, TCP, UDP

if TYPE_CHECKING:
    from flowtable.packet.packet import Packet

TTL_DELTA: Final = 0xFEFF
"""Delta of an IPv4 header for a TTL that is one less. Ref: include/net/ip.h:ip_decrease_ttl."""

MANGLED_ZERO: Final = 0xFFFF
"""A UDP checksum computed as 0, which on the wire would say "none" (RFC 768)."""

CHECKSUM_OFFSETS: Final = {TCP: 16, UDP: 6, ICMP: 2, ICMPV6: 2}
"""Where a transport header keeps its checksum, by protocol number."""

_LONG: Final = 512
"""More bytes are summed in three parts: the division takes a step per 30 bits."""

_from_bytes = int.from_bytes


def checksum(data: bytes | bytearray | memoryview, initial: int = 0) -> int:
    """Internet checksum of ``data``, an odd last byte padded with zero (RFC 1071).

    Over data that contains its own checksum the result is 0 where that is right.

    Args:
        data: what to sum.
        initial: a sum to start from, e.g. of ``pseudo_header``.

    Returns:
        The complemented 16-bit sum, as it is stored in a header.
    """
    swapped = _from_bytes(data, "little")
    if swapped or initial:
        return 0xFFFF - ((swapped % 0xFFFF * 256 + initial) % 0xFFFF or 0xFFFF)
    return 0xFFFF


def pseudo_header(addresses: bytes | bytearray, protocol: int, length: int) -> int:
    """Sum of the pseudo header, for ``checksum`` to start from.

    The same sum serves both families: neither the width of the length field nor the zeros
    between the fields add anything (RFC 9293 section 3.1, RFC 8200 section 8.1).

    Args:
        addresses: source and destination address behind each other, as in the IP header.
        protocol: transport protocol number.
        length: bytes of transport header and payload.
    """
    return _from_bytes(addresses, "big") + protocol + length


def transport_checksum(
    addresses: bytes | bytearray, protocol: int, segment: bytes | bytearray | memoryview
) -> int:
    """Checksum of a transport header and payload with their pseudo header.

    Args:
        addresses: source and destination address behind each other; ignored for ICMP.
        protocol: transport protocol number.
        segment: the bytes from the transport header on; with the checksum field zero the
            result is what belongs there, with the field filled it is 0 where that is right.
            For UDP a result of 0 is still to be sent as ``MANGLED_ZERO``.
    """
    if protocol == ICMP:
        return checksum(segment)
    return checksum(segment, pseudo_header(addresses, protocol, len(segment)))


def l4_valid(packet: Packet) -> bool:
    """Whether the transport checksum of a whole packet is right.

    A UDP checksum of 0 says that there is none, over IPv6 as well (RFC 6936; conntrack lets
    those pass). Protocols without an entry in ``CHECKSUM_OFFSETS`` are right, and so is what is
    too short to hold a checksum: a length error is for the protocol to find.

    Ref: net/netfilter/utils.c:nf_ip_checksum; net/netfilter/nf_conntrack_proto_udp.c:udp_error.
    """
    data = packet.data
    thoff = packet.thoff
    protocol = packet.l4proto
    at = CHECKSUM_OFFSETS.get(protocol)
    if at is None or len(data) < thoff + at + 2:
        return True
    if protocol == UDP and not data[thoff + 6] and not data[thoff + 7]:
        return True
    if protocol == ICMP:
        return checksum(data[thoff:]) == 0
    return segment_valid(packet, protocol)


def segment_valid(packet: Packet, protocol: int) -> bool:
    """``l4_valid`` of a packet that is known to carry a checksum over a pseudo header.

    Args:
        packet: a whole packet, long enough to hold its checksum.
        protocol: its protocol: TCP, UDP or ICMPv6.
    """
    data = packet.data
    thoff = packet.thoff
    size = len(data)
    # The addresses are the end of a plain header: with the segment behind them, one piece.
    if packet.family == IPV4:
        summed = data[12:]
        if thoff != 20:
            del summed[8 : thoff - 12]
    else:
        summed = data[8:]
        if thoff != 40:
            del summed[32 : thoff - 8]
    if size > _LONG:
        third = size // 6 * 2
        swapped = _from_bytes(summed[:third], "little") + _from_bytes(summed[third : 2 * third], "little")
        swapped += _from_bytes(summed[2 * third :], "little")
    else:
        swapped = _from_bytes(summed, "little")
    swapped += (protocol + size - thoff) * 256
    return swapped % 0xFFFF == 0


def l4_checksum(packet: Packet) -> int:
    """The transport checksum that a whole packet ought to carry.

    What its checksum field holds now does not matter. For UDP a computed 0 is already turned
    into ``MANGLED_ZERO``.

    Raises:
        KeyError: the protocol has no entry in ``CHECKSUM_OFFSETS``.
    """
    data = packet.data
    protocol = packet.l4proto
    at = CHECKSUM_OFFSETS[protocol]
    segment = data[packet.thoff :]
    segment[at : at + 2] = b"\0\0"
    addresses = data[12:20] if packet.family == IPV4 else data[8:40]
    check = transport_checksum(addresses, protocol, segment)
    return MANGLED_ZERO if not check and protocol == UDP else check


def delta(old: bytes, new: bytes) -> int:
    """What replacing ``old`` by ``new`` does to a checksum over them (RFC 1624 equation 3).

    Both begin at an even offset of the checksummed data and have the same even length.

    Returns:
        A number for ``adjust``; several may be added. 0 only where nothing changes any sum.
    """
    size = len(old)
    if size != len(new) or size & 1:
        raise ValueError(f"cannot replace {size} checksummed bytes by {len(new)}")
    total = (1 << 8 * size) - 1 - _from_bytes(old, "big") + _from_bytes(new, "big")
    return total % 0xFFFF or (0xFFFF if total else 0)


def adjust(check: int, delta: int) -> int:
    """Apply a delta to a checksum.

    Ref: include/net/checksum.h:csum_replace4; net/core/utils.c:inet_proto_csum_replace4.
    """
    return (check - delta) % 0xFFFF if delta else check


def adjust_udp(check: int, delta: int) -> int:
    """Apply a delta to a UDP checksum: "none" stays none, a result of 0 becomes 0xffff.

    Ref: net/netfilter/nf_flow_table_ip.c:nf_flow_nat_ip_udp.
    """
    if not check or not delta:
        return check
    return (check - delta) % 0xFFFF or 0xFFFF


def fill_ipv4(data: bytearray, offset: int = 0) -> None:
    """Compute and store the checksum of the IPv4 header at ``offset``."""
    size = (data[offset] & 15) * 4
    data[offset + 10 : offset + 12] = b"\0\0"
    data[offset + 10 : offset + 12] = checksum(data[offset : offset + size]).to_bytes(2, "big")
