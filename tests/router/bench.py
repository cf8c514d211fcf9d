"""The box's own voice on the bench: its parts without the stations between them."""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from ipaddress import ip_address
from typing import Any

from scapy.layers.inet import IP, in4_chksum
from scapy.layers.inet6 import IPv6, in6_chksum
from scapy.layers.l2 import Ether
from scapy.utils import checksum

from flowtable.clock import SECOND
from flowtable.conntrack.core import Conntrack
from flowtable.packet.packet import Packet
from flowtable.packet.parse import parse_ipv4, parse_ipv6
from flowtable.router.arp import Arp
from flowtable.router.icmp import Icmp
from flowtable.router.icmpv6 import Icmpv6
from flowtable.router.ident import Identifiers
from flowtable.router.local import Local
from flowtable.router.nd import NeighbourDiscovery
from flowtable.router.neighbour import Resolver
from flowtable.router.peer import IcmpBudget, Peers
from flowtable.router.reassembly import Reassembly4, Reassembly6
from flowtable.router.redirect import Redirects
from flowtable.router.reject import Reject
from flowtable.topology.boxfile import load
from flowtable.topology.topology import Topology

START = 1_000_000 * SECOND

A_MAC = bytes.fromhex("020000000102")
R_MAC = bytes.fromhex("020000000101")
RB_MAC = bytes.fromhex("020000000201")
C_MAC = bytes.fromhex("020000000109")

BOX = """
devices:
  - {name: a0, mac: "02:00:00:00:01:01", addresses: [10.1.0.1/24, 10.1.7.1/24, "2001:db8:1::1/64"]}
  - {name: b0, mac: "02:00:00:00:02:01", mtu: 1400, addresses: [10.2.0.1/24, "2001:db8:2::1/64"]}
routes:
  - {to: 10.5.0.0/16, via: 10.1.0.9}
  - {to: "2001:db8:5::/48", via: "fe80::1:9", dev: a0}
  - {to: 10.66.0.0/16, type: unreachable}
  - {to: "2001:db8:66::/48", type: unreachable}
services:
  - {protocol: tcp, port: 22}
  - {protocol: udp, port: 53, address: 10.1.0.1}
sysctls:
  net.ipv4.ip_forward: 1
  net.ipv6.conf.all.forwarding: 1
"""


@cache
def _read(box: str) -> Topology:
    return load(box, "box.yaml")


SHARED = deepcopy(_read(BOX))
"""For properties, which need many benches; whatever they teach it stays among them."""


def merged(fields: dict[str, Any], **defaults: Any) -> dict[str, Any]:
    """Fields for scapy, with what stands where they say nothing."""
    return {**defaults, **fields}


def address(text: str) -> bytes:
    """The bytes of an address."""
    return ip_address(text).packed


class Bench:
    """Everything that the box says goes into lists.

    Attributes:
        sent: packets of the box's own.
        frames: frames (ARP), with device name and time.
        delivered: packets whose neighbour was resolved, with its MAC address.
        failed: packets whose neighbour did not answer.
        discarded: packets that ended silently.
        expired: first fragments whose others did not come, with the time.
        joined: how many fragments each reassembled packet was made of.
    """

    def __init__(self, box: str = BOX, *, topology: Topology | None = None, **sysctls: int) -> None:
        self.topology = deepcopy(_read(box)) if topology is None else topology
        for name, value in sysctls.items():
            assert hasattr(self.topology.sysctls, name)
            setattr(self.topology.sysctls, name, value)
        self.a0 = self.topology.devices["a0"]
        self.b0 = self.topology.devices["b0"]
        self.now = START
        self.sent: list[Packet] = []
        self.frames: list[tuple[str, bytes, int]] = []
        self.delivered: list[tuple[Packet, bytes | None]] = []
        self.failed: list[Packet] = []
        self.discarded: list[Packet] = []
        self.expired: list[tuple[Packet, int]] = []
        self.joined: list[int] = []
        self.peers = Peers()
        self.budget = IcmpBudget(self.topology.sysctls)
        self.icmp = Icmp(self.topology, self.peers, self.budget, Identifiers(), self._output)
        self.icmpv6 = Icmpv6(self.topology, self.peers, self.budget, self._output)
        self.resolver = Resolver(
            self.topology,
            deliver=lambda packet, neighbour, now: self.delivered.append((packet, neighbour.mac)),
            fail=lambda packet, now: self.failed.append(packet),
            discard=self._discard,
        )
        self.arp = Arp(
            self.topology,
            self.resolver,
            lambda device, frame, now: self.frames.append((device.name, frame, now)),
        )
        self.nd = NeighbourDiscovery(self.topology, self.resolver, self._output)
        self.local = Local(self.topology, self.icmp, self.icmpv6, self.nd, self._output)
        self.redirects = Redirects(self.topology, self.peers, self.icmp, self._output)
        self.conntrack = Conntrack(self.topology.sysctls)
        self.reject = Reject(self.topology, self.conntrack, self.icmp, self.icmpv6, self._output)
        self.reassembly4 = Reassembly4(
            self.topology,
            self.peers,
            discard=self._discard,
            time_exceeded=self._expired,
            joined=self._joined,
        )
        self.reassembly6 = Reassembly6(
            self.topology,
            conntrack=True,
            discard=self._discard,
            time_exceeded=self._expired,
            joined=self._joined,
        )

    def _output(self, packet: Packet, now: int) -> None:
        assert packet.dst is not None
        assert packet.oif is not None
        assert packet.iif is None
        assert packet.time == now
        self.sent.append(packet)

    def _discard(self, packet: Packet, now: int) -> None:
        assert packet.drop is not None
        self.discarded.append(packet)

    def _expired(self, packet: Packet, now: int) -> None:
        self.expired.append((packet, now))

    def _joined(self, packet: Packet, now: int) -> None:
        self.joined.append(len(packet.frag_sizes))

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.now += round(seconds * SECOND)
        self.resolver.advance(self.now)
        self.reassembly4.advance(self.now)
        self.reassembly6.advance(self.now)

    def packet(self, packet: IP | IPv6 | bytes, *, pkttype: int = 0, routed: bool = True) -> Packet:
        """A packet as it is received on a0, with the route to its destination."""
        raw = bytes(packet)
        frame = bytes(Ether(src="02:00:00:00:01:02", dst="02:00:00:00:01:01")) + raw
        parse = parse_ipv4 if raw[0] >> 4 == 4 else parse_ipv6
        parsed = parse(frame, 14, self.a0, self.now, pkttype)
        assert isinstance(parsed, Packet), parsed
        if routed:
            fib = self.topology.fib(parsed.family)
            destination = bytes(raw[16:20] if raw[0] >> 4 == 4 else raw[24:40])
            on_link = destination[0] in (0xFE, 0xFF) and len(destination) == 16
            parsed.dst = fib.lookup(destination, oif=self.a0 if on_link else None)
        return parsed

    def answers(self) -> list[Any]:
        """What the box has sent since the last call, dissected."""
        sent, self.sent = self.sent, []
        return [dissect(packet) for packet in sent]


def dissect(packet: Packet) -> Any:
    """A whole packet in scapy's eyes; its lengths, offsets and checksums are right."""
    raw = bytes(packet.data)
    seen: Any
    if raw[0] >> 4 == 4:
        seen = IP(raw)
        assert checksum(raw[: seen.ihl * 4]) == 0
        assert (seen.len, packet.thoff, packet.l4proto) == (len(raw), seen.ihl * 4, seen.proto)
        segment = raw[seen.ihl * 4 :]
        if seen.proto == 1:
            assert checksum(segment) == 0
        else:
            assert in4_chksum(seen.proto, seen, segment) == 0
        return seen
    seen = IPv6(raw)
    assert (seen.plen, packet.thoff, packet.l4proto) == (len(raw) - 40, 40, seen.nh)
    assert in6_chksum(seen.nh, seen, raw[40:]) == 0
    return seen
