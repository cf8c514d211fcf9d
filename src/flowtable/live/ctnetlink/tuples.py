"""Tuples as attributes. Ref: net/netfilter/nf_conntrack_netlink.c:ctnetlink_dump_tuples."""

from __future__ import annotations

from struct import Struct, error
from typing import Final

from flowtable.conntrack.tuple import Tuple
from flowtable.live.ctnetlink.attribute import MalformedError, attributes
from flowtable.live.ctnetlink.constants import CtaTuple
from flowtable.netlink.attribute import NESTED, attribute, nested
from flowtable.packet.packet import GRE, ICMP, ICMPV6, IPV4, IPV6, TCP, UDP

DCCP: Final = 33
SCTP: Final = 132
UDPLITE: Final = 136
WITH_PORTS: Final = frozenset({TCP, UDP, GRE, DCCP, SCTP, UDPLITE})
"""Protocols whose tuples have two 16-bit fields. Ref: nf_ct_port_tuple_to_nlattr."""

_PORT: Final = Struct(">H")
_host = Struct("=HH").pack


def _read(*headers: tuple[int, int]) -> int:
    """Attribute headers, each of a size and a type, as a big-endian ``Struct`` reads them."""
    return int.from_bytes(b"".join(_host(size, kind) for size, kind in headers))


# What the kernel makes of a tuple with ports, whole: headers as numbers and between them the values.
_PORTS4: Final = Struct(">Q4sI4sQB3xIH2xIH2x")
_PORTS6: Final = Struct(">Q16sI16sQB3xIH2xIH2x")
_IP4: Final = _read((20, CtaTuple.IP | NESTED), (8, CtaTuple.V4_SRC))
_DST4: Final = _read((8, CtaTuple.V4_DST))
_IP6: Final = _read((44, CtaTuple.IP | NESTED), (20, CtaTuple.V6_SRC))
_DST6: Final = _read((20, CtaTuple.V6_DST))
_PROTO: Final = _read((28, CtaTuple.PROTO | NESTED), (5, CtaTuple.NUM))
_SPORT: Final = _read((6, CtaTuple.SRC_PORT))
_DPORT: Final = _read((6, CtaTuple.DST_PORT))
_ports4 = _PORTS4.unpack
_begin = Struct(">Q").unpack_from
_ports6 = _PORTS6.unpack


def decode(value: bytes) -> Tuple:
    """The tuple that the value of an attribute holds.

    Raises:
        MalformedError: it holds none.
    """
    size = len(value)
    if size == _PORTS4.size:
        ip, src, to, dst, proto, num, source, sport, target, dport = _ports4(value)
        if ip == _IP4 and to == _DST4 and proto == _PROTO and source == _SPORT and target == _DPORT:
            return Tuple(IPV4, num, src, dst, sport, dport)
    elif size == _PORTS6.size:
        ip, src, to, dst, proto, num, source, sport, target, dport = _ports6(value)
        if ip == _IP6 and to == _DST6 and proto == _PROTO and source == _SPORT and target == _DPORT:
            return Tuple(IPV6, num, src, dst, sport, dport)
    return _decode(value)


def _decode(value: bytes) -> Tuple:
    """``decode``, whatever is in the tuple and in whichever order."""
    try:
        parts = attributes(value)
        ip = attributes(parts[CtaTuple.IP])
        proto = attributes(parts[CtaTuple.PROTO])
        family = IPV4 if CtaTuple.V4_SRC in ip else IPV6
        size = 4 if family == IPV4 else 16
        src = ip[CtaTuple.V4_SRC if family == IPV4 else CtaTuple.V6_SRC]
        dst = ip[CtaTuple.V4_DST if family == IPV4 else CtaTuple.V6_DST]
        if len(src) != size or len(dst) != size:
            raise MalformedError("address of another family")
        (l4proto,) = proto[CtaTuple.NUM]
        sport = dport = 0
        if l4proto in (ICMP, ICMPV6):
            first = CtaTuple.ICMP_ID if l4proto == ICMP else CtaTuple.ICMPV6_ID
            (kind,), (code,) = proto[first + 1], proto[first + 2]
            (sport,), dport = _PORT.unpack(proto[first]), kind << 8 | code
        elif CtaTuple.SRC_PORT in proto:
            (sport,) = _PORT.unpack(proto[CtaTuple.SRC_PORT])
            (dport,) = _PORT.unpack(proto[CtaTuple.DST_PORT])
    except KeyError as missing:
        raise MalformedError(f"tuple without attribute {missing}") from None
    except (error, ValueError) as reason:
        raise MalformedError(f"tuple: {reason}") from None
    return Tuple(family, l4proto, src, dst, sport, dport)


def family_of(value: bytes) -> int:
    """``IPV4`` or ``IPV6``. The kernel begins with the addresses, whose size says it."""
    (begin,) = _begin(value)
    if begin == _IP4:
        return IPV4
    return IPV6 if begin == _IP6 else _decode(value).l3proto


def zone_of(value: bytes) -> int | None:
    """The zone that holds for this tuple's direction only; None without."""
    zone = attributes(value).get(CtaTuple.ZONE)
    if zone is None:
        return None
    if len(zone) != _PORT.size:
        raise MalformedError("zone of another size")
    return int.from_bytes(zone)


def encode(tuple_: Tuple, zone: int | None = None) -> bytes:
    """The value of an attribute that holds a tuple, as the kernel writes it.

    Args:
        tuple_: the tuple.
        zone: a zone that holds for its direction only.
    """
    four = tuple_.l3proto == IPV4
    parts = [
        nested(
            CtaTuple.IP,
            attribute(CtaTuple.V4_SRC if four else CtaTuple.V6_SRC, tuple_.src),
            attribute(CtaTuple.V4_DST if four else CtaTuple.V6_DST, tuple_.dst),
        ),
        nested(CtaTuple.PROTO, attribute(CtaTuple.NUM, bytes([tuple_.l4proto])), *_transport(tuple_)),
    ]
    if zone is not None:
        parts.append(attribute(CtaTuple.ZONE, _PORT.pack(zone)))
    return b"".join(parts)


def _transport(tuple_: Tuple) -> list[bytes]:
    if tuple_.l4proto in (ICMP, ICMPV6):
        first = CtaTuple.ICMP_ID if tuple_.l4proto == ICMP else CtaTuple.ICMPV6_ID
        values = (_PORT.pack(tuple_.icmp_id), bytes([tuple_.icmp_type]), bytes([tuple_.icmp_code]))
        return [attribute(first + place, value) for place, value in enumerate(values)]
    if tuple_.l4proto in WITH_PORTS:
        return [
            attribute(CtaTuple.SRC_PORT, _PORT.pack(tuple_.sport)),
            attribute(CtaTuple.DST_PORT, _PORT.pack(tuple_.dport)),
        ]
    return []
