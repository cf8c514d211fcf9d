"""Record what the running kernel makes of random traffic: ``python -m tests.conntrack.record``.

Needs root, ``ip``, ``nft`` and ``conntrack``. Builds a router between two network namespaces,
sends packets through it and writes to ``recorded/`` what came out, what ``ct state`` was, and the
connection list in the end. ``test_recorded`` holds the library against it.
"""

from __future__ import annotations

import ctypes
import json
import os
import random
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

from flowtable.clock import MILLISECOND
from tests.conntrack.rulesets import install, nft_chains
from tests.conntrack.test_recorded import STATES, plain, through
from tests.conntrack.traffic import MixedTraffic, TcpTraffic
from tests.conntrack.wire import Lab

RECORDED = Path(__file__).parent / "recorded"
A, R, B = "ctrec-a", "ctrec-r", "ctrec-b"
MACS = {"a": "020000000002020000000199", "b": "020000000003020000000299"}

TOPOLOGY = f"""
ip netns add {A}; ip netns add {R}; ip netns add {B}
for n in {A} {B}; do
  ip netns exec $n sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1
done
ip netns exec {R} sysctl -qw net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.default.addr_gen_mode=1 \\
  net.ipv6.conf.default.router_solicitations=0 net.ipv4.conf.all.send_redirects=0 \\
  net.ipv4.conf.default.send_redirects=0 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0
ip link add va netns {A} address 02:00:00:00:01:99 type veth peer name eth0 netns {R}
ip link add vb netns {B} address 02:00:00:00:02:99 type veth peer name eth1 netns {R}
ip -n {R} link set eth0 address 02:00:00:00:00:02; ip -n {R} link set eth1 address 02:00:00:00:00:03
for i in 1 2; do
  ip -n {R} addr add 10.0.$i.1/24 dev eth$((i-1)); ip -n {R} addr add fd0$i::1/64 dev eth$((i-1)) nodad
done
ip -n {A} link set va up; ip -n {B} link set vb up
for d in lo eth0 eth1; do ip -n {R} link set $d up; done
sleep 1
for i in 1 2; do for h in 50 51 52 77 98 99 $(seq 200 209); do
  ip -n {R} neigh replace 10.0.$i.$h lladdr 02:00:00:00:0$i:99 dev eth$((i-1)) nud permanent; done
for h in 50 51 52 77 98 99 $(printf '%x ' $(seq 512 527)); do
  ip -n {R} neigh replace fd0$i::$h lladdr 02:00:00:00:0$i:99 dev eth$((i-1)) nud permanent; done; done
ip netns exec {R} sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 \\
  net.netfilter.nf_conntrack_acct=1
"""

CHAINS = "chain input { type filter hook input priority 0; policy drop; }\n"
CHAINS += "chain forward { type filter hook forward priority 0;\n"
for _number, _state in enumerate(STATES[1:], start=1):
    CHAINS += f"meta nfproto ipv4 ct state {_state} ip dscp set {_number}\n"
    CHAINS += f"meta nfproto ipv6 ct state {_state} ip6 dscp set {_number}\n"
CHAINS += "}\n"
"""The state that the kernel gives a packet leaves the router as its DSCP."""


class Router:
    """The kernel's."""

    def __init__(self) -> None:
        subprocess.run(["sh", "-ec", TOPOLOGY], check=True)
        self.ports = {"a": self._port(A, "va"), "b": self._port(B, "vb")}
        self._enter(R)

    def close(self) -> None:
        for namespace in (A, R, B):
            subprocess.run(["ip", "netns", "del", namespace], check=False)

    def _enter(self, namespace: str) -> None:
        fd = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
        if ctypes.CDLL(None, use_errno=True).setns(fd, 0x40000000):
            raise OSError(ctypes.get_errno(), "setns")
        os.close(fd)

    def _port(self, namespace: str, device: str) -> socket.socket:
        self._enter(namespace)
        port = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        port.bind((device, 0))
        port.setblocking(False)
        return port

    def rules(self, name: str) -> None:
        text = f"flush ruleset\ntable inet t {{\n{CHAINS}{nft_chains(name)}}}\n"
        subprocess.run(["nft", "-f", "-"], input=text, text=True, check=True)
        subprocess.run(["conntrack", "-F"], check=True, stderr=subprocess.DEVNULL)

    def connections(self) -> list[str]:
        command = ["conntrack", "-L", "-o", "extended"]
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        # A packet that waits in a socket's buffer holds a reference, too.
        return [re.sub(r"use=\d+", "use=1", line) for line in listed.splitlines()]

    def send(self, side: str, raw: bytes) -> list[tuple[str, bytes]]:
        """What comes out, and where, IP packets of hosts only."""
        ethertype = b"\x08\0" if raw[0] >> 4 == 4 else b"\x86\xdd"
        self.ports[side].send(bytes.fromhex(MACS[side]) + ethertype + raw)
        out: list[tuple[str, bytes]] = []
        for _ in range(20):
            for name, port in self.ports.items():
                out += ((name, frame) for frame in self._received(port))
            if out:
                break
            time.sleep(0.00005)
        return out

    def _received(self, port: socket.socket) -> list[bytes]:
        frames: list[bytes] = []
        while True:
            try:
                frame, address = port.recvfrom(65535)
            except BlockingIOError:
                return frames
            outgoing, ip_packet = address[2] == 4, frame[12:14] in (b"\x08\0", b"\x86\xdd")
            if not outgoing and ip_packet and not (frame[14] >> 4 == 6 and frame[38] == 0xFF):
                frames.append(frame[14:])


def record(
    router: Router, rules: str, traffic: TcpTraffic | MixedTraffic, steps: int, rnd: random.Random
) -> str:
    """One run as a line of JSON.

    The library goes along to tell where the kernel would have to draw a random number: there
    the run ends, as nothing can be held against it.
    """
    router.rules(rules)
    lab = Lab()
    install(lab, rules)
    lab.conntrack.random = Watched()  # type: ignore[assignment]
    start = time.monotonic_ns()
    packets = []
    for _ in range(steps):
        if rnd.random() < 0.03:
            time.sleep(rnd.choice([0.3, 2.1]))
        side, raw = traffic.step()
        now = time.monotonic_ns()
        lab.now = now
        try:
            through(lab, side, raw)
        except DrawnError:
            break
        came = None
        for there, seen in router.send(side, raw):
            if seen[0] >> 4 == raw[0] >> 4 and not own_error(seen):
                came = [there, plain(seen).hex(), STATES[dscp(seen)]]
                if isinstance(traffic, MixedTraffic):
                    traffic.came_out.append((there, seen))
        packets.append([(now - start) // MILLISECOND, side, raw.hex(), came])
    end = (time.monotonic_ns() - start) // MILLISECOND
    return json.dumps({"rules": rules, "packets": packets, "end": end, "connections": router.connections()})


def dscp(raw: bytes) -> int:
    """The differentiated services code point of a packet."""
    return raw[1] >> 2 if raw[0] >> 4 == 4 else (raw[0] << 8 | raw[1]) >> 6 & 63


def own_error(raw: bytes) -> bool:
    """Whether the router itself sent it: no rule of the forward chain has seen it."""
    return dscp(raw) == 0


class DrawnError(Exception):
    """The next step depends on a random number."""


class Watched:
    """A generator that nothing is to be drawn from."""

    def u16(self) -> int:
        raise DrawnError

    def u32(self) -> int:
        return 0


def main() -> None:
    """Write all recordings anew, from the seed given (1 by default)."""
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    RECORDED.mkdir(exist_ok=True)
    router = Router()
    try:
        for rules in ("none", "masquerade", "both"):
            rnd = random.Random(f"{seed} {rules}")
            if rules != "both":
                runs = [
                    record(router, rules, TcpTraffic(rnd, masqueraded=rules != "none"), 20, rnd)
                    for _ in range(14)
                ]
                (RECORDED / f"tcp-{rules}.jsonl").write_text("\n".join(runs) + "\n")
            runs = [record(router, rules, MixedTraffic(rnd), 30, rnd) for _ in range(7)]
            (RECORDED / f"mixed-{rules}.jsonl").write_text("\n".join(runs) + "\n")
    finally:
        router.close()


if __name__ == "__main__":
    main()
