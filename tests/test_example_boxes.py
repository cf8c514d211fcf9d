"""The example boxes: all devices that a flow needs are in the flowtable of each, and no others count."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1AD, Dot1Q, Ether
from scapy.layers.ppp import PPP, PPPoE
from scapy.packet import Packet, Raw

from flowtable.topology.boxfile import dump, load
from tests.lab import Lab

BOXES = Path(__file__).resolve().parent.parent / "examples" / "boxes"


@dataclass(frozen=True)
class Wire:
    """Where frames of one end pass.

    Attributes:
        device: the lowest device that they pass.
        far: MAC address of the host or the gateway.
        near: MAC address of the box.
        around: what is around their packets, outermost first.
        switch: what a switch chip puts behind the MAC addresses, and what it is given there.
    """

    device: str
    far: str
    near: str
    around: tuple[Packet, ...] = ()
    switch: tuple[bytes, bytes] = (b"", b"")

    def frame(self, packet: Packet) -> bytes:
        for layer in reversed(self.around):
            packet = layer / packet
        frame = bytes(Ether(src=self.far, dst=self.near) / packet)
        return frame[:12] + self.switch[0] + frame[12:]


@dataclass(frozen=True)
class Flow:
    """A flow from inside, and what of its addresses the outside sees."""

    inside: Wire
    outside: Wire
    client: str
    server: str
    seen: str
    port: int = 443


def mac(last: str) -> str:
    return f"02:00:00:00:{last}"


def tag(vid: int) -> tuple[Packet, ...]:
    return (Dot1Q(vlan=vid),)


SESSION = (Dot1Q(vlan=7), PPPoE(sessionid=2049), PPP(proto=0x21))
CLIENT, SERVER, SEEN = "192.168.1.10", "8.8.8.8", "198.51.100.2"
UPLINK = mac("01:99")
STATION = mac("02:99")

FLOWS = {
    "home-router": Flow(
        Wire("lan0", STATION, mac("00:01")), Wire("wan0", UPLINK, mac("00:02")), CLIENT, SERVER, SEEN
    ),
    "fibre-pppoe": Flow(
        Wire("lan2", STATION, mac("02:00")),
        Wire("eth0", UPLINK, mac("01:01"), SESSION),
        CLIENT,
        SERVER,
        "203.0.113.20",
    ),
    "dsa-switch": Flow(
        Wire("eth0", STATION, mac("00:01"), switch=(b"\x00\x03\x00\x00", b"\x00\x08\x00\x00")),
        Wire("eth0", UPLINK, mac("00:02"), switch=(b"\x00\x00\x00\x00", b"\x00\x01\x00\x00")),
        CLIENT,
        SERVER,
        SEEN,
    ),
    "vlan-bridge": Flow(
        Wire("eth2", mac("20:99"), mac("02:00"), tag(20)),
        Wire("eth0", UPLINK, mac("00:01")),
        "192.168.20.10",
        SERVER,
        SEEN,
    ),
    "bond-vlans": Flow(
        Wire("eth0", mac("10:99"), mac("00:01"), tag(10)),
        Wire("eth0", mac("20:99"), mac("00:01"), tag(20)),
        "192.168.10.10",
        "192.168.20.10",
        "192.168.10.10",
    ),
    "qinq-customer": Flow(
        Wire("eth1", STATION, mac("00:02")),
        Wire("eth0", UPLINK, mac("00:01"), (Dot1AD(vlan=100), Dot1Q(vlan=42))),
        CLIENT,
        SERVER,
        SEEN,
    ),
    "docker-host": Flow(
        Wire("veth1a2b3c4", mac("12:02"), mac("11:00")),
        Wire("eth0", UPLINK, mac("00:01")),
        "172.17.0.2",
        SERVER,
        SEEN,
    ),
    "one-armed": Flow(
        Wire("eth0", STATION, mac("00:01"), tag(10)),
        Wire("eth0", UPLINK, mac("00:01"), tag(20)),
        CLIENT,
        SERVER,
        SEEN,
    ),
    "wifi-ap": Flow(
        Wire("wlan0", STATION, mac("02:00")), Wire("eth1", UPLINK, mac("00:01")), CLIENT, SERVER, SEEN
    ),
    "vrf-pe": Flow(
        Wire("eth1", mac("20:99"), mac("00:02"), tag(20)),
        Wire("eth0", mac("01:98"), mac("00:01"), tag(120)),
        "10.0.0.10",
        "10.1.2.3",
        "10.0.0.10",
    ),
    "tunnel-broker": Flow(
        Wire("eth1", STATION, mac("00:02")),
        Wire("eth0", UPLINK, mac("00:01"), (IP(src="203.0.113.66", dst="198.51.100.2", proto=41),)),
        "2001:db8:1::10",
        "2001:db8:9::1",
        "2001:db8:1::10",
    ),
    "macvlan-host": Flow(
        Wire("eth1", STATION, mac("00:03")), Wire("eth0", UPLINK, mac("00:02")), CLIENT, SERVER, SEEN
    ),
    "multi-wan": Flow(
        Wire("guest0", STATION, mac("00:02")),
        Wire("wan1", mac("04:99"), mac("00:04")),
        "192.168.9.10",
        SERVER,
        "203.0.113.2",
    ),
    "vlan-port": Flow(
        Wire("eth2", STATION, mac("02:00"), tag(10)), Wire("eth0", UPLINK, mac("00:01")), CLIENT, SERVER, SEEN
    ),
    "lacp-storage": Flow(
        Wire("eth2", mac("20:99"), mac("00:03")),
        Wire("eth0", mac("10:99"), mac("00:01")),
        "10.20.0.10",
        "10.10.0.10",
        "10.20.0.10",
        2049,
    ),
}


def lab(name: str, devices: Iterable[str] = ()) -> Lab:
    """The box, with its own list of devices or another one."""
    folder = BOXES / name
    rules = (folder / "ruleset.nft").read_text()
    if devices:
        rules = re.sub(r"devices = \{.*\}", f"devices = {{ {', '.join(devices)} }}", rules)
    return Lab(rules, box_file=(folder / "box.yaml").read_text())


def packet(source: str, destination: str, sport: int, dport: int) -> Packet:
    network = IPv6 if ":" in source else IP
    return network(src=source, dst=destination) / UDP(sport=sport, dport=dport) / Raw(b"x" * 20)


def exchange(box: Lab, flow: Flow) -> None:
    """One packet each way: they come out at the other end, in what is around packets there."""
    (sent,) = box.receive(
        flow.inside.device, flow.inside.frame(packet(flow.client, flow.server, 5000, flow.port))
    )
    assert sent.device == flow.outside.device
    check(sent.frame, flow.outside, flow.seen, flow.server)
    (sent,) = box.receive(
        flow.outside.device, flow.outside.frame(packet(flow.server, flow.seen, flow.port, 5000))
    )
    assert sent.device == flow.inside.device
    check(sent.frame, flow.inside, flow.server, flow.client)


def check(sent: bytes, wire: Wire, source: str, destination: str) -> None:
    _, expected = wire.switch
    assert sent[12:].startswith(expected)
    frame = Ether(sent[:12] + sent[12 + len(expected) :])
    assert (frame.src, frame.dst) == (wire.near, wire.far)
    layer = frame.payload
    for around in wire.around:
        assert type(layer) is type(around)
        if isinstance(around, (Dot1Q, Dot1AD)):
            assert layer.vlan == around.vlan
        layer = layer.payload
    assert (layer.src, layer.dst) == (source, destination)


def test_every_box_is_here():
    assert sorted(FLOWS) == sorted(folder.name for folder in BOXES.iterdir() if folder.is_dir())
    assert len(FLOWS) == 15


@pytest.mark.parametrize("name", FLOWS)
def test_the_page_is_of_the_box(name):
    folder = BOXES / name
    text = (folder / "box.yaml").read_text()
    assert dump(load(dump(load(text)))) == dump(load(text))
    page = (folder / "README.md").read_text()
    assert [device for device in load(text).devices if device != "lo" and device not in page] == []


@pytest.mark.parametrize("name", FLOWS)
def test_the_flow_takes_the_fast_path_both_ways(name):
    box, flow = lab(name), FLOWS[name]
    exchange(box, flow)
    exchange(box, flow)
    assert box.entries() == 1
    assert not box.statistics.refusals
    classic = box.statistics.forward
    exchange(box, flow)
    assert box.statistics.forward == classic


@pytest.mark.parametrize("name", FLOWS)
def test_every_device_of_the_list_counts_where_the_flow_passes(name):
    """Without a device that the flow needs it is refused; the others are for other flows."""
    listed = re.search(r"devices = \{ (.*) \}", (BOXES / name / "ruleset.nft").read_text())
    assert listed is not None
    devices = listed[1].split(", ")
    needed = [device for device in devices if not offloads(name, set(devices) - {device})]
    assert 1 <= len(needed) <= 2
    assert offloads(name, set(needed))


def offloads(name: str, devices: set[str]) -> bool:
    if not devices:
        return False
    box = lab(name, devices)
    for _ in range(2):
        exchange(box, FLOWS[name])
    return box.entries() == 1
