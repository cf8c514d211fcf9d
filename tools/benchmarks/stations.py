"""A station behind a bridge that moves to another port or gets another MAC address, and its flows with it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from ipaddress import ip_address

from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from benchmarks.row import Aim, Row, Unit
from flowtable.clock import SECOND
from flowtable.packet.checksum import fill_ipv4
from flowtable.router import Box
from flowtable.ruleset import parse
from flowtable.topology.boxfile import load
from flowtable.topology.bridge import Bridge
from flowtable.topology.neighbour import NeighbourState

BRIDGED = """
devices:
  - {name: br0, kind: bridge, mac: "02:00:00:00:00:01", addresses: [10.1.0.1/16]}
  - {name: lan1, mac: "02:00:00:00:00:11", master: br0}
  - {name: lan2, mac: "02:00:00:00:00:12", master: br0}
  - {name: wan0, mac: "02:00:00:00:00:02", addresses: [192.0.2.1/24]}
neighbours:
  - {address: 192.0.2.2, dev: wan0, mac: "02:00:00:00:00:fe", state: permanent}
sysctls: {net.ipv4.ip_forward: 1}
"""
BRIDGED_RULES = """
table ip t {
    flowtable f { hook ingress priority filter; devices = { lan1, lan2, wan0 }; }
    chain forward { type filter hook forward priority filter; policy accept; flow add @f; }
}
"""
FLOWS_PER_STATION = 10
STATION = "10.1.1.0"
"""The first of them; its neighbours have the next addresses."""


def packed(address: str) -> bytes:
    """An address as it stands in packets."""
    return ip_address(address).packed


def behind_a_bridge(flows: int) -> tuple[Box, Bridge, list[bytes]]:
    """A box with so many flows, ten for each station of its bridge, and the stations' MAC addresses."""
    target = Box(load(BRIDGED, "box.yaml"), parse(BRIDGED_RULES, "rules"), transmit=lambda *_: None)
    topology, now = target.topology, SECOND
    br0, lan1 = topology.devices["br0"], topology.devices["lan1"]
    assert isinstance(br0, Bridge)
    frame = bytearray(bytes(Ether(dst=br0.mac) / IP(src=STATION, dst="192.0.2.2") / UDP(chksum=0)))
    macs = []
    for number in range(flows // FLOWS_PER_STATION):
        address = (int.from_bytes(packed(STATION)) + number).to_bytes(4)
        mac = b"\x02\x01" + number.to_bytes(4)
        macs.append(mac)
        topology.neighbours.set(br0, address, mac, NeighbourState.PERMANENT)
        frame[6:12], frame[26:30] = mac, address
        fill_ipv4(frame, 14)
        for port in range(FLOWS_PER_STATION):
            frame[34:36] = (1000 + port).to_bytes(2)
            for _ in range(2):
                target.receive(lan1, bytes(frame), now)
    if len(list(target.flowtables.entries())) != flows:
        raise SystemExit("not every flow behind the bridge is in the flowtable")
    return target, br0, macs


def changing(flows: int) -> Iterator[tuple[str, float, float]]:
    """What happens to one station, the microseconds that takes, and the flows that are looked at."""
    target, br0, macs = behind_a_bridge(flows)
    ports = list(br0.ports.values())
    spare = b"\x02\x02" + bytes(4)
    br0.fdb.learn(ports[0], spare, 0, SECOND)

    def moves(number: int) -> None:
        br0.fdb.learn(ports[(number + 1) % 2], macs[0], 0, SECOND)

    def changes_its_mac(number: int) -> None:
        mac = (spare, macs[0])[number % 2]
        target.topology.neighbours.set(br0, packed(STATION), mac, NeighbourState.PERMANENT)

    for name, change in (("moves to another port", moves), ("gets another MAC address", changes_its_mac)):
        before = target.flowtables.examined
        times = []
        for number in range(200):
            begin = time.perf_counter()
            change(number)
            times.append(time.perf_counter() - begin)
        looked_at = (target.flowtables.examined - before) / len(times)
        yield name, statistics.median(times) * 1e6, looked_at
    if sum(not entry.torn_down for entry in target.flowtables.entries()) != flows:
        raise SystemExit("a change behind the bridge ended a flow")


def rows() -> Iterator[Row]:
    """What happens to a station, among few flows and among many."""
    subject = f"a station of {FLOWS_PER_STATION} flows behind a bridge"
    for flows in (100, 10_000):
        for name, micros, looked_at in changing(flows):
            among = f"{name}, among {flows:,} flows"
            yield Row(subject, among, micros, Unit.MICROSECONDS, size=flows)
            yield Row(
                subject,
                f"{among}: flows that are looked at",
                looked_at,
                Unit.FLOWS,
                size=flows,
                aim=Aim("<=", FLOWS_PER_STATION),
            )
