"""Connections as text: the lines of ``conntrack -L`` and of /proc/net/nf_conntrack.

Ref: libnetfilter_conntrack src/conntrack/snprintf_default.c;
net/netfilter/nf_conntrack_standalone.c:ct_seq_show.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Final

from flowtable.clock import SECOND
from flowtable.conntrack.connection import Status
from flowtable.conntrack.tuple import ORIGINAL, REPLY
from flowtable.conntrack.wire import PORTS
from flowtable.packet.packet import GRE, ICMP, ICMPV6, IPV4, SCTP, TCP, UDP, UDPLITE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from flowtable.conntrack.connection import Connection
    from flowtable.conntrack.settings import Settings
    from flowtable.conntrack.tuple import Tuple

VERSION: Final = "1.4.7"
"""The version of conntrack-tools whose format this is."""

_L4_NAMES: Final = {
    TCP: "tcp",
    UDP: "udp",
    UDPLITE: "udplite",
    ICMP: "icmp",
    ICMPV6: "icmpv6",
    SCTP: "sctp",
    GRE: "gre",
}
_MAPPED: Final = bytes(10) + b"\xff\xff"
_BOTH: Final = 3
_ORIGINAL_ONLY: Final = 1
_REPLY_ONLY: Final = 2


def live(connections: Iterable[Connection], now: int) -> Iterator[Connection]:
    """Those that a listing shows: not timed out, and known by their original direction."""
    for connection in connections:
        if connection.expires > now and not connection.status & Status.NAT_CLASH:
            yield connection


def conntrack_line(connection: Connection, now: int, *, extended: bool = False, ident: bool = False) -> str:
    """A line of ``conntrack -L``.

    Args:
        connection: what to describe.
        now: the time, for what is left of its timeout.
        extended: with the network protocol in front (``-o extended``).
        ident: with its identifier at the end (``-o id``).
    """
    fields = [_l3(connection)] if extended else []
    fields.append(_l4(connection))
    if not connection.offloaded:
        fields.append(str(_left(connection, now)))
        if state := connection.state_name:
            fields.append(state)
    fields += _directions(connection, _short)
    if connection.zone and connection.zone_directions == _BOTH:
        fields.append(f"zone={connection.zone}")
    if connection.helper is not None:
        fields.append(f"helper={connection.helper}")
    fields.append(f"use={connection.references}")
    if ident:
        fields.append(f"id={connection.ident}")
    return " ".join(fields)


def conntrack_footer(count: int) -> str:
    """What ``conntrack -L`` prints to standard error in the end."""
    return f"conntrack v{VERSION} (conntrack-tools): {count} flow entries have been shown."


def proc_line(connection: Connection, now: int, settings: Settings) -> str:
    """A line of /proc/net/nf_conntrack, without its newline.

    Args:
        connection: what to describe.
        now: the time, for what is left of its timeout.
        settings: where the timeouts are from that GRE prints.
    """
    fields = [_l3(connection), _l4(connection)]
    if not connection.offloaded:
        fields.append(str(_left(connection, now)))
        if state := connection.state_name:
            fields.append(state)
    if connection.l4proto == GRE:
        fields.append(f"timeout={settings.gre // SECOND}, stream_timeout={settings.gre_stream // SECOND}")
    fields += _directions(connection, _long)
    if connection.zone_directions == _BOTH:
        fields.append(f"zone={connection.zone}")
    # The reader holds a reference of its own.
    fields.append(f"use={connection.references + 1}")
    return " ".join(fields)


def _l3(connection: Connection) -> str:
    return f"{'ipv4' if connection.l3proto == IPV4 else 'ipv6':<8} {connection.l3proto}"


def _l4(connection: Connection) -> str:
    return f"{_L4_NAMES.get(connection.l4proto, 'unknown'):<8} {connection.l4proto}"


def _left(connection: Connection, now: int) -> int:
    return max(connection.expires - now, 0) // SECOND


def _directions(connection: Connection, text: Callable[[bytes], str]) -> list[str]:
    """From the original tuple to the mark."""
    status = connection.status
    fields = _tuple(connection.original, text)
    if connection.zone_directions == _ORIGINAL_ONLY:
        fields.append(f"zone-orig={connection.zone}")
    fields += _counters(connection, ORIGINAL)
    if not status & Status.SEEN_REPLY:
        fields.append("[UNREPLIED]")
    fields += _tuple(connection.reply, text)
    if connection.zone_directions == _REPLY_ONLY:
        fields.append(f"zone-reply={connection.zone}")
    fields += _counters(connection, REPLY)
    if status & Status.HW_OFFLOAD:
        fields.append("[HW_OFFLOAD]")
    elif status & Status.OFFLOAD:
        fields.append("[OFFLOAD]")
    elif status & Status.ASSURED:
        fields.append("[ASSURED]")
    fields.append(f"mark={connection.mark}")
    return fields


def _tuple(tuple_: Tuple, text: Callable[[bytes], str]) -> list[str]:
    fields = [f"src={text(tuple_.src)}", f"dst={text(tuple_.dst)}"]
    l4proto = tuple_.l4proto
    if l4proto in PORTS:
        fields += [f"sport={tuple_.sport}", f"dport={tuple_.dport}"]
    elif l4proto in (ICMP, ICMPV6):
        fields += [f"type={tuple_.icmp_type}", f"code={tuple_.icmp_code}", f"id={tuple_.icmp_id}"]
    elif l4proto == GRE:
        fields += [f"srckey={tuple_.sport:#x}", f"dstkey={tuple_.dport:#x}"]
    return fields


def _counters(connection: Connection, direction: int) -> list[str]:
    if connection.packets is None or connection.bytes is None:
        return []
    return [f"packets={connection.packets[direction]}", f"bytes={connection.bytes[direction]}"]


def _short(address: bytes) -> str:
    """An address as inet_ntop writes it."""
    if len(address) == 4:
        return str(IPv4Address(address))
    # glibc writes the last four bytes of ::/96 and ::ffff:0:0/96 with dots, :: and ::1 apart.
    if address[:12] == _MAPPED:
        return f"::ffff:{IPv4Address(address[12:])}"
    if not any(address[:12]) and any(address[12:14]):
        return f"::{IPv4Address(address[12:])}"
    return str(IPv6Address(address))


def _long(address: bytes) -> str:
    """An address as the kernel's %pI4 and %pI6 write it."""
    return str(IPv4Address(address)) if len(address) == 4 else IPv6Address(address).exploded
