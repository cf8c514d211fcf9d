from __future__ import annotations

import pytest

from flowtable.packet.packet import IPV4, IPV6
from flowtable.topology.device import (
    Address,
    Device,
    Scope,
    check_address,
    check_name,
    eui64_link_local,
    link_local,
)
from flowtable.topology.error import TopologyError
from tests.topology.boxes import ethernet, packed


@pytest.mark.parametrize(
    ("text", "family", "prefixlen", "scope"),
    [
        ("192.0.2.1/24", IPV4, 24, Scope.UNIVERSE),
        ("192.0.2.1", IPV4, 32, Scope.UNIVERSE),
        ("127.0.0.1/8", IPV4, 8, Scope.HOST),
        ("2001:db8::1/64", IPV6, 64, Scope.UNIVERSE),
        ("fe80::1/64", IPV6, 64, Scope.LINK),
        ("fec0::1/64", IPV6, 64, Scope.SITE),
        ("::1", IPV6, 128, Scope.HOST),
    ],
)
def test_parse(text, family, prefixlen, scope):
    address = Address.parse(text)
    assert (address.family, address.prefixlen, address.scope) == (family, prefixlen, scope)
    assert address.address == packed(text.partition("/")[0])


@pytest.mark.parametrize("text", ["", "192.0.2.1/33", "192.0.2.1/", "192.0.2.1/-1", "x", "::1/129", "::1/٣"])
def test_parse_refuses(text):
    with pytest.raises(ValueError):
        Address.parse(text)


@pytest.mark.parametrize(
    ("mac", "address"),
    # RFC 4291 appendix A, and what Linux gave a device with the second MAC address.
    [("34:56:78:9a:bc:de", "fe80::3656:78ff:fe9a:bcde"), ("02:00:00:00:01:01", "fe80::ff:fe00:101")],
)
def test_link_local_of_a_mac(mac, address):
    made = eui64_link_local(bytes.fromhex(mac.replace(":", "")))
    assert made == packed(address)
    assert link_local(made)


def test_secondary():
    first, second, other, longer = map(
        Address.parse, ("192.168.1.1/24", "192.168.1.2/24", "10.0.0.1/24", "192.168.1.3/25")
    )
    device = Device("lan0", 2, addresses=[first, second, other, longer])
    assert [device.secondary(a) for a in device.addresses] == [False, True, False, False]


def test_ipv6_addresses_are_never_secondary():
    device = ethernet("lan0", 2, "2001:db8::1/64", "2001:db8::2/64")
    assert not any(device.secondary(a) for a in device.addresses)


@pytest.mark.parametrize("name", ["eth0", "eth0.10", "br-lan", "wan@1", "a" * 15, "0", "…"])
def test_names(name):
    check_name(name)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "a:b", "a b", "a\tb", "a" * 16, "…" * 6, "\x00", "\ud800"]
)
def test_names_that_linux_refuses(name):
    with pytest.raises(TopologyError) as caught:
        check_name(name)
    assert caught.value.about == "name"


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("224.0.0.1/32", "not an address that a device can have"),
        ("255.255.255.255/32", "not an address that a device can have"),
        ("0.0.0.0/0", "not an address that a device can have"),
        ("ff02::1/64", "not an address that a device can have"),
        ("::/64", "not an address that a device can have"),
        ("::1/128", "Cannot assign loopback address"),
        ("192.168.1.1/16", "lan0 has this address already"),
    ],
)
def test_addresses_that_a_device_cannot_have(address, words):
    with pytest.raises(TopologyError, match=words):
        check_address(ethernet("lan0", 2, "192.168.1.1/24"), Address.parse(address))


def test_no_ipv6_on_a_small_mtu():
    device = ethernet("lan0", 2, mtu=1279)
    with pytest.raises(TopologyError, match="at least 1280, lan0 has 1279"):
        check_address(device, Address.parse("2001:db8::1/64"))
