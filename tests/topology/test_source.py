"""Source addresses: the answers are those of `ip route get` on a Linux box with these addresses."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flowtable.packet.packet import IPV4, IPV6
from flowtable.topology.device import Address, AddrGenMode, Device, Scope
from flowtable.topology.source import inet_select_addr, ipv6_select_addr
from flowtable.topology.topology import Topology
from tests.topology.boxes import LAN_MAC, WAN_MAC, ethernet, packed, route


@pytest.fixture(scope="module")
def box() -> Topology:
    topology = Topology()
    parse = Address.parse
    for text in ("10.255.0.1/32", "10.254.0.1/24", "2001:db8:ff::1/64", "2001:db8:fe::1/128"):
        topology.add_address(topology.lo, parse(text))
    addresses = [
        replace(parse("10.5.0.1/24"), scope=Scope.LINK),
        parse("10.3.0.1/24"),
        parse("10.4.0.1/24"),
        *map(parse, ("fd00:1::1/64", "2001:db8:5::1/64", "2001:db8:1::1/128", "fe80::ff:fe00:101/64")),
    ]
    lan = topology.add_device(Device("lan0", 2, mac=LAN_MAC, addresses=addresses))
    wan = topology.add_device(
        Device("wan0", 3, mac=WAN_MAC, addresses=[parse("2001:db8:2::1/64"), parse("198.51.100.2/24")])
    )
    topology.fib4.add(route("0.0.0.0/0", gateway="198.51.100.1"))
    topology.fib4.add(route("10.40.0.0/16", device=lan))
    topology.fib4.add(route("10.41.0.0/16", gateway="10.5.0.9"))
    topology.fib6.add(route("::/0", gateway="fe80::1", device=wan))
    topology.fib6.add(route("2001:db8:40::/48", device=lan))
    return topology


@pytest.mark.parametrize(
    ("destination", "oif", "source"),
    [
        ("8.8.8.8", None, "198.51.100.2"),
        ("10.40.0.1", None, "10.5.0.1"),  # a connected destination: link scope will do
        ("10.41.0.1", None, "10.3.0.1"),  # behind a gateway it will not
        ("10.4.0.5", None, "10.4.0.1"),
        ("10.254.0.9", None, "10.254.0.1"),
        ("127.0.0.5", None, "127.0.0.1"),
        ("239.1.1.1", None, "198.51.100.2"),
        ("224.0.0.5", "lan0", "10.5.0.1"),
        ("255.255.255.255", "lan0", "10.5.0.1"),
        ("255.255.255.255", None, "198.51.100.2"),
        ("10.4.0.255", None, "10.4.0.1"),
        ("2001:4860::1", None, "2001:db8:2::1"),
        ("2001:db8:40::1", None, "2001:db8:5::1"),
        ("fd00:2::1", None, "2001:db8:2::1"),  # the outgoing device (rule 5) before the label (rule 6)
        ("fd00:1::5", None, "fd00:1::1"),
        ("2001:db8:5::9", None, "2001:db8:5::1"),
        ("2001:db8:5::1", None, "2001:db8:5::1"),
        ("ff02::1", "lan0", "fe80::ff:fe00:101"),
        ("ff0e::1", "wan0", "2001:db8:2::1"),
        ("fe80::5", "lan0", "fe80::ff:fe00:101"),
        ("2002:808::1", None, "2001:db8:2::1"),
        ("::1", None, "::1"),
    ],
)
def test_source(box, destination, oif, source):
    address = packed(destination)
    fib = box.fib(IPV4 if len(address) == 4 else IPV6)
    found = fib.lookup(address, oif=None if oif is None else box.devices[oif])
    assert found is not None
    assert fib.select_source(found, address) == packed(source)


def test_the_route_prefers(box):
    added = box.fib4.add(route("10.77.0.0/16", gateway="198.51.100.1", source="10.3.0.1"))
    assert box.fib4.select_source(added, packed("10.77.0.1")) == packed("10.3.0.1")


def test_a_device_without_addresses_borrows_those_of_the_box():
    topology = Topology()
    bare = topology.add_device(ethernet("ppp0", 2, addrgenmode=AddrGenMode.NONE))
    assert inet_select_addr(topology.devices.values(), bare, None, Scope.UNIVERSE) is None
    topology.add_device(ethernet("lan0", 3, "192.168.1.1/24"))
    assert inet_select_addr(topology.devices.values(), bare, None, Scope.UNIVERSE) == packed("192.168.1.1")
    topology.add_address(topology.lo, Address.parse("10.255.0.1/32"))
    assert inet_select_addr(topology.devices.values(), bare, None, Scope.UNIVERSE) == packed("10.255.0.1")


def test_a_secondary_address_is_not_chosen():
    topology = Topology()
    lan = topology.add_device(ethernet("lan0", 2, "192.168.1.1/24", "192.168.1.2/24", "10.0.0.1/8"))
    devices = topology.devices.values()
    assert inet_select_addr(devices, lan, packed("192.168.1.9"), Scope.UNIVERSE) == packed("192.168.1.1")
    assert inet_select_addr(devices, lan, packed("10.0.0.9"), Scope.UNIVERSE) == packed("10.0.0.1")


@pytest.mark.parametrize(
    ("own", "destination", "source"),
    [
        (("2001:db8::1/64", "fd00::1/64"), "fd77::1", "fd00::1"),  # rule 6: same label
        (("2001:db8::1/64", "2002:a00::1/64"), "2002:b00::1", "2002:a00::1"),
        (("2001:db8:1::1/64", "2001:db8:2::1/64"), "2001:db8:2:ffff::1", "2001:db8:2::1"),  # rule 8
        (("2001:db8:1::1/64", "2001:db8:2::1/64"), "2001:4860::1", "2001:db8:1::1"),  # a tie: the first
        (("fe80::1/64", "2001:db8::1/64"), "2001:4860::1", "2001:db8::1"),  # rule 2: scope
        (("2001:db8::1/64", "fe80::1/64"), "fe80::2", "fe80::1"),
        (("fe80::1/64",), "2001:4860::1", "fe80::1"),  # too small, but all there is
        (("2001:db8::1/64", "fec0::1/64"), "fec0::2", "fec0::1"),
        (("2001:db8::1/64", "2001:db8::2/64"), "2001:db8::2", "2001:db8::2"),  # rule 1: itself
    ],
)
def test_rfc6724(own, destination, source):
    topology = Topology()
    lan = topology.add_device(ethernet("lan0", 2, *own, addrgenmode=AddrGenMode.NONE))
    assert ipv6_select_addr(topology.devices.values(), lan, packed(destination)) == packed(source)


def test_a_deprecated_address_is_chosen_last():
    topology = Topology()
    old = replace(Address.parse("2001:db8:1::1/64"), deprecated=True)
    lan = topology.add_device(Device("lan0", 2, mac=LAN_MAC, addresses=[old]))
    devices = topology.devices.values()
    assert ipv6_select_addr(devices, lan, packed("2001:db8:1::9")) == old.address
    topology.add_address(lan, Address.parse("2001:db8:2::1/64"))
    assert ipv6_select_addr(devices, lan, packed("2001:db8:1::9")) == packed("2001:db8:2::1")


def test_link_local_destinations_are_sent_to_from_their_link_only():
    topology = Topology()
    bare = topology.add_device(ethernet("wan0", 2, addrgenmode=AddrGenMode.NONE))
    topology.add_device(ethernet("lan0", 3, "2001:db8::1/64"))
    devices = topology.devices.values()
    assert ipv6_select_addr(devices, bare, packed("fe80::9")) is None
    assert ipv6_select_addr(devices, bare, packed("ff02::1")) is None
    assert ipv6_select_addr(devices, bare, packed("2001:db8:9::1")) == packed("2001:db8::1")
