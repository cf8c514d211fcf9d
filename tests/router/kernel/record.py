"""Record what Linux answers to ``cases.CASES``: ``sudo python -m tests.router.kernel.record``.

Builds a router of network namespaces, with a veth to a host that is nothing but a packet socket
on each side, and writes ``answers.json``: of each case the frames sent and the frames that the
router sent, with their times.
"""

from __future__ import annotations

import ctypes
import json
import platform
import select
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.router.kernel.cases import CASES
from tests.router.kernel.rulesets import RULESETS, phase

ANSWERS = Path(__file__).with_name("answers.json")

_ETH_P_ALL = 3
_OUTGOING = 4
_CLONE_NEWNET = 0x40000000

SETUP = """
netns add ftR
netns add ftA
netns add ftB
-n ftR link add a0 type veth peer name eth0 netns ftA
-n ftR link add b0 type veth peer name eth0 netns ftB
-n ftR link set a0 address 02:00:00:00:01:01
-n ftR link set b0 address 02:00:00:00:02:01 mtu 1400
-n ftA link set eth0 up
-n ftB link set eth0 up
-n ftR link set lo up
-n ftR link set a0 up
-n ftR link set b0 up
-n ftR address add 10.1.0.1/24 broadcast + dev a0
-n ftR address add 10.2.0.1/24 broadcast + dev b0
-n ftR address add 2001:db8:1::1/64 dev a0 nodad
-n ftR address add 2001:db8:2::1/64 dev b0 nodad
-n ftR neigh add 10.1.0.2 lladdr 02:00:00:00:01:02 dev a0
-n ftR neigh add 10.1.0.9 lladdr 02:00:00:00:01:09 dev a0
-n ftR neigh add 10.2.0.2 lladdr 02:00:00:00:02:02 dev b0
-n ftR neigh add 2001:db8:1::2 lladdr 02:00:00:00:01:02 dev a0
-n ftR neigh add 2001:db8:1::9 lladdr 02:00:00:00:01:09 dev a0
-n ftR neigh add fe80::1:2 lladdr 02:00:00:00:01:02 dev a0
-n ftR neigh add fe80::1:9 lladdr 02:00:00:00:01:09 dev a0
-n ftR neigh add 2001:db8:2::2 lladdr 02:00:00:00:02:02 dev b0
-n ftR route add 10.5.0.0/16 via 10.1.0.9
-n ftR route add 10.6.0.0/16 via 10.2.0.2 mtu 1000
-n ftR route add unreachable 10.66.0.0/16
-n ftR route add prohibit 10.67.0.0/16
-n ftR route add blackhole 10.68.0.0/16
-n ftR route add 2001:db8:5::/48 via fe80::1:9 dev a0
-n ftR route add unreachable 2001:db8:66::/48
-n ftR route add prohibit 2001:db8:67::/48
-n ftR route add blackhole 2001:db8:68::/48
"""
SYSCTLS = """
net.ipv4.ip_forward=1
net.ipv6.conf.all.forwarding=1
net.ipv4.icmp_ratemask=0
net.ipv4.icmp_msgs_burst=10000
net.ipv4.icmp_msgs_per_sec=10000
net.ipv6.icmp.ratelimit=0
net.ipv4.ipfrag_time=2
net.netfilter.nf_conntrack_frag6_timeout=2
"""


def _run(*words: str, text: str | None = None) -> None:
    subprocess.run(words, check=True, input=text, text=True, stdout=subprocess.DEVNULL)


@contextmanager
def _inside(namespace: str) -> Iterator[None]:
    setns = ctypes.CDLL(None, use_errno=True).setns
    with open("/proc/self/ns/net") as here, open(f"/var/run/netns/{namespace}") as there:  # noqa: PTH123
        if setns(there.fileno(), _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        try:
            yield
        finally:
            setns(here.fileno(), _CLONE_NEWNET)


def _packet_socket(namespace: str, device: str | None = None) -> socket.socket:
    with _inside(namespace):
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
        if device is not None:
            sock.bind((device, _ETH_P_ALL))
    return sock


def _listen(sock: socket.socket, start: float, seconds: float) -> list[tuple[str, float, str]]:
    heard = []
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        if not select.select([sock], [], [], left)[0]:
            break
        frame, (device, _, kind, *_) = sock.recvfrom(65536)
        if kind == _OUTGOING and device != "lo":
            heard.append((device, round(time.monotonic() - start, 3), frame.hex()))
    return heard


def record() -> None:
    """Build the router, run the cases, write the answers, take the router down."""
    for line in SETUP.strip().splitlines():
        _run("ip", *line.split())
    try:
        for namespace in ("ftA", "ftB"):
            _run("ip", "netns", "exec", namespace, "sysctl", "-qw", "net.ipv6.conf.eth0.disable_ipv6=1")
        for line in SYSCTLS.split():
            _run("ip", "netns", "exec", "ftR", "sysctl", "-qw", line)
        for namespace, device in (("ftR", "a0"), ("ftR", "b0"), ("ftA", "eth0"), ("ftB", "eth0")):
            _run("ip", "netns", "exec", namespace, "ethtool", "-K", device, "tx", "off", "gso", "off")
        time.sleep(3)
        senders = {"a0": _packet_socket("ftA", "eth0"), "b0": _packet_socket("ftB", "eth0")}
        listener = _packet_socket("ftR")
        answers = []
        begin = time.monotonic()
        rules = ""
        for name, frames in CASES.items():
            if phase(name) != rules:
                rules = phase(name)
                # What the phase before has left half done is over by then.
                time.sleep(3)
                _run("ip", "netns", "exec", "ftR", "nft", "-f", "-", text="flush ruleset\n" + RULESETS[rules])
            slow = "answers" in name or "alone" in name
            time.sleep(1.1 if "route" in name or "redirect" in name else 0)
            _listen(listener, begin, 0.05)
            sent, heard = [], []
            for device, frame in frames:
                sent.append((device, round(time.monotonic() - begin, 3), frame.hex()))
                senders[device].send(frame)
                heard += _listen(listener, begin, 0.1 if "answers" in name else 0.01)
            heard += _listen(listener, begin, 4.5 if slow else 0.1)
            answers.append({"case": name, "sent": sent, "answers": heard})
        ANSWERS.write_text(
            json.dumps({"kernel": platform.release(), "cases": answers}, indent=1, ensure_ascii=False) + "\n"
        )
    finally:
        for namespace in ("ftR", "ftA", "ftB"):
            _run("ip", "netns", "delete", namespace)


if __name__ == "__main__":
    record()
