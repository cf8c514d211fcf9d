"""Policy routing: which rule matches, and what its table says.

``TestAsLinux`` says what ``ip route get`` of a Linux 6.18 host with the same rules was seen to say.
"""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from flowtable.packet.packet import IPV6
from flowtable.topology.boxfile import dump, load
from flowtable.topology.device import Address
from flowtable.topology.error import TopologyError
from flowtable.topology.event import Event, RulesChanged
from flowtable.topology.route import RouteProtocol, RouteTable, RouteType
from flowtable.topology.rule import L3MDEV, STANDARD, Rule, RuleAction
from flowtable.topology.topology import Topology
from flowtable.topology.vrf import Vrf
from tests.topology.boxes import ethernet, line, packed, route, shown
from tests.topology.test_boxfile import place, said

BOX = """\
devices:
  - {name: e1, mac: 02:00:00:00:00:01, addresses: [10.0.1.1/24]}
  - {name: e2, mac: 02:00:00:00:00:02, addresses: [10.0.2.1/24]}
  - {name: e3, mac: 02:00:00:00:00:03, addresses: [10.0.3.1/24]}
rules:
  - {priority: 99, from: 10.7.0.0/16, table: 100}
  - {priority: 100, from: 10.9.0.0/16, table: 100}
  - {priority: 200, fwmark: 0x1/0xff, table: 200}
  - {priority: 300, from: 10.9.9.0/24, action: prohibit}
  - {priority: 301, to: 10.99.0.0/16, action: blackhole}
  - {priority: 302, to: 10.98.0.0/16, action: unreachable}
  - {priority: 400, iif: e3, table: 150}
  - {priority: 410, iif: lo, table: 151}
  - {priority: 420, oif: e2, table: 152}
routes:
  - {to: default, via: 10.0.1.2, dev: e1}
  - {to: 192.0.2.0/24, via: 10.0.2.2, dev: e2, table: 100}
  - {to: 192.0.2.0/24, via: 10.0.3.2, dev: e3, table: 200}
  - {to: 192.0.3.0/24, via: 10.0.3.2, dev: e3, table: 150}
  - {to: 192.0.4.0/24, type: unreachable, table: 150}
  - {to: 192.0.5.0/24, via: 10.0.2.2, dev: e2, table: 151}
  - {to: 192.0.6.0/24, via: 10.0.2.2, dev: e2, table: 152}
  - {to: 192.0.2.128/25, type: throw, table: 100}
  - {to: 192.0.7.0/24, via: 10.0.2.2, dev: e2, table: default}
"""


class TestAsLinux:
    @pytest.mark.parametrize(
        ("to", "options", "found"),
        [
            ("192.0.2.5", {}, "via 10.0.1.2 dev e1"),
            ("192.0.2.5", {"source": "10.9.1.1", "iif": "e1"}, "via 10.0.2.2 dev e2 table 100"),
            ("192.0.2.200", {"source": "10.9.1.1", "iif": "e1"}, "via 10.0.1.2 dev e1"),
            ("192.0.2.5", {"mark": 0x301}, "via 10.0.3.2 dev e3 table 200"),
            ("192.0.2.5", {"mark": 0x2}, "via 10.0.1.2 dev e1"),
            ("192.0.2.5", {"source": "10.9.9.1", "iif": "e1"}, "via 10.0.2.2 dev e2 table 100"),
            ("10.98.1.1", {}, None),
            ("10.99.1.1", {}, "blackhole"),
            ("8.8.8.8", {"source": "10.9.9.1", "iif": "e1"}, "prohibit"),
            ("192.0.3.5", {"source": "10.0.3.5", "iif": "e3"}, "via 10.0.3.2 dev e3 table 150"),
            ("192.0.3.5", {"source": "10.0.1.5", "iif": "e1"}, "via 10.0.1.2 dev e1"),
            ("192.0.4.5", {"source": "10.0.3.5", "iif": "e3"}, "unreachable"),
            ("192.0.5.5", {}, "via 10.0.2.2 dev e2 table 151"),
            ("192.0.5.5", {"source": "10.0.1.5", "iif": "e1"}, "via 10.0.1.2 dev e1"),
            ("192.0.6.5", {}, "via 10.0.1.2 dev e1"),
            ("192.0.6.5", {"oif": "e2"}, "via 10.0.2.2 dev e2 table 152"),
        ],
    )
    def test_lookup(self, to, options, found):
        box = load(BOX)
        for key in ("iif", "oif"):
            if key in options:
                options = options | {key: box.devices[options[key]]}
        if "source" in options:
            options = options | {"source": packed(options["source"])}
        answer = box.fib4.lookup(packed(to), **options)
        assert box.fib4.lookup(packed(to), **options) is answer
        if found is None or answer is None:
            assert answer is found is None
        elif answer.gateway is None:
            assert answer.type.value == found
        else:
            assert line(answer).removeprefix("default ").endswith(found)

    def test_the_default_table_is_asked_last(self):
        box = load(BOX)
        for known in [r for r in box.fib4 if r.prefixlen == 0]:
            box.fib4.remove(known)
        found = box.fib4.lookup(packed("192.0.7.7"))
        assert found is not None
        assert found.table == RouteTable.DEFAULT
        for rule in list(box.fib4.rules):
            if rule not in STANDARD:
                box.fib4.remove_rule(rule)
        assert box.fib4.lookup(packed("192.0.7.7")) is found

    def test_a_gateway_is_looked_for_in_the_table_of_the_route_first(self):
        box = load(BOX)
        fib = box.fib4
        with pytest.raises(TopologyError, match="Nexthop has invalid gateway"):
            fib.add(route("10.77.0.0/16", gateway="192.0.2.7", table=100))
        assert fib.add(route("10.79.0.0/16", gateway="10.0.1.9", table=300)).device is box.devices["e1"]
        onlink = route("172.16.0.0/16", device=box.devices["e3"], table=300)
        fib.add(onlink)
        assert fib.add(route("10.80.0.0/16", gateway="172.16.0.9", table=300)).device is box.devices["e3"]


class TestRules:
    def test_standard(self):
        box = Topology()
        assert tuple(box.fib4.rules) == tuple(box.fib6.rules) == STANDARD
        assert box.fib4.rules.standard

    def test_order(self):
        box = Topology()
        first, second = Rule(100, table=1), Rule(100, table=2)
        box.fib4.add_rule(first)
        box.fib4.add_rule(second)
        assert list(box.fib4.rules) == [STANDARD[0], first, second, *STANDARD[1:]]
        assert not box.fib4.rules.standard
        assert box.fib6.rules.standard

    def test_errors(self):
        box = Topology()
        rule = Rule(100, table=1)
        with pytest.raises(TopologyError, match="No such file or directory"):
            box.fib4.remove_rule(rule)
        box.fib4.add_rule(rule)
        with pytest.raises(TopologyError, match="File exists"):
            box.fib4.add_rule(Rule(100, table=1))

    def test_events_and_generation(self):
        box = Topology()
        heard: list[Event] = []
        box.subscribe(heard.append)
        before = box.fib6.generation
        rule = Rule(100, RuleAction.PROHIBIT)
        box.fib6.add_rule(rule)
        box.fib6.remove_rule(rule)
        assert heard == [RulesChanged(IPV6), RulesChanged(IPV6)]
        assert box.fib6.generation == before + 2
        assert box.fib6.rules.standard

    def test_all_but_default_routes_then_what_is_not_marked(self):
        """What wg-quick makes: the tunnel has all that is not its own, but no network that is near."""
        box = Topology()
        box.add_device(ethernet("e1", 2, "10.0.1.1/24"))
        box.add_device(ethernet("e2", 3, "10.0.2.1/24"))
        box.fib4.add(route("0.0.0.0/0", gateway="10.0.1.2"))
        box.fib4.add(route("0.0.0.0/0", gateway="10.0.2.2", table=51820))
        box.fib4.add_rule(Rule(32764, table=254, suppress_prefixlength=0))
        box.fib4.add_rule(Rule(32765, table=51820, fwmark=51820, fwmask=0xFFFFFFFF, invert=True))

        def gateway(to: str, mark: int = 0) -> str | None:
            found = box.fib4.lookup(packed(to), mark=mark)
            assert found is not None
            return None if found.gateway is None else str(ip_address(found.gateway))

        assert gateway("192.0.2.1") == "10.0.2.2"
        assert gateway("192.0.2.1", 51820) == "10.0.1.2"
        assert gateway("10.0.1.7") is None

    def test_what_is_not_known_leads_nowhere(self):
        box = Topology()
        box.add_device(ethernet("e1", 2, "10.0.1.1/24"))
        box.fib4.add_rule(Rule(5, RuleAction.UNKNOWN, source=(packed("10.0.9.0"), 24)))
        assert box.fib4.lookup(packed("10.0.1.7"), source=packed("10.0.9.7")) is None
        assert box.fib4.lookup(packed("10.0.1.7"), source=packed("10.0.8.7")) is not None

    def test_ipv6(self):
        box = Topology()
        box.add_device(ethernet("e1", 2, "2001:db8:1::1/64"))
        box.fib6.add(route("::/0", gateway="2001:db8:1::2"))
        box.fib6.add_rule(Rule(5, RuleAction.PROHIBIT, source=(packed("2001:db8:9::"), 48)))
        to, source = packed("2001:db8:7::1"), packed("2001:db8:9::7")
        answers = [box.fib6.lookup(to, source=source), box.fib6.lookup(to)]
        assert [r and r.type for r in answers] == [RouteType.PROHIBIT, RouteType.UNICAST]


class TestVrf:
    @pytest.fixture
    def box(self) -> Topology:
        """e2 is in red and e3 in none; both have a host 10.0.9.9 behind them."""
        topology = Topology()
        red = Vrf("red", 10, table=10)
        topology.add_device(red)
        topology.add_device(ethernet("e2", 2, "10.0.2.1/24", "2001:db8:2::1/64", master=red))
        topology.add_device(ethernet("e3", 3, "10.0.3.1/24"))
        topology.fib4.add(route("10.0.9.0/24", gateway="10.0.2.9", device=topology.devices["e2"], table=10))
        topology.fib4.add(route("10.0.9.0/24", gateway="10.0.3.9"))
        return topology

    def test_the_first_one_brings_its_rule(self, box):
        assert L3MDEV in list(box.fib4.rules)
        assert L3MDEV in list(box.fib6.rules)
        box.add_device(Vrf("blue", 11, table=11))
        assert list(box.fib4.rules).count(L3MDEV) == 1

    def test_routes_are_in_its_table(self, box):
        """As Linux 6.12 shows them."""
        assert [r for r in shown(box.fib4) if "dev e2" in r or "10.0.2.1" in r] == [
            "10.0.2.0/24 dev e2 table 10 proto kernel scope link src 10.0.2.1",
            "10.0.9.0/24 via 10.0.2.9 dev e2 table 10",
            "broadcast 10.0.2.255 dev e2 table 10 proto kernel scope link src 10.0.2.1",
            "local 10.0.2.1 dev e2 table 10 proto kernel scope host src 10.0.2.1",
        ]
        assert all("table 10" in r for r in shown(box.fib6) if "dev e2" in r)
        assert not [r for r in shown(box.fib6) if "dev red" in r]

    def test_lookup(self, box):
        to = packed("10.0.9.9")
        red, e2, e3 = (box.devices[name] for name in ("red", "e2", "e3"))
        for options in ({"iif": red}, {"iif": e2}, {"oif": red}, {"oif": e2}):
            found = box.fib4.lookup(to, **options)
            assert found is not None
            assert found.device is e2
        for options in ({}, {"iif": e3}):
            found = box.fib4.lookup(to, **options)
            assert found is not None
            assert found.device is e3

    def test_what_its_table_has_not_comes_from_the_main_one(self, box):
        box.fib4.add(route("0.0.0.0/0", gateway="10.0.3.9"))
        found = box.fib4.lookup(packed("8.8.8.8"), iif=box.devices["red"])
        assert found is not None
        assert found.device is box.devices["e3"]

    def test_rules_see_the_vrf_as_the_input_device(self, box):
        """Ref: drivers/net/vrf.c:vrf_l3_rcv."""
        e2, red = box.devices["e2"], box.devices["red"]
        box.fib4.add_rule(Rule(500, RuleAction.PROHIBIT, iif="red", source=(packed("10.0.7.0"), 24)))
        box.fib4.add_rule(Rule(501, RuleAction.PROHIBIT, iif="e2"))
        for iif in (e2, red):
            answers = [
                box.fib4.lookup(packed("10.0.9.9"), iif=iif, source=packed(f"10.0.{n}.7")) for n in (7, 2)
            ]
            assert [r and r.type for r in answers] == [RouteType.PROHIBIT, RouteType.UNICAST]

    def test_an_address_is_local_in_its_domain_only(self, box):
        own = packed("10.0.2.1")
        inside = box.fib4.lookup(own, iif=box.devices["red"])
        assert inside is not None
        assert inside.local
        assert box.fib4.lookup(own) is None

    def test_sources_are_of_the_domain(self, box):
        e2 = box.devices["e2"]
        found = box.fib4.lookup(packed("10.0.9.9"), oif=e2)
        assert found is not None
        box.remove_address(e2, Address.parse("10.0.2.1/24"))
        assert box.fib4.select_source(found, packed("10.0.9.9")) is None

    def test_leaving_a_vrf(self, box):
        box.release(box.devices["e2"])
        assert not [r for r in shown(box.fib4) if "table 10" in r]
        assert "10.0.2.0/24 dev e2 proto kernel scope link src 10.0.2.1" in shown(box.fib4)
        assert not [r for r in box.fib4 if r.gateway == packed("10.0.2.9")]


class TestBoxFile:
    def test_rules_join_the_standard_ones(self):
        box = load(BOX)
        assert len(list(box.fib4.rules)) == 12
        assert box.fib6.rules.standard
        text = dump(box)
        assert "  - {priority: 200, fwmark: 0x1/0xff, table: 200}\n" in text
        assert "32766" not in text
        assert dump(load(text)) == text

    def test_a_list_with_standard_ones_is_all_there_is(self):
        listed = "devices: []\nrules: [{priority: 0, table: local}, {priority: 9, from: all, table: main}]"
        box = load(listed)
        assert list(box.fib4.rules) == [STANDARD[0], Rule(9, table=RouteTable.MAIN)]
        assert box.fib6.rules.standard
        assert list(load(dump(box)).fib4.rules) == list(box.fib4.rules)

    def test_the_family_is_that_of_the_addresses(self):
        rules = "[{priority: 9, to: 2001:db8::/32, table: 7}, {priority: 8, family: inet6, iif: x, table: 7}]"
        box = load(f"devices: []\nrules: {rules}")
        assert [rule.priority for rule in box.fib6.rules] == [0, 8, 9, 32766, 32767]
        assert box.fib4.rules.standard
        assert list(load(dump(box)).fib6.rules) == list(box.fib6.rules)

    def test_a_vrf_brings_its_rule_and_its_table(self):
        text = (
            "devices:\n- {name: red, kind: vrf, table: 10}\n"
            "- {name: e, mac: 02:00:00:00:00:01, master: red, addresses: [10.0.0.1/24]}\n"
            "routes: [{to: default, via: 10.0.0.2, dev: e}, {to: 10.9.0.0/16, dev: e, table: main}]"
        )
        box = load(text)
        assert [r.table for r in box.fib4 if r.protocol is RouteProtocol.STATIC] == [10, RouteTable.MAIN]
        written = dump(box)
        assert "rules:" not in written
        assert dump(load(written)) == written
        box.fib4.remove_rule(L3MDEV)
        assert L3MDEV not in list(load(dump(box)).fib4.rules)

    @pytest.mark.parametrize(
        ("rule", "message"),
        [
            ("¦{table: 7}", "rules[0]: missing key 'priority'"),
            ("¦{priority: 7}", "rules[0]: expected one of table, action and l3mdev, got 0"),
            (
                "¦{priority: 7, table: 7, action: blackhole}",
                "rules[0]: expected one of table, action and l3mdev, got 2",
            ),
            ("{priority: ¦-1, table: 7}", "rules[0].priority: expected 0..4294967295, got -1"),
            ("{priority: 7, table: ¦lan}", "rules[0].table: expected 1..4294967295, got lan"),
            (
                "{priority: 7, table: 7, from: ¦10.0.0.1/8}",
                "rules[0].from: host bits are set; expected 10.0.0.0/8, got 10.0.0.1/8",
            ),
            (
                "{priority: 7, table: 7, from: 10.0.0.0/8, to: ¦2001:db8::/32}",
                "rules[0].to: of another family than from",
            ),
            (
                "{priority: 7, table: 7, from: 10.0.0.0/8, family: ¦inet6}",
                "rules[0].family: of another family than the addresses",
            ),
            (
                "{priority: 7, table: 7, fwmark: ¦0x1ffffffff}",
                "rules[0].fwmark: expected a mark like 0x1 or 0x1/0xff, got 0x1ffffffff",
            ),
            (
                "{priority: 7, action: ¦goto}",
                "rules[0].action: expected blackhole, unreachable or prohibit, got goto",
            ),
            (
                "{priority: 7, table: 7}, ¦{priority: 7, table: 7}",
                "rules[1]: File exists: there is such a rule already",
            ),
            ("{priority: 7, table: 7, iif: ¦a/b}", "rules[0].iif: not a device name: 'a/b'"),
        ],
    )
    def test_errors(self, rule, message):
        text = f"devices: []\nrules: [{rule}]"
        assert said(text) == place(text, message)
