"""The faults: where, what stands there, what stands there instead, and which scenarios should notice."""

from __future__ import annotations

from typing import Final, NamedTuple


class Fault(NamedTuple):
    """A small fault.

    Attributes:
        name: what it is.
        file: below ``src/flowtable``.
        before: what stands there, once.
        after: what stands there instead.
        topics: scenarios that should notice it.
    """

    name: str
    file: str
    before: str
    after: str
    topics: str


_KEY: Final = "packet/flowkey.py"
_PATH: Final = "datapath/path.py"
_ADMISSION: Final = "flows/admission.py"
_FLOWTABLE: Final = "flows/flowtable.py"
_FIXUP: Final = "flows/fixup.py"
_WATCH: Final = "flows/watch.py"
_MIRROR: Final = "flows/mirror.py"
_UDP: Final = "conntrack/udp.py"
_TCP: Final = "conntrack/tcp.py"
_SCTP: Final = "conntrack/sctp.py"
_SCTP_STATES: Final = "conntrack/sctp_states.py"
_UDPLITE: Final = "conntrack/udplite.py"
_NAT: Final = "conntrack/nat_tuple.py"
_MANGLE: Final = "conntrack/nat_mangle.py"
_FORWARD: Final = "router/forward.py"
_FRAGMENT: Final = "router/fragment.py"
_ICMP: Final = "router/icmp.py"
_PROFILE: Final = "profile.py"
_ENCAP: Final = "datapath/encapsulation.py"
_BRIDGE: Final = "router/bridge.py"

FAULTS: Final = (
    # Which packets take the fast path.
    Fault(
        "TTL 1 takes the fast path",
        _KEY,
        "not frag & 0x3FFF and ttl > 1",
        "not frag & 0x3FFF and ttl > 0",
        "flow",
    ),
    Fault("hop limit 1 takes the fast path", _KEY, "if ipv6 and ttl > 1:", "if ipv6 and ttl > 0:", "flow"),
    Fault(
        "first fragments take the fast path",
        _KEY,
        "and not frag & 0x3FFF and",
        "and not frag & 0x1FFF and",
        "flow",
    ),
    Fault("IPv4 options take the fast path", _KEY, "if vihl & 15 != 5:", "if vihl & 15 < 5:", "flow"),
    Fault(
        "extension headers take the fast path",
        _KEY,
        "frozenset({0, 43, 51, 60})",
        "frozenset({43, 51})",
        "flow",
    ),
    Fault(
        "priority bits are no part of the key",
        _PROFILE,
        "    vlan_priority_in_key=True,",
        "    vlan_priority_in_key=False,",
        "vlan",
    ),
    Fault(
        "the inner 802.1ad tag is understood",
        _PROFILE,
        "    inner_8021ad=False,",
        "    inner_8021ad=True,",
        "vlan",
    ),
    Fault(
        "three headers around a packet are understood",
        _PROFILE,
        "    max_encap=2,",
        "    max_encap=3,",
        "vlan pppoe",
    ),
    Fault(
        "GRE of any version is offloaded", _KEY, "if frame[last + 1] & 7:", "if frame[last + 1] & 8:", "flow"
    ),
    # What the fast path does.
    Fault("one byte more than the MTU fits", _PATH, "else direction.mtu", "else direction.mtu + 1", "flow"),
    Fault(
        "SYN ends a flow",
        _PATH,
        "if flags & _SYN and entry.flags & FlowFlag.CLOSING:",
        "if flags & _SYN:",
        "flow",
    ),
    Fault("a FIN does not end the flow", _PATH, "if flags & (_FIN | _RST):", "if flags & _RST:", "flow"),
    Fault("a reset does not end the flow", _PATH, "if flags & (_FIN | _RST):", "if flags & _FIN:", "flow"),
    Fault(
        "FIN stays on the fast path of 6.12",
        _PROFILE,
        "    fix_up_again=True,\n    mirror_replies=False,\n    tcp_closing=TcpClosing.CLASSIC,",
        "    fix_up_again=True,\n    mirror_replies=False,\n    tcp_closing=TcpClosing.BYPASS,",
        "flow",
    ),
    Fault(
        "padding is not forwarded by 6.12",
        _PROFILE,
        "    length=Length.FRAME,",
        "    length=Length.HEADER,",
        "flow",
    ),
    Fault(
        "a changed route is not noticed",
        _PATH,
        "        if direction.stale:",
        "        if direction.stale and not self.queue:",
        "flow-life",
    ),
    Fault(
        "translation leaves the IPv4 checksum",
        _PATH,
        "TTL_DELTA + (delta(old[:-4], new[:-4]) if translated else 0)",
        "TTL_DELTA",
        "flow",
    ),
    Fault(
        "ports are not in the transport checksum",
        _PATH,
        "self.l4_delta = delta(old, new) if",
        "self.l4_delta = delta(old[:-4], new[:-4]) if",
        "flow",
    ),
    # What flow add refuses.
    Fault("options may add a flow", _ADMISSION, "> _IPV4_MINIMUM:", "> 60:", "flow"),
    Fault(
        "the first packet adds the flow",
        _ADMISSION,
        "    if not status & Status.CONFIRMED:",
        "    if status & Status.DYING:",
        "flow",
    ),
    Fault("FIN may add a flow", _ADMISSION, "_FIN_OR_RST: Final = 0x05", "_FIN_OR_RST: Final = 0x04", "flow"),
    Fault(
        "a connection need not be assured",
        _ADMISSION,
        "            if not connection.status & Status.ASSURED:",
        "            if connection.status & Status.DYING:",
        "flow",
    ),
    Fault(
        "a connection need not be established",
        _ADMISSION,
        "connection.tcp is None or connection.tcp.state != _ESTABLISHED",
        "connection.tcp is None",
        "flow",
    ),
    Fault(
        "translated GRE is offloaded",
        _ADMISSION,
        "        if connection.status & Status.NAT_MASK:",
        "        if connection.status & Status.DYING:",
        "flow",
    ),
    Fault(
        "GRE with a key is offloaded",
        _ADMISSION,
        "        if connection.original.sport or connection.original.dport:",
        "        if connection.original.sport and connection.original.dport:",
        "flow",
    ),
    # The life of a flow.
    Fault(
        "a flow idles a second longer",
        _FIXUP,
        "UDP: sysctls.nf_flowtable_udp_timeout * SECOND,",
        "UDP: (sysctls.nf_flowtable_udp_timeout + 3) * SECOND,",
        "flow flow-life",
    ),
    Fault(
        "the idle time is not taken off",
        _FIXUP,
        "_state_timeout(connection, settings) - idle, now)",
        "_state_timeout(connection, settings), now)",
        "flow flow-life",
    ),
    Fault(
        "UDP without replies keeps the time of a stream",
        _FIXUP,
        "return settings.udp_stream if connection.status & Status.SEEN_REPLY else settings.udp",
        "return settings.udp_stream",
        "flow flow-life",
    ),
    Fault(
        "an established connection gets a day at once",
        _FIXUP,
        "if entry.connection.expires - now < DAY // 2:",
        "if True:",
        "flow flow-life",
    ),
    Fault(
        "teardown leaves the status",
        _FLOWTABLE,
        "            self._conntrack.take_back(connection)\n        if self._profile.sound",
        "            pass\n        if self._profile.sound",
        "flow",
    ),
    Fault(
        "counters are kept without the flag",
        _FLOWTABLE,
        "        if self.declaration.counter:",
        "        if True:",
        "flow",
    ),
    Fault(
        "the reply direction is counted as the original",
        _MIRROR,
        "connection.packets[d] += packets - known",
        "connection.packets[0] += packets - known",
        "flow",
    ),
    Fault(
        "bytes on the fast path are not counted",
        _MIRROR,
        "connection.bytes[d] += size - known_size",
        "connection.bytes[d] += 0",
        "flow",
    ),
    Fault(
        "a new address is not noticed",
        _WATCH,
        "                self._flush(address.family)",
        "                pass",
        "flow-life",
    ),
    Fault(
        "a link that goes down leaves flows",
        _WATCH,
        "if not up and self._needs(entry, device):",
        "if not up and entry.torn_down:",
        "flow-life",
    ),
    # Connection tracking and translation.
    Fault(
        "UDP is a stream at once",
        _UDP,
        "STREAM_AFTER: Final = 2 * SECOND",
        "STREAM_AFTER: Final = 0 * SECOND",
        "conntrack",
    ),
    Fault(
        "a wrong checksum is valid",
        _TCP,
        "    if hook == _PREROUTING and settings.checksum and not",
        "    if hook == -1 and settings.checksum and not",
        "conntrack",
    ),
    Fault(
        "FIN takes no sequence number",
        _TCP,
        "(offset_flags & 1) + (offset_flags >> 1 & 1)",
        "(offset_flags >> 1 & 1)",
        "conntrack",
    ),
    Fault(
        "a third retransmission changes nothing",
        _TCP,
        "    if tcp.retrans >= settings.retransmissions and",
        "    if tcp.retrans > settings.retransmissions + 9 and",
        "conntrack",
    ),
    Fault(
        "unacknowledged data changes nothing",
        _TCP,
        "& _UNACKNOWLEDGED and timeout > settings.tcp_unacknowledged",
        "& 0 and timeout > settings.tcp_unacknowledged",
        "conntrack",
    ),
    Fault(
        "a picked up connection lives for days",
        _TCP,
        "        if new == _ESTABLISHED and timeout > settings.tcp_unacknowledged:",
        "        if new == -1:",
        "conntrack",
    ),
    Fault(
        "a reopened connection is the old one",
        _TCP,
        "if flags & TcpFlag.CLOSE_INIT or (",
        "if flags & 0 or (",
        "conntrack",
    ),
    Fault(
        "a zero window changes nothing",
        _TCP,
        "    elif tcp.last_win == 0 and",
        "    elif tcp.last_win < 0 and",
        "conntrack",
    ),
    Fault(
        "a range is left out for its first address",
        _NAT,
        "        if word != last[here]:",
        "        if word == last[here]:",
        "nat",
    ),
    Fault("persistent makes no difference", _NAT, "mixed = 0 if chosen.persistent else", "mixed =", "nat"),
    Fault(
        "the other port is translated",
        _MANGLE,
        "        at = thoff if side == SOURCE else thoff + 2\n        port",
        "        at = thoff + 2 if side == SOURCE else thoff\n        port",
        "nat",
    ),
    Fault(
        "quoted segments have a checksum",
        _MANGLE,
        "        elif room >= 20:",
        "        elif room >= 8:",
        "nat",
    ),
    # The classic path.
    Fault(
        "TTL is lowered twice",
        _FORWARD,
        "_write_lifetime(data, 8, ttl - 1, protocol, check)",
        "_write_lifetime(data, 8, ttl - 2, protocol, check)",
        "forwarding",
    ),
    Fault(
        "an expired hop limit passes", _FORWARD, "    if data[7] <= 1:", "    if data[7] < 1:", "forwarding"
    ),
    Fault(
        "IPv6 packets one byte too big pass",
        _FORWARD,
        "if len(data) > mtu and size > mtu:",
        "if len(data) > mtu + 1 and size > mtu:",
        "forwarding",
    ),
    Fault(
        "broadcast frames are forwarded",
        _FORWARD,
        "    if packet.pkttype != _HOST:\n        statistics.drops[Drop.NOT_FORWARDABLE] += 1\n"
        "        return\n    ttl",
        "    if packet.pkttype == -1:\n        return\n    ttl",
        "forwarding",
    ),
    Fault(
        "fragments are cut at any byte",
        _FRAGMENT,
        "        sizes.append(space & ~7)\n        length -= space & ~7",
        "        sizes.append(space & ~3)\n        length -= space & ~3",
        "forwarding",
    ),
    Fault(
        "all options are copied to every fragment",
        _FRAGMENT,
        "        if not kind & _COPIED:",
        "        if kind == _COPIED:",
        "forwarding",
    ),
    Fault(
        "reassembled packets are cut anew",
        _FRAGMENT,
        "        len(sizes) > 1\n",
        "        len(sizes) > 9\n",
        "forwarding",
    ),
    Fault(
        "errors have the TOS of the packet",
        _ICMP,
        "tos=data[1] & 0x1E | _INTERNETWORK_CONTROL",
        "tos=data[1] & 0x1E",
        "forwarding",
    ),
    # SCTP and UDP-Lite.
    Fault(
        "a COOKIE ACK of the client changes nothing",
        _SCTP_STATES,
        "ChunkType.COOKIE_ACK: (_CL, _CL, _CW, _ES, _ES, _SS, _SR, _SA, _CL)",
        "ChunkType.COOKIE_ACK: (_CL, _CL, _CW, _CE, _ES, _SS, _SR, _SA, _CL)",
        "sctp",
    ),
    Fault(
        "a HEARTBEAT begins no connection",
        _SCTP_STATES,
        "ChunkType.HEARTBEAT: (_HS, _CL,",
        "ChunkType.HEARTBEAT: (_CL, _CL,",
        "sctp",
    ),
    Fault(
        "an ABORT begins a connection",
        _SCTP,
        "frozenset({ChunkType.ABORT, ChunkType.SHUTDOWN_COMPLETE, ChunkType.COOKIE_ACK})",
        "frozenset({ChunkType.SHUTDOWN_COMPLETE, ChunkType.COOKIE_ACK})",
        "sctp",
    ),
    Fault(
        "tags are not looked at",
        _SCTP,
        "if not kinds & _SPECIAL and tag != sctp.tags[direction]:",
        "if False:",
        "sctp",
    ),
    Fault(
        "the T bit says nothing",
        _SCTP,
        "1 - direction if chunk.flags & _REFLECTED else direction",
        "direction",
        "sctp",
    ),
    Fault(
        "a repeated INIT renews the timeout",
        _SCTP,
        "            refreshed = False\n        sctp.state = new",
        "            refreshed = True\n        sctp.state = new",
        "sctp",
    ),
    Fault(
        "a HEARTBEAT with a wrong tag is invalid",
        _SCTP,
        "                if strict:\n",
        "                if strict or True:\n",
        "sctp",
    ),
    Fault(
        "any answer takes a path over",
        _SCTP,
        "sctp.doubted is None or sctp.doubted == direction",
        "sctp.doubted is None",
        "sctp",
    ),
    Fault(
        "INITs of both sides do not collide",
        _SCTP,
        "collided = all(sctp.opened)",
        "collided = False",
        "sctp",
    ),
    Fault("chunks may be in any order", _SCTP, "(alone or chunk.kind in _FIRST)", "alone", "sctp"),
    Fault("a wrong CRC32c does not matter", _SCTP, "not checksum_valid(data, thoff)", "False", "sctp"),
    Fault(
        "translation leaves the CRC32c",
        _MANGLE,
        "            fill_checksum(data, thoff)\n",
        "            pass\n",
        "sctp",
    ),
    Fault(
        "the checksum of UDP-Lite covers everything",
        _UDPLITE,
        "covered = covered or size",
        "covered = size",
        "udplite",
    ),
    # What adds no flow, and where redirects go.
    Fault(
        "connections with a helper are offloaded",
        _ADMISSION,
        "if connection.helper is not None:",
        "if False:",
        "refusals",
    ),
    Fault(
        "an IPv6 sender's device will do for a route",
        "topology/fib.py",
        "            return pinned\n        return best",
        "            return pinned\n        return pinned",
        "drawn",
    ),
    # Layer 2.
    Fault(
        "tags are put on in the wrong order",
        _ENCAP,
        "self._pushed = tuple(header for header in exit_.push if",
        "self._pushed = tuple(header for header in reversed(exit_.push) if",
        "vlan",
    ),
    Fault(
        "the session's length leaves out its protocol",
        _ENCAP,
        "0x11, 0, identifier, len(packet) + 2)",
        "0x11, 0, identifier, len(packet))",
        "pppoe",
    ),
    Fault(
        "a bridge forgets to take tags off",
        _BRIDGE,
        "            if not tagged:",
        "            if tagged:",
        "bridge-vlan",
    ),
    Fault(
        "a bridge learns from listening ports",
        _BRIDGE,
        "frozenset({PortState.LEARNING, PortState.FORWARDING})",
        "frozenset({PortState.LISTENING, PortState.LEARNING, PortState.FORWARDING})",
        "bridge",
    ),
    Fault(
        "ports that take no unknown frames get them",
        _BRIDGE,
        "if port.flood]",
        "if port.flood or True]",
        "bridge",
    ),
    Fault(
        "a frame in another VLAN may leave",
        _BRIDGE,
        "return not frame.filtered or frame.vid in port.vlans.members",
        "return True",
        "bridge-vlan",
    ),
)
