"""Policy routing on the packet paths: rules on source, device and mark, and rules that refuse."""

import pytest
from scapy.layers.inet import ICMP, IP
from scapy.layers.inet6 import ICMPv6DestUnreach, IPv6
from scapy.layers.l2 import Ether

from flowtable.packet.drop import Drop
from flowtable.topology.rule import Rule, RuleAction
from tests.lab import BOX, CLIENT, CLIENT6, SERVER_MAC, WAN_MAC, Lab, udp

WAN1_MAC = "02:00:00:00:03:01"
RULES = """
rules:
  - {{priority: 100, {rule}}}
routes:
  - {{to: default, via: 10.0.2.99, dev: wan0}}
  - {{to: default, via: 10.0.3.99, dev: wan1, table: 100}}
"""


def lab(rule: str, ruleset: str = "") -> Lab:
    """Two ways to the Internet: wan0 by default, wan1 by table 100."""
    devices = "  - {name: wan1, mac: 02:00:00:00:03:01, addresses: [10.0.3.1/24]}\n"
    devices += "neighbours:\n"
    devices += f"  - {{address: 10.0.3.99, dev: wan1, mac: {SERVER_MAC}}}\n"
    return Lab(ruleset, box_file=BOX.replace("neighbours:\n", devices) + RULES.format(rule=rule))


def ping(source: str, destination: str, mac: str) -> Ether:
    return Ether(src=SERVER_MAC, dst=mac) / IP(src=source, dst=destination) / ICMP(id=1)


MARK = """
table ip t {{
    chain c {{
        type {kind} hook {hook} priority mangle
        meta l4proto {protocol} meta mark set {mark}
    }}
}}
"""


@pytest.mark.parametrize(
    ("rule", "ways"),
    [
        (f"from: {CLIENT}, table: 100", ["wan1", "wan0"]),
        ("iif: lan0, table: 100", ["wan1", "wan1"]),
        ("iif: wan0, table: 100", ["wan0", "wan0"]),
        ("to: 8.8.8.0/24, table: 100", ["wan1", "wan1"]),
        ("fwmark: 7, table: 100", ["wan0", "wan0"]),
    ],
)
def test_the_way_of_forwarded_packets(rule, ways):
    box = lab(rule)
    sources = (CLIENT, "10.0.1.98")
    assert [box.client(udp(source, "8.8.8.8"))[0].device for source in sources] == ways


def test_the_mark_of_prerouting_counts():
    marks = MARK.format(kind="filter", hook="prerouting", protocol="udp", mark="0x1ff")
    box = lab("fwmark: 0x100/0xff00, table: 100", marks)
    assert box.client(udp(destination="8.8.8.8"))[0].device == "wan1"
    unmarked = IP(src=CLIENT, dst="8.8.8.8") / ICMP()
    assert [box.client(unmarked)[0].device for _ in range(2)] == ["wan0", "wan0"]
    assert box.client(udp(destination="8.8.8.8"))[0].device == "wan1"


@pytest.mark.parametrize(("kind", "way"), [("route", "wan1"), ("filter", "wan0")])
def test_the_mark_of_output_counts_in_chains_of_type_route(kind, way):
    box = lab("fwmark: 7, table: 100", MARK.format(kind=kind, hook="output", protocol="icmp", mark="7"))
    sent = box.receive("wan0", ping("8.8.8.8", "10.0.2.1", WAN_MAC))
    assert [frame.device for frame in sent] == [way]


@pytest.mark.parametrize(
    ("action", "drop", "code"),
    [
        ("blackhole", Drop.BLACKHOLE, None),
        ("unreachable", Drop.NO_ROUTE, 0),
        ("prohibit", Drop.PROHIBIT, 13),
    ],
)
def test_rules_that_refuse(action, drop, code):
    """Ref: net/ipv4/fib_rules.c:fib4_rule_action, net/ipv4/route.c:ip_error."""
    box = lab(f"to: 8.8.8.0/24, action: {action}")
    sent = box.client(udp(destination="8.8.8.8"))
    assert [frame.ether[ICMP].code for frame in sent] == ([] if code is None else [code])
    assert box.drops == {drop: 1}


def test_rules_of_ipv6_that_refuse():
    box = lab("from: 2001:db8:1::/64, action: prohibit")
    sent = box.client(IPv6(src=CLIENT6, dst="2001:db8:2::99") / b"")
    assert [frame.ether[ICMPv6DestUnreach].code for frame in sent] == [1]
    assert box.drops == {Drop.PROHIBIT: 1}


def test_answers_take_the_way_of_their_source():
    """A ping to the address of the second link is answered through the second link."""
    box = lab("from: 10.0.3.0/24, table: 100")
    sent = box.receive("wan1", ping("8.8.8.8", "10.0.3.1", WAN1_MAC))
    assert [frame.device for frame in sent] == ["wan1"]


def test_reverse_path_filtering_asks_the_rules():
    """Ref: net/ipv4/fib_frontend.c:__fib_validate_source."""
    box = lab("iif: lo, to: 9.9.9.0/24, table: 100")
    box.box.topology.set_sysctl("net.ipv4.conf.all.rp_filter", 1)
    assert box.receive("wan1", ping("9.9.9.9", "10.0.3.1", WAN1_MAC))[0].device == "wan1"
    assert box.receive("wan1", ping("8.8.8.8", "10.0.3.1", WAN1_MAC)) == []
    assert box.drops == {Drop.REVERSE_PATH: 1}


def test_a_rule_that_comes_changes_the_way():
    box = lab("fwmark: 7, table: 100")
    assert box.client(udp(destination="8.8.8.8"))[0].device == "wan0"
    fib = box.box.topology.fib4
    rule = next(rule for rule in fib.rules if rule.priority == 100)
    fib.remove_rule(rule)
    fib.add_rule(Rule(50, table=100))
    assert box.client(udp(destination="8.8.8.8"))[0].device == "wan1"


FLOWS = """
table inet x {
    flowtable f {
        hook ingress priority filter; devices = { lan0, wan0, wan1 };
    }
    chain y {
        type filter hook forward priority filter
        meta l4proto udp flow add @f
    }
}
"""


def test_a_flow_from_the_second_link_goes_back_through_it():
    """The rules are asked for the answers with the answers' source."""
    box = lab(f"from: {CLIENT}, table: 100", FLOWS)
    asked = udp("8.8.8.8", CLIENT, 53, 5000)
    assert box.receive("wan1", Ether(src=SERVER_MAC, dst=WAN1_MAC) / asked)[0].device == "lan0"
    answer = udp(CLIENT, "8.8.8.8", 5000, 53)
    assert [box.client(answer)[0].device for _ in range(3)] == ["wan1"] * 3
    assert box.receive("wan1", Ether(src=SERVER_MAC, dst=WAN1_MAC) / asked)[0].device == "lan0"
    assert box.entries() == 1
    before = box.statistics.forward
    box.client(answer)
    assert box.statistics.forward == before


def test_a_flow_stays_while_rules_that_others_take_change():
    box = lab(f"from: {CLIENT}, table: 100", FLOWS)
    for _ in range(2):
        box.client(udp(destination="8.8.8.8"))
        box.receive("wan1", Ether(src=SERVER_MAC, dst=WAN1_MAC) / udp("8.8.8.8", CLIENT, 53, 5000))
    assert box.entries() == 1
    fib = box.box.topology.fib4
    fib.add_rule(Rule(7, RuleAction.PROHIBIT, source=(bytes((10, 0, 1, 98)), 32)))
    assert box.entries() == 1
    fib.remove_rule(next(rule for rule in fib.rules if rule.priority == 100))
    assert box.entries() == 0
    assert box.client(udp(destination="8.8.8.8"))[0].device == "wan0"
