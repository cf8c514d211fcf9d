"""A line of ``conntrack -L`` or ``conntrack -E``: what it may say of a connection, and how.

Ref: libnetfilter_conntrack src/conntrack/snprintf_default.c.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Final

from flowtable.conntrack.connection import Status
from flowtable.conntrack.wire import PORTS
from flowtable.packet.packet import GRE, ICMP, ICMPV6, IPV4, SCTP, TCP, UDP, UDPLITE

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowtable.conntrack.tuple import Tuple

DCCP: Final = 33
NAMES: Final = {
    TCP: "tcp",
    UDP: "udp",
    UDPLITE: "udplite",
    ICMP: "icmp",
    ICMPV6: "icmpv6",
    SCTP: "sctp",
    GRE: "gre",
    DCCP: "dccp",
}
"""What lines call the protocols; the others are ``unknown``."""
_WITH_PORTS: Final = PORTS | {DCCP}
_MAPPED: Final = bytes(10) + b"\xff\xff"


@dataclass(slots=True)
class Line:
    """What a line says; what is None, False or empty is not in it.

    Attributes:
        original: tuple of the direction that created the connection.
        reply: tuple of the answers.
        status: bits of ``Status``; None where it is not known.
        event: what happened, as ``NEW``.
        extended: whether the network protocol is in front.
        timeout: seconds until it times out.
        state: of its protocol.
        zone: the zone that holds for both directions.
        zone_original: the zone that holds for the original direction only.
        zone_reply: the zone that holds for the reply direction only.
        counters: packets and bytes of either direction.
        mark: the connection mark.
        security_mark: the number of its security context.
        security_context: what the security module calls it.
        age: seconds since it began.
        start: when it began, as text.
        stop: when it ended, as text.
        helper: name of its helper.
        use: how many hold it.
        ident: its number.
        labels: names of its labels; None where they are not to be shown.
    """

    original: Tuple
    reply: Tuple
    status: int | None = None
    event: str = ""
    extended: bool = False
    timeout: int | None = None
    state: str = ""
    zone: int | None = None
    zone_original: int | None = None
    zone_reply: int | None = None
    counters: tuple[tuple[int, int], tuple[int, int]] | None = None
    mark: int | None = None
    security_mark: int | None = None
    security_context: str | None = None
    age: int | None = None
    start: str | None = None
    stop: str | None = None
    helper: str | None = None
    use: int | None = None
    ident: int | None = None
    labels: tuple[str, ...] | None = None

    def __str__(self) -> str:
        fields = [f"{f'[{self.event}]':>9}"] if self.event else []
        if self.extended:
            fields.append(l3_name(self.original))
        fields.append(l4_name(self.original))
        if self.timeout is not None:
            fields.append(str(self.timeout))
        if self.state:
            fields.append(self.state)
        fields += self._directions()
        fields += [f"{name}={value}" for name, value in self._rest() if value is not None]
        if self.labels is not None:
            # With nothing to list the tool cuts off its "=".
            fields.append(f"labels={','.join(self.labels)}" if self.labels else "labels")
        return " ".join(fields)

    def _directions(self) -> list[str]:
        fields = tuple_fields(self.original, short)
        if self.zone_original is not None:
            fields.append(f"zone-orig={self.zone_original}")
        if self.counters is not None:
            fields.append(counter_fields(*self.counters[0]))
        if self.status is not None and not self.status & Status.SEEN_REPLY:
            fields.append("[UNREPLIED]")
        fields += tuple_fields(self.reply, short)
        if self.zone_reply is not None:
            fields.append(f"zone-reply={self.zone_reply}")
        if self.counters is not None:
            fields.append(counter_fields(*self.counters[1]))
        if self.status is not None and (word := status_word(self.status)):
            fields.append(word)
        return fields

    def _rest(self) -> tuple[tuple[str, int | str | None], ...]:
        return (
            ("mark", self.mark),
            ("secmark", self.security_mark),
            ("secctx", self.security_context),
            ("zone", self.zone),
            ("delta-time", self.age),
            ("[start", None if self.start is None else f"{self.start}]"),
            ("[stop", None if self.stop is None else f"{self.stop}]"),
            ("helper", self.helper),
            ("use", self.use),
            ("id", self.ident),
        )


def l3_name(tuple_: Tuple) -> str:
    """Name and number of its network protocol."""
    return f"{'ipv4' if tuple_.l3proto == IPV4 else 'ipv6':<8} {tuple_.l3proto}"


def l4_name(tuple_: Tuple) -> str:
    """Name and number of its transport protocol."""
    return f"{NAMES.get(tuple_.l4proto, 'unknown'):<8} {tuple_.l4proto}"


def status_word(status: int) -> str:
    """The one word for its status, if there is one. Ref: __snprintf_status_assured."""
    if status & Status.HW_OFFLOAD:
        return "[HW_OFFLOAD]"
    if status & Status.OFFLOAD:
        return "[OFFLOAD]"
    return "[ASSURED]" if status & Status.ASSURED else ""


def counter_fields(packets: int, size: int) -> str:
    """What one direction counted."""
    return f"packets={packets} bytes={size}"


def tuple_fields(tuple_: Tuple, text: Callable[[bytes], str]) -> list[str]:
    """Addresses, and what the transport protocol has; ``text`` writes addresses."""
    fields = [f"src={text(tuple_.src)}", f"dst={text(tuple_.dst)}"]
    l4proto = tuple_.l4proto
    if l4proto in _WITH_PORTS:
        fields += [f"sport={tuple_.sport}", f"dport={tuple_.dport}"]
    elif l4proto in (ICMP, ICMPV6):
        fields += [f"type={tuple_.icmp_type}", f"code={tuple_.icmp_code}", f"id={tuple_.icmp_id}"]
    elif l4proto == GRE:
        fields += [f"srckey={tuple_.sport:#x}", f"dstkey={tuple_.dport:#x}"]
    return fields


def short(address: bytes) -> str:
    """An address as inet_ntop writes it."""
    if len(address) == 4:
        return str(IPv4Address(address))
    # glibc writes the last four bytes of ::/96 and ::ffff:0:0/96 with dots, :: and ::1 apart.
    if address[:12] == _MAPPED:
        return f"::ffff:{IPv4Address(address[12:])}"
    if not any(address[:12]) and any(address[12:14]):
        return f"::{IPv4Address(address[12:])}"
    return str(IPv6Address(address))


def long(address: bytes) -> str:
    """An address as the kernel's %pI4 and %pI6 write it."""
    return str(IPv4Address(address)) if len(address) == 4 else IPv6Address(address).exploded
