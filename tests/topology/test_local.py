"""Routes that follow from addresses: held against what `ip route` of a Linux box printed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flowtable.topology.device import Address, AddrGenMode, Device, Scope
from flowtable.topology.sysctl import Sysctls
from flowtable.topology.topology import Topology
from tests.topology.boxes import LAN_MAC, WAN_MAC, packed, route, shown

# ip address add on lo, lan0 and wan0 as in `box`, then `ip -4 route show table all` (Linux 6.18).
KERNEL_IPV4 = """\
10.0.0.2 dev lan0 proto kernel scope link src 10.0.0.1
10.4.0.0/24 dev lan0 proto kernel scope link src 10.4.0.1 metric 77
10.5.0.0/24 dev lan0 proto kernel scope link src 10.5.0.1
10.7.0.0/24 dev lan0 proto kernel scope link src 10.7.0.1
10.9.0.0/31 dev lan0 proto kernel scope link src 10.9.0.0
192.168.1.0/24 dev lan0 proto kernel scope link src 192.168.1.1
198.51.100.0/24 dev wan0 proto kernel scope link src 198.51.100.2
broadcast 10.254.0.255 dev lo table local proto kernel scope link src 10.254.0.1
broadcast 10.3.0.255 dev lan0 table local proto kernel scope link src 10.3.0.1
broadcast 10.4.0.255 dev lan0 table local proto kernel scope link src 10.4.0.1
broadcast 10.5.0.255 dev lan0 table local proto kernel scope link src 10.5.0.1
broadcast 10.7.0.0 dev lan0 table local proto kernel scope link src 10.7.0.1
broadcast 10.7.0.255 dev lan0 table local proto kernel scope link src 10.7.0.1
broadcast 127.255.255.255 dev lo table local proto kernel scope link src 127.0.0.1
broadcast 192.168.1.255 dev lan0 table local proto kernel scope link src 192.168.1.1
broadcast 198.51.100.255 dev wan0 table local proto kernel scope link src 198.51.100.2
local 10.0.0.1 dev lan0 table local proto kernel scope host src 10.0.0.1
local 10.254.0.0/24 dev lo table local proto kernel scope host src 10.254.0.1
local 10.254.0.1 dev lo table local proto kernel scope host src 10.254.0.1
local 10.255.0.1 dev lo table local proto kernel scope host src 10.255.0.1
local 10.3.0.1 dev lan0 table local proto kernel scope host src 10.3.0.1
local 10.4.0.1 dev lan0 table local proto kernel scope host src 10.4.0.1
local 10.5.0.1 dev lan0 table local proto kernel scope host src 10.5.0.1
local 10.7.0.1 dev lan0 table local proto kernel scope host src 10.7.0.1
local 10.8.0.5 dev lan0 table local proto kernel scope host src 10.8.0.5
local 10.9.0.0 dev lan0 table local proto kernel scope host src 10.9.0.0
local 127.0.0.0/8 dev lo table local proto kernel scope host src 127.0.0.1
local 127.0.0.1 dev lo table local proto kernel scope host src 127.0.0.1
local 192.168.1.1 dev lan0 table local proto kernel scope host src 192.168.1.1
local 192.168.1.2 dev lan0 table local proto kernel scope host src 192.168.1.1
local 198.51.100.2 dev wan0 table local proto kernel scope host src 198.51.100.2
"""

# The same of `ip -6 route show table all`, with net.ipv6.conf.all.forwarding=1.
KERNEL_IPV6 = """\
2001:db8:1::1 dev lan0 proto kernel metric 256
2001:db8:2::/64 dev wan0 proto kernel metric 256
2001:db8:2::2 dev wan0 proto kernel metric 256
2001:db8:4::/127 dev lan0 proto kernel metric 256
2001:db8:5::/64 dev lan0 proto kernel metric 77
2001:db8:fe::1 dev lo proto kernel metric 256
2001:db8:ff::/64 dev lo proto kernel metric 256
anycast 2001:db8:2:: dev wan0 table local proto kernel metric 0
anycast 2001:db8:3:: dev lan0 table local proto kernel metric 0
anycast 2001:db8:5:: dev lan0 table local proto kernel metric 0
anycast 2001:db8:ff:: dev lo table local proto kernel metric 0
anycast fe80:: dev lan0 table local proto kernel metric 0
anycast fe80:: dev wan0 table local proto kernel metric 0
fe80::/64 dev lan0 proto kernel metric 256
fe80::/64 dev wan0 proto kernel metric 256
local 2001:db8:1::1 dev lan0 table local proto kernel metric 0
local 2001:db8:2::1 dev wan0 table local proto kernel metric 0
local 2001:db8:3::1 dev lan0 table local proto kernel metric 0
local 2001:db8:4::1 dev lan0 table local proto kernel metric 0
local 2001:db8:5::1 dev lan0 table local proto kernel metric 0
local 2001:db8:fe::1 dev lo table local proto kernel metric 0
local 2001:db8:ff::1 dev lo table local proto kernel metric 0
local ::1 dev lo table local proto kernel metric 0
local fe80::ff:fe00:101 dev lan0 table local proto kernel metric 0
local fe80::ff:fe00:201 dev wan0 table local proto kernel metric 0
multicast ff00::/8 dev lan0 table local proto kernel metric 256
multicast ff00::/8 dev wan0 table local proto kernel metric 256
"""


def box(*, forwarding: bool = True) -> Topology:
    sysctls = Sysctls()
    sysctls.set("net.ipv6.conf.all.forwarding", int(forwarding))
    topology = Topology(sysctls)
    lan = topology.add_device(Device("lan0", 2, mac=LAN_MAC))
    wan = topology.add_device(Device("wan0", 3, mac=WAN_MAC))
    parse = Address.parse
    for text in ("10.255.0.1/32", "10.254.0.1/24", "2001:db8:ff::1/64", "2001:db8:fe::1/128"):
        topology.add_address(topology.lo, parse(text))
    for address in (
        parse("192.168.1.1/24"),
        parse("192.168.1.2/24"),
        parse("10.9.0.0/31"),
        parse("10.8.0.5"),
        replace(parse("10.0.0.1/32"), peer=packed("10.0.0.2")),
        replace(parse("10.3.0.1/24"), noprefixroute=True),
        replace(parse("10.4.0.1/24"), metric=77),
        replace(parse("10.5.0.1/24"), scope=Scope.LINK),
        replace(parse("10.7.0.1/24"), broadcast=packed("10.7.0.0")),
        parse("2001:db8:1::1/128"),
        replace(parse("2001:db8:3::1/64"), noprefixroute=True),
        parse("2001:db8:4::1/127"),
        replace(parse("2001:db8:5::1/64"), metric=77),
    ):
        topology.add_address(lan, address)
    topology.add_address(wan, parse("198.51.100.2/24"))
    topology.add_address(wan, replace(parse("2001:db8:2::1/64"), peer=packed("2001:db8:2::2")))
    return topology


def test_ipv4_routes_are_those_of_the_kernel():
    assert shown(box().fib4) == sorted(KERNEL_IPV4.splitlines())


def test_ipv6_routes_are_those_of_the_kernel():
    assert shown(box().fib6) == sorted(KERNEL_IPV6.splitlines())


def test_only_a_router_answers_to_the_anycast_address():
    without = [line for line in KERNEL_IPV6.splitlines() if not line.startswith("anycast")]
    assert shown(box(forwarding=False).fib6) == sorted(without)


def test_a_subnet_stays_connected_through_its_secondary_address_being_removed():
    topology = box()
    lan = topology.devices["lan0"]
    topology.remove_address(lan, Address.parse("192.168.1.2/24"))
    gone = "local 192.168.1.2 dev lan0 table local proto kernel scope host src 192.168.1.1"
    assert shown(topology.fib4) == sorted(line for line in KERNEL_IPV4.splitlines() if line != gone)


def test_secondary_addresses_go_with_the_primary():
    topology = box()
    lan = topology.devices["lan0"]
    others = {a.address for a in lan.addresses} - {packed("192.168.1.1"), packed("192.168.1.2")}
    topology.remove_address(lan, Address.parse("192.168.1.1/24"))
    assert topology.fib4.lookup(packed("192.168.1.77")) is None
    assert {a.address for a in lan.addresses} == others


def test_the_primary_stays_when_a_secondary_address_goes():
    topology = box()
    topology.remove_address(topology.devices["lan0"], Address.parse("192.168.1.2/24"))
    connected = topology.fib4.lookup(packed("192.168.1.77"))
    assert connected is not None
    assert connected.source == packed("192.168.1.1")


def test_unchanged_routes_stay_the_same_objects_when_an_address_comes():
    topology = box()
    before = set(topology.fib4)
    topology.add_address(topology.devices["lan0"], Address.parse("172.16.0.1/16"))
    assert before < set(topology.fib4)
    assert len(topology.fib4) == len(before) + 3


def test_a_static_route_equal_to_a_derived_one_is_refused():
    topology = box()
    lan = topology.devices["lan0"]
    same = route("192.168.1.0/24", device=lan, source="192.168.1.1")
    with pytest.raises(ValueError, match="File exists"):
        topology.fib4.add(same)


def test_removing_a_device_leaves_no_route_of_it():
    topology = box()
    topology.remove_device(topology.devices["lan0"])
    assert not [line for line in shown(topology.fib4) + shown(topology.fib6) if "lan0" in line]
    assert topology.fib4.lookup(packed("192.168.1.1")) is None


def test_a_device_with_a_small_mtu_has_no_ipv6():
    topology = box()
    wan = topology.devices["wan0"]
    topology.set_link(wan, mtu=1279)
    assert not [line for line in shown(topology.fib6) if "wan0" in line]
    assert [a.address for a in wan.addresses] == [packed("198.51.100.2")]
    topology.set_link(wan, mtu=1280)
    assert [a.address for a in wan.addresses][1:] == [packed("fe80::ff:fe00:201")]


def test_there_is_no_route_to_the_zero_network():
    topology = Topology()
    device = topology.add_device(Device("lan0", 2, mac=LAN_MAC, addrgenmode=AddrGenMode.NONE))
    topology.add_address(device, replace(Address.parse("10.0.0.1/32"), peer=packed("0.0.0.0"), prefixlen=8))
    assert [line for line in shown(topology.fib4) if "lan0" in line] == [
        "local 10.0.0.1 dev lan0 table local proto kernel scope host src 10.0.0.1"
    ]
