"""Whatever the bytes: a view is malformed, or all of it can be read."""

from __future__ import annotations

import doctest
from collections.abc import Iterator
from types import MappingProxyType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import flowtable.packet
from flowtable.packet import (
    arp,
    ethernet,
    extension,
    gre,
    icmp,
    icmpv6,
    ipv4,
    ipv6,
    nd,
    pppoe,
    tcp,
    udp,
    vlan,
)
from flowtable.packet.malformed import Malformed
from flowtable.packet.view import View

VIEWS = [
    ethernet.Ethernet,
    vlan.Vlan,
    pppoe.Pppoe,
    arp.Arp,
    ipv4.Ipv4,
    ipv6.Ipv6,
    extension.Fragment,
    tcp.Tcp,
    udp.Udp,
    icmp.Icmp,
    icmpv6.Icmpv6,
    nd.RouterSolicitation,
    nd.RouterAdvertisement,
    nd.NeighbourSolicitation,
    nd.NeighbourAdvertisement,
    nd.Redirect,
    gre.Gre,
]

# Makes the first bytes of random headers plausible, so that more of them pass the checks.
FIRST = MappingProxyType(
    {
        pppoe.Pppoe: bytes.fromhex("1100 0001 0008"),
        arp.Arp: bytes.fromhex("0001 0800 0604"),
        ipv4.Ipv4: bytes.fromhex("46 00 0024"),
        ipv6.Ipv6: bytes.fromhex("60000000 0008 2c"),
        udp.Udp: bytes.fromhex("00010002 000a"),
        tcp.Tcp: bytes.fromhex("0001 0002 00000001 00000002 80"),
        gre.Gre: bytes.fromhex("b000"),
        nd.RouterSolicitation: bytes.fromhex("8500"),
        nd.RouterAdvertisement: bytes.fromhex("8600"),
        nd.NeighbourSolicitation: bytes.fromhex("8700"),
        nd.NeighbourAdvertisement: bytes.fromhex("8800"),
        nd.Redirect: bytes.fromhex("8900"),
    }
)


def properties(view: type[View]) -> Iterator[str]:
    for cls in view.__mro__:
        for name, value in vars(cls).items():
            if isinstance(value, property):
                yield name


def test_every_view_is_listed():
    def leaves(cls: type[View]) -> Iterator[type[View]]:
        below = cls.__subclasses__()
        for sub in below:
            yield from leaves(sub)
        if not below:
            yield cls

    assert set(leaves(View)) == set(VIEWS)


@pytest.mark.parametrize("view", VIEWS)
@settings(max_examples=50)
@given(data=st.data())
def test_any_bytes_are_malformed_or_readable(view, data):
    first = FIRST.get(view, b"") if data.draw(st.booleans()) else b""
    buffer = bytes(3) + first + data.draw(st.binary(max_size=90))
    end = data.draw(st.none() | st.integers(0, len(buffer)))
    try:
        header = view(buffer, 3, end).check()
    except Malformed as error:
        assert 0 <= error.offset <= len(buffer)
        assert error.reason
        return
    for name in properties(view):
        value = getattr(header, name)
        if isinstance(value, Iterator):
            list(value)


def test_a_view_that_was_not_checked_does_fail():
    with pytest.raises(IndexError):
        _ = tcp.Tcp(b"").flags


def test_the_example_in_the_package_docstring():
    assert doctest.testmod(flowtable.packet).attempted > 0
    assert doctest.testmod(flowtable.packet).failed == 0
