"""How conntrack names one direction of a connection."""

from __future__ import annotations

from struct import Struct
from typing import Final, NamedTuple

from flowtable.packet.packet import ICMP, ICMPV6, IPV4, IPV6

ORIGINAL: Final = 0
"""IP_CT_DIR_ORIGINAL: the direction of the packet that created the connection."""
REPLY: Final = 1
"""IP_CT_DIR_REPLY."""

Key = tuple[int, ...]
"""What the table is keyed by: the protocol, the addresses and the two 16-bit port fields as
the big-endian integers that one ``Struct.unpack_from`` over a packet yields, and the zone where it
is not 0. The number of members tells families and zones apart: IPv4 keys have three, IPv6 keys
six, and one more in a zone."""

_ADDRESSES4: Final = Struct(">4s4s")
_INTEGER4: Final = Struct(">Q")
_INTEGERS6: Final = Struct(">QQQQ")
_PORTS: Final = Struct(">HH")

ICMP_INVERSE: Final = {8: 0, 0: 8, 13: 14, 14: 13, 15: 16, 16: 15, 17: 18, 18: 17}
"""ICMP types that open a connection or answer in one, and their opposites.

Ref: net/netfilter/nf_conntrack_proto_icmp.c:nf_conntrack_invert_icmp_tuple.
"""
ICMPV6_INVERSE: Final = {128: 129, 129: 128, 139: 140, 140: 139}
"""The same for ICMPv6: echo and node information.

Ref: net/netfilter/nf_conntrack_proto_icmpv6.c:nf_conntrack_invert_icmpv6_tuple.
"""


class Tuple(NamedTuple):
    """One direction of a connection, as its packets look on arrival.

    Attributes:
        l3proto: ``IPV4`` or ``IPV6``.
        l4proto: transport protocol number.
        src: source address, 4 or 16 bytes.
        dst: destination address, 4 or 16 bytes.
        sport: source port; the identifier of ICMP, the source key of GRE, else 0.
        dport: destination port; type and code of ICMP (``type << 8 | code``), the destination
            key of GRE, else 0.

    Ref: include/net/netfilter/nf_conntrack_tuple.h.
    """

    l3proto: int
    l4proto: int
    src: bytes
    dst: bytes
    sport: int = 0
    dport: int = 0

    @property
    def key(self) -> Key:
        """What the table is keyed by in zone 0."""
        ports = self.sport << 16 | self.dport
        if self.l3proto == IPV4:
            return (self.l4proto, *_INTEGER4.unpack(self.src + self.dst), ports)
        return (self.l4proto, *_INTEGERS6.unpack(self.src + self.dst), ports)

    @property
    def wire(self) -> bytes:
        """Addresses and ports as they lie side by side in a packet without options."""
        return self.src + self.dst + _PORTS.pack(self.sport, self.dport)

    @property
    def icmp_type(self) -> int:
        """Type of an ICMP or ICMPv6 message."""
        return self.dport >> 8

    @property
    def icmp_code(self) -> int:
        """Code of an ICMP or ICMPv6 message."""
        return self.dport & 0xFF

    @property
    def icmp_id(self) -> int:
        """Identifier of an ICMP or ICMPv6 query."""
        return self.sport

    def invert(self) -> Tuple | None:
        """The tuple of an answer, None for an ICMP message that has none.

        Ref: net/netfilter/nf_conntrack_core.c:nf_ct_invert_tuple.
        """
        if self.l4proto == ICMP or self.l4proto == ICMPV6:
            inverse = ICMP_INVERSE if self.l4proto == ICMP else ICMPV6_INVERSE
            kind = inverse.get(self.dport >> 8)
            if kind is None:
                return None
            sport, dport = self.sport, kind << 8 | self.dport & 0xFF
        else:
            sport, dport = self.dport, self.sport
        return Tuple(self.l3proto, self.l4proto, self.dst, self.src, sport, dport)

    def inverse(self) -> Tuple:
        """``invert`` of a tuple that a connection has, and that therefore has an inverse.

        Raises:
            ValueError: it is of an ICMP message that cannot be part of a connection.
        """
        inverse = self.invert()
        if inverse is None:
            raise ValueError(f"nothing answers to {self}")
        return inverse


def from_key(key: Key) -> Tuple:
    """The tuple that a key without a zone stands for."""
    ports = key[-1]
    if len(key) == 3:
        src, dst = _ADDRESSES4.unpack(_INTEGER4.pack(key[1]))
        return Tuple(IPV4, key[0], src, dst, ports >> 16, ports & 0xFFFF)
    addresses = _INTEGERS6.pack(*key[1:5])
    return Tuple(IPV6, key[0], addresses[:16], addresses[16:], ports >> 16, ports & 0xFFFF)
