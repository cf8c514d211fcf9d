"""Run rows through the kernel's nf_tables; started in a network namespace of its own.

``unshare -n python -m tests.ruleset.kernel.probe``: the namespace is the router. The far ends of
its two cables are there too, but without addresses, and nothing that comes out there is for
their MACs, so that the kernel only shows it to us. All of it is gone when the program ends.
"""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.ruleset.kernel.packets import CLIENT_MAC, LAN_MAC, SERVER_MAC, WAN_MAC, Wait, read_packets
from tests.ruleset.kernel.table import Row, read_rows

SYSCTLS = {
    "net/ipv4/ip_forward": 1,
    "net/ipv6/conf/all/forwarding": 1,
    "net/ipv4/conf/all/rp_filter": 0,
    "net/ipv4/icmp_ratemask": 0,
    "net/ipv4/icmp_msgs_burst": 10000,
    "net/ipv4/icmp_msgs_per_sec": 10000,
    "net/ipv6/icmp/ratelimit": 0,
    "net/netfilter/nf_conntrack_acct": 1,
}
QUIET = {
    "net/ipv6/conf/default/accept_dad": 0,
    "net/ipv6/conf/default/dad_transmits": 0,
    "net/ipv6/conf/default/router_solicitations": 0,
    "net/ipv4/conf/default/rp_filter": 0,
}
CABLES = (
    ("lan0", LAN_MAC, "10.0.1.1/24", "2001:db8:1::1/64", CLIENT_MAC),
    ("wan0", WAN_MAC, "10.0.2.1/24", "2001:db8:2::1/64", SERVER_MAC),
)
HOSTS = range(2, 10)
"""Last numbers of the addresses on each cable that answer."""
_ARP = bytes.fromhex("0806")
_PACKET_OUTGOING = 4


def main() -> None:
    """Rows from the tables; results to standard output as JSON."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    ends = build()
    results = [run_row(row, ends) for row in read_rows()]
    json.dump({"kernel": os.uname().release, "results": results}, sys.stdout)


def sysctl(values: dict[str, int]) -> None:
    """Set them."""
    for name, value in values.items():
        Path("/proc/sys", name).write_text(str(value))


def build() -> dict[str, socket.socket]:
    """Make the router; sockets at the far ends of its cables."""
    sysctl(QUIET)
    lines = ["link set lo up"]
    for number, (name, mac, address, address6, far) in enumerate(CABLES, 1):
        lines += [
            f"link add {name} address {mac} type veth peer name far-{name} address 02:00:00:00:0{number}:ff",
            f"addr add {address} dev {name}",
            f"addr add {address6} dev {name} nodad",
            f"link set {name} up",
            f"link set far-{name} up",
        ]
        for host in HOSTS:
            lines += [
                f"neigh add 10.0.{number}.{host} lladdr {far} dev {name}",
                f"neigh add 2001:db8:{number}::{host} lladdr {far} dev {name}",
            ]
    lines += ["route add default via 10.0.2.2", "-6 route add default via 2001:db8:2::2"]
    for line in lines:
        subprocess.run(["ip", *line.split()], check=True)
    # Connection tracking starts with the first rule that needs it, its sysctls are there before.
    sysctl(SYSCTLS)
    ends = {}
    for name, *_ in CABLES:
        subprocess.run(["ethtool", "-K", name, "tx", "off"], check=True, capture_output=True)
        end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        end.bind((f"far-{name}", 0))
        ends[name] = end
    return ends


def run_row(row: Row, ends: dict[str, socket.socket]) -> dict[str, Any]:
    """Load the row's rules, send its packets, and see what comes out."""
    loaded = command("nft", "-f", "-", data=row.ruleset)
    if loaded.returncode:
        return {"error": loaded.stderr}
    command("conntrack", "-F")
    drain(ends)
    start = time.monotonic_ns()
    times = []
    answers: dict[str, list[str]] = {name: [] for name in ends}
    for step in read_packets(row.packets):
        if isinstance(step, Wait):
            time.sleep(step.seconds)
            continue
        times.append(time.monotonic_ns() - start)
        ends[step.device].send(step.frame)
        settle(ends, answers)
    listed = time.monotonic_ns() - start
    listing = command("nft", "list", "ruleset").stdout
    command("nft", "flush", "ruleset")
    return {"times": times, "listed": listed, "answers": answers, "listing": listing}


def command(*words: str, data: str = "") -> subprocess.CompletedProcess[str]:
    """Run a program."""
    return subprocess.run(words, input=data, capture_output=True, text=True, check=False)


def settle(ends: dict[str, socket.socket], answers: dict[str, list[str]]) -> None:
    """Collect what comes out until the router has nothing more to do.

    An ARP request is queued behind everything that was sent before: what is answered is done.
    """
    for (name, mac, address, *_), end in zip(CABLES, ends.values(), strict=True):
        number = 1 if name == "lan0" else 2
        sender = bytes.fromhex(f"020000000{number}ff") + bytes((10, 0, number, 99))
        request = bytes.fromhex("0001080006040001") + sender + bytes(6)
        target = socket.inet_aton(address.split("/")[0])
        end.send(bytes.fromhex(mac.replace(":", "")) + sender[:6] + _ARP + request + target)
    waiting = set(ends)
    while waiting:
        ready, _, _ = select.select(list(ends.values()), [], [], 2)
        if not ready:
            raise SystemExit(f"the router does not answer on {waiting}")
        for name, end in ends.items():
            if end in ready:
                frame, origin = end.recvfrom(65536)
                if origin[2] == _PACKET_OUTGOING:
                    continue
                if frame[12:14] == _ARP:
                    waiting.discard(name)
                elif not of_the_kernel(frame):
                    answers[name].append(frame.hex())


def of_the_kernel(frame: bytes) -> bool:
    """Whether it is multicast listener or neighbour discovery."""
    if frame[12:14] != b"\x86\xdd":
        return False
    return (frame[20] == 0 and frame[54] == 58) or (frame[20] == 58 and frame[54] >= 130)


def drain(ends: dict[str, socket.socket]) -> None:
    """Forget what is left of the last row."""
    settle(ends, {name: [] for name in ends})


if __name__ == "__main__":
    main()
