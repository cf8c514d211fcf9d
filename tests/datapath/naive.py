"""The fast path, step by step, as the kernel takes them, and nothing precomputed.

Nothing here comes from the packages under test but names. Addresses and ports are changed one
by one and each change updates the checksums word by word, as the kernel's helpers do.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

MINIMUM = {6: 20, 17: 8, 47: 4}


@dataclass
class Way:
    """One direction of a flow; NAT as the value each field becomes, in the order of the steps."""

    key: tuple[Any, ...]
    snat: tuple[str, bytes, int] | None
    dnat: tuple[str, bytes, int] | None
    mtu: int
    device: str
    macs: bytes


def replace2(check: int, old: int, new: int) -> int:
    """RFC 1624 equation 3: HC' = ~(~HC + ~m + m')."""
    total = (~check & 0xFFFF) + (~old & 0xFFFF) + new
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def replace(check: int, old: bytes, new: bytes) -> int:
    for i in range(0, len(old), 2):
        (a,), (b,) = struct.unpack_from("!H", old, i), struct.unpack_from("!H", new, i)
        check = replace2(check, a, b)
    return check


def parse(frame: bytes, iif: int) -> tuple[tuple[Any, ...], int] | str:
    """The key and the offset of the transport header, or why not."""
    if len(frame) < 14:
        return "TRUNCATED"
    ethertype = frame[12:14]
    at = 14
    encap: list[tuple[int, int]] = []
    while ethertype not in (b"\x08\x00", b"\x86\xdd"):
        if ethertype in (b"\x81\x00", b"\x88\xa8"):
            if len(encap) == 2:
                return "ENCAPSULATION"
            if len(frame) < at + 4:
                return "TRUNCATED"
            encap.append((int.from_bytes(frame[at : at + 2]) & 0xFFF, int.from_bytes(ethertype)))
            ethertype = frame[at + 2 : at + 4]
            at += 4
        elif ethertype == b"\x88\x64":
            if len(encap) == 2:
                return "ENCAPSULATION"
            if len(frame) < at + 8:
                return "TRUNCATED"
            encap.append((int.from_bytes(frame[at + 2 : at + 4]), 0x8864))
            ethertype = {b"\0\x21": b"\x08\0", b"\0\x57": b"\x86\xdd"}.get(frame[at + 6 : at + 8], b"")
            at += 8
        else:
            return "NOT_IP"
    if ethertype == b"\x08\x00":
        if len(frame) < at + 20:
            return "TRUNCATED"
        if int.from_bytes(frame[at + 6 : at + 8]) & 0x3FFF:
            return "FRAGMENT"
        if frame[at] & 15 != 5:
            return "IP_OPTIONS"
        family, protocol, ttl, addresses, l4 = 2, frame[at + 9], frame[at + 8], (at + 12, 4), at + 20
    else:
        if len(frame) < at + 40:
            return "TRUNCATED"
        family, protocol, ttl, addresses, l4 = 10, frame[at + 6], frame[at + 7], (at + 8, 16), at + 40
        if protocol == 44:
            return "FRAGMENT"
        if protocol in (0, 43, 51, 60):
            return "EXTENSION_HEADER"
    if protocol not in MINIMUM:
        return "PROTOCOL"
    if ttl <= 1:
        return "TTL_EXPIRED"
    if len(frame) < l4 + MINIMUM[protocol]:
        return "TRUNCATED"
    if protocol == 47 and frame[l4 + 1] & 7:
        return "GRE_VERSION"
    begin, size = addresses
    ports = bytes(4) if protocol == 47 else frame[l4 : l4 + 4]
    key = (iif, family, protocol, frame[begin : begin + 2 * size] + ports, tuple(encap))
    return key, l4


def forward(ways: list[Way], frame: bytes, iif: int) -> tuple[str, bytes] | str:
    """Device and frame, or the name of the reason."""
    parsed = parse(frame, iif)
    if isinstance(parsed, str):
        return parsed
    key, l4 = parsed
    way = next((way for way in ways if way.key == key), None)
    if way is None:
        return "NO_ENTRY"
    family, protocol = key[1], key[2]
    ip = l4 - (20 if family == 2 else 40)
    packet = bytearray(frame[ip:])
    l4 -= ip
    length = int.from_bytes(packet[2:4]) if family == 2 else int.from_bytes(packet[4:6]) + 40
    if length > len(packet) or length < l4 + MINIMUM[protocol]:
        return "TRUNCATED"
    del packet[length:]
    if len(packet) > way.mtu:
        return "TOO_BIG"
    if protocol == 6 and packet[l4 + 13] & 0x05:
        return "TCP_CLOSING"

    at = l4 + (16 if protocol == 6 else 6)
    for change in (way.snat, way.dnat):
        if change is None:
            continue
        which, address, port = change
        # Port first, then address.
        field = l4 if which == "source" else l4 + 2
        rewrite(packet, field, port.to_bytes(2), at, protocol)
        size = 4 if family == 2 else 16
        field = (12 if family == 2 else 8) + (0 if which == "source" else size)
        old = bytes(packet[field : field + size])
        rewrite(packet, field, address, at, protocol)
        if family == 2:
            packet[10:12] = replace(int.from_bytes(packet[10:12]), old, address).to_bytes(2)
    if family == 2:
        old = bytes(packet[8:10])
        packet[8] -= 1
        packet[10:12] = replace(int.from_bytes(packet[10:12]), old, bytes(packet[8:10])).to_bytes(2)
    else:
        packet[7] -= 1
    return way.device, way.macs + (b"\x08\x00" if family == 2 else b"\x86\xdd") + packet


def rewrite(packet: bytearray, field: int, new: bytes, at: int, protocol: int) -> None:
    """Change bytes that the transport checksum covers, and that checksum with them."""
    old = bytes(packet[field : field + len(new)])
    packet[field : field + len(new)] = new
    check = int.from_bytes(packet[at : at + 2])
    if protocol == 17 and not check:
        return
    check = replace(check, old, new)
    if protocol == 17 and not check:
        check = 0xFFFF
    packet[at : at + 2] = check.to_bytes(2)
