"""Real hosts through the router itself."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from random import Random
from socket import AF_PACKET, SOCK_RAW, htons, socket

import pytest
from scapy.layers.l2 import ARP, Dot1Q, Ether

from tests.live.hosts import Host, in_namespace, sh
from tests.namespace import needs_tun, require

CLIENT, SERVER = "10.0.1.99", "10.0.2.99"
CLIENT6, SERVER6 = "2001:db8:1::99", "2001:db8:2::99"
WAN = "10.0.2.1"
BOX = """
devices:
  - {name: lan0, mac: 02:00:00:00:01:01, addresses: [10.0.1.1/24, "2001:db8:1::1/64"]}
  - {name: wan0, mac: 02:00:00:00:02:01, addresses: [10.0.2.1/24, "2001:db8:2::1/64"]}
sysctls: {net.ipv4.ip_forward: 1, net.ipv6.conf.all.forwarding: 1, net.netfilter.nf_conntrack_acct: 1}
services: [{protocol: tcp, port: 22}]
"""
RULES = """
table inet filter {
	flowtable f {
		hook ingress priority 0
		devices = { lan0, wan0 }
		counter
	}
	chain forward {
		type filter hook forward priority 0; policy drop;
		ct state established flow add @f
		ct state established,related accept
		iifname lan0 accept
		icmpv6 type { echo-request, echo-reply } accept
	}
}
"""
NAT = (
    RULES
    + """
table ip nat {
	chain postrouting {
		type nat hook postrouting priority srcnat;
		oifname wan0 masquerade
	}
}
"""
)


def _host(name: str, *, tap: bool) -> Host:
    """A host whose cable ends at the router, where it is a TAP device or one end of a pair."""
    host = Host(name)
    if tap:
        sh(f"ip link del {name}")
    return host


def _configure(host: Host, address: str, address6: str, gateway: str, gateway6: str) -> None:
    host.sh("sysctl -wq net.ipv6.conf.eth0.accept_dad=0")
    host.sh("ip link set eth0 up")
    host.sh(f"ip address add {address}/24 dev eth0")
    host.sh(f"ip -6 address add {address6}/64 dev eth0 nodad")
    host.sh(f"ip route add default via {gateway}")
    host.sh(f"ip -6 route add default via {gateway6}")


@contextmanager
def routed(tmp_path: Path, rules: str, *options: str) -> Iterator[tuple[Host, Host, list[str]]]:
    """A client and a server with the router between them; its summary once it has ended."""
    require("ping")
    (tmp_path / "box.yaml").write_text(BOX)
    (tmp_path / "rules.nft").write_text(rules)
    tap = "--tap" in options
    client = _host("lan0", tap=tap)
    server = _host("wan0", tap=tap)
    command = [sys.executable, "-m", "flowtable", "route", str(tmp_path / "rules.nft")]
    command += ["--box", str(tmp_path / "box.yaml"), *options]
    router = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    summary: list[str] = []
    try:
        assert router.stderr is not None
        ready = router.stderr.readline()
        assert ready == "flowtable: routing between lan0, wan0\n", ready + router.stderr.read()
        if tap:
            sh(f"ip link set lan0 netns {client.path} name eth0")
            sh(f"ip link set wan0 netns {server.path} name eth0")
        _configure(client, CLIENT, CLIENT6, "10.0.1.1", "2001:db8:1::1")
        _configure(server, SERVER, SERVER6, WAN, "2001:db8:2::1")
        yield client, server, summary
    finally:
        router.send_signal(signal.SIGINT)
        out, errors = router.communicate(timeout=20)
        summary.append(out)
    assert router.returncode == 0, errors


def transfer(client: Host, server: Host, address: str, size: int) -> str:
    """Send bytes both ways over one TCP connection; the peer's address as the server saw it."""
    data = Random(size).randbytes(size)
    listening = server.server(address, 5001)
    seen: list[str] = []

    def serve() -> None:
        connection, peer = listening.accept()
        seen.append(peer[0])
        connection.settimeout(20)
        received = _all(connection, size)
        connection.sendall(received)
        connection.close()

    serving = threading.Thread(target=serve)
    serving.start()
    connection = client.connect(address, 5001)
    connection.settimeout(20)
    sending = threading.Thread(target=connection.sendall, args=(data,))
    sending.start()
    back = _all(connection, size)
    sending.join()
    serving.join()
    connection.close()
    listening.close()
    assert sha256(back).digest() == sha256(data).digest()
    return seen[0]


def _all(connection: socket, size: int) -> bytes:
    pieces = bytearray()
    while len(pieces) < size:
        piece = connection.recv(1 << 16)
        assert piece, f"{len(pieces)} of {size} bytes"
        pieces += piece
    return bytes(pieces)


def hits(summary: str) -> int:
    """Packets that took the fast path."""
    return int(summary.split("fast path: ")[1].split(" of ")[0].replace(",", ""))


@pytest.mark.parametrize(
    "options",
    [
        pytest.param((), id="cable"),
        pytest.param(("--tap",), id="tap", marks=needs_tun),
        pytest.param(("--datapath", "reference"), id="python"),
    ],
)
@in_namespace
def test_ping_and_tcp_of_both_families(tmp_path, options):
    with routed(tmp_path, RULES, *options) as (client, server, summary):
        for address in (SERVER, SERVER6, "10.0.1.1", "2001:db8:1::1"):
            client.sh(f"ping -c 2 -i 0.2 -W 5 {address}")
        for address in (SERVER, SERVER6):
            peer = transfer(client, server, address, 1 << 20)
            assert peer == (CLIENT if address == SERVER else CLIENT6)
    assert hits(summary[0]) > 500, summary[0]


@in_namespace
def test_masquerade_and_what_the_rules_forbid(tmp_path):
    listing = tmp_path / "connections"
    with routed(tmp_path, NAT, "--conntrack", str(listing)) as (client, server, summary):
        assert transfer(client, server, SERVER, 1 << 18) == WAN
        with client.udp(CLIENT, 6000) as inside, server.udp(SERVER, 6000) as outside:
            inside.sendto(b"question", (SERVER, 6000))
            data, peer = outside.recvfrom(100)
            assert (data, peer[0]) == (b"question", WAN)
            outside.sendto(b"answer", peer)
            assert inside.recv(100) == b"answer"
            outside.sendto(b"unasked", (CLIENT, 6000))
            inside.settimeout(0.5)
            with pytest.raises(TimeoutError):
                inside.recv(100)
    assert hits(summary[0]) > 100, summary[0]
    lines = listing.read_text().splitlines()
    assert any(line.startswith("tcp") and f"dst={WAN}" in line for line in lines)
    assert any(line.startswith("udp") and f"dst={WAN}" in line for line in lines)


@in_namespace
def test_the_way_is_told_hop_by_hop(tmp_path):
    with routed(tmp_path, RULES) as (client, _, _):
        for family, near in (("-4", "10.0.1.1"), ("-6", "2001:db8:1::1")):
            target = SERVER if family == "-4" else SERVER6
            said = client.sh(f"sh -c 'ping {family} -n -t 1 -c 1 -W 5 {target} || true'")
            assert f"From {near}" in said, said
        # To a host that is not there, on the far link.
        said = client.sh("sh -c 'ping -n -c 1 -W 8 10.0.2.77 || true'")
        assert "From 10.0.1.1" in said and "Destination Host Unreachable" in said, said


@in_namespace
def test_http(tmp_path):
    require("curl")
    body = Random(0).randbytes(300_000)
    (tmp_path / "body").write_bytes(body)
    with routed(tmp_path, NAT) as (client, server, summary):
        serving = subprocess.Popen(
            [
                "nsenter",
                f"--net={server.path}",
                sys.executable,
                "-m",
                "http.server",
                "8080",
                "--bind",
                SERVER,
            ],
            cwd=tmp_path,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            url = f"http://{SERVER}:8080/body"
            out = tmp_path / "got"
            client.sh(f"curl -sS --retry 20 --retry-connrefused --retry-delay 1 -o {out} {url}")
        finally:
            serving.kill()
            serving.wait()
        assert out.read_bytes() == body
    assert hits(summary[0]) > 50, summary[0]


def _routing(tmp_path: Path, box: str, *options: str) -> subprocess.Popen[str]:
    """A router, ready."""
    (tmp_path / "box.yaml").write_text(box)
    (tmp_path / "rules.nft").write_text("")
    command = [sys.executable, "-m", "flowtable", "route", str(tmp_path / "rules.nft")]
    command += ["--box", str(tmp_path / "box.yaml"), *options]
    router = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert router.stderr is not None
    ready = router.stderr.readline()
    assert ready.startswith("flowtable: routing"), ready + router.stderr.read()
    return router


TRUNK = """
devices:
  - {name: trunk, mac: 02:00:00:00:01:01}
  - {name: v7, kind: vlan, parent: trunk, id: 7, addresses: [10.0.7.1/24]}
"""


@in_namespace
def test_tags_are_where_they_are_on_the_wire(tmp_path):
    host = Host("trunk")
    host.sh("sysctl -wq net.ipv6.conf.eth0.disable_ipv6=1")
    host.sh("ip link set eth0 up")
    router = _routing(tmp_path, TRUNK)
    try:
        with host.open(AF_PACKET, SOCK_RAW, htons(3)) as wire:
            wire.bind(("eth0", 3))
            wire.setsockopt(263, 8, 1)
            asked = Ether(src="02:00:00:00:09:09", dst="ff:ff:ff:ff:ff:ff") / Dot1Q(vlan=7)
            asked /= ARP(psrc="10.0.7.9", pdst="10.0.7.1", hwsrc="02:00:00:00:09:09")
            wire.send(bytes(asked).ljust(60, b"\0"))
            while True:
                frame, said, _, _ = wire.recvmsg(2000, 200)
                answer = Ether(frame)
                if answer.src == "02:00:00:00:01:01":
                    break
            # Linux puts the tag beside the frame for who listens.
            tci = int.from_bytes(said[0][2][16:18], sys.byteorder)
            assert tci == 7
            assert answer[ARP].op == 2 and answer[ARP].psrc == "10.0.7.1"
    finally:
        router.terminate()
        router.communicate(timeout=20)
    assert router.returncode == 0


@in_namespace
def test_an_interface_that_goes_is_a_wire_that_is_cut(tmp_path):
    Host("lan0")
    Host("wan0")
    router = _routing(tmp_path, BOX)
    sh("ip link del lan0")
    used = Path("/proc", str(router.pid), "stat")
    before = sum(map(int, used.read_text().split()[13:15]))
    with pytest.raises(subprocess.TimeoutExpired):
        router.wait(1)
    # It does not turn in circles: a hundred ticks are a second.
    assert sum(map(int, used.read_text().split()[13:15])) - before < 50
    router.terminate()
    _, errors = router.communicate(timeout=20)
    assert (router.returncode, errors) == (0, "")


def _fails(tmp_path: Path, *options: str) -> str:
    (tmp_path / "box.yaml").write_text(BOX)
    (tmp_path / "rules.nft").write_text(RULES)
    command = [sys.executable, "-m", "flowtable", "route", str(tmp_path / "rules.nft")]
    result = subprocess.run(
        [*command, "--box", str(tmp_path / "box.yaml"), *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert result.returncode in (1, 2), result
    assert "Traceback" not in result.stderr
    return result.stderr


@in_namespace
def test_what_cannot_be_routed_between_is_said(tmp_path):
    assert "lan0: there is no such interface" in _fails(tmp_path)
    sh("ip link add lan0 type veth peer name far0")
    sh("ip address add 10.9.9.9/24 dev lan0")
    assert "lan0: the host has an IPv4 address here" in _fails(tmp_path)
    sh("ip address flush dev lan0")
    assert "wan0: there is no such interface" in _fails(tmp_path)
    assert "x: there is no such interface" in _fails(tmp_path, "--port", "wan0=x")
    assert "the box has no ethernet device dmz0" in _fails(tmp_path, "--port", "dmz0=x")
    assert "expected DEV=INTERFACE" in _fails(tmp_path, "--port", "dmz0")
    # What it had silenced is left as it was.
    assert Path("/proc/sys/net/ipv6/conf/lan0/disable_ipv6").read_text().strip() == "0"
