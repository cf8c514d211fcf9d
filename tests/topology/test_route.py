"""Lookups and their answers: held against Linux's words and a plain search of every route."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowtable.packet.packet import IPV4, IPV6
from flowtable.topology import fib as fib_module
from flowtable.topology.device import Address, AddrGenMode, Device, Scope
from flowtable.topology.error import TopologyError
from flowtable.topology.route import RouteProtocol, RouteTable, RouteType
from flowtable.topology.topology import Topology
from tests.topology.boxes import ethernet, line, packed, route, router


@pytest.fixture
def box() -> Topology:
    return router(lan=("192.168.1.1/24", "2001:db8:1::1/64"), wan=("198.51.100.2/24", "2001:db8:2::1/64"))


def found(box: Topology, destination: str, **options) -> str | None:
    address = packed(destination)
    answer = box.fib(IPV4 if len(address) == 4 else IPV6).lookup(address, **options)
    return None if answer is None else line(answer)


class TestLookup:
    def test_no_route(self, box):
        assert found(box, "203.0.113.1") is None
        assert found(box, "2001:db8:ffff::1") is None

    def test_longest_prefix_wins_over_metric(self, box):
        lan, wan = box.devices["lan0"], box.devices["wan0"]
        box.fib4.add(route("0.0.0.0/0", gateway="198.51.100.1"))
        box.fib4.add(route("10.0.0.0/8", gateway="192.168.1.9", device=lan, metric=1))
        box.fib4.add(route("10.1.0.0/16", gateway="198.51.100.9", device=wan, metric=900))
        assert found(box, "10.1.2.3") == "10.1.0.0/16 via 198.51.100.9 dev wan0 metric 900"
        assert found(box, "10.2.2.3") == "10.0.0.0/8 via 192.168.1.9 dev lan0 metric 1"
        assert found(box, "11.0.0.1") == "default via 198.51.100.1 dev wan0"

    def test_lowest_metric_then_first_added(self, box):
        for metric, gateway in ((7, "192.168.1.7"), (3, "192.168.1.3"), (3, "192.168.1.4")):
            box.fib4.add(route("10.0.0.0/8", gateway=gateway, metric=metric))
        assert found(box, "10.0.0.1") == "10.0.0.0/8 via 192.168.1.3 dev lan0 metric 3"

    def test_own_addresses_are_local(self, box):
        for address in ("192.168.1.1", "198.51.100.2", "127.0.0.1", "127.9.9.9", "2001:db8:1::1", "::1"):
            answer = box.fib(IPV4 if "." in address else IPV6).lookup(packed(address))
            assert answer is not None
            assert answer.type is RouteType.LOCAL
            assert answer.device is box.lo
            assert answer.local

    def test_the_local_table_is_asked_first(self, box):
        box.fib6.add(route("ff05::/16", device=box.devices["wan0"], metric=1))
        answer = box.fib6.lookup(packed("ff05::1"))
        assert answer is not None
        assert (answer.type, answer.prefixlen) == (RouteType.MULTICAST, 8)

    def test_oif_restricts(self, box):
        lan, wan = box.devices["lan0"], box.devices["wan0"]
        box.fib4.add(route("0.0.0.0/0", gateway="198.51.100.1"))
        assert found(box, "8.8.8.8", oif=wan) == "default via 198.51.100.1 dev wan0"
        assert found(box, "8.8.8.8", oif=lan) is None
        assert found(box, "192.168.1.5", oif=wan) == "default via 198.51.100.1 dev wan0"

    def test_a_local_address_belongs_to_its_device(self, box):
        lan, wan = box.devices["lan0"], box.devices["wan0"]
        local = box.fib6.lookup(packed("2001:db8:1::1"), oif=lan)
        assert local is not None
        assert local.type is RouteType.LOCAL
        assert box.fib6.lookup(packed("2001:db8:1::1"), oif=wan) is None

    def test_ipv6_link_local_and_multicast_go_by_device(self, box):
        for name in ("lan0", "wan0"):
            device = box.devices[name]
            box.add_address(device, Address.parse("fe80::1/64"))
            assert found(box, "fe80::5", oif=device) == f"fe80::/64 dev {name} proto kernel metric 256"
            assert found(box, "fe80::1", oif=device) == (
                f"local fe80::1 dev {name} table local proto kernel metric 0"
            )
            group = f"multicast ff00::/8 dev {name} table local proto kernel metric 256"
            assert found(box, "ff02::1", oif=device) == group

    @pytest.mark.parametrize("kind", [RouteType.BLACKHOLE, RouteType.UNREACHABLE, RouteType.PROHIBIT])
    def test_routes_that_end_a_packet(self, box, kind):
        lan = box.devices["lan0"]
        box.fib4.add(route("0.0.0.0/0", gateway="192.168.1.9"))
        box.fib4.add(route("10.0.0.0/8", type=kind))
        box.fib6.add(route("::/0", gateway="2001:db8:1::9"))
        box.fib6.add(route("fd00::/8", type=kind))
        assert found(box, "10.0.0.1") == f"{kind.value} 10.0.0.0/8"
        assert found(box, "10.0.0.1", oif=lan) == f"{kind.value} 10.0.0.0/8"
        assert found(box, "fd00::1") == f"{kind.value} fd00::/8 metric 1024"
        # Where Linux keeps them on lo, a lookup for another device passes them over.
        assert found(box, "fd00::1", oif=lan) == "default via 2001:db8:1::9 dev lan0 metric 1024"

    def test_routes_through_a_device_that_is_down_are_passed_over(self, box):
        wan = box.devices["wan0"]
        box.fib4.add(route("0.0.0.0/0", gateway="198.51.100.1", metric=1))
        box.fib4.add(route("0.0.0.0/0", gateway="192.168.1.9", metric=2))
        best = found(box, "8.8.8.8")
        box.set_link(wan, up=False)
        assert found(box, "8.8.8.8") == "default via 192.168.1.9 dev lan0 metric 2"
        assert found(box, "198.51.100.77") == "default via 192.168.1.9 dev lan0 metric 2"
        assert found(box, "198.51.100.255") == "default via 192.168.1.9 dev lan0 metric 2"
        box.set_link(wan, up=True)
        assert found(box, "8.8.8.8") == best

    def test_an_ipv4_address_stays_local_while_its_device_is_down_an_ipv6_one_does_not(self, box):
        box.set_link(box.devices["wan0"], up=False)
        answer = box.fib4.lookup(packed("198.51.100.2"))
        assert answer is not None
        assert answer.type is RouteType.LOCAL
        assert box.fib6.lookup(packed("2001:db8:2::1")) is None

    def test_subnet_broadcast(self, box):
        answer = box.fib4.lookup(packed("192.168.1.255"))
        assert answer is not None
        assert (answer.type, answer.device) == (RouteType.BROADCAST, box.devices["lan0"])

    def test_the_lowest_address_of_a_subnet_is_an_ordinary_one(self, box):
        answer = box.fib4.lookup(packed("192.168.1.0"))
        assert answer is not None
        assert answer.type is RouteType.UNICAST


class TestToMany:
    """`ip route get` of Linux: the type comes from the address, the device from oif or a route."""

    @pytest.mark.parametrize(
        ("address", "kind"),
        [("255.255.255.255", RouteType.BROADCAST), ("224.0.0.5", RouteType.MULTICAST)],
    )
    def test_device(self, box, address, kind):
        lan, wan = box.devices["lan0"], box.devices["wan0"]
        nowhere = box.fib4.lookup(packed(address))
        assert nowhere is not None
        assert (nowhere.type, nowhere.device) == (kind, None)
        box.fib4.add(route("0.0.0.0/0", gateway="198.51.100.1"))
        routed = box.fib4.lookup(packed(address))
        assert routed is not None
        assert (routed.type, routed.device, routed.gateway) == (kind, wan, None)
        bound = box.fib4.lookup(packed(address), oif=lan)
        assert bound is not None
        assert (bound.type, bound.device) == (kind, lan)
        assert bound.local

    def test_the_answer_stays_the_same_object(self, box):
        assert box.fib4.lookup(packed("224.0.0.5")) is box.fib4.lookup(packed("224.0.0.5"))

    def test_a_blackhole_gives_no_device(self, box):
        box.fib4.add(route("224.0.0.0/4", type=RouteType.BLACKHOLE))
        answer = box.fib4.lookup(packed("224.0.0.5"))
        assert answer is not None
        assert (answer.type, answer.device) == (RouteType.MULTICAST, None)


class TestGeneration:
    def test_answers_are_remembered_until_something_changes(self, box):
        added = box.fib4.add(route("10.0.0.0/8", gateway="192.168.1.9"))
        generation = box.fib4.generation
        assert box.fib4.lookup(packed("10.0.0.1")) is added
        assert box.fib4.lookup(packed("10.0.0.1"), oif=box.devices["lan0"]) is added
        assert box.fib4.generation == generation
        box.fib4.remove(added)
        assert box.fib4.generation != generation
        assert box.fib4.lookup(packed("10.0.0.1")) is None
        assert box.fib4.lookup(packed("10.0.0.1"), oif=box.devices["lan0"]) is None

    @pytest.mark.parametrize(
        "change",
        [
            lambda box, lan: box.set_link(lan, mtu=1400),
            lambda box, lan: box.set_link(lan, up=False),
            lambda box, lan: box.add_address(lan, Address.parse("10.1.1.1/24")),
            lambda box, lan: box.remove_address(lan, Address.parse("192.168.1.1/24")),
            lambda box, lan: box.remove_device(lan),
        ],
    )
    def test_what_changes_it(self, box, change):
        before = box.fib4.generation
        change(box, box.devices["lan0"])
        assert box.fib4.generation != before

    def test_the_memory_is_bounded(self, box, monkeypatch):
        monkeypatch.setattr(fib_module, "CACHE_SIZE", 4)
        box.fib4.add(route("0.0.0.0/0", gateway="198.51.100.1"))
        for i in range(50):
            assert found(box, f"8.8.8.{i}") == found(box, f"8.8.8.{i}", oif=box.devices["wan0"])
            assert len(box.fib4._cache) <= 4
            assert len(box.fib4._oif_cache) <= 4


class TestAdd:
    """Each word that Linux has for what it refuses."""

    @pytest.mark.parametrize(
        ("to", "options", "about", "words"),
        [
            ("10.0.0.0/8", {"gateway": "203.0.113.9"}, "via", "Nexthop has invalid gateway: .* any link"),
            ("10.0.0.0/8", {"gateway": "192.168.1.9", "device": "wan0"}, "via", "Nexthop .* not on wan0"),
            ("10.0.0.0/8", {"gateway": "192.168.1.255"}, "via", "Nexthop has invalid gateway"),
            ("10.0.0.0/8", {"gateway": "192.168.1.1"}, "via", "Gateway can not be a local address"),
            ("10.0.0.0/8", {"gateway": "127.0.0.9", "device": "lo"}, "via", "Nexthop has invalid gateway"),
            ("10.0.0.0/8", {"gateway": "203.0.113.9", "onlink": True}, "dev", "Egress device not specified"),
            (
                "10.0.0.0/8",
                {"gateway": "224.0.0.1", "device": "wan0", "onlink": True},
                "via",
                "Nexthop has invalid gateway",
            ),
            (
                "10.0.0.0/8",
                {"gateway": "203.0.113.9", "device": "lo", "onlink": True},
                "dev",
                "Egress device can not be loopback",
            ),
            ("10.0.0.0/8", {"device": "wan0", "source": "9.9.9.9"}, "src", "Invalid prefsrc address"),
            ("10.0.0.0/8", {}, "dev", "Egress device not specified"),
            ("10.0.0.1/8", {"device": "wan0"}, "to", "Invalid prefix for given prefix length"),
            ("10.0.0.0/33", {"device": "wan0"}, "to", "Invalid prefix for given prefix length"),
            ("10.0.0.0/8", {"device": "wan0", "onlink": True}, "onlink", "onlink is for"),
            ("10.0.0.0/8", {"gateway": "2001:db8:1::9"}, "via", "another family"),
            (
                "10.0.0.0/8",
                {"type": RouteType.BLACKHOLE, "device": "wan0"},
                "type",
                "can not be specified for this route type",
            ),
            ("10.0.0.0/8", {"type": RouteType.LOCAL, "gateway": "192.168.1.9"}, "via", "host scope"),
            ("2001:db8:9::/48", {"gateway": "fe80::1"}, "dev", "Egress device not specified"),
            ("2001:db8:9::/48", {"gateway": "2001:db8:7::1"}, "via", "Nexthop has invalid gateway"),
            ("2001:db8:9::/48", {"gateway": "2001:db8:1::1"}, "via", "Gateway can not be a local address"),
            ("2001:db8:9::/48", {"gateway": "ff02::1", "device": "wan0"}, "via", "Nexthop has invalid"),
            ("2001:db8:9::/48", {"gateway": "fe80::1", "device": "lo"}, "dev", "can not be loopback"),
            ("2001:db8:9::/48", {"device": "wan0", "source": "2001:db8::9"}, "src", "Invalid source address"),
        ],
    )
    def test_refused(self, box, to, options, about, words):
        if "device" in options:
            options = options | {"device": box.devices[options["device"]]}
        fib = box.fib6 if ":" in to else box.fib4
        before = (fib.generation, len(fib))
        with pytest.raises(TopologyError, match=words) as caught:
            fib.add(route(to, **options))
        assert caught.value.about == about
        assert (fib.generation, len(fib)) == before

    def test_a_family_of_its_own(self, box):
        with pytest.raises(TopologyError, match="Invalid address family"):
            box.fib4.add(route("::/0", gateway="2001:db8:1::9"))

    def test_a_gateway_finds_its_device(self, box):
        added = box.fib4.add(route("10.0.0.0/8", gateway="198.51.100.77"))
        assert (added.device, added.scope) == (box.devices["wan0"], Scope.UNIVERSE)

    def test_a_gateway_behind_a_gateway_is_refused(self, box):
        box.fib4.add(route("10.0.0.0/8", gateway="198.51.100.77"))
        box.fib6.add(route("2001:db8:9::/48", gateway="2001:db8:1::9"))
        for fib, to, gateway in (
            (box.fib4, "172.16.0.0/12", "10.0.0.1"),
            (box.fib6, "fd00::/8", "2001:db8:9::1"),
        ):
            with pytest.raises(TopologyError, match="Nexthop has invalid gateway"):
                fib.add(route(to, gateway=gateway))

    def test_a_gateway_on_a_static_route_without_one(self, box):
        box.fib4.add(route("203.0.113.1/32", device=box.devices["wan0"]))
        assert box.fib4.add(route("0.0.0.0/0", gateway="203.0.113.1")).device is box.devices["wan0"]

    def test_onlink(self, box):
        wan = box.devices["wan0"]
        box.fib4.add(route("10.0.0.0/8", gateway="203.0.113.9", device=wan, onlink=True))
        assert found(box, "10.0.0.1") == "10.0.0.0/8 via 203.0.113.9 dev wan0 onlink"

    def test_a_gateway_on_a_device_that_is_down_is_taken_for_when_it_is_up(self, box):
        box.set_link(box.devices["wan0"], up=False)
        box.fib4.add(route("0.0.0.0/0", gateway="198.51.100.1"))
        assert found(box, "8.8.8.8") is None
        box.set_link(box.devices["wan0"], up=True)
        assert found(box, "8.8.8.8") == "default via 198.51.100.1 dev wan0"

    def test_the_same_route_twice(self, box):
        box.fib4.add(route("10.0.0.0/8", gateway="192.168.1.9"))
        with pytest.raises(TopologyError, match="File exists"):
            box.fib4.add(route("10.0.0.0/8", gateway="192.168.1.9", device=box.devices["lan0"]))

    def test_a_whole_network_of_local_addresses(self, box):
        added = box.fib4.add(route("203.0.113.0/24", type=RouteType.LOCAL, device=box.devices["wan0"]))
        assert (added.device, added.oif, added.table) == (box.lo, box.devices["wan0"], RouteTable.LOCAL)
        assert (added.scope, added.protocol) == (Scope.HOST, RouteProtocol.STATIC)
        answer = box.fib4.lookup(packed("203.0.113.200"))
        assert answer is added

    def test_removing_what_is_not_there(self, box):
        gone = box.fib4.add(route("10.0.0.0/8", gateway="192.168.1.9"))
        box.fib4.remove(gone)
        with pytest.raises(TopologyError, match="No such process"):
            box.fib4.remove(gone)

    def test_an_address_takes_the_routes_that_prefer_it_along(self, box):
        lan = box.devices["lan0"]
        box.add_address(lan, Address.parse("10.9.9.1/24"))
        box.fib4.add(route("172.16.0.0/12", gateway="192.168.1.9", source="10.9.9.1"))
        kept = box.fib4.add(route("172.16.0.0/12", gateway="192.168.1.9", metric=9))
        box.remove_address(lan, Address.parse("10.9.9.1/24"))
        assert box.fib4.lookup(packed("172.16.0.1")) is kept


class TestMtu:
    def test_the_route_says(self, box):
        assert box.fib4.add(route("10.0.0.0/8", gateway="192.168.1.9", mtu=1400)).path_mtu == 1400

    def test_the_device_says_at_the_time(self, box):
        added = box.fib4.add(route("10.0.0.0/8", gateway="192.168.1.9"))
        assert added.path_mtu == 1500
        box.set_link(box.devices["lan0"], mtu=900)
        assert added.path_mtu == 900

    def test_nobody_says(self, box):
        with pytest.raises(TypeError):
            assert box.fib4.add(route("10.0.0.0/8", type=RouteType.BLACKHOLE)).path_mtu


@st.composite
def ipv4_routes(draw):
    """Prefixes that overlap often: few bits differ, all lengths occur."""
    prefixlen = draw(st.integers(0, 32))
    bits = draw(st.sampled_from([0x0A000000, 0x0A0000FF, 0x0AFF0000, 0x0B000001, 0xC0A80101, 0x0A000001]))
    network = bits >> 32 - prefixlen << 32 - prefixlen if prefixlen else 0
    return network, prefixlen, draw(st.integers(0, 2)), draw(st.integers(0, 2))


@given(
    st.lists(ipv4_routes(), max_size=24),
    st.lists(st.integers(0, 23), max_size=6),
    st.lists(st.booleans(), min_size=3, max_size=3),
    st.sampled_from([0x0A000000, 0x0A0000FE, 0x0AFF0001, 0x0B000001, 0x01020304, 0xC0A80101]),
    st.none() | st.integers(0, 2),
)
def test_lookup_finds_what_a_search_of_all_routes_finds(routes, removed, up, destination, oif):
    topology = Topology()
    devices = [topology.add_device(ethernet(f"d{i}", i + 2, addrgenmode=AddrGenMode.NONE)) for i in range(3)]
    kept = []
    for network, prefixlen, metric, which in routes:
        text = f"{ip_address(network)}/{prefixlen}"
        try:
            kept.append(topology.fib4.add(route(text, device=devices[which], metric=metric)))
        except TopologyError:
            continue
    for i in removed:
        if i < len(kept):
            topology.fib4.remove(kept.pop(i))
    for device, state in zip(devices, up, strict=True):
        topology.set_link(device, up=state)
    wanted: Device | None = None if oif is None else devices[oif]
    best = max(
        (
            r
            for r in kept
            if ip_address(destination) in ip_network(f"{ip_address(r.destination)}/{r.prefixlen}")
            and r.device is not None
            and r.device.up
            and (wanted is None or r.device is wanted)
        ),
        key=lambda r: (r.prefixlen, -r.metric),
        default=None,
    )
    for _ in range(2):
        assert topology.fib4.lookup(destination.to_bytes(4), oif=wanted) is best
