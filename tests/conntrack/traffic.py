"""Random traffic of two hosts through a router: mostly sane, sometimes not at all."""

from __future__ import annotations

import random
import struct
from ipaddress import ip_address

from tests.conntrack.wire import (
    CLIENT,
    CLIENT6,
    MSS,
    ROUTER,
    ROUTER6,
    SACK_OK,
    SERVER,
    SERVER6,
    gre,
    icmp,
    icmp6,
    ip,
    sack,
    tcp,
    udp,
    unreachable,
    wscale,
)

Step = tuple[str, bytes]
"""The side a packet comes from, ``a`` or ``b``, and the packet."""

_M = 0xFFFFFFFF


class TcpTraffic:
    """One TCP connection whose ends, and what is in between, are not to be trusted."""

    def __init__(self, rnd: random.Random, *, masqueraded: bool) -> None:
        self.rnd = rnd
        v6 = rnd.random() < 0.3
        self.client, self.server = (CLIENT6, SERVER6) if v6 else (CLIENT, SERVER)
        self.answers = (ROUTER6 if v6 else ROUTER) if masqueraded else self.client
        self.port = rnd.randrange(1025, 60000)
        self.next = {side: rnd.choice([1000, 0xFFFFFF00, rnd.getrandbits(32)]) for side in "ab"}
        self.count = 0

    def step(self) -> Step:
        rnd, nxt = self.rnd, self.next
        side = rnd.choice("ab")
        flags = rnd.choices(
            ["S", "SA", "A", "PA", "FA", "R", "RA", "F", "", "SF", "SR", "FPU", "SAE"],
            [3, 3, 10, 4, 3, 2, 2, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2],
        )[0]
        if self.count < 3 and rnd.random() < 0.8:
            side, flags = (("a", "S"), ("b", "SA"), ("a", "A"))[self.count]
        self.count += 1
        other = "b" if side == "a" else "a"

        def near(value: int) -> int:
            jumps = [
                0,
                -1,
                1,
                rnd.randrange(-3000, 3000),
                rnd.randrange(-70000, 70000),
                rnd.getrandbits(32),
                -value,
            ]
            return value + rnd.choices(jumps, [20, 1, 1, 2, 1, 0.3, 0.3])[0]

        seq, ack = near(nxt[side]), near(nxt[other])
        if "A" not in flags:
            ack = rnd.choice([0, ack])
        data = b"" if "S" in flags and rnd.random() < 0.9 else b"x" * rnd.choice([0, 0, 1, 30])
        win = rnd.choices([65535, 501, 1, 0, 29200, rnd.getrandbits(16)], [5, 5, 1, 1, 3, 2])[0]
        ends = (self.client, self.server, self.port, 443)
        if side == "b":
            ends = (self.server, self.answers, 443, self.port)
        raw = tcp(*ends, flags, seq, ack, win, options=self._options(flags, ack), data=data)
        if rnd.random() < 0.8:
            nxt[side] = seq + len(data) + ("S" in flags) + ("F" in flags) & _M
        return side, corrupt(rnd, raw)

    def _options(self, flags: str, ack: int) -> bytes:
        rnd = self.rnd
        if "S" in flags:
            options = MSS if rnd.random() < 0.7 else b""
            options += SACK_OK if rnd.random() < 0.6 else b""
            options += wscale(rnd.choice([0, 2, 7, 14, 15])) if rnd.random() < 0.6 else b""
            return options + (rnd.randbytes(4) if rnd.random() < 0.05 else b"")
        kind = rnd.random()
        if kind < 0.3:
            return bytes.fromhex("0101080a") + rnd.randbytes(8)
        if kind < 0.4:
            edges = [(ack + rnd.randrange(5000) & _M, ack + rnd.randrange(9000) & _M) for _ in range(3)]
            return sack(*edges[: rnd.choice([1, 2, 3])])
        return rnd.randbytes(rnd.choice([4, 8, 12])) if kind < 0.43 else b""


class MixedTraffic:
    """Many short connections, answers to what came out, and ICMP errors about it."""

    def __init__(self, rnd: random.Random) -> None:
        self.rnd = rnd
        self.came_out: list[Step] = []
        """The side each forwarded packet came out on, and what it was; for the caller to fill."""

    def step(self) -> Step:
        while True:
            kind = self.rnd.choices(["new", "answer", "error", "turn"], [12, 8, 6, 1])[0]
            if kind == "new":
                return "a", corrupt(self.rnd, self._new())
            if self.came_out:
                side, seen = self.rnd.choice(self.came_out[-12:])
                raw = seen if kind == "turn" else self._about(seen, error=kind == "error")
                return side, corrupt(self.rnd, raw)

    def _new(self) -> bytes:
        rnd = self.rnd
        client, server = rnd.choice(["98", "99"]), rnd.choice(["50", "51", "52", "99"])
        v6 = rnd.random() < 0.35
        src, dst = (f"fd01::{client}", f"fd02::{server}") if v6 else (f"10.0.1.{client}", f"10.0.2.{server}")
        sport, dport = rnd.choice([1000, 1001, 5000]), rnd.choice([53, 80, 81])
        match rnd.choices(["udp", "icmp", "tcp", "gre", "other"], [5, 3, 2, 1, 1])[0]:
            case "udp":
                raw = udp(src, dst, sport, dport, rnd.randbytes(rnd.choice([0, 1, 5, 30])))
                thoff = 40 if v6 else 20
                if rnd.random() < 0.2:
                    raw = raw[: thoff + 6] + b"\0\0" + raw[thoff + 8 :]
                if rnd.random() < 0.1:
                    raw = raw[: thoff + 4] + struct.pack(">H", rnd.choice([7, 8, 9, 500])) + raw[thoff + 6 :]
                return raw
            case "icmp" if v6:
                return icmp6(
                    src, dst, rnd.choice([128, 128, 129, 139, 140, 1, 145, 200]), 0, rnd.choice([1, 2])
                )
            case "icmp":
                return icmp(src, dst, rnd.choice([8, 8, 13, 15, 17, 0, 14, 19, 10, 9]), 0, rnd.choice([1, 2]))
            case "tcp":
                return tcp(src, dst, sport, dport, "S", 100, 0, options=MSS)
            case "gre":
                heads = [
                    "00000800",
                    "3001880b00040012",
                    "3001880c00040012",
                    "2000080000000001",
                    "00070800",
                    "00",
                ]
                return gre(src, dst, bytes.fromhex(rnd.choice(heads)))
            case _:
                return ip(src, dst, rnd.choice([50, 89, 253, 4]), rnd.randbytes(12))

    def _about(self, seen: bytes, *, error: bool) -> bytes:
        v4 = seen[0] >> 4 == 4
        thoff = 20 if v4 else 40
        ends = seen[12:20] if v4 else seen[8:40]
        half = len(ends) // 2
        src, dst = str(ip_address(ends[half:])), str(ip_address(ends[:half]))
        return (
            self._error(seen, src, dst)
            if error
            else self._answer(seen[thoff:], seen[9 if v4 else 6], src, dst)
        )

    def _answer(self, segment: bytes, l4proto: int, src: str, dst: str) -> bytes:
        rnd = self.rnd
        if l4proto in (6, 17):
            sport, dport = struct.unpack(">HH", segment[:4])
            if l4proto == 17:
                return udp(src, dst, dport, sport, b"answer")
            return tcp(src, dst, dport, sport, rnd.choice(["SA", "RA", "A"]), 500, 101)
        if l4proto in (1, 58):
            (ident,) = struct.unpack(">H", segment[4:6])
            if l4proto == 1:
                return icmp(src, dst, {8: 0, 13: 14, 15: 16, 17: 18}.get(segment[0], 0), 0, ident)
            return icmp6(src, dst, {128: 129, 139: 140}.get(segment[0], 129), 0, ident)
        return ip(src, dst, l4proto, segment)

    def _error(self, seen: bytes, src: str, dst: str) -> bytes:
        rnd = self.rnd
        v4 = seen[0] >> 4 == 4
        thoff = 20 if v4 else 40
        quoted = bytearray(
            seen[: rnd.choice([thoff, thoff + 4, thoff + 8, thoff + 8, thoff + 20, len(seen)])]
        )
        if rnd.random() < 0.1:
            quoted[rnd.randrange(len(quoted))] ^= 1 << rnd.randrange(8)
        if rnd.random() < 0.3:
            src = rnd.choice(["10.0.2.77", "10.0.1.77"] if v4 else ["fd02::77", "fd01::77"])
        if rnd.random() < 0.1:
            dst = rnd.choice(["10.0.1.98", "10.0.2.99"] if v4 else ["fd01::98", "fd02::99"])
        kinds = [3, 3, 11, 12, 4, 5] if v4 else [1, 1, 2, 3, 4, 100]
        code = rnd.choice([0, 1, 3, 4]) if v4 else 0
        return unreachable(src, dst, bytes(quoted), kind=rnd.choice(kinds), code=code)


def corrupt(rnd: random.Random, raw: bytes) -> bytes:
    """One packet in fifty has its last bit flipped, so that its checksum is wrong."""
    return raw[:-1] + bytes((raw[-1] ^ 1,)) if rnd.random() < 0.02 else raw
