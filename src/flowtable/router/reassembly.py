"""Reassembly: fragments wait here until their packet is whole.

Stands at priority -400 of prerouting and output where connections are tracked, and in front of
local delivery where they are not. What overlaps is an attack and takes its whole packet with
it; what is there twice is ignored. Every fragment that goes in comes out: as part of a whole
packet, in ``packet.drop`` of the fragment handed in, or through ``discard``.

Ref: net/ipv4/inet_fragment.c; net/ipv4/ip_fragment.c; net/ipv6/netfilter/nf_conntrack_reasm.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.clock import SECOND
from flowtable.packet.checksum import fill_ipv4
from flowtable.packet.drop import Drop
from flowtable.packet.extension import (
    AUTHENTICATION,
    EXTENSION_HEADERS,
    FRAGMENT,
    NO_NEXT_HEADER,
    NO_TRANSPORT,
    find_transport,
)
from flowtable.packet.packet import ICMPV6, TCP, UDP
from flowtable.packet.parse import dissect_ipv6
from flowtable.router.reassembly_queue import ECN, QUEUE_COST, Fit, Queue, Reassembly, put_together, refuse
from flowtable.ruleset.verdict import Verdict
from flowtable.topology.route import RouteType

if TYPE_CHECKING:
    from flowtable.clock import Alarm
    from flowtable.packet.packet import Packet
    from flowtable.router.peer import Peers
    from flowtable.router.reassembly_queue import Report
    from flowtable.topology.topology import Topology

_ACCEPT: Final = int(Verdict.ACCEPT)
_STOLEN: Final = int(Verdict.STOLEN)

_MAX_PACKET: Final = 65535


class Reassembly4(Reassembly):
    """IPv4 reassembly. Ref: net/ipv4/ip_fragment.c."""

    __slots__ = ("_peers",)

    def __init__(
        self,
        topology: Topology,
        peers: Peers,
        *,
        discard: Report,
        time_exceeded: Report,
        joined: Report,
        alarm: Alarm | None = None,
    ) -> None:
        """Start without fragments.

        Args:
            topology: the box.
            peers: the hosts that send fragments.
            discard: hears of each fragment that ends here, with ``packet.drop`` set, and when.
            time_exceeded: hears of a first fragment to the box itself whose others did not come.
            joined: hears of each packet that is whole now.
            alarm: told when ``advance`` will have something to do.
        """
        super().__init__(topology, discard, time_exceeded, joined, alarm)
        self._peers = peers

    def gather(self, packet: Packet) -> int:
        """Take in a packet; what is not a fragment passes.

        Received and own packets are kept apart (``IP_DEFRAG_CONNTRACK_IN``, ``_OUT``).

        Returns:
            A ``Verdict``: ACCEPT and ``packet`` is whole now, STOLEN and it waits here, or DROP
            with ``packet.drop`` set.

        Ref: net/ipv4/ip_fragment.c:ip_defrag, ip_frag_queue, ip_frag_reasm.
        """
        data = packet.data
        flags = data[6]
        offset = packet.fragoff
        if not offset and not flags & 0x20:
            return _ACCEPT
        sysctls = self._topology.sysctls
        now = packet.time
        source = bytes(data[12:16])
        key = source + data[16:20] + data[4:6] + bytes((data[9], packet.iif is None))
        queue = self._find(key, sysctls.ipfrag_time, sysctls.ipfrag_high_thresh, now)
        if queue is None:
            return refuse(packet, Drop.FRAGMENT_LIMIT)
        if sysctls.ipfrag_max_dist and self._too_far(queue, source, sysctls.ipfrag_max_dist, now):
            self._reinit(key, queue, now + sysctls.ipfrag_time * SECOND, now)

        thoff = packet.thoff
        end = offset + len(data) - thoff
        if flags & 0x20:
            end &= ~7
            if end > queue.length:
                if queue.last:
                    return self._destroy(key, queue, packet)
                queue.length = end
        else:
            if end < queue.length or (queue.last and end != queue.length):
                return self._destroy(key, queue, packet)
            queue.last = True
            queue.length = end
        if end <= offset:
            return self._destroy(key, queue, packet)

        match queue.place(offset, end):
            case Fit.DUPLICATE:
                return refuse(packet, Drop.FRAGMENT_DUPLICATE)
            case Fit.OVERLAP:
                return self._destroy(key, queue, packet)
            case Fit.NEW:
                self._keep(queue, offset, bytes(data[thoff : thoff + end - offset]), packet, data[1])
        size = end - offset + thoff
        queue.max_size = max(queue.max_size, size)
        if flags & 0x40:
            queue.max_df_size = max(queue.max_df_size, size)
        if not queue.whole:
            return _STOLEN
        return self._finish(key, queue, packet)

    def _finish(self, key: bytes, queue: Queue, packet: Packet) -> int:
        first = queue.first
        assert first is not None
        header = first.data[: first.thoff]
        ecn = ECN[queue.ecn]
        size = len(header) + queue.length
        if ecn is None or size > _MAX_PACKET:
            return self._destroy(key, queue, packet)
        self._remove(key, queue)
        packet.frag_max_size = queue.max_size
        packet.frag_df = queue.max_df_size == queue.max_size
        header[1] |= ecn
        header[2:4] = size.to_bytes(2)
        header[6:8] = b"\x40\0" if packet.frag_df else b"\0\0"
        fill_ipv4(header)
        packet.thoff = len(header)
        packet.fragoff = 0
        put_together(queue, packet, header)
        self._joined(packet, packet.time)
        return _ACCEPT

    def _too_far(self, queue: Queue, source: bytes, limit: int, now: int) -> bool:
        """Whether so many others came in between that the identification is another packet's.

        Ref: net/ipv4/ip_fragment.c:ip_frag_too_far.
        """
        peer = self._peers.get(source, now)
        peer.fragments += 1
        before, queue.arrived = queue.arrived, peer.fragments
        return bool(queue.fragments) and peer.fragments - before > limit

    def _reinit(self, key: bytes, queue: Queue, due: int, now: int) -> None:
        """Ref: net/ipv4/ip_fragment.c:ip_frag_reinit."""
        self._give_up(queue, Drop.FRAGMENT_TIMEOUT, now)
        self._remove(key, queue)
        queue.restart()
        queue.due = due
        queue.cost = QUEUE_COST
        self._memory += QUEUE_COST
        self._queues[key] = queue

    def _expired(self, first: Packet, now: int) -> None:
        # Only an end host says so (RFC 792): see ip_expire.
        route = self._topology.fib4.lookup(bytes(first.data[16:20]), iif=first.iif)
        if route is not None and route.type is RouteType.LOCAL:
            first.dst = route
            self._time_exceeded(first, now)


class Reassembly6(Reassembly):
    """IPv6 reassembly. Ref: net/ipv6/netfilter/nf_conntrack_reasm.c."""

    __slots__ = ("_conntrack",)

    def __init__(
        self,
        topology: Topology,
        *,
        conntrack: bool,
        discard: Report,
        time_exceeded: Report,
        joined: Report,
        alarm: Alarm | None = None,
    ) -> None:
        """Start without fragments.

        Args:
            topology: the box.
            conntrack: whether it stands in front of connection tracking, not of local delivery:
                which of the two kinds of ``frag6`` sysctls it obeys.
            discard: hears of each fragment that ends here, with ``packet.drop`` set, and when.
            time_exceeded: hears of a first fragment whose others did not come. Unlike IPv4 a
                router says so as well.
            joined: hears of each packet that is whole now.
            alarm: told when ``advance`` will have something to do.
        """
        super().__init__(topology, discard, time_exceeded, joined, alarm)
        self._conntrack = conntrack

    def gather(self, packet: Packet) -> int:
        """Take in a packet; one without a fragment header passes.

        A packet in a single fragment (RFC 6946) loses its fragment header.

        Returns:
            A ``Verdict``: ACCEPT and ``packet`` is whole now, or not to be put together; STOLEN
            and it waits here; or DROP with ``packet.drop`` set.

        Ref: net/ipv6/netfilter/nf_conntrack_reasm.c:nf_ct_frag6_gather, nf_ct_frag6_queue.
        """
        data = packet.data
        if data[6] not in EXTENSION_HEADERS:
            return _ACCEPT
        place = _fragment_header(data)
        if place is None:
            return _ACCEPT
        at, _ = place
        # A first fragment without all of its headers (RFC 8200 section 4.5) goes on as it is.
        if _headers_truncated(data, at):
            return _ACCEPT
        if len(data) < at + 8:
            return refuse(packet, Drop.FRAGMENT_INVALID)
        now = packet.time
        key = data[8:40] + data[at + 4 : at + 8] + bytes((packet.iif is None,))
        if packet.iif is not None and (data[24] == 0xFF or (data[24] == 0xFE and data[25] & 0xC0 == 0x80)):
            key += packet.iif.index.to_bytes(4)
        sysctls = self._topology.sysctls
        if self._conntrack:
            timeout, limit = sysctls.nf_conntrack_frag6_timeout, sysctls.nf_conntrack_frag6_high_thresh
        else:
            timeout, limit = sysctls.ip6frag_time, sysctls.ip6frag_high_thresh
        identity = bytes(key)
        queue = self._find(identity, timeout, limit, now)
        if queue is None:
            return refuse(packet, Drop.FRAGMENT_LIMIT)

        field = data[at + 2] << 8 | data[at + 3]
        offset = field & 0xFFF8
        end = offset + len(data) - at - 8
        if end > _MAX_PACKET:
            return refuse(packet, Drop.FRAGMENT_INVALID)
        if field & 1:
            if end & 7:
                self._remove(identity, queue)
                self._give_up(queue, Drop.FRAGMENT_INVALID, now)
                return _ACCEPT
            if end > queue.length:
                if queue.last:
                    return refuse(packet, Drop.FRAGMENT_INVALID)
                queue.length = end
        else:
            if end < queue.length or (queue.last and end != queue.length):
                return refuse(packet, Drop.FRAGMENT_INVALID)
            queue.last = True
            queue.length = end
        if end == offset:
            return refuse(packet, Drop.FRAGMENT_INVALID)

        match queue.place(offset, end):
            case Fit.DUPLICATE:
                return refuse(packet, Drop.FRAGMENT_DUPLICATE)
            case Fit.OVERLAP:
                return self._destroy(identity, queue, packet)
            case Fit.NEW:
                traffic_class = data[1] >> 4
                self._keep(queue, offset, bytes(data[at + 8 :]), packet, traffic_class)
        queue.max_size = max(queue.max_size, len(data))
        if not queue.whole:
            return _STOLEN
        return self._finish(identity, queue, packet)

    def _finish(self, key: bytes, queue: Queue, packet: Packet) -> int:
        first = queue.first
        assert first is not None
        place = _fragment_header(first.data)
        assert place is not None
        at, named_at = place
        ecn = ECN[queue.ecn]
        length = at - 40 + queue.length
        if ecn is None or length > _MAX_PACKET:
            return self._destroy(key, queue, packet)
        self._remove(key, queue)
        header = first.data[:at]
        header[named_at] = first.data[at]
        header[1] |= ecn << 4
        header[4:6] = length.to_bytes(2)
        packet.frag_max_size = queue.max_size
        put_together(queue, packet, header)
        dissect_ipv6(packet)
        self._joined(packet, packet.time)
        return _ACCEPT

    def _expired(self, first: Packet, now: int) -> None:
        # Ref: include/net/ipv6_frag.h:ip6frag_expire_frag_queue.
        self._time_exceeded(first, now)


def _fragment_header(data: bytearray) -> tuple[int, int] | None:
    """Where the fragment header is, and where the header before it names it; None without one.

    Ref: net/ipv6/netfilter/nf_conntrack_reasm.c:find_prev_fhdr.
    """
    nexthdr = data[6]
    named_at = 6
    at = 40
    while nexthdr != FRAGMENT:
        if nexthdr not in EXTENSION_HEADERS or len(data) < at + 2:
            return None
        unit, extra = (4, 2) if nexthdr == AUTHENTICATION else (8, 1)
        nexthdr, named_at = data[at], at
        at += (data[at + 1] + extra) * unit
    return (at, named_at) if at <= len(data) else None


_NEEDED: Final = {TCP: 20, UDP: 8, ICMPV6: 8}


def _headers_truncated(data: bytearray, at: int) -> bool:
    """Whether a first fragment ends inside its transport header.

    Ref: include/net/ipv6_frag.h:ipv6frag_thdr_truncated.
    """
    protocol, thoff, fragoff = find_transport(data, FRAGMENT, at)
    if fragoff or protocol in (NO_TRANSPORT, NO_NEXT_HEADER):
        return False
    return thoff + _NEEDED.get(protocol, 1) > len(data)
