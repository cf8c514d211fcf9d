"""What of the kernel's own test of flowtables needs devices that not every kernel has: ``make live-oracle``.

Ref: tools/testing/selftests/net/netfilter/nft_flowtable.sh.
"""

from __future__ import annotations

import pytest

from tests.live.test_selftest import NAT, RULES, SIZE, Chain
from tests.live.world import World, require_root


@pytest.fixture
def world(tmp_path):
    require_root()
    with World(tmp_path) as opened:
        yield opened


def tagged_link(chain: Chain) -> None:
    """The link between the routers carries VLAN 10 instead."""
    for host, device, four, six, far4, far6 in (
        (chain.nsr1, "veth1", "192.168.10.1", "fee1:2::1", "192.168.10.2", "fee1:2::2"),
        (chain.nsr2, "veth0", "192.168.10.2", "fee1:2::2", "192.168.10.1", "fee1:2::1"),
    ):
        host.ip(f"address flush dev {device}")
        host.ip(f"link set {device} up")
        host.ip(f"link add link {device} name {device}.10 type vlan id 10")
        host.ip(f"address add {four}/24 dev {device}.10")
        host.ip(f"address add {six}/64 dev {device}.10 nodad")
        host.ip(f"link set {device}.10 up")
        host.ip(f"route replace default via {far4}")
        host.ip(f"-6 route replace default via {far6}")


def test_vlan_between_routers(world):
    chain = Chain(world)
    tagged_link(chain)
    service = chain.up(RULES.replace('oif "veth1"', 'oifname "veth1.10"'))
    assert chain.transfer(service) == "10.0.1.99"
    chain.transfer(service, address="dead:2::99")
    assert all(seen < SIZE / 2 for seen in chain.counted())
    assert "tc ingress" in {device.where for device in service.status.devices}


def test_vlan_in_a_bridge(world):
    chain = Chain(world)
    for line in (
        "address flush dev veth0",
        "link set veth0 up",
        "link add link veth0 name veth0.10 type vlan id 10",
        "link set veth0.10 up",
        "link add name br0 type bridge",
        "link set veth0.10 master br0",
        "address add 10.0.1.1/24 dev br0",
        "address add dead:1::1/64 dev br0 nodad",
        "link set up dev br0",
    ):
        chain.nsr1.ip(line)
    for line in (
        "address flush dev eth0",
        "link set eth0 up",
        "link add link eth0 name eth0.10 type vlan id 10",
        "link set eth0.10 up",
        "address add 10.0.1.99/24 dev eth0.10",
        "address add dead:1::99/64 dev eth0.10 nodad",
        "route add default via 10.0.1.1",
        "-6 route replace default via dead:1::1",
    ):
        chain.ns1.ip(line)
    service = chain.up(RULES + NAT.replace('iif "veth0"', 'iif "br0"'))
    assert chain.transfer(service) == "192.168.10.1"
    assert chain.transfer(service, to="10.6.6.6 1666") == "192.168.10.1"
    chain.transfer(service, address="dead:2::99")
    assert all(seen < SIZE / 2 for seen in chain.counted())


def test_tunnel_between_routers(world):
    """Tunnels are not for the fast path in the kernel: refused by name, and the transfer is right."""
    chain = Chain(world)
    for host, here, far in ((chain.nsr1, 1, 2), (chain.nsr2, 2, 1)):
        host.ip(f"link add name tun0 type ipip local 192.168.10.{here} remote 192.168.10.{far}")
        host.ip("link set tun0 up")
        host.ip(f"address add 192.168.100.{here}/24 dev tun0")
        host.ip(f"route replace default via 192.168.100.{far}")
    service = chain.up(RULES.replace('oif "veth1"', 'oifname "tun0"'))
    assert chain.transfer(service, fast=False) == "10.0.1.99"


def test_ipsec_between_routers(world):
    chain = Chain(world)
    keys = f"auth hmac(sha1) 0x{bytes(range(20)).hex()} enc cbc(aes) 0x{bytes(range(16)).hex()}"
    networks = {1: "10.0.1.0/24", 2: "10.0.2.0/24"}
    for host, here, far in ((chain.nsr1, 1, 2), (chain.nsr2, 2, 1)):
        for source, target in ((here, far), (far, here)):
            host.ip(
                f"xfrm state add src 192.168.10.{source} dst 192.168.10.{target}"
                f" proto esp spi {source} mode tunnel {keys}"
            )
        host.ip(
            f"xfrm policy add src {networks[here]} dst {networks[far]} dir out"
            f" tmpl src 192.168.10.{here} dst 192.168.10.{far} proto esp mode tunnel"
        )
        for direction in ("in", "fwd"):
            host.ip(
                f"xfrm policy add src {networks[far]} dst {networks[here]} dir {direction}"
                f" tmpl src 192.168.10.{far} dst 192.168.10.{here} proto esp mode tunnel"
            )
    service = chain.up(RULES)
    assert chain.transfer(service, fast=False) == "10.0.1.99"
    chain.transfer(service, address="dead:2::99")
