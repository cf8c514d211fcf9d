"""The driver for tc on a real kernel: real hosts, TCP through filters that software executes.

Run by name, on a kernel with cls_flower and the actions: ``make oracle-hardware``. What proves that
packets took the filters is what the kernel's own selftest takes for proof: the forward chain counts
nearly none of them, and tc counts the others.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from socket import AF_INET, AF_INET6, IP_TTL, IPPROTO_IP, SHUT_WR, socket
from typing import Any

import pytest

from flowtable.clock import MILLISECOND, SECOND
from flowtable.conntrack.connection import Connection, Status, TcpState, TcpTracking
from flowtable.conntrack.core import Conntrack
from flowtable.conntrack.tuple import Tuple
from flowtable.datapath.reference import ReferenceDatapath
from flowtable.flows.entry import FlowEntry
from flowtable.flows.flowtable import Flowtable
from flowtable.flows.flowtables import Flowtables
from flowtable.flows.offer import Offer
from flowtable.live.mirror.mirror import Mirror
from flowtable.live.tc import TcProgram
from flowtable.offload.bindings import Bindings, OffloadPolicy
from flowtable.offload.tcflower.driver import CHAIN, TcFlower
from flowtable.packet.packet import IPV4, IPV6, TCP
from flowtable.profile import DEFAULT
from flowtable.ruleset import parse
from flowtable.topology.device import Device
from tests.live.hosts import CLIENT, CLIENT6, SERVER, SERVER6, WAN, Host, in_namespace, sh, sysctl

RULES = """
table inet x {
    chain forward { type filter hook forward priority 0; policy accept; counter; }
}
table ip nat {
    chain postrouting { type nat hook postrouting priority srcnat; oifname WAN masquerade; }
}
"""
SPORT, DPORT = 40000, 5001
SIZE = 2_000_000
WAN6 = "2001:db8:2::1"


@dataclass
class Router:
    """The router between a client and a server, and a flowtable whose flows go to tc."""

    client: Host
    server: Host
    mirror: Mirror
    flowtables: Flowtables
    flowtable: Flowtable
    driver: TcFlower
    lan: Device
    wan: Device
    now: int = 1000 * SECOND

    def offload(self, *, ipv6: bool = False, nat: bool = True, sport: int = SPORT) -> FlowEntry:
        """The flow of the TCP connection from the client to the server."""
        client, server = (CLIENT6, SERVER6) if ipv6 else (CLIENT, SERVER)
        public = WAN if nat and not ipv6 else client
        family = IPV6 if ipv6 else IPV4
        original = Tuple(family, TCP, _packed(client), _packed(server), sport, DPORT)
        reply = Tuple(family, TCP, _packed(server), _packed(public), DPORT, sport)
        connection = Connection(original, reply, start=self.now)
        connection.status = Status.CONFIRMED | Status.SEEN_REPLY | Status.ASSURED
        if nat and not ipv6:
            connection.status |= Status.SRC_NAT | Status.SRC_NAT_DONE
        connection.tcp = TcpTracking()
        connection.tcp.state = TcpState.ESTABLISHED
        connection.expires = self.now + 86400 * SECOND
        route = self.mirror.topology.fib(family).lookup(_packed(server))
        assert route is not None
        offer = Offer(connection, reply=False, iif=self.lan, route=route, mark=0, station=None)
        assert self.flowtable.add_connection(offer, self.now) is None
        self.pass_time(0.01)
        (entry,) = [e for e in self.flowtable if e.connection is connection]
        return entry

    def pass_time(self, seconds: float) -> None:
        self.now += int(seconds * SECOND)
        self.flowtables.advance(self.now)

    @property
    def forwarded(self) -> int:
        """Packets that the forward chain has counted."""
        listed = json.loads(sh("nft -j list chain inet x forward"))
        return next(
            int(statement["counter"]["packets"])
            for each in listed["nftables"]
            if "rule" in each
            for statement in each["rule"]["expr"]
            if "counter" in statement
        )


def _packed(address: str) -> bytes:
    return ip_address(address).packed


@contextmanager
def router(*tags: tuple[str, int], nat: bool = True) -> Iterator[Router]:
    """A router whose server is behind ``wan0``, in VLANs of these protocols and numbers, outermost first."""
    sysctl("net.ipv4.ip_forward", 1)
    sysctl("net.ipv6.conf.all.forwarding", 1)
    sysctl("net.ipv6.conf.default.accept_dad", 0)
    sysctl("net.netfilter.nf_conntrack_tcp_be_liberal", 1)
    client = Host("lan0", (f"{CLIENT}/24", "10.0.1.1/24"), (f"{CLIENT6}/64", "2001:db8:1::1/64"))
    server = Host("wan0", *(() if tags else ((f"{SERVER}/24", f"{WAN}/24"), (f"{SERVER6}/64", f"{WAN6}/64"))))
    wan = _tagged(server, tags) if tags else "wan0"
    for host in (client, server):
        # tc edits packets one by one: what is on the wires has to be packets, with their checksums.
        host.sh("ethtool -K eth0 tso off gso off gro off tx off")
    for name in ("lan0", "wan0"):
        sh(f"ethtool -K {name} tso off gso off gro off tx off")
    sh("nft -f -", RULES.replace("WAN", wan if nat else "nowhere"))
    for address in (SERVER, SERVER6):
        client.sh(f"ping -c 1 -W 5 {address}")
    with Mirror() as mirror:
        driver = TcFlower(TcProgram(), skip_hw=True, interval=0)
        bindings = Bindings(mirror.topology, DEFAULT, OffloadPolicy.REQUIRE, [driver])
        conntrack = Conntrack(mirror.topology.sysctls)
        flowtables = Flowtables(
            mirror.topology, conntrack, DEFAULT, ReferenceDatapath, hardware=bindings.block, now=1000 * SECOND
        )
        mirror.topology.hardware.queue_latency = MILLISECOND
        declared = parse(
            "table inet x { flowtable f { hook ingress priority 0; devices = { lan0, wan0 };"
            " flags offload; counter; }; }",
            "f.nft",
        )
        (declaration,) = declared.flowtables()
        flowtable = flowtables.create(declaration)
        devices = mirror.topology.devices
        yield Router(client, server, mirror, flowtables, flowtable, driver, devices["lan0"], devices[wan])


def _tagged(server: Host, tags: tuple[tuple[str, int], ...]) -> str:
    """VLAN devices on both ends of the wire; the name of the router's innermost one."""
    near, far = "wan0", "eth0"
    for protocol, number in tags:
        upper, there = f"v{number}", f"e{number}"
        sh(f"ip link add link {near} name {upper} type vlan protocol {protocol} id {number}")
        server.sh(f"ip link add link {far} name {there} type vlan protocol {protocol} id {number}")
        sh(f"ip link set {upper} up")
        server.sh(f"ip link set {there} up")
        near, far = upper, there
    for router_address, own in ((f"{WAN}/24", f"{SERVER}/24"), (f"{WAN6}/64", f"{SERVER6}/64")):
        sh(f"ip address add {router_address} dev {near} nodad")
        server.sh(f"ip address add {own} dev {far} nodad")
        gateway = router_address.split("/")[0]
        server.sh(f"ip {'-6 ' if ':' in gateway else ''}route add default via {gateway}")
    return near


class Transfer:
    """A TCP connection between client and server on which both send."""

    def __init__(self, hosts: Router, *, ipv6: bool = False, sport: int = SPORT) -> None:
        address = SERVER6 if ipv6 else SERVER
        listening = hosts.server.server(address, DPORT)
        listening.settimeout(20)
        self.near = hosts.client.open(AF_INET6 if ipv6 else AF_INET, 1)
        self.near.bind(("", sport))
        self.near.connect((address, DPORT))
        self.far, self.peer = listening.accept()
        listening.close()
        for end in (self.near, self.far):
            end.settimeout(60)

    def exchange(self, size: int = SIZE) -> None:
        """Both send that much at once; what arrives has to be that."""
        data = hashlib.shake_128(b"data").digest(size)
        got: dict[int, bytes] = {}

        def send(end: socket) -> None:
            end.sendall(data)
            end.shutdown(SHUT_WR)

        def read(number: int, end: socket) -> None:
            pieces = []
            while piece := end.recv(65536):
                pieces.append(piece)
            got[number] = b"".join(pieces)

        ends = (self.near, self.far)
        threads = [threading.Thread(target=send, args=(end,)) for end in ends]
        threads += [threading.Thread(target=read, args=(number, end)) for number, end in enumerate(ends)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(100)
        assert {number: hashlib.sha256(each).hexdigest() for number, each in got.items()} == dict.fromkeys(
            (0, 1), hashlib.sha256(data).hexdigest()
        )


def left_over() -> list[Any]:
    """All filters on the router's devices."""
    found = []
    for device in ("lan0", "wan0"):
        if "clsact" not in sh(f"tc qdisc show dev {device}"):
            continue
        for chain in ("", f" chain {CHAIN}"):
            found += json.loads(sh(f"tc -j filter show dev {device} ingress{chain}") or "[]")
    return found


CASES = {
    "plain": ((), False, False),
    "masquerade": ((), False, True),
    "IPv6": ((), True, False),
    "masquerade through a VLAN": ((("802.1Q", 7),), False, True),
    "IPv6 through a VLAN": ((("802.1Q", 7),), True, False),
    "masquerade through QinQ": ((("802.1ad", 100), ("802.1Q", 7)), False, True),
}


@pytest.mark.parametrize("case", list(CASES))
@in_namespace
def test_tcp_through_filters(case: str) -> None:
    tags, ipv6, nat = CASES[case]
    with router(*tags, nat=nat) as hosts:
        transfer = Transfer(hosts, ipv6=ipv6)
        if nat:
            assert transfer.peer[0] == WAN
        entry = hosts.offload(ipv6=ipv6, nat=nat)
        assert entry.hardware is not None
        assert [(side.driver, side.failure) for side in entry.hardware.sides] == [("tc", None)] * 2
        before = hosts.forwarded
        transfer.exchange()
        classic = hosts.forwarded - before
        hosts.pass_time(4)
        counted = [side.packets for side in entry.hardware.sides]
        least = SIZE // 1460
        assert min(counted) > least, counted
        assert sum(side.bytes for side in entry.hardware.sides) > 2 * SIZE
        assert classic < 40, f"{classic} packets took the classic path: FINs and what comes after them"
        assert not entry.directions[0].packets, "no packet met the software flowtable"
        hosts.flowtables.delete(hosts.flowtable, hosts.now)
        for name in ("lan0", "wan0"):
            hosts.driver.unbind(hosts.mirror.topology.devices[name])
        assert left_over() == []
        assert "clsact" not in sh("tc qdisc show")


@in_namespace
def test_what_is_not_for_filters_takes_the_classic_path() -> None:
    """TTL 1 is answered by the router; what does not fit is too; FIN and RST are seen by conntrack."""
    with router() as hosts:
        transfer = Transfer(hosts)
        entry = hosts.offload()
        for ttl, limit in ((1, True), (64, False)):
            before = hosts.forwarded
            level = IPPROTO_IP
            transfer.near.setsockopt(level, IP_TTL, ttl)
            transfer.near.sendall(b"hello")
            time.sleep(0.5)
            if limit:
                transfer.far.setblocking(False)
                with pytest.raises(BlockingIOError):
                    transfer.far.recv(10)
                transfer.far.settimeout(20)
            else:
                # The first one once more, as TCP sends it again.
                assert transfer.far.recv(10) in (b"hello", b"hellohello")
                assert hosts.forwarded == before
        assert "InTimeExcds" in hosts.client.sh("cat /proc/net/snmp")
        words = hosts.client.sh("cat /proc/net/snmp").splitlines()
        names, values = (line.split() for line in words if line.startswith("Icmp:"))
        assert int(values[names.index("InTimeExcds")]) >= 1, "the router told of it"
        before = hosts.forwarded
        transfer.near.setsockopt(1, 13, struct.pack("ii", 1, 0))  # SO_LINGER: close with RST
        transfer.near.close()
        time.sleep(0.3)
        assert hosts.forwarded == before + 1
        assert entry.hardware is not None and entry.hardware.placed


@in_namespace
def test_packets_that_do_not_fit_go_to_the_router() -> None:
    with router() as hosts:
        transfer = Transfer(hosts)
        entry = hosts.offload()
        entry.directions[0].mtu = 1000
        hosts.flowtable.refresh(entry, hosts.now)
        # What follows the devices is worked out anew: the route says it.
        sh(f"ip route add {SERVER}/32 dev wan0 mtu 1000")
        hosts.mirror.read()
        hosts.pass_time(0.1)
        entry = next(iter(hosts.flowtable), None) or hosts.offload()
        assert entry.directions[0].mtu == 1000
        transfer.exchange(200_000)
        words = hosts.client.sh("cat /proc/net/snmp").splitlines()
        names, values = (line.split() for line in words if line.startswith("Icmp:"))
        assert int(values[names.index("InDestUnreachs")]) >= 1, "fragmentation needed"


@in_namespace
def test_a_process_that_is_killed_leaves_filters_and_the_next_takes_them_away() -> None:
    with router() as hosts:
        transfer = Transfer(hosts)
        child = os.fork()
        if not child:
            hosts.offload()
            os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(child, 0)
        assert len(left_over()) > 4, "it did leave some"
        fresh = TcFlower(TcProgram(), skip_hw=True)
        for name in ("lan0", "wan0"):
            assert fresh.bind(hosts.mirror.topology.devices[name]) is None
        mine = left_over()
        assert all(each.get("pref") == CHAIN for each in mine), mine
        before = hosts.forwarded
        transfer.exchange(100_000)
        assert hosts.forwarded - before > 100, "and packets take the classic path"
        for name in ("lan0", "wan0"):
            fresh.unbind(hosts.mirror.topology.devices[name])
        assert left_over() == []


@in_namespace
def test_without_such_hardware_tc_says_so() -> None:
    with router() as hosts:
        strict = TcFlower(TcProgram())
        refused = strict.refuses(hosts.lan)
        assert refused is not None and "hw-tc-offload: off" in refused.detail


@in_namespace
def test_errors_are_told_in_words() -> None:
    with router() as hosts:
        program = TcProgram()
        failed = program.batch(
            [
                "filter add dev lan0 ingress protocol ip pref 3 flower skip_sw ip_proto tcp action drop",
                "filter add dev lan0 ingress protocol ip pref 3 flower skip_hw ip_proto tcp action pass",
                "filter del dev lan0 ingress protocol ip pref 9",
            ]
        )
        assert list(failed) == [0, 2]
        assert "Operation not supported" in failed[0]
        assert hosts.client.sh("true") == ""


@in_namespace
def test_the_neighbour_changes_and_the_filter_with_it() -> None:
    with router() as hosts:
        entry = hosts.offload()
        assert "00:00:5e" not in sh(f"tc filter show dev lan0 ingress chain {CHAIN}")
        sh(f"ip neighbour replace {SERVER} dev wan0 lladdr 00:00:5e:00:53:01 nud permanent")
        hosts.mirror.read()
        hosts.pass_time(0.1)
        assert entry.hardware is not None and entry.hardware.sides[0].failure is None
        assert hosts.driver.stats is not None
        assert "5e00" in sh(f"tc filter show dev lan0 ingress chain {CHAIN}")
