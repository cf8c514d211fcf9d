"""Events on a box in the lab: what ``ip``, ``sysctl`` and ``nft`` would have done there."""

from __future__ import annotations

import pytest
from scapy.layers.inet import IP, UDP

from flowtable.clock import SECOND
from flowtable.events import EventError, load
from flowtable.flows.teardown import Teardown
from flowtable.packet.drop import Drop
from flowtable.topology.bridge import Bridge, PortState, VlanTable
from tests.lab import BOX, CLIENT, FORWARD, SERVER, Lab, Tcp, udp, udp_reply

NEW_MAC = "02:00:00:00:02:77"


def happen(lab: Lab, text: str) -> None:
    for event in load(text):
        event.happen(lab.box)


def offloaded(lab: Lab) -> Tcp:
    tcp = Tcp(lab)
    tcp.open()
    assert lab.entries() == 1
    return tcp


def test_in_the_order_of_their_times_and_of_the_file():
    events = load(
        "[{at: 2, conntrack: flush}, {at: 0.5, sysctl: {net.ipv4.ip_forward: 0}},"
        " {at: 2, sysctl: {net.ipv4.ip_forward: 1}}, {at: 0.000000001, conntrack: flush}]"
    )
    assert [event.at for event in events] == [1, SECOND // 2, 2 * SECOND, 2 * SECOND]


def test_link_down_and_up_again():
    lab = Lab()
    offloaded(lab)
    happen(lab, "[{at: 0, link: {dev: wan0, up: false}}]")
    assert lab.entries() == 0
    assert lab.statistics.teardowns == {Teardown.DEVICE: 1}
    (told,) = lab.client(udp())
    assert (told.device, told.ether["ICMP"].code) == ("lan0", 0)
    assert lab.drops == {Drop.NO_ROUTE: 1}
    happen(
        lab,
        f"[{{at: 0, link: {{dev: wan0, up: true}}}},"
        f" {{at: 1, neighbour: {{address: {SERVER}, dev: wan0, mac: '{NEW_MAC}'}}}}]",
    )
    (sent,) = lab.client(udp())
    assert (sent.device, sent.ether.dst) == ("wan0", NEW_MAC)


def test_mtu():
    lab = Lab()
    happen(lab, "[{at: 0, link: {dev: wan0, mtu: 600}}]")
    sent = lab.client(IP(src=CLIENT, dst=SERVER, flags="DF") / UDP(sport=1, dport=2) / (b"x" * 700))
    assert [each.device for each in sent] == ["lan0"]
    assert lab.drops == {Drop.TOO_BIG: 1}


def test_neighbour_that_was_waited_for():
    lab = Lab()
    happen(lab, f"[{{at: 0, neighbour: {{address: {SERVER}, dev: wan0, delete: true}}}}]")
    (asked,) = lab.client(udp())
    assert asked.ether.type == 0x0806
    happen(lab, f"[{{at: 0, neighbour: {{address: {SERVER}, dev: wan0, mac: '{NEW_MAC}'}}}}]")
    sent = lab.sent[-1]
    assert (sent.device, sent.ether.dst) == ("wan0", NEW_MAC)
    assert sent.ether["UDP"].dport == 53


def test_route_and_address():
    lab = Lab()
    happen(lab, "[{at: 0, route: {to: 192.0.2.0/24, via: 10.0.2.99}}]")
    (sent,) = lab.client(udp(destination="192.0.2.7"))
    assert sent.device == "wan0"
    happen(lab, "[{at: 0, route: {to: 192.0.2.0/24, delete: true}}]")
    lab.client(udp(destination="192.0.2.7", sport=5001))
    assert lab.drops[Drop.NO_ROUTE] == 1
    happen(lab, "[{at: 0, address: {dev: wan0, address: 192.0.2.1/24}}]")
    lab.client(udp(destination="192.0.2.1", sport=5002))
    assert lab.drops[Drop.NO_SOCKET] == 1
    happen(lab, "[{at: 0, address: {dev: wan0, address: 192.0.2.1/24, delete: true}}]")
    lab.client(udp(destination="192.0.2.1", sport=5003))
    assert lab.drops[Drop.NO_ROUTE] == 2


def test_sysctl():
    lab = Lab()
    lab.client(udp())
    happen(lab, "[{at: 0, sysctl: {net.netfilter.nf_conntrack_acct: 1}}]")
    lab.client(udp(sport=5001))
    old, new = lab.connections()
    assert "packets=" not in old
    assert "packets=1 bytes=38" in new
    happen(lab, "[{at: 0, sysctl: {net.ipv4.ip_forward: 0}}]")
    assert lab.client(udp(sport=5002)) == []


def test_rules_change_and_what_stays_goes_on():
    lab = Lab(FORWARD.replace("counter\n", 'counter comment "seen"\n'))
    tcp = offloaded(lab)
    before = lab.statistics.bypass
    happen(lab, "[{at: 0, ruleset: 'add rule inet x y ip saddr 10.0.1.99 udp dport 53 drop'}]")
    assert lab.client(udp()) == []
    assert len(tcp.out("A", b"still offloaded")) == 1
    assert lab.statistics.bypass == before + 1
    assert 'counter packets 4 bytes 158 comment "seen"' in lab.listing()


def test_a_flowtable_that_is_gone_ends_its_flows():
    lab = Lab()
    tcp = offloaded(lab)
    happen(lab, "[{at: 0, ruleset: 'flush chain inet x y; delete flowtable inet x f'}]")
    assert lab.statistics.teardowns == {Teardown.FLUSH: 1}
    assert len(tcp.out("A", b"classic")) == 1
    assert lab.statistics.bypass == 0


def test_conntrack_flush():
    lab = Lab()
    lab.client(udp())
    lab.server(udp_reply())
    assert len(lab.connections()) == 1
    happen(lab, "[{at: 0, conntrack: flush}]")
    assert lab.connections() == []


def test_a_device_that_is_gone():
    lab = Lab()
    offloaded(lab)
    happen(lab, "[{at: 0, link: {dev: wan0, delete: true}}]")
    assert lab.entries() == 0
    lab.client(udp(source=CLIENT))
    assert lab.drops[Drop.NO_ROUTE] == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{at: 1}", "events.yaml:1:1: expected a list, got a mapping"),
        ("- {at: 1}", "events.yaml:1:3: [0]: expected one event of link, device, address"),
        ("- {at: 1, link: {dev: lan0}, conntrack: flush}", "got 2"),
        ("- {link: {dev: lan0}}", "events.yaml:1:3: [0]: missing key 'at'"),
        ("- {at: -1, conntrack: flush}", "events.yaml:1:8: [0].at: expected seconds after the first packet"),
        ("- {at: 1, links: {}}", "unknown key 'links'; did you mean 'link'?"),
        ("- {at: 1, link: {dev: eth7}}", "events.yaml:1:23: [0].link.dev: unknown device 'eth7'"),
        ("- {at: 1, link: {dev: lan0, mtu: 1}}", "[0].link.mtu: expected 68..65535, got 1"),
        ("- {at: 1, conntrack: list}", "[0].conntrack: expected flush, got list"),
        ("- {at: 1, sysctl: {net.ipv4.ip_forwrd: 1}}", "did you mean 'net.ipv4.ip_forward'?"),
        ("- {at: 1, route: {to: 192.0.2.0/24, delete: true}}", "[0].route.to: No such process"),
        ("- {at: 1, route: {to: 192.0.2.0/24, via: 1.2.3.4}}", "Nexthop has invalid gateway"),
        ("- {at: 1, address: {address: 192.0.2.1/24}}", "[0].address: missing key 'dev'"),
        ("- {at: 1, address: {dev: lan0, address: 192.0.2.1, delete: 1}}", "expected true or false, got 1"),
        ("- {at: 1, neighbour: {dev: lan0, address: 192.0.2.1}}", "missing key 'mac'"),
        ("- {at: 1, ruleset: 'add rule inet x z accept'}", "No such file or directory"),
        ("- {at: 1, link: {dev: lo, delete: true}}", "lo stays"),
    ],
)
def test_what_is_wrong_has_its_place(text, words):
    lab = Lab()
    with pytest.raises(EventError) as raised:
        happen(lab, text)
    assert words in str(raised.value)
    assert str(raised.value).startswith("events.yaml:1:")


def test_an_event_that_was_refused_once_may_happen_later():
    (event,) = load("[{at: 1, ruleset: 'add rule inet x z accept'}]")
    with pytest.raises(EventError):
        event.happen(Lab().box)
    event.happen(Lab(FORWARD + "table inet x { chain z {\n}\n}").box)


BRIDGED = """
devices:
  - {name: br0, kind: bridge, vlan_filtering: true, mac: 02:00:00:00:00:b0}
  - {name: lan1, mac: 02:00:00:00:00:01, master: br0}
  - {name: lan2, mac: 02:00:00:00:00:02, master: br0, vlans: [1, 20]}
  - {name: wan0, mac: 02:00:00:00:00:03}
"""


def bridge_of(lab: Lab) -> Bridge:
    bridge = lab.box.topology.devices["br0"]
    assert isinstance(bridge, Bridge)
    return bridge


def test_a_station_moves_and_goes():
    lab = Lab("", box_file=BRIDGED)
    lan1, lan2 = bridge_of(lab).ports.values()
    fdb = bridge_of(lab).fdb
    mac = bytes.fromhex("0200000000aa")
    happen(lab, "[{at: 0, fdb: {mac: 02:00:00:00:00:aa, dev: lan1, vlan: 1}}]")
    entry = fdb.get(mac, 1)
    assert entry is not None
    assert (entry.port, entry.updated) == (lan1, lab.now)
    happen(lab, "[{at: 0, fdb: {mac: 02:00:00:00:00:aa, dev: lan2}}]")
    assert [e.vid for e in fdb if e.mac == mac and e.port is lan2] == [1, 0, 20]
    happen(lab, "[{at: 0, fdb: {mac: 02:00:00:00:00:aa, dev: lan2, vlan: 1, delete: true}}]")
    assert fdb.get(mac, 1) is None


def test_a_port_of_a_bridge():
    lab = Lab("", box_file=BRIDGED)
    lan1, _ = bridge_of(lab).ports.values()
    happen(lab, "[{at: 0, port: {dev: lan1, state: blocking, isolated: true}}]")
    assert (lan1.state, lan1.isolated, lan1.flood) == (PortState.BLOCKING, True, True)
    happen(lab, "[{at: 0, port: {dev: lan1, isolated: false}}]")
    assert (lan1.state, lan1.isolated) == (PortState.BLOCKING, False)


def test_vlans():
    lab = Lab("", box_file=BRIDGED)
    bridge = bridge_of(lab)
    lan1, _ = bridge.ports.values()
    happen(
        lab,
        "[{at: 0, vlan: {dev: lan1, id: 20, pvid: true, untagged: true}},"
        " {at: 0, vlan: {dev: lan1, id: 30-32}},"
        " {at: 1, vlan: {dev: lan1, id: 1, delete: true}}, {at: 1, vlan: {dev: br0, id: 20}}]",
    )
    assert lan1.vlans == VlanTable({20: True, 30: False, 31: False, 32: False}, 20)
    assert bridge.vlans == VlanTable({1: True, 20: False}, 1)


def test_in_and_out_of_a_bridge():
    lab = Lab("", box_file=BRIDGED)
    happen(lab, "[{at: 0, link: {dev: wan0, master: br0}}, {at: 1, link: {dev: lan1, master: none}}]")
    assert [port.device.name for port in bridge_of(lab).ports.values()] == ["lan2", "wan0"]


def test_rules():
    lab = Lab()
    rule = "{priority: 5, from: 10.0.1.0/24, action: prohibit"
    happen(lab, f"[{{at: 0, rule: {rule}}}}}]")
    assert [each.device for each in lab.client(udp())] == ["lan0"]
    assert lab.drops == {Drop.PROHIBIT: 1}
    happen(lab, f"[{{at: 0, rule: {rule}, delete: true}}}}]")
    assert [each.device for each in lab.client(udp())] == ["wan0"]


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ("fdb: {mac: 02:00:00:00:00:aa, dev: wan0}", "wan0 is no port of a bridge"),
        ("port: {dev: br0, state: blocking}", "br0 is no port of a bridge"),
        ("vlan: {dev: wan0, id: 5}", "wan0 is no bridge and no port of one"),
        ("vlan: {dev: lan1, id: 5, delete: true}", "No such file or directory"),
        ("vlan: {dev: lan1, id: 5-6, pvid: true}", "pvid cannot be configured for a vlan range"),
        ("link: {dev: wan0, master: none}", "wan0 has no master"),
        ("link: {dev: br0, master: br0}", "Can not enslave a bridge to a bridge"),
        ("rule: {priority: 5, table: 7, delete: true}", "No such file or directory"),
    ],
)
def test_what_a_bridge_or_the_rules_refuse(event, message):
    lab = Lab("", box_file=BRIDGED)
    with pytest.raises(EventError, match=message):
        happen(lab, f"[{{at: 0, {event}}}]")


HARDWARE = """
hardware:
  chips:
    - {name: nic0, ports: [lan0, wan0]}
"""


def test_the_driver_of_a_chip_goes_away() -> None:
    lab = Lab(FORWARD.replace("wan0 };", "wan0 }; flags offload;"), box_file=BOX + HARDWARE)
    for _ in range(4):
        lab.client(udp())
        lab.server(udp_reply())
        lab.wait(0.1)
    assert lab.statistics.hardware == 6
    happen(lab, "- {at: 0, chip: {name: nic0, gone: true}}")
    assert lab.statistics.teardowns == {Teardown.DRIVER: 1}
    assert len(lab.client(udp())) == 1
    assert lab.statistics.hardware == 6


@pytest.mark.parametrize(
    ("chip", "message"),
    [
        ("name: nic7, gone: true", "unknown chip 'nic7'; did you mean 'nic0'"),
        ("name: nic0, gone: false", "a driver can only go away"),
        ("name: nic0", "missing key 'gone'"),
    ],
)
def test_what_cannot_happen_to_a_chip(chip: str, message: str) -> None:
    lab = Lab(box_file=BOX + HARDWARE)
    with pytest.raises(EventError, match=message):
        happen(lab, f"- {{at: 0, chip: {{{chip}}}}}")
