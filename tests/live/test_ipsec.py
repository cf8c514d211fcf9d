"""Which flows IPsec takes."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowtable.live.ipsec import Selector, parse
from flowtable.live.veto import carries_tags
from flowtable.topology.boxfile import load
from tests.lab import SERVER, udp, udp_reply
from tests.live.test_engine import Bench


def packed(address: str) -> bytes:
    return ip_address(address).packed


def policy(direction: int, family: int = 2) -> bytes:
    """As the kernel has it, from 10.0.1.0/24 to 10.0.2.99."""
    addresses = packed(SERVER).ljust(16, b"\0") + packed("10.0.1.0").ljust(16, b"\0")
    selector = addresses + bytes(8) + family.to_bytes(2, "little") + bytes((32, 24, 17)) + bytes(11)
    return (selector + bytes(104)) + bytes((direction, 0, 0, 0)) + bytes(4)


def test_policies_for_what_leaves_are_read():
    assert parse(policy(1)) == Selector(packed("10.0.1.0"), 24, packed(SERVER), 32, 17)
    assert parse(policy(0)) is parse(policy(2)) is None


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_policy_or_none(message: bytes):
    selector = parse(message)
    assert selector is None or len(selector.source) in (0, 4, 16)


@pytest.mark.parametrize(
    ("source", "source_size", "target", "target_size", "protocol", "matches"),
    [
        ("10.0.1.0", 24, SERVER, 32, 0, True),
        ("10.0.1.0", 24, SERVER, 32, 17, True),
        ("10.0.1.0", 24, SERVER, 32, 6, False),
        ("10.0.0.0", 8, "10.0.0.0", 8, 0, True),
        ("0.0.0.0", 0, "0.0.0.0", 0, 0, True),
        ("10.0.3.0", 24, SERVER, 32, 0, False),
        (SERVER, 32, "10.0.1.0", 24, 0, False),
        ("::", 0, "::", 0, 0, False),
    ],
)
def test_packets_are_among_those_of_a_selector_as_they_leave(
    source, source_size, target, target_size, protocol, matches
):
    bench = Bench()
    bench.lab.client(udp())
    bench.lab.server(udp_reply())
    assert bench.mark() is None
    (entry,) = bench.engine.flowtables.entries()
    selector = Selector(packed(source), source_size, packed(target), target_size, protocol)
    assert selector.matches(entry.directions[0]) is matches


def test_devices_on_which_tags_belong():
    topology = load(
        """
devices:
  - {name: eth0, mac: "02:00:00:00:00:01"}
  - {name: br0, kind: bridge, mac: "02:00:00:00:00:02", vlan_filtering: true}
  - {name: eth1, mac: "02:00:00:00:00:02", master: br0}
  - {name: eth2, mac: "02:00:00:00:00:03"}
  - {name: eth0.10, kind: vlan, parent: eth0, id: 10}
"""
    )
    devices = topology.devices
    assert [carries_tags(devices[name]) for name in ("eth0", "eth1", "eth2", "eth0.10")] == [
        True,
        True,
        False,
        False,
    ]
