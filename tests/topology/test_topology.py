from __future__ import annotations

import pytest

from flowtable.packet.packet import TCP, UDP
from flowtable.topology.device import Address, Device, DeviceKind
from flowtable.topology.error import TopologyError
from flowtable.topology.event import AddressChanged, Event, LinkChanged, NeighbourChanged, RouteChanged
from flowtable.topology.neighbour import NeighbourState
from flowtable.topology.topology import Service, Topology
from tests.topology.boxes import LAN_MAC, WAN_MAC, ethernet, packed, route, router


def test_lo_is_there():
    topology = Topology()
    assert list(topology.devices) == ["lo"]
    assert topology.indexes == {1: topology.lo}
    assert (topology.lo.kind, topology.lo.mtu, topology.lo.up) == (DeviceKind.LOOPBACK, 65536, True)


@pytest.mark.parametrize(
    ("device", "about"),
    [
        (Device("lan0", 9), "name"),
        (Device("a/b", 9), "name"),
        (Device("new0", 2), "ifindex"),
        (Device("new0", 0), "ifindex"),
        (Device("lo1", 9, DeviceKind.LOOPBACK), "kind"),
        (ethernet("new0", 9, "2001:db8::1/64", mtu=1000), ""),
    ],
)
def test_devices_that_cannot_join(device, about):
    topology = router()
    with pytest.raises(TopologyError) as caught:
        topology.add_device(device)
    assert caught.value.about == about
    assert list(topology.devices) == ["lo", "lan0", "wan0"]


def test_lo_stays():
    topology = Topology()
    with pytest.raises(TopologyError, match="lo stays"):
        topology.remove_device(topology.lo)


def test_a_device_that_goes_up_gets_its_link_local_address():
    topology = Topology()
    device = topology.add_device(Device("lan0", 2, mac=LAN_MAC, up=False))
    assert device.addresses == []
    topology.set_link(device, up=True)
    assert [a.address for a in device.addresses] == [packed("fe80::ff:fe00:101")]
    topology.set_link(device, up=False)
    topology.set_link(device, up=True)
    assert len(device.addresses) == 1


def test_a_given_link_local_address_is_the_only_one():
    topology = Topology()
    device = topology.add_device(ethernet("lan0", 2, "fe80::1/64"))
    assert [a.address for a in device.addresses] == [packed("fe80::1")]


def test_everything_that_changes_is_heard_of_once():
    topology = router(lan=("192.168.1.1/24",))
    lan, wan = topology.devices["lan0"], topology.devices["wan0"]
    heard: list[Event] = []
    silence = topology.subscribe(heard.append)

    def news() -> list[Event]:
        events = list(heard)
        heard.clear()
        return events

    topology.set_link(lan, mtu=1400)
    assert news() == [LinkChanged(lan)]
    assert lan.mtu == 1400

    topology.set_link(lan, mac=WAN_MAC)
    assert news() == [LinkChanged(lan)]
    assert lan.mac == WAN_MAC

    address = Address.parse("10.0.0.1/32")
    topology.add_address(wan, address)
    derived = topology.fib4.lookup(packed("10.0.0.1"))
    assert derived is not None
    assert news() == [RouteChanged(derived), AddressChanged(wan, address)]

    added = topology.fib4.add(route("172.16.0.0/12", gateway="192.168.1.9"))
    assert news() == [RouteChanged(added)]

    neighbour = topology.neighbours.set(wan, packed("10.0.0.9"), WAN_MAC, NeighbourState.PERMANENT)
    assert news() == [NeighbourChanged(neighbour)]

    topology.remove_address(wan, address)
    assert news() == [RouteChanged(derived, removed=True), AddressChanged(wan, address, removed=True)]

    connected = {r for r in topology.fib6 if r.oif is wan}
    topology.remove_device(wan)
    assert news() == [
        NeighbourChanged(neighbour, removed=True),
        *(RouteChanged(r, removed=True) for r in connected),
        LinkChanged(wan, removed=True),
    ]

    silence()
    topology.set_link(lan, mtu=1300)
    assert news() == []


@pytest.mark.parametrize(
    ("change", "kept"),
    [({"up": False}, 0), ({"mac": WAN_MAC}, 0), ({"up": True}, 1), ({"mtu": 1400}, 1)],
)
def test_neighbours_are_forgotten_with_the_link_or_the_mac_address(change, kept):
    topology = router()
    lan, wan = topology.devices["lan0"], topology.devices["wan0"]
    for device in (lan, wan):
        topology.neighbours.set(device, packed("192.168.1.9"), LAN_MAC, NeighbourState.PERMANENT)
    topology.set_link(lan, **change)
    assert len([n for n in topology.neighbours if n.device is lan]) == kept
    assert len([n for n in topology.neighbours if n.device is wan]) == 1


def test_the_same_mac_address_again_changes_nothing():
    topology = router()
    lan = topology.devices["lan0"]
    topology.neighbours.set(lan, packed("192.168.1.9"), LAN_MAC, NeighbourState.PERMANENT)
    topology.set_link(lan, mac=lan.mac)
    assert len(topology.neighbours) == 1


def test_listeners_are_called_in_order():
    topology = router()
    order: list[int] = []
    topology.subscribe(lambda _: order.append(0))
    topology.subscribe(lambda _: order.append(1))
    topology.set_link(topology.devices["lan0"], mtu=1400)
    assert order == [0, 1]


def test_addresses_that_are_not_there():
    topology = router()
    with pytest.raises(TopologyError, match="Cannot assign requested address"):
        topology.remove_address(topology.devices["lan0"], Address.parse("10.0.0.1/8"))


def test_listening():
    topology = router(lan=("192.168.1.1/24",))
    own, other = packed("192.168.1.1"), packed("127.0.0.1")
    topology.services += [Service(TCP, 22), Service(UDP, 53, own)]
    assert topology.listening(TCP, other, 22)
    assert topology.listening(TCP, packed("::1"), 22)
    assert not topology.listening(UDP, other, 22)
    assert topology.listening(UDP, own, 53)
    assert not topology.listening(UDP, other, 53)
    assert not topology.listening(TCP, own, 80)
