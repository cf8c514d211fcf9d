"""The key under which a flow is found, and its extraction from a frame.

A key holds addresses and ports as they stand on the wire: they lie side by side both in IPv4
(without options) and in IPv6 (without extension headers), so one slice of the frame is most of
the key. Frames are whole Ethernet frames, tags that hardware moved aside put back.

Ref: include/net/netfilter/nf_flow_table.h:flow_offload_tuple.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias

from flowtable.packet.miss import Miss
from flowtable.packet.packet import (
    ETHERTYPE_IPV4,
    ETHERTYPE_IPV6,
    ETHERTYPE_PPPOE_SESSION,
    ETHERTYPE_QINQ,
    ETHERTYPE_VLAN,
    GRE,
    IPV4,
    IPV6,
    TCP,
    UDP,
)

Encap: TypeAlias = tuple[tuple[int, int], ...]
"""What is around the packet, outermost first.

A VLAN tag or PPPoE header as (VLAN or session id, ethertype); a tunnel as (outer source and
destination address in one number, IP protocol number), which is below every ethertype.
"""

IPPROTO_IPIP: Final = 4
IPPROTO_IPV6: Final = 41

Key: TypeAlias = tuple[int, int, int, bytes, Encap]
"""A ``FlowKey`` as the plain tuple that hashes and compares like it."""

Dissector: TypeAlias = Callable[[bytes, int], Key | Miss]
"""A function of a frame and the index of the device it came in on."""

VLAN_VID_MASK: Final = 0x0FFF
"""The VLAN id alone: the priority (PCP, DEI) of a tag does not tell flows apart."""

VLAN_TCI_MASK: Final = 0xFFFF
"""The whole tag control information, which the kernel compares with the bare VLAN id."""

_PORTS = struct.Struct("!HH")

# Ethertype, then version and header length, fragment field, TTL, protocol, and the 12 bytes
# from the source address to the destination port.
_ipv4_frame = struct.Struct("!12xHB5xHBBxx12s").unpack_from
_ipv4_at = struct.Struct("!B5xHBB").unpack_from
# Next header, hop limit, and the 36 bytes from the source address to the destination port.
_ipv6_at = struct.Struct("!6xBB36s").unpack_from
_u16_at = struct.Struct("!H").unpack_from

_VLAN_TAGS: Final = frozenset({ETHERTYPE_VLAN, ETHERTYPE_QINQ})

_NO_OPTIONS: Final = 0x45
"""First byte of an IPv4 header of 20 bytes."""

_PPP_IPV4: Final = 0x0021
_PPP_IPV6: Final = 0x0057
_PPP_TO_ETHERTYPE: Final = {_PPP_IPV4: ETHERTYPE_IPV4, _PPP_IPV6: ETHERTYPE_IPV6}

# Ref: net/ipv6/exthdrs_core.c:ipv6_ext_hdr; NONE is a transport protocol that no flow has.
_EXTENSION_HEADERS: Final = frozenset({0, 43, 51, 60})
_IPV6_FRAGMENT: Final = 44

# Bytes of transport header that must be there, by protocol.
_MINIMUM: Final = {TCP: 20, UDP: 8, GRE: 4}

_NO_PORTS: Final = bytes(4)


class FlowKey(NamedTuple):
    """What tells one direction of a flow from every other packet.

    A named tuple, so the plain tuples of ``dissect`` find it in a dictionary.

    Attributes:
        iif: index of the device on which the flowtable hook sees the frame.
        l3proto: ``IPV4`` or ``IPV6``.
        l4proto: protocol number: TCP, UDP or GRE.
        wire: source and destination address, source and destination port, in network order;
            the ports are zero for GRE.
        encap: tags and sessions around the packet, outermost first.
    """

    iif: int
    l3proto: int
    l4proto: int
    wire: bytes
    encap: Encap = ()

    @classmethod
    def of(
        cls,
        iif: int,
        l4proto: int,
        source: bytes,
        destination: bytes,
        sport: int = 0,
        dport: int = 0,
        encap: Encap = (),
    ) -> FlowKey:
        """A key from its parts; the length of the addresses gives the IP version."""
        l3proto = IPV4 if len(source) == 4 else IPV6
        return cls(iif, l3proto, l4proto, source + destination + _PORTS.pack(sport, dport), encap)

    @property
    def source(self) -> bytes:
        """Source address."""
        return self.wire[: (len(self.wire) - 4) // 2]

    @property
    def destination(self) -> bytes:
        """Destination address."""
        return self.wire[(len(self.wire) - 4) // 2 : -4]

    @property
    def sport(self) -> int:
        """Source port."""
        return int.from_bytes(self.wire[-4:-2], "big")

    @property
    def dport(self) -> int:
        """Destination port."""
        return int.from_bytes(self.wire[-2:], "big")


def network_offset(encap: Encap) -> int:
    """Where the IP header begins in a frame with this encapsulation, in bytes.

    A key says all about the frame in front of the IP header, so a flow entry works its offset
    out once, and frames that match the entry have their IP header there.
    """
    return 14 + sum(_HEADER.get(ethertype, 4) for _, ethertype in encap)


_HEADER: Final = {ETHERTYPE_PPPOE_SESSION: 8, IPPROTO_IPIP: 20, IPPROTO_IPV6: 40}


def dissector(
    *,
    ipv4: bool = True,
    ipv6: bool = True,
    gre: bool = True,
    max_encap: int = 2,
    tci_mask: int = VLAN_VID_MASK,
    inner_8021ad: bool = True,
    tunnels: bool = False,
) -> Dissector:
    """Build the function that extracts keys for one flowtable.

    It looks at nothing but what a key needs, in the kernel's order: neither at checksums nor
    at the lengths in the headers, so a frame may end in padding, or before its packet does.

    Args:
        ipv4: whether the flowtable's family covers IPv4.
        ipv6: whether the flowtable's family covers IPv6.
        gre: whether GRE flows exist.
        max_encap: how many tags and PPPoE headers to look behind.
        tci_mask: which bits of a tag identify the VLAN: ``VLAN_VID_MASK`` or ``VLAN_TCI_MASK``.
        inner_8021ad: whether an 802.1ad tag may stand behind another tag, where the kernel,
            which has the outermost tag moved aside by then, reads 802.1Q only.
        tunnels: whether to look into one ipip or ip6ip6 tunnel.

    Returns:
        A function of a frame and the index of its input device. It returns a tuple equal to
        the frame's ``FlowKey``, or why the frame has none; ``network_offset(key[4])`` tells
        where the IP header begins.

    Ref: net/netfilter/nf_flow_table_ip.c:nf_flow_tuple_ip, nf_flow_tuple_ipv6,
    nf_flow_tuple_encap, nf_flow_skb_encap_protocol.
    """
    truncated = Miss.TRUNCATED
    fragment = Miss.FRAGMENT

    def dissect(frame: bytes, iif: int) -> Key | Miss:
        # Untagged packets that have a key, straight through; all else is `ordered`'s to tell.
        try:
            ethertype, vihl, frag, ttl, l4proto, wire = _ipv4_frame(frame)
            if ethertype == ETHERTYPE_IPV4:
                if ipv4 and vihl == _NO_OPTIONS and not frag & 0x3FFF and ttl > 1:
                    if l4proto == TCP:
                        if len(frame) >= 54:
                            return (iif, IPV4, TCP, wire, ())
                    elif l4proto == UDP and len(frame) >= 42:
                        return (iif, IPV4, UDP, wire, ())
            elif ethertype == ETHERTYPE_IPV6:
                l4proto, ttl, wire = _ipv6_at(frame, 14)
                if ipv6 and ttl > 1:
                    if l4proto == TCP:
                        if len(frame) >= 74:
                            return (iif, IPV6, TCP, wire, ())
                    elif l4proto == UDP and len(frame) >= 62:
                        return (iif, IPV6, UDP, wire, ())
        except struct.error:
            pass
        return ordered(frame, iif)

    def ordered(frame: bytes, iif: int) -> Key | Miss:
        size = len(frame)
        if size < 14:
            return truncated
        (ethertype,) = _u16_at(frame, 12)
        at = 14
        encap: Encap = ()
        while ethertype != ETHERTYPE_IPV4 and ethertype != ETHERTYPE_IPV6:
            if ethertype in _VLAN_TAGS:
                if len(encap) == max_encap or (encap and ethertype == ETHERTYPE_QINQ and not inner_8021ad):
                    return Miss.ENCAPSULATION
                if size < at + 4:
                    return truncated
                tci, inner = _PORTS.unpack_from(frame, at)
                encap = (*encap, (tci & tci_mask, ethertype))
                at += 4
                ethertype = inner
            elif ethertype == ETHERTYPE_PPPOE_SESSION:
                if len(encap) == max_encap:
                    return Miss.ENCAPSULATION
                if size < at + 8:
                    return truncated
                encap = (*encap, (_u16_at(frame, at + 2)[0], ethertype))
                ethertype = _PPP_TO_ETHERTYPE.get(_u16_at(frame, at + 6)[0])
                at += 8
                if ethertype is None:
                    return Miss.NOT_IP
            else:
                return Miss.NOT_IP
        if ethertype == ETHERTYPE_IPV4:
            if not ipv4:
                return Miss.FAMILY
            l3proto = IPV4
        else:
            if not ipv6:
                return Miss.FAMILY
            l3proto = IPV6
        tunnel = tunnels
        while True:
            if l3proto == IPV4:
                if size < at + 20:
                    return truncated
                vihl, frag, ttl, l4proto = _ipv4_at(frame, at)
                if frag & 0x3FFF:
                    return fragment
                if vihl & 15 != 5:
                    return Miss.IP_OPTIONS
                first = at + 12
                last = at + 20
                inner = IPPROTO_IPIP
            else:
                if size < at + 40:
                    return truncated
                l4proto = frame[at + 6]
                ttl = frame[at + 7]
                if l4proto == _IPV6_FRAGMENT:
                    return fragment
                if l4proto in _EXTENSION_HEADERS:
                    return Miss.EXTENSION_HEADER
                first = at + 8
                last = at + 40
                inner = IPPROTO_IPV6
            if not tunnel or l4proto != inner:
                break
            if ttl <= 1:
                return Miss.TTL_EXPIRED
            tunnel = False
            encap = (*encap, (int.from_bytes(frame[first:last]), inner))
            at = last
        if l4proto not in _MINIMUM or (l4proto == GRE and not gre):
            return Miss.PROTOCOL
        if ttl <= 1:
            return Miss.TTL_EXPIRED
        if size < last + _MINIMUM[l4proto]:
            return truncated
        if l4proto != GRE:
            return (iif, l3proto, l4proto, frame[first : last + 4], encap)
        if frame[last + 1] & 7:
            return Miss.GRE_VERSION
        return (iif, l3proto, GRE, frame[first:last] + _NO_PORTS, encap)

    return dissect


dissect: Final = dissector()
"""``dissector()`` of a flowtable for both IP versions, all its limits at their defaults."""
