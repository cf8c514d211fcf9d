"""What is around the packets of a direction: taken off on arrival, put on when they leave.

A path works on packets behind a bare Ethernet header. Where there is more in front of them, or
more has to be looked at, an ``Encapsulation`` stands around the path: it checks the headers that
it takes off, and puts on those of the other side. What does not depend on the packet is worked
out beforehand.

Ref: net/netfilter/nf_flow_table_ip.c:nf_flow_encap_pop, nf_flow_encap_push, nf_flow_tunnel_push.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final

from flowtable.packet.checksum import fill_ipv4
from flowtable.packet.flowkey import IPPROTO_IPIP, IPPROTO_IPV6, network_offset
from flowtable.packet.miss import Miss
from flowtable.packet.packet import ETHERTYPE_PPPOE_SESSION, IPV4
from flowtable.profile import Length

if TYPE_CHECKING:
    from flowtable.flows.entry import Direction
    from flowtable.profile import Profile
    from flowtable.topology.tunnel import Tunnel

_ETHERNET: Final = 14
_MACS: Final = 12
_IPV4_HEADER: Final = 20
_IPV6_HEADER: Final = 40
_TAG: Final = 4
_PPPOE: Final = 8
_CONGESTION: Final = 3
"""The ECN field of a type of service or traffic class."""
_ECT1, _ECT0, _CE = 1, 2, 3
_DONT_FRAGMENT: Final = 0x4000
_PRIORITY: Final = 0xF000
"""PCP and DEI of a tag."""
_TUNNELS: Final = frozenset({IPPROTO_IPIP, IPPROTO_IPV6})
_PPP_PROTOCOL: Final = {b"\x08\x00": b"\x00\x21", b"\x86\xdd": b"\x00\x57"}

_u16_at = Struct("!H").unpack_from
_tag = Struct("!HH").pack
_pppoe = Struct("!HBBHH").pack
_outer4 = Struct("!BBHHHBBH8s").pack
_outer6 = Struct("!IHBB32s").pack


class Encapsulation:
    """The link layer of one direction, beyond a bare Ethernet header.

    Attributes:
        shift: bytes between the Ethernet header and the IP header of packets that arrive.
        station: how frames for the box may begin, empty where the device has seen to it.
    """

    __slots__ = (
        "_exact",
        "_ipv4",
        "_outer",
        "_pppoe",
        "_priorities",
        "_pushed",
        "_tunnel",
        "shift",
        "station",
    )

    def __init__(self, direction: Direction, profile: Profile) -> None:
        key = direction.key
        entrance, exit_ = direction.entrance, direction.exit
        self.shift = network_offset(key.encap) - _ETHERNET
        self.station: tuple[bytes, ...] = ()
        if profile.check_station and entrance.stacked:
            # The address of the device below is the box's as well.
            own = (entrance.source, entrance.port.mac)
            self.station = tuple(mac + (entrance.peer or b"") for mac in own)
        self._ipv4 = key.l3proto == IPV4
        self._exact = profile.length is Length.HEADER
        # Where a session and an outer IP header say how long what is in them is.
        self._pppoe: int | None = None
        self._outer: int | None = None
        self._priorities: list[int] = []
        at = _ETHERNET
        for _, ethertype in key.encap:
            if ethertype == ETHERTYPE_PPPOE_SESSION:
                self._pppoe = at + 4
                at += _PPPOE
            elif ethertype in _TUNNELS:
                self._outer = at
            else:
                self._priorities.append(at)
                at += _TAG
        if not profile.keep_vlan_priority:
            self._priorities.clear()
        tunnel = exit_.tunnel if exit_.push else None
        self._tunnel: Tunnel | None = None if tunnel is None else tunnel.device
        self._pushed = tuple(header for header in exit_.push if header[1] not in _TUNNELS)

    @classmethod
    def of(cls, direction: Direction, profile: Profile) -> Encapsulation | None:
        """That of a direction, None where there is nothing to do."""
        if not (direction.key.encap or direction.exit.push or direction.entrance.stacked):
            return None
        around = cls(direction, profile)
        return None if around.plain else around

    @property
    def puts_on(self) -> bool:
        """Whether packets leave with more than a bare Ethernet header."""
        return bool(self._pushed or self._tunnel)

    @property
    def plain(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.shift or self.station or self.puts_on)

    def take_off(self, frame: bytes) -> bytes | Miss:
        """The packet behind 14 bytes; or why it is not one of the flow."""
        if self.station and not frame.startswith(self.station):
            return Miss.STATION
        shift = self.shift
        if not shift:
            return frame
        if self._exact and not self._consistent(frame):
            return Miss.TRUNCATED
        if self._outer is not None and self._congested(frame, self._outer):
            return Miss.CONGESTION
        return frame[shift:]

    def _consistent(self, frame: bytes) -> bool:
        """Whether what the headers say of their length holds the packet, and the frame holds that.

        Ref: drivers/net/ppp/pppoe.c:pppoe_rcv, net/ipv4/ip_input.c:ip_rcv_core.
        """
        room = len(frame)
        if self._pppoe is not None:
            (length,) = _u16_at(frame, self._pppoe)
            if self._pppoe + 2 + length > room:
                return False
            room = self._pppoe + 2 + length
        if self._outer is not None:
            end = self._ip_end(frame, self._outer)
            if end > room:
                return False
            room = end
        return self._ip_end(frame, _ETHERNET + self.shift) <= room

    def _ip_end(self, frame: bytes, at: int) -> int:
        """Where an IP packet ends by its own account."""
        if self._ipv4:
            return at + int(_u16_at(frame, at + 2)[0])
        return at + _IPV6_HEADER + int(_u16_at(frame, at + 4)[0])

    def _congested(self, frame: bytes, outer: int) -> bool:
        """Whether what the outer header says of congestion goes over to the packet, or ends it.

        Ref: include/net/inet_ecn.h:__INET_ECN_decapsulate.
        """
        outside = _traffic_class(frame, outer, self._ipv4) & _CONGESTION
        inside = _traffic_class(frame, _ETHERNET + self.shift, self._ipv4) & _CONGESTION
        return (outside == _CE and inside != _CE) or (outside == _ECT1 and inside == _ECT0)

    def put_on(self, arrived: bytes, frame: bytes) -> bytes:
        """The frame that leaves.

        Args:
            arrived: the frame as it arrived, whose tags give their priority.
            frame: what the path made of it: MAC addresses, ethertype, packet.
        """
        macs, ethertype, packet = frame[:_MACS], frame[_MACS:_ETHERNET], frame[_ETHERNET:]
        if self._tunnel is not None:
            packet = _in_tunnel(self._tunnel, packet)
        headers = bytearray()
        priorities = iter(self._priorities)
        for identifier, protocol in self._pushed:
            if protocol == ETHERTYPE_PPPOE_SESSION:
                headers += _pppoe(protocol, 0x11, 0, identifier, len(packet) + 2)
                ethertype = _PPP_PROTOCOL[ethertype]
            else:
                at = next(priorities, None)
                priority = 0 if at is None else _u16_at(arrived, at)[0] & _PRIORITY
                headers += _tag(protocol, priority | identifier)
        return macs + headers + ethertype + packet


def _traffic_class(packet: bytes, at: int, ipv4: bool) -> int:
    """Type of service, or traffic class."""
    return packet[at + 1] if ipv4 else int(_u16_at(packet, at)[0]) >> 4 & 0xFF


def _in_tunnel(tunnel: Tunnel, packet: bytes) -> bytes:
    """The packet behind the outer header that the classic path would put on.

    Of the packet it has the congestion field, and the TTL unless the tunnel has one of its own.
    It is never to be fragmented, so it needs no identification (RFC 6864).

    Ref: net/ipv4/ip_tunnel.c:ip_tunnel_xmit, net/ipv6/ip6_tunnel.c:ip6_tnl_xmit,
    include/net/inet_ecn.h:INET_ECN_encapsulate.
    """
    ipv4 = packet[0] >> 4 == 4
    congestion = _traffic_class(packet, 0, ipv4) & _CONGESTION
    if congestion == _CE:
        congestion = _ECT0
    ends = tunnel.local + tunnel.remote
    if not ipv4:
        first = 6 << 28 | congestion << 20
        return _outer6(first, len(packet), IPPROTO_IPV6, tunnel.ttl or packet[7], ends) + packet
    length, ttl = _IPV4_HEADER + len(packet), tunnel.ttl or packet[8]
    header = bytearray(_outer4(0x45, congestion, length, 0, _DONT_FRAGMENT, ttl, IPPROTO_IPIP, 0, ends))
    fill_ipv4(header)
    return bytes(header) + packet
