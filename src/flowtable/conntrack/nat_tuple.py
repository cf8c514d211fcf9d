"""The search for a translation that no other connection has.

Ref: net/netfilter/nf_nat_core.c:get_unique_tuple.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final

from flowtable.conntrack.connection import Status, TcpState
from flowtable.conntrack.nat_mangle import DESTINATION, SOURCE
from flowtable.conntrack.removal import Removal
from flowtable.conntrack.table import in_zone
from flowtable.conntrack.tuple import ORIGINAL, REPLY, Tuple
from flowtable.conntrack.wire import PORTS
from flowtable.packet.jhash import jhash2, scale
from flowtable.packet.packet import GRE, ICMP, ICMPV6

if TYPE_CHECKING:
    from flowtable.conntrack.connection import Connection
    from flowtable.conntrack.core import Conntrack
    from flowtable.conntrack.tuple import Key
    from flowtable.ruleset.nat import NatRange

MAX_ATTEMPTS: Final = 128
"""NF_NAT_MAX_ATTEMPTS: ports tried from one starting point."""
_HARDER: Final = MAX_ATTEMPTS // 4
"""NF_NAT_HARDER_THRESH: the last ones may take the port of a connection that has ended."""

_words = Struct("<IIII").unpack
_big_word = Struct(">I")


def unique_tuple(
    conntrack: Conntrack, connection: Connection, current: Tuple, chosen: NatRange, side: int
) -> Tuple:
    """What packets of a new connection are to look like, made unique if at all possible.

    Args:
        conntrack: the connections there are.
        connection: the new one, not confirmed.
        current: what its packets look like by now.
        chosen: addresses and ports to choose from.
        side: ``SOURCE`` or ``DESTINATION``.

    Returns:
        ``current`` with the address and port of that side changed if need be. If everything
        is taken the last that was tried: then the connection is not going to be confirmed.
    """
    scattered = chosen.random or chosen.fully_random
    if side == SOURCE and not scattered:
        if _in_range(current, chosen):
            if not _used(conntrack, connection, current):
                return current
        else:
            # Keep a source behind the same address and port, whomever it talks to.
            same = _mapped_already(conntrack, connection, current, chosen)
            if same is not None and not _used(conntrack, connection, same):
                return same

    best = _with_address(current, _spread(connection, current, chosen, side), side)
    if not scattered:
        if not chosen.min_port:
            if not _used(conntrack, connection, best):
                return best
        elif _port_in_range(best, chosen, side) and (
            chosen.min_port == chosen.max_port or not _used(conntrack, connection, best)
        ):
            return best
    return _free_port(conntrack, connection, best, chosen, side, scattered=scattered)


def _with_address(current: Tuple, address: bytes, side: int) -> Tuple:
    l3proto, l4proto, src, dst, sport, dport = current
    if side == SOURCE:
        return Tuple(l3proto, l4proto, address, dst, sport, dport)
    return Tuple(l3proto, l4proto, src, address, sport, dport)


def _used(conntrack: Conntrack, connection: Connection, tuple_: Tuple) -> bool:
    """Ref: net/netfilter/nf_nat_core.c:nf_nat_used_tuple."""
    return conntrack.taken(tuple_.inverse().key, connection)


def _in_range(tuple_: Tuple, chosen: NatRange) -> bool:
    """Ref: net/netfilter/nf_nat_core.c:nf_in_range."""
    if chosen.min_addr is not None and not chosen.min_addr <= tuple_.src <= _last(chosen):
        return False
    return not chosen.min_port or _port_in_range(tuple_, chosen, SOURCE)


def _last(chosen: NatRange) -> bytes:
    last = chosen.min_addr if chosen.max_addr is None else chosen.max_addr
    return b"" if last is None else last


def _port_in_range(tuple_: Tuple, chosen: NatRange, side: int) -> bool:
    """Ref: net/netfilter/nf_nat_core.c:l4proto_in_range."""
    if tuple_.l4proto in (ICMP, ICMPV6):
        port = tuple_.sport
    elif tuple_.l4proto in PORTS or tuple_.l4proto == GRE:
        port = tuple_.sport if side == SOURCE else tuple_.dport
    else:
        return True
    return chosen.min_port <= port <= chosen.max_port


def _mapped_already(
    conntrack: Conntrack, connection: Connection, current: Tuple, chosen: NatRange
) -> Tuple | None:
    """Ref: net/netfilter/nf_nat_core.c:find_appropriate_src."""
    source = (current.l4proto, current.src, current.sport, connection.zone_of(ORIGINAL))
    for other in conntrack.sharing_source(source):
        mapped = other.reply.inverse()
        candidate = current._replace(src=mapped.src, sport=mapped.sport)
        if _in_range(candidate, chosen):
            return candidate
    return None


def _spread(connection: Connection, current: Tuple, chosen: NatRange, side: int) -> bytes:
    """The address of a range that connections between these two ends get.

    A hash of both ends, with ``persistent`` of the source alone, and not random: servers see the
    same client come from the same address.

    Ref: net/netfilter/nf_nat_core.c:find_best_ips_proto.
    """
    first, last = chosen.min_addr, _last(chosen)
    if first is None:
        return current.src if side == SOURCE else current.dst
    if first == last:
        return first
    source = _words(current.src.ljust(16, b"\0"))
    destination = list(_words(current.dst.ljust(16, b"\0")))
    count = len(first) // 4
    mixed = 0 if chosen.persistent else destination[count - 1] ^ connection.zone
    j = jhash2(source, mixed)
    result = b""
    full = False
    for i in range(count):
        here = slice(i * 4, i * 4 + 4)
        if full:
            low, distance = 0, 0xFFFFFFFF
        else:
            (low,) = _big_word.unpack(first[here])
            (high,) = _big_word.unpack(last[here])
            distance = high - low + 1 & 0xFFFFFFFF
        word = _big_word.pack(low + scale(j, distance) & 0xFFFFFFFF)
        if word != last[here]:
            full = True
        if side == DESTINATION:
            destination[i] = int.from_bytes(word, "little")
        if not chosen.persistent:
            j ^= destination[i]
        result += word
    return result


def _free_port(
    conntrack: Conntrack,
    connection: Connection,
    best: Tuple,
    chosen: NatRange,
    side: int,
    *,
    scattered: bool,
) -> Tuple:
    """Ref: net/netfilter/nf_nat_core.c:nf_nat_l4proto_unique_tuple."""
    l4proto = best.l4proto
    query = l4proto in (ICMP, ICMPV6)
    at_source = side == SOURCE or query
    if not query and l4proto not in PORTS:
        return best
    if query:
        low, size = chosen.min_port, chosen.max_port - chosen.min_port + 1 if chosen.min_port else 65536
    elif chosen.min_port:
        low = min(chosen.min_port, chosen.max_port)
        size = abs(chosen.max_port - chosen.min_port) + 1
    elif side == DESTINATION:
        return best
    elif best.sport >= 1024:
        low, size = 1024, 65535 - 1024 + 1
    elif best.sport >= 512:
        low, size = 600, 1023 - 600 + 1
    else:
        # Below 512 a port may stand for credentials (RFC 1282 section 3.1).
        low, size = 1, 511

    reply = best.inverse().key
    # The answer's source port stands for the destination, and for what a query goes by.
    shift = 0 if at_source and not query else 16
    ports = reply[-1] & ~(0xFFFF << shift)
    start = conntrack.random.u16() if scattered or side == SOURCE else 0
    attempts = min(size, MAX_ATTEMPTS)
    port = low
    while True:
        for attempt in range(attempts):
            port = low + (start + attempt & 0xFFFF) % size
            candidate = (*reply[:-1], ports | port << shift)
            if not _used_harder(conntrack, connection, candidate, attempts - attempt):
                return _with_port(best, port, at_source=at_source)
        if attempts >= size or attempts < 16:
            return _with_port(best, port, at_source=at_source)
        attempts //= 2
        start = conntrack.random.u16()


def _with_port(best: Tuple, port: int, *, at_source: bool) -> Tuple:
    return best._replace(sport=port) if at_source else best._replace(dport=port)


def _used_harder(conntrack: Conntrack, connection: Connection, reply: Key, left: int) -> bool:
    """Whether a port is taken; towards the end of the search, one of a connection in TIME_WAIT is not.

    Ref: net/netfilter/nf_nat_core.c:nf_nat_used_tuple_harder.
    """
    tcp = connection.tcp
    if left > _HARDER or tcp is None or tcp.state != TcpState.SYN_SENT:
        return conntrack.taken(reply, connection)
    entry = conntrack.lookup(in_zone(reply, connection.zone_of(REPLY)), connection.start)
    if entry is None:
        return False
    other, direction = entry
    if direction == ORIGINAL or other.tcp is None or other.tcp.state < TcpState.TIME_WAIT:
        return True
    status = other.status
    if status & Status.FIXED_TIMEOUT or not status & Status.SRC_NAT:
        return True
    # Late segments of the old connection must fall outside of the new one's window.
    advance = tcp.seen[ORIGINAL].end - other.tcp.seen[ORIGINAL].end & 0xFFFFFFFF
    if not 0 < advance < 0x80000000:
        return True
    conntrack.delete(other, connection.start, Removal.PORT_REUSED)
    return status & (Status.OFFLOAD | Status.HW_OFFLOAD) != 0
