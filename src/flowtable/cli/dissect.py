"""A frame as a list of named fields, for telling where two frames differ.

Names are Wireshark's. What is cut short or unknown ends as ``data``, so that no two different
frames have equal fields.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from ipaddress import ip_address
from itertools import zip_longest
from typing import Final, TypeAlias

from flowtable.packet.packet import GRE, ICMP, ICMPV6, TCP, UDP

Field: TypeAlias = tuple[str, str]
_Show: TypeAlias = Callable[[bytes], str]
_Layout: TypeAlias = tuple[tuple[str, int, _Show], ...]


def _number(value: bytes) -> str:
    return str(int.from_bytes(value, "big"))


def _hexadecimal(value: bytes) -> str:
    return f"0x{value.hex()}"


def _mac(value: bytes) -> str:
    return value.hex(":")


def _address(value: bytes) -> str:
    return str(ip_address(value))


def _tci(value: bytes) -> str:
    tci = int.from_bytes(value, "big")
    return f"id {tci & 0xFFF} priority {tci >> 13} dei {tci >> 12 & 1}"


def _tcp_flags(value: bytes) -> str:
    names = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"]
    set_ones = [name for bit, name in enumerate(names) if value[1] >> bit & 1]
    return f"{' '.join(set_ones) or 'none'}, header {value[0] >> 4 << 2} bytes, reserved {value[0] & 15}"


def _ip_flags(value: bytes) -> str:
    word = int.from_bytes(value, "big")
    flags = [name for bit, name in ((0x8000, "reserved"), (0x4000, "DF"), (0x2000, "MF")) if word & bit]
    return " ".join([*flags, f"offset {(word & 0x1FFF) * 8}"])


_ETHERNET: Final[_Layout] = (("eth.dst", 6, _mac), ("eth.src", 6, _mac), ("eth.type", 2, _hexadecimal))
_VLAN: Final[_Layout] = (("vlan", 2, _tci), ("vlan.etype", 2, _hexadecimal))
_PPPOE: Final[_Layout] = (
    ("pppoe.version_type", 1, _hexadecimal),
    ("pppoe.code", 1, _hexadecimal),
    ("pppoe.session_id", 2, _number),
    ("pppoe.payload_length", 2, _number),
    ("ppp.protocol", 2, _hexadecimal),
)
_ARP: Final[_Layout] = (
    ("arp.hw.type", 2, _number),
    ("arp.proto.type", 2, _hexadecimal),
    ("arp.sizes", 2, _hexadecimal),
    ("arp.opcode", 2, _number),
    ("arp.src.hw_mac", 6, _mac),
    ("arp.src.proto_ipv4", 4, _address),
    ("arp.dst.hw_mac", 6, _mac),
    ("arp.dst.proto_ipv4", 4, _address),
)
_IPV4: Final[_Layout] = (
    ("ip.version_hdr_len", 1, _hexadecimal),
    ("ip.dsfield", 1, _hexadecimal),
    ("ip.len", 2, _number),
    ("ip.id", 2, _hexadecimal),
    ("ip.flags", 2, _ip_flags),
    ("ip.ttl", 1, _number),
    ("ip.proto", 1, _number),
    ("ip.checksum", 2, _hexadecimal),
    ("ip.src", 4, _address),
    ("ip.dst", 4, _address),
)
_IPV6: Final[_Layout] = (
    ("ipv6.version_tclass_flow", 4, _hexadecimal),
    ("ipv6.plen", 2, _number),
    ("ipv6.nxt", 1, _number),
    ("ipv6.hlim", 1, _number),
    ("ipv6.src", 16, _address),
    ("ipv6.dst", 16, _address),
)
_FRAGMENT6: Final[_Layout] = (
    ("ipv6.fraghdr.nxt", 1, _number),
    ("ipv6.fraghdr.reserved_octet", 1, _hexadecimal),
    ("ipv6.fraghdr.offset_flags", 2, _hexadecimal),
    ("ipv6.fraghdr.ident", 4, _hexadecimal),
)
_TCP: Final[_Layout] = (
    ("tcp.srcport", 2, _number),
    ("tcp.dstport", 2, _number),
    ("tcp.seq", 4, _number),
    ("tcp.ack", 4, _number),
    ("tcp.flags", 2, _tcp_flags),
    ("tcp.window_size", 2, _number),
    ("tcp.checksum", 2, _hexadecimal),
    ("tcp.urgent_pointer", 2, _number),
)
_UDP: Final[_Layout] = (
    ("udp.srcport", 2, _number),
    ("udp.dstport", 2, _number),
    ("udp.length", 2, _number),
    ("udp.checksum", 2, _hexadecimal),
)
_GRE: Final[_Layout] = (("gre.flags_and_version", 2, _hexadecimal), ("gre.proto", 2, _hexadecimal))


def _icmp(name: str) -> _Layout:
    return (
        (f"{name}.type", 1, _number),
        (f"{name}.code", 1, _number),
        (f"{name}.checksum", 2, _hexadecimal),
        (f"{name}.rest", 4, _hexadecimal),
    )


_TRANSPORT: Final[dict[int, _Layout]] = {
    TCP: _TCP,
    UDP: _UDP,
    GRE: _GRE,
    ICMP: _icmp("icmp"),
    ICMPV6: _icmp("icmpv6"),
}
_ERRORS: Final = {ICMP: (3, 4, 5, 11, 12), ICMPV6: (1, 2, 3, 4)}
_FRAGMENT: Final = 44
_TAGS: Final = ("0x8100", "0x88a8")


class _Reader:
    """Takes fields off the front of a frame."""

    def __init__(self, frame: bytes) -> None:
        self.left = frame

    def take(self, layout: _Layout) -> Iterator[Field]:
        """The fields of a header; what is missing at the end of the frame is left out."""
        for name, size, show in layout:
            if len(self.left) < size:
                self.left, value = b"", self.left
                if value:
                    yield name, f"cut short: {value.hex()}"
                return
            value, self.left = self.left[:size], self.left[size:]
            yield name, show(value)


def fields(frame: bytes) -> list[Field]:
    """The fields of an Ethernet frame in their order."""
    reader = _Reader(bytes(frame))
    found = list(reader.take(_ETHERNET))
    if not found:
        return found
    while found[-1][0] in ("eth.type", "vlan.etype") and found[-1][1] in _TAGS:
        found += reader.take(_VLAN)
        if not reader.left:
            break
    kind = found[-1][1]
    if kind == "0x8864":
        found += reader.take(_PPPOE)
        kind = {"0x0021": "0x0800", "0x0057": "0x86dd"}.get(found[-1][1], "")
    if kind == "0x0806":
        found += reader.take(_ARP)
    elif kind in ("0x0800", "0x86dd"):
        found += _internet(reader, 4 if kind == "0x0800" else 6)
    if reader.left:
        found.append(("data", reader.left.hex()))
    return found


def _internet(reader: _Reader, version: int) -> Iterator[Field]:
    if version == 4:
        options = max((reader.left[0] & 15) * 4 - 20, 0) if reader.left else 0
        following = reader.left[9] if len(reader.left) > 9 else None
        later = len(reader.left) > 7 and int.from_bytes(reader.left[6:8], "big") & 0x1FFF
        yield from reader.take(_IPV4)
        if options:
            yield from reader.take((("ip.options", options, _hexadecimal),))
    else:
        following = reader.left[6] if len(reader.left) > 6 else None
        later = 0
        yield from reader.take(_IPV6)
        if following == _FRAGMENT and len(reader.left) > 3:
            following, later = reader.left[0], int.from_bytes(reader.left[2:4], "big") >> 3
            yield from reader.take(_FRAGMENT6)
    if following is None or later:
        return
    if following in (4, 41):
        yield from _internet(reader, 4 if following == 4 else 6)
    elif following in _TRANSPORT:
        kind = reader.left[0] if reader.left else None
        yield from reader.take(_TRANSPORT[following])
        if kind in _ERRORS.get(following, ()):
            yield from ((f"quoted {name}", value) for name, value in _internet(reader, version))


def difference(expected: bytes, got: bytes) -> str:
    """The first field in which two frames differ, with both values; nothing if they are equal."""
    for one, other in zip_longest(fields(expected), fields(got)):
        if one != other:
            name = (one or other or ("", ""))[0]
            if one and other and one[0] != other[0]:
                return f"{one[0]} where there is {other[0]}"
            return f"{name} is {_short(other)}, expected {_short(one)}"
    return ""


def summary(frame: bytes) -> str:
    """A frame in one line."""
    return " ".join(f"{name}={value}" for name, value in fields(frame) if name != "eth.type")[:600]


def _short(field: Field | None) -> str:
    if field is None:
        return "missing"
    return field[1] if len(field[1]) <= 80 else f"{field[1][:77]}... ({len(field[1])})"
