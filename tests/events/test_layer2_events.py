"""Events on a bridge: stations, ports and VLANs."""

from __future__ import annotations

import pytest
from scapy.layers.l2 import Dot1Q, Ether

from flowtable.events import EventError
from tests.events.test_events import happen
from tests.lab import CLIENT, CLIENT_MAC, LAN_MAC, SERVER, SERVER_MAC, WAN_MAC, Lab, Sent, udp

BOX = f"""
devices:
  - {{name: br0, kind: bridge, mac: "{LAN_MAC}", vlan_filtering: true, addresses: [10.0.1.1/24]}}
  - {{name: lan1, mac: "02:00:00:00:01:11", master: br0}}
  - {{name: lan2, mac: "02:00:00:00:01:12", master: br0}}
  - {{name: lan3, mac: "02:00:00:00:01:13"}}
  - {{name: wan0, mac: "{WAN_MAC}", addresses: [10.0.2.1/24]}}
neighbours:
  - {{address: {CLIENT}, dev: br0, mac: "{CLIENT_MAC}"}}
  - {{address: {SERVER}, dev: wan0, mac: "{SERVER_MAC}"}}
sysctls:
  net.ipv4.ip_forward: 1
"""

RULES = """
table inet x {
    flowtable f {
        hook ingress priority filter; devices = { lan1, lan2, wan0 };
    }
    chain y {
        type filter hook forward priority filter; policy accept;
        flow add @f
    }
}
"""


@pytest.fixture
def lab() -> Lab:
    """A client on lan1 whose flow is offloaded."""
    lab = Lab(RULES, box_file=BOX)
    there(lab, "lan1")
    back(lab)
    there(lab, "lan1")
    assert lab.entries() == 1
    return lab


def there(lab: Lab, port: str) -> list[Sent]:
    return lab.receive(port, Ether(src=CLIENT_MAC, dst=LAN_MAC) / udp())


def back(lab: Lab) -> list[Sent]:
    return lab.receive(
        "wan0",
        Ether(src=SERVER_MAC, dst=WAN_MAC) / udp(source=SERVER, destination=CLIENT, sport=53, dport=5000),
    )


def test_a_station_that_moves(lab):
    happen(lab, f"[{{at: 0, fdb: {{mac: '{CLIENT_MAC}', dev: lan2}}}}]")
    (sent,) = back(lab)
    assert (sent.device, sent.ether.dst) == ("lan2", CLIENT_MAC)


def test_a_station_that_is_forgotten(lab):
    happen(lab, f"[{{at: 0, fdb: {{mac: '{CLIENT_MAC}', dev: lan1, delete: true}}}}]")
    assert {sent.device for sent in back(lab)} == {"lan1", "lan2"}


def test_a_port_that_blocks(lab):
    happen(lab, "[{at: 0, port: {dev: lan1, state: blocking}}]")
    assert lab.entries() == 0
    assert there(lab, "lan1") == []


def test_a_vlan_that_becomes_tagged(lab):
    happen(lab, "[{at: 0, vlan: {dev: lan1, id: 1, pvid: true, untagged: false}}]")
    (sent,) = back(lab)
    assert (sent.device, sent.ether[Dot1Q].vlan) == ("lan1", 1)
    happen(lab, "[{at: 0, vlan: {dev: lan1, id: 1, delete: true}}]")
    assert "lan1" not in {sent.device for sent in back(lab)}


def test_ports_that_leave_and_join(lab):
    happen(lab, "[{at: 0, link: {dev: lan1, master: none}}, {at: 0, link: {dev: lan3, master: br0}}]")
    print(lab.statistics.teardowns)
    assert {sent.device for sent in back(lab)} == {"lan2", "lan3"}


def test_a_rule(lab):
    happen(lab, "[{at: 0, rule: {priority: 10, from: 10.0.1.0/24, action: prohibit}}]")
    (told,) = there(lab, "lan1")
    assert told.ether["ICMP"].code == 13
    happen(lab, "[{at: 0, rule: {priority: 10, from: 10.0.1.0/24, action: prohibit, delete: true}}]")
    (sent,) = there(lab, "lan1")
    assert sent.device == "wan0"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- {at: 1, port: {dev: wan0, state: blocking}}", "[0].port.dev: wan0 is no port of a bridge"),
        ("- {at: 1, port: {dev: br0, state: blocking}}", "[0].port.dev: br0 is no port of a bridge"),
        ("- {at: 1, port: {dev: lan1, state: open}}", "[0].port.state: expected disabled, listening"),
        ("- {at: 1, vlan: {dev: lan1, id: 4095}}", "[0].vlan.id: expected 1..4094"),
        ("- {at: 1, vlan: {dev: lan1, id: 7, delete: true}}", "[0].vlan.id: No such file or directory"),
        ("- {at: 1, fdb: {mac: '02:00:00:00:00:09', dev: lan1, vlan: 9}}", "lan1 is not in VLAN 9"),
        ("- {at: 1, link: {dev: lan1, master: eth9}}", "[0].link.master: unknown device 'eth9'"),
        ("- {at: 1, rule: {priority: 5}}", "expected one of table, action and l3mdev"),
    ],
)
def test_what_is_wrong_has_its_place(lab, text, words):
    with pytest.raises(EventError) as raised:
        happen(lab, text)
    assert words in str(raised.value)
