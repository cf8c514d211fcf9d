"""What all answers to a received packet have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.clock import MILLISECOND
from flowtable.packet import ipv4
from flowtable.packet.packet import ICMP, IPV4, CtInfo, Packet
from flowtable.packet.parse import dissect_ipv4, dissect_ipv6
from flowtable.topology.route import RouteType

if TYPE_CHECKING:
    from flowtable.topology.fib import Fib
from flowtable.topology.route import Route

_RELATED: Final = int(CtInfo.RELATED)
_RELATED_REPLY: Final = int(CtInfo.RELATED_REPLY)
_DAY: Final = 86_400_000


def local_packet(data: bytes, family: int, now: int, route: Route | None = None) -> Packet:
    """A packet of the box's own, with the route it takes if that is decided."""
    packet = Packet(bytearray(data), family, time=now)
    if family == IPV4:
        dissect_ipv4(packet)
    else:
        dissect_ipv6(packet)
    if route is not None:
        packet.dst = route
        packet.oif = route.device
    return packet


def attach(answer: Packet, packet: Packet) -> None:
    """Make an error belong to the connection of the packet it is about, so that NAT translates it.

    Ref: net/netfilter/nf_conntrack_core.c:nf_conntrack_attach.
    """
    if packet.ct is not None:
        answer.ct = packet.ct
        answer.ctinfo = _RELATED if packet.reply else _RELATED_REPLY


def midnight(now: int) -> int:
    """Milliseconds since midnight UT. Ref: net/ipv4/af_inet.c:inet_current_timestamp."""
    return now // MILLISECOND % _DAY


def echoed_options(data: bytearray) -> bytes:
    """The options of an answer: the record route and timestamp options of the packet.

    Ref: net/ipv4/ip_options.c:__ip_options_echo.
    """
    if data[0] == 0x45:
        return b""
    options = ipv4.read_options(data)
    kept = b"".join(
        bytes(data[at : at + data[at + 1]]) for at in (options.record_route, options.timestamp) if at
    )
    return kept + bytes(-len(kept) % 4)


def record_route(data: bytearray, address: bytes, fib: Fib, now: int) -> None:
    """Write the box into the record route and timestamp options of a packet, where there is room.

    Args:
        data: a packet to the box, or an answer with echoed options.
        address: what to write: the packet's destination, the answer's source.
        fib: knows which addresses are the box's.
        now: nanoseconds.

    Ref: net/ipv4/ip_options.c:__ip_options_compile, ip_options_build.
    """
    found = ipv4.read_options(data)
    route, time = found.record_route, found.timestamp
    found = ipv4.Options(
        record_route=route if route and data[route + 2] <= data[route + 1] else 0,
        timestamp=time if time and data[time + 2] <= data[time + 1] else 0,
    )

    def is_local(own: bytes) -> bool:
        known = fib.lookup(own)
        return known is not None and known.type is RouteType.LOCAL

    ipv4.record(data, found, address, midnight(now), is_local)


def icmp_reply(
    packet: Packet,
    source: bytes,
    message: bytes,
    *,
    tos: int,
    ttl: int,
    ident: int,
    options: bytes,
    route: Route,
    fib: Fib,
    now: int,
) -> Packet:
    """An ICMP message to the sender of ``packet``. Ref: net/ipv4/icmp.c:icmp_push_reply."""
    data = ipv4.build(
        source, bytes(packet.data[12:16]), ICMP, message, ttl=ttl, tos=tos, ident=ident, options=options
    )
    answer = local_packet(data, IPV4, now, route)
    if options:
        record_route(answer.data, source, fib, now)
    return answer
