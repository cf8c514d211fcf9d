from __future__ import annotations

import pytest

from flowtable.packet.packet import IPV4, IPV6
from flowtable.topology.event import Event, NeighbourChanged
from flowtable.topology.neighbour import Neighbours, NeighbourState
from tests.topology.boxes import LAN_MAC, WAN_MAC, ethernet, packed

LAN, WAN = ethernet("lan0", 2), ethernet("wan0", 3)
HOST = packed("192.168.1.9")


@pytest.fixture
def heard() -> list[Event]:
    return []


@pytest.fixture
def table(heard) -> Neighbours:
    return Neighbours(heard.append)


def test_the_same_address_on_two_devices_is_two_neighbours(table):
    lan = table.set(LAN, HOST, LAN_MAC, NeighbourState.REACHABLE)
    assert table.get(WAN, HOST) is None
    wan = table.set(WAN, HOST, WAN_MAC, NeighbourState.REACHABLE)
    assert table.get(LAN, HOST) is lan
    assert table.get(WAN, HOST) is wan
    assert list(table) == [lan, wan]
    assert len(table) == 2


def test_a_neighbour_stays_the_same_object(table):
    neighbour = table.set(LAN, HOST, None, NeighbourState.INCOMPLETE)
    assert not neighbour.valid
    assert table.set(LAN, HOST, LAN_MAC, NeighbourState.REACHABLE, router=True) is neighbour
    assert (neighbour.mac, neighbour.state, neighbour.valid, neighbour.router) == (
        LAN_MAC,
        NeighbourState.REACHABLE,
        True,
        True,
    )
    table.set(LAN, HOST, None, NeighbourState.STALE)
    assert (neighbour.mac, neighbour.router) == (LAN_MAC, True)


@pytest.mark.parametrize("state", NeighbourState)
def test_valid_states(table, state):
    # NUD_VALID of include/net/neighbour.h.
    invalid = {NeighbourState.INCOMPLETE, NeighbourState.FAILED}
    assert table.set(LAN, HOST, LAN_MAC, state).valid is (state not in invalid)


def test_listeners_hear_of_macs_and_validity_only(table, heard):
    neighbour = table.set(LAN, HOST, LAN_MAC, NeighbourState.REACHABLE)
    assert heard == [NeighbourChanged(neighbour)]
    heard.clear()
    table.set(LAN, HOST, LAN_MAC, NeighbourState.STALE)
    table.set(LAN, HOST, None, NeighbourState.DELAY)
    assert heard == []
    table.set(LAN, HOST, WAN_MAC, NeighbourState.DELAY)
    table.set(LAN, HOST, None, NeighbourState.FAILED)
    assert heard == [NeighbourChanged(neighbour)] * 2
    heard.clear()
    table.delete(neighbour)
    assert heard == [NeighbourChanged(neighbour, removed=True)]
    assert table.get(LAN, HOST) is None
    with pytest.raises(KeyError):
        table.delete(neighbour)


def test_family(table):
    assert table.set(LAN, HOST, LAN_MAC, NeighbourState.NOARP).family == IPV4
    assert table.set(LAN, packed("fe80::9"), LAN_MAC, NeighbourState.NOARP).family == IPV6
