"""Flows as they arrive at a home or office router, for runs that fill the table of a chip.

Flows arrive as a Poisson process; their sizes are heavy-tailed (a Pareto distribution cut off at
both ends: most are a few packets, and the few large ones have most of the packets); the gaps
between the packets of a flow are log-normal, and shorter in large flows. Every flow is from one of
many clients to one of many servers, part of them TCP with handshake and close. All that follows from
a seed.

Ref: V. Paxson, S. Floyd, "Wide-Area Traffic: The Failure of Poisson Modeling" (1995), for what is
Poisson (arrivals of sessions) and what is not (sizes, gaps).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from heapq import heappop, heappush, heapreplace
from ipaddress import ip_address
from random import Random
from struct import pack
from typing import NamedTuple

from flowtable.clock import SECOND
from flowtable.packet.checksum import checksum

LAN, WAN = "lan", "wan"
LAN_MAC, WAN_MAC = b"\x02\0\0\0\x01\x01", b"\x02\0\0\0\x02\x01"
CLIENT_MAC, GATEWAY_MAC = b"\x02\0\0\0\x01\x99", b"\x02\0\0\0\x02\x99"

BOX = """\
devices:
  - {name: lan, mac: "02:00:00:00:01:01", addresses: [10.0.0.1/8]}
  - {name: wan, mac: "02:00:00:00:02:01", addresses: [203.0.113.1/24]}
routes:
  - {to: default, via: 203.0.113.254}
neighbours:
  - {address: 203.0.113.254, dev: wan, mac: "02:00:00:00:02:99"}
CLIENTS
sysctls:
  net.ipv4.ip_forward: 1
  net.netfilter.nf_conntrack_acct: 1
  net.netfilter.nf_conntrack_checksum: 0
  net.netfilter.nf_conntrack_max: 1048576
  net.netfilter.nf_conntrack_tcp_be_liberal: 1
hardware:
  chips:
    - {name: chip0, ports: [lan, wan], CHIP}
"""
RULES = """\
table inet gateway {
	flowtable f {
		hook ingress priority filter
		devices = { lan, wan }
		flags offload
		counter
	}

	chain forward {
		type filter hook forward priority filter; policy drop;
		ct state established meta l4proto { tcp, udp } flow add @f
		ct state established,related accept
		iifname "lan" accept
	}
}
"""


class _Next(NamedTuple):
    """The next packet of a flow, and those behind it."""

    time: int
    number: int
    device: str
    frame: bytes
    rest: Iterator[tuple[int, str, bytes]]


def _next(number: int, rest: Iterator[tuple[int, str, bytes]], packet: tuple[int, str, bytes]) -> _Next:
    time, device, frame = packet
    return _Next(time, number, device, frame, rest)


@dataclass(frozen=True, slots=True)
class Arrivals:
    """What arrives.

    Attributes:
        flows: how many flows.
        seconds: in which they begin.
        clients: hosts on the inside.
        seed: of everything.
        smallest: packets of the smallest flow.
        largest: packets of the largest.
        shape: of the Pareto distribution of their sizes.
        tcp: share of TCP.
    """

    flows: int
    seconds: float
    clients: int = 250
    seed: int = 1
    smallest: int = 4
    largest: int = 5000
    shape: float = 1.05
    tcp: float = 0.5

    def packets(self) -> Iterator[tuple[int, str, bytes]]:
        """Time (nanoseconds since the first flow), device and frame of each packet, in order of time."""
        random = Random(self.seed)
        begins = []
        now = 0.0
        for number in range(self.flows):
            now += random.expovariate(self.flows / self.seconds)
            begins.append((int(now * SECOND), number))
        waiting = iter(begins)
        upcoming = next(waiting, None)
        active: list[_Next] = []
        while active or upcoming is not None:
            if upcoming is not None and (not active or upcoming[0] <= active[0].time):
                begin, number = upcoming
                upcoming = next(waiting, None)
                rest = self._flow(begin, number)
                heappush(active, _next(number, rest, next(rest)))
                continue
            time, number, device, frame, rest = active[0]
            yield time, device, frame
            following = next(rest, None)
            if following is None:
                heappop(active)
            else:
                heapreplace(active, _next(number, rest, following))

    def _flow(self, begin: int, number: int) -> Iterator[tuple[int, str, bytes]]:
        random = Random(self.seed * 1_000_003 + number)
        low, high, shape = self.smallest, self.largest, self.shape
        # The inverse of the distribution function of a bounded Pareto distribution.
        draw = random.random()
        size = int(low / (1 - draw * (1 - (low / high) ** shape)) ** (1 / shape))
        gap = random.lognormvariate(-3.2 if size > 50 else -1.8, 1.0)
        ends = (
            _client(random.randrange(self.clients)),
            bytes((198, 18 + random.randrange(2), random.randrange(256), random.randrange(1, 255))),
            1024 + number % 60000,
            random.choice((443, 443, 443, 53, 80, 8443)),
        )
        make = _Tcp(*ends) if random.random() < self.tcp else _Udp(*ends)
        time = begin
        for index in range(size):
            reply = index % 2 == 1 if index < 6 else random.random() < 0.6
            payload = 1200 if reply and random.random() < 0.7 else random.randrange(20, 200)
            yield time, WAN if reply else LAN, make(reply, payload, index, size)
            time += int(random.expovariate(1 / gap) * SECOND) + 1000


class _Udp:
    """Packets of a UDP flow."""

    def __init__(self, client: bytes, server: bytes, sport: int, dport: int) -> None:
        self._ends = (client, server), (server, client)
        self._ports = pack("!HH", sport, dport), pack("!HH", dport, sport)

    def __call__(self, reply: bool, payload: int, index: int, size: int) -> bytes:
        """The next packet."""
        segment = self._ports[reply] + pack("!HH", 8 + payload, 0) + bytes(payload)
        return _frame(self._ends[reply], 17, segment, reply=reply)


class _Tcp:
    """Packets of a TCP flow, from its handshake to its close."""

    def __init__(self, client: bytes, server: bytes, sport: int, dport: int) -> None:
        self._ends = (client, server), (server, client)
        self._ports = pack("!HH", sport, dport), pack("!HH", dport, sport)
        self._next = [1000, 5000]

    def __call__(self, reply: bool, payload: int, index: int, size: int) -> bytes:
        """The next packet."""
        flags = _HANDSHAKE.get(index, _ACK)
        if index == size - 1:
            flags = _ACK | _FIN
        if index < 3:
            payload = 0
        seq, ack = self._next[reply], self._next[not reply] if flags & _ACK else 0
        self._next[reply] += payload + bool(flags & (_SYN | _FIN))
        header = pack("!IIBBHHH", seq, ack, 5 << 4, flags, 0xFFFF, 0, 0)
        return _frame(self._ends[reply], 6, self._ports[reply] + header + bytes(payload), reply=reply)


def _frame(ends: tuple[bytes, bytes], protocol: int, segment: bytes, *, reply: bool) -> bytes:
    source, destination = ends
    header = bytearray(pack("!BBHHHBBH", 0x45, 0, 20 + len(segment), 0, 0x4000, 64, protocol, 0))
    header += source + destination
    header[10:12] = checksum(header).to_bytes(2)
    macs = WAN_MAC + GATEWAY_MAC if reply else LAN_MAC + CLIENT_MAC
    return macs + b"\x08\x00" + header + segment


_FIN, _SYN, _ACK = 0x01, 0x02, 0x10
_HANDSHAKE = {0: _SYN, 1: _SYN | _ACK}


def box_file(arrivals: Arrivals, chip: str) -> str:
    """The box, with a chip of those keys of a box file."""
    hosts = range(arrivals.clients)
    mac = CLIENT_MAC.hex(":")
    clients = "\n".join(f'  - {{address: {ip_address(_client(n))}, dev: lan, mac: "{mac}"}}' for n in hosts)
    return BOX.replace("CLIENTS", clients).replace("CHIP", chip)


def _client(number: int) -> bytes:
    return bytes((10, 0, 1 + number // 250, 2 + number % 250))
