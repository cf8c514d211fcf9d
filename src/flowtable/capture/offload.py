"""What senders leave to hardware that is not there: checksums, segments, VLAN tags.

A virtual cable carries frames as they were given to it: TCP and UDP in pieces of up to 64 KB, checksums
not worked out, the tag beside the frame. Linux says so in a virtio-net header.
Ref: include/uapi/linux/virtio_net.h:struct virtio_net_hdr; net/core/gso.c, net/ipv4/tcp_offload.c.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from flowtable.packet.checksum import checksum, fill_ipv4, transport_checksum
from flowtable.packet.packet import TCP, UDP

VNET_HEADER: Final = Struct("=BBHHHH")
"""Flags, kind of segmentation, bytes of headers and of a segment, where the checksum begins and goes."""
NEEDS_CHECKSUM: Final = 0x1
_KIND: Final = 0x7F
"""Without the flag for ECN."""
_TCP4: Final = 1
_TCP6: Final = 4
_UDP: Final = 5
_MACS: Final = 12
_TAGS: Final = (b"\x81\x00", b"\x88\xa8")
_IPV4: Final = b"\x08\x00"
_IPV6: Final = b"\x86\xdd"
_IPV6_HEADER: Final = 40
_CHECKSUM_AT: Final = {TCP: 16, UDP: 6}
_UDP_HEADER: Final = 8
_LEAST: Final = {TCP: 20, UDP: _UDP_HEADER}
"""Bytes of a transport header."""
_FIN_PSH: Final = 0x09
_CWR: Final = 0x80


def complete(frame: bytes, header: bytes, tag: bytes = b"") -> list[bytes]:
    """The frames that hardware would have put on the wire.

    Args:
        frame: what was given to the cable.
        header: its virtio-net header.
        tag: the VLAN tag beside it, 4 bytes; empty for none.

    Returns:
        One frame, or a segment each.
    """
    flags, kind, _, size, start, offset = VNET_HEADER.unpack(header)
    if kind & _KIND in (_TCP4, _TCP6, _UDP) and size:
        frames = _segments(frame, UDP if kind & _KIND == _UDP else TCP, size)
    elif flags & NEEDS_CHECKSUM and start + offset + 2 <= len(frame):
        # What is there is the sum of the pseudo header. Ref: net/core/dev.c:skb_checksum_help.
        value = checksum(frame[start:]) or 0xFFFF
        at = start + offset
        frames = [frame[:at] + value.to_bytes(2) + frame[at + 2 :]]
    else:
        frames = [frame]
    return [each[:_MACS] + tag + each[_MACS:] for each in frames] if tag else frames


def _segments(frame: bytes, protocol: int, size: int) -> list[bytes]:
    """The segments of a frame, each with headers of its own; the frame where they are not plain."""
    network = _MACS
    while frame[network : network + 2] in _TAGS:
        network += 4
    four = frame[network : network + 2] == _IPV4
    network += 2
    if four:
        transport, found = network + (frame[network] & 15) * 4, frame[network + 9]
    else:
        transport, found = network + _IPV6_HEADER, frame[network + 6]
    if found != protocol or transport + _LEAST[protocol] > len(frame):
        return [frame]
    header = _UDP_HEADER if protocol == UDP else (frame[transport + 12] >> 4) * 4
    payload = frame[transport + header :]
    pieces = range(0, len(payload), size)
    return [
        _segment(
            bytearray(frame[: transport + header] + payload[at : at + size]),
            protocol,
            network=network,
            transport=transport,
            four=four,
            number=number,
            at=at,
            last=number == len(pieces) - 1,
        )
        for number, at in enumerate(pieces)
    ]


def _segment(
    data: bytearray,
    protocol: int,
    *,
    network: int,
    transport: int,
    four: bool,
    number: int,
    at: int,
    last: bool,
) -> bytes:
    """Make the headers of a piece its own. Ref: net/ipv4/tcp_offload.c:tcp_gso_segment."""
    length = len(data) - transport
    if four:
        data[network + 2 : network + 4] = (len(data) - network).to_bytes(2)
        ident = int.from_bytes(data[network + 4 : network + 6]) + number
        data[network + 4 : network + 6] = (ident & 0xFFFF).to_bytes(2)
        fill_ipv4(data, network)
        addresses = data[network + 12 : network + 20]
    else:
        data[network + 4 : network + 6] = length.to_bytes(2)
        addresses = data[network + 8 : network + _IPV6_HEADER]
    if protocol == TCP:
        sequence = int.from_bytes(data[transport + 4 : transport + 8]) + at
        data[transport + 4 : transport + 8] = (sequence & 0xFFFFFFFF).to_bytes(4)
        data[transport + 13] &= 0xFF if last else ~_FIN_PSH & 0xFF
        data[transport + 13] &= 0xFF if number == 0 else ~_CWR & 0xFF
    else:
        data[transport + 4 : transport + 6] = length.to_bytes(2)
    place = transport + _CHECKSUM_AT[protocol]
    data[place : place + 2] = b"\0\0"
    value = transport_checksum(addresses, protocol, data[transport:])
    data[place : place + 2] = (value or (0xFFFF if protocol == UDP else 0)).to_bytes(2)
    return bytes(data)
