"""A frame in one line, in the manner of ``tcpdump -n``."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address
from typing import Final, NamedTuple

from flowtable.packet import arp, extension, icmp, icmpv6, nd, pppoe, tcp
from flowtable.packet.arp import Arp
from flowtable.packet.ethernet import MINIMUM_ETHERTYPE, Ethernet
from flowtable.packet.extension import Fragment
from flowtable.packet.gre import Gre
from flowtable.packet.icmp import Icmp
from flowtable.packet.icmpv6 import Icmpv6
from flowtable.packet.ipv4 import Ipv4
from flowtable.packet.ipv6 import Ipv6
from flowtable.packet.malformed import Malformed
from flowtable.packet.packet import (
    ETHERTYPE_ARP,
    ETHERTYPE_IPV4,
    ETHERTYPE_IPV6,
    ETHERTYPE_PPPOE_SESSION,
    ETHERTYPE_QINQ,
    ETHERTYPE_VLAN,
    GRE,
    ICMP,
    ICMPV6,
    TCP,
    UDP,
)
from flowtable.packet.pppoe import Pppoe
from flowtable.packet.tcp import Tcp
from flowtable.packet.udp import Udp
from flowtable.packet.view import Buffer, View
from flowtable.packet.vlan import Vlan

_TCP_FLAGS: Final = (
    (tcp.FIN, "F"),
    (tcp.SYN, "S"),
    (tcp.RST, "R"),
    (tcp.PSH, "P"),
    (tcp.ACK, "."),
    (tcp.URG, "U"),
    (tcp.ECE, "E"),
    (tcp.CWR, "W"),
)

_ICMP: Final = {
    (icmp.ECHO_REQUEST, 0): "echo request",
    (icmp.ECHO_REPLY, 0): "echo reply",
    (icmp.TIME_EXCEEDED, icmp.TTL_EXCEEDED): "time exceeded in-transit",
    (icmp.TIME_EXCEEDED, icmp.REASSEMBLY_EXCEEDED): "ip reassembly time exceeded",
    (icmp.DESTINATION_UNREACHABLE, icmp.NET_UNREACHABLE): "net unreachable",
    (icmp.DESTINATION_UNREACHABLE, icmp.HOST_UNREACHABLE): "host unreachable",
    (icmp.DESTINATION_UNREACHABLE, icmp.PROTOCOL_UNREACHABLE): "protocol unreachable",
    (icmp.DESTINATION_UNREACHABLE, icmp.PORT_UNREACHABLE): "port unreachable",
    (icmp.DESTINATION_UNREACHABLE, icmp.FRAGMENTATION_NEEDED): "unreachable - need to frag",
    (icmp.DESTINATION_UNREACHABLE, icmp.ADMIN_PROHIBITED): "admin prohibited",
    (icmp.REDIRECT, icmp.REDIRECT_NET): "redirect to net",
    (icmp.REDIRECT, icmp.REDIRECT_HOST): "redirect to host",
    (icmp.PARAMETER_PROBLEM, icmp.POINTER): "parameter problem",
}

_ICMPV6: Final = {
    (icmpv6.ECHO_REQUEST, 0): "echo request",
    (icmpv6.ECHO_REPLY, 0): "echo reply",
    (icmpv6.PACKET_TOO_BIG, 0): "packet too big",
    (icmpv6.TIME_EXCEEDED, icmpv6.HOP_LIMIT_EXCEEDED): "time exceeded in-transit",
    (icmpv6.TIME_EXCEEDED, icmpv6.REASSEMBLY_EXCEEDED): "ip reassembly time exceeded",
    (icmpv6.DESTINATION_UNREACHABLE, icmpv6.NO_ROUTE): "unreachable route",
    (icmpv6.DESTINATION_UNREACHABLE, icmpv6.ADMIN_PROHIBITED): "unreachable prohibited",
    (icmpv6.DESTINATION_UNREACHABLE, icmpv6.ADDRESS_UNREACHABLE): "unreachable address",
    (icmpv6.DESTINATION_UNREACHABLE, icmpv6.PORT_UNREACHABLE): "unreachable port",
    (icmpv6.PARAMETER_PROBLEM, icmpv6.HEADER_FIELD): "parameter problem",
    (icmpv6.PARAMETER_PROBLEM, icmpv6.UNKNOWN_NEXT_HEADER): "parameter problem, next header",
    (icmpv6.PARAMETER_PROBLEM, icmpv6.UNKNOWN_OPTION): "parameter problem, option",
    (icmpv6.ROUTER_SOLICITATION, 0): "router solicitation",
    (icmpv6.ROUTER_ADVERTISEMENT, 0): "router advertisement",
    (icmpv6.NEIGHBOUR_SOLICITATION, 0): "neighbor solicitation",
    (icmpv6.NEIGHBOUR_ADVERTISEMENT, 0): "neighbor advertisement",
    (icmpv6.REDIRECT, 0): "redirect",
    (icmpv6.MLD2_REPORT, 0): "multicast listener report v2",
}

_ABOUT_TARGET: Final = (icmpv6.NEIGHBOUR_SOLICITATION, icmpv6.NEIGHBOUR_ADVERTISEMENT)

_PPP: Final = {pppoe.PPP_IPV4: ETHERTYPE_IPV4, pppoe.PPP_IPV6: ETHERTYPE_IPV6}

_PROTOCOLS: Final = {
    ICMP: "icmp",
    2: "igmp",
    TCP: "tcp",
    UDP: "udp",
    GRE: "gre",
    50: "esp",
    extension.AUTHENTICATION: "ah",
    ICMPV6: "icmp6",
    extension.NO_NEXT_HEADER: "no next header",
    132: "sctp",
}

_PORTS = struct.Struct("!HH")


class _Ip(NamedTuple):
    """An IP packet on its way to be described.

    Attributes:
        name: "IP" or "IP6".
        source: source address.
        destination: destination address.
        protocol: transport protocol.
        buffer: the frame.
        at: where the transport header begins.
        end: where the packet ends.
        fragment: its fragment offset in bytes.
        more: whether it is the first of several fragments.
    """

    name: str
    source: str
    destination: str
    protocol: int
    buffer: Buffer
    at: int
    end: int
    fragment: int
    more: bool


def describe(frame: bytes) -> str:
    """One line about an Ethernet frame, for error messages and reports.

    Any bytes will do: where the frame stops making sense, the line says so and ends.

    Example:
        ``vlan 7, IP 10.0.0.1.40000 > 10.0.0.2.80: Flags [S], seq 1, win 64240, length 0``
    """
    parts: list[str] = []
    try:
        _frame(frame, parts)
    except Malformed as error:
        parts.append(f"[{error.reason}]")
    return ", ".join(parts)


def _frame(frame: bytes, parts: list[str]) -> None:
    header = Ethernet(frame).check()
    ethertype = header.ethertype
    at = header.payload_offset
    end = len(frame)
    while ethertype in (ETHERTYPE_VLAN, ETHERTYPE_QINQ):
        tag = Vlan(frame, at).check()
        priority = f" p {tag.pcp}" if tag.pcp else ""
        parts.append(f"{'vlan' if ethertype == ETHERTYPE_VLAN else 'qinq'} {tag.vid}{priority}")
        ethertype, at = tag.ethertype, tag.payload_offset
    if ethertype == ETHERTYPE_PPPOE_SESSION:
        session = Pppoe(frame, at).check()
        parts.append(f"pppoe {session.session}")
        if session.protocol not in _PPP:
            parts.append(f"ppp protocol 0x{session.protocol:04x}, length {session.length - 2}")
            return
        ethertype = _PPP[session.protocol]
        at, end = session.payload_offset, at + 6 + session.length
    if ethertype == ETHERTYPE_IPV4:
        parts.append(_ip(_read_ipv4(Ipv4(frame, at, end))))
    elif ethertype == ETHERTYPE_IPV6:
        parts.append(_ip(_read_ipv6(Ipv6(frame, at, end))))
    elif ethertype == ETHERTYPE_ARP:
        _arp(frame, at, parts)
    else:
        kind = f"ethertype 0x{ethertype:04x}" if ethertype >= MINIMUM_ETHERTYPE else "llc"
        parts.append(f"{_mac(header.source)} > {_mac(header.destination)}: {kind}")
        parts.append(f"length {end - at}")


def _mac(address: bytes) -> str:
    return address.hex(":")


def _arp(frame: bytes, at: int, parts: list[str]) -> None:
    message = Arp(frame, at).check()
    sender, target = IPv4Address(message.sender), IPv4Address(message.target)
    if message.operation == arp.REQUEST:
        parts.append(f"ARP, Request who-has {target} tell {sender}")
    elif message.operation == arp.REPLY:
        parts.append(f"ARP, Reply {sender} is-at {_mac(message.sender_mac)}")
    else:
        parts.append(f"ARP, operation {message.operation}")


def _read_ipv4(header: Ipv4, *, quoted: bool = False) -> _Ip:
    header.check(quoted=quoted)
    return _Ip(
        "IP",
        str(IPv4Address(header.source)),
        str(IPv4Address(header.destination)),
        header.protocol,
        header.buffer,
        header.payload_offset,
        header.payload_end,
        header.fragment_offset,
        header.more_fragments,
    )


def _read_ipv6(header: Ipv6, *, quoted: bool = False) -> _Ip:
    header.check(quoted=quoted)
    protocol, at, fragment = header.transport
    more = False
    if header.next_header == extension.FRAGMENT and at > header.payload_offset:
        more = Fragment(header.buffer, header.payload_offset).more_fragments
    return _Ip(
        "IP6",
        str(IPv6Address(header.source)),
        str(IPv6Address(header.destination)),
        protocol,
        header.buffer,
        at,
        header.payload_end,
        fragment,
        more,
    )


def _ip(ip: _Ip) -> str:
    ends = f"{ip.name} {ip.source} > {ip.destination}:"
    length = max(ip.end - ip.at, 0)
    if ip.fragment:
        return f"{ends} fragment of {_protocol(ip)} at {ip.fragment}, length {length}"
    try:
        if ip.protocol == TCP:
            segment = Tcp(ip.buffer, ip.at, ip.end).check()
            return f"{_ports(ip, segment.sport, segment.dport)}: {_tcp(segment)}"
        if ip.protocol == UDP:
            datagram = Udp(ip.buffer, ip.at, ip.end)
            # The first fragment of a datagram is shorter than the datagram's length.
            View.check(datagram) if ip.more else datagram.check()
            return f"{_ports(ip, datagram.sport, datagram.dport)}: UDP, length {datagram.length - 8}"
        if ip.protocol == ICMP and ip.name == "IP":
            return f"{ends} ICMP {_icmp(Icmp(ip.buffer, ip.at, ip.end).check())}, length {length}"
        if ip.protocol == ICMPV6 and ip.name == "IP6":
            return f"{ends} ICMP6 {_icmpv6(Icmpv6(ip.buffer, ip.at, ip.end).check())}, length {length}"
        if ip.protocol == GRE:
            header = Gre(ip.buffer, ip.at, ip.end).check()
            return f"{ends} GREv{header.version} of 0x{header.protocol:04x}, length {length}"
        if ip.protocol == extension.NO_TRANSPORT:
            return f"{ends} [extension headers break off]"
        return f"{ends} {_protocol(ip)}, length {length}"
    except Malformed as error:
        return f"{ends} {_protocol(ip)} [{error.reason}]"


def _protocol(ip: _Ip) -> str:
    return _PROTOCOLS.get(ip.protocol, f"protocol {ip.protocol}")


def _ports(ip: _Ip, sport: int, dport: int) -> str:
    return f"{ip.name} {ip.source}.{sport} > {ip.destination}.{dport}"


def _tcp(segment: Tcp) -> str:
    flags = "".join(letter for bit, letter in _TCP_FLAGS if segment.flags & bit) or "none"
    length = segment.end - segment.payload_offset
    sequence = f"{segment.sequence}"
    if length:
        sequence += f":{(segment.sequence + length) & 0xFFFFFFFF}"
    ack = f", ack {segment.acknowledgement}" if segment.flags & tcp.ACK else ""
    return f"Flags [{flags}], seq {sequence}{ack}, win {segment.window}, length {length}"


def _icmp(message: Icmp) -> str:
    text = _ICMP.get((message.kind, message.code), f"type {message.kind} code {message.code}")
    if message.kind in (icmp.ECHO_REQUEST, icmp.ECHO_REPLY):
        text += f", id {message.ident}, seq {message.sequence}"
    elif message.kind == icmp.DESTINATION_UNREACHABLE and message.code == icmp.FRAGMENTATION_NEEDED:
        text += f" (mtu {message.mtu})"
    elif message.kind == icmp.REDIRECT:
        text += f" {IPv4Address(message.gateway)}"
    return text + _quoted(message)


def _icmpv6(message: Icmpv6) -> str:
    text = _ICMPV6.get((message.kind, message.code), f"type {message.kind} code {message.code}")
    if message.kind in (icmpv6.ECHO_REQUEST, icmpv6.ECHO_REPLY):
        text += f", id {message.ident}, seq {message.sequence}"
    elif message.kind == icmpv6.PACKET_TOO_BIG:
        text += f" (mtu {message.mtu})"
    elif message.kind in _ABOUT_TARGET and message.end - message.offset >= nd.NeighbourSolicitation.SIZE:
        text += f" of {IPv6Address(message.payload[:16])}"
    return text + _quoted(message)


def _quoted(message: Icmp | Icmpv6) -> str:
    """What an error is about, as far as it quotes it."""
    if not message.is_error:
        return ""
    try:
        if isinstance(message, Icmp):
            ip = _read_ipv4(message.quoted, quoted=True)
        else:
            ip = _read_ipv6(message.quoted, quoted=True)
    except Malformed as error:
        return f" [{error.reason}]"
    if ip.protocol in (TCP, UDP) and not ip.fragment and ip.end - ip.at >= 4:
        sport, dport = _PORTS.unpack_from(ip.buffer, ip.at)
        return f" for {_protocol(ip)} {ip.source}.{sport} > {ip.destination}.{dport}"
    return f" for {_protocol(ip)} {ip.source} > {ip.destination}"
