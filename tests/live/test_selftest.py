"""The kernel's own test of flowtables, on this kernel: hosts, two routers, real programs.

Ref: tools/testing/selftests/net/netfilter/nft_flowtable.sh. What it does with devices that this
kernel has not, VLANs, tunnels and IPsec, is not here.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

import pytest

from tests.live.world import Exchange, Host, Service, World, require_root

SIZE = 1 << 21
RULES = """
table inet filter {
    counter routed_orig { }
    counter routed_repl { }

    flowtable f1 {
        hook ingress priority 0
        devices = { veth0, veth1 }
    }

    chain forward {
        type filter hook forward priority 0; policy drop;
        meta oif "veth1" tcp dport 12345 ct mark set 1 flow add @f1 counter name routed_orig accept
        ct mark 1 counter name ct direction map { original : routed_orig, reply : routed_repl } accept
        ct state established,related accept
        meta nfproto ipv4 meta l4proto icmp accept
        meta nfproto ipv6 meta l4proto icmpv6 accept
    }
}
"""
NAT = """
table ip nat {
    chain prerouting {
        type nat hook prerouting priority 0; policy accept;
        meta iif "veth0" ip daddr 10.6.6.6 tcp dport 1666 counter dnat ip to 10.0.2.99:12345
    }
    chain postrouting {
        type nat hook postrouting priority 0; policy accept;
        meta oifname "veth1" counter masquerade
    }
}
"""
SEEN = """
table inet filter {
    counter ip4dscp0 { }
    counter ip4dscp3 { }
    chain input {
        type filter hook input priority 0; policy accept;
        meta l4proto tcp goto {
            ip dscp cs3 counter name ip4dscp3 accept
            ip dscp 0 counter name ip4dscp0 accept
        }
    }
}
"""


@dataclass
class Chain:
    """ns1, nsr1 that offloads, nsr2, ns2."""

    world: World
    mtus: tuple[int, int, int] = (9000, 1500, 2000)

    def __post_init__(self) -> None:
        world = self.world
        self.ns1, self.nsr1, self.nsr2, self.ns2 = (world.host(name) for name in ("1", "r1", "r2", "2"))
        world.link(self.ns1, "eth0", self.nsr1, "veth0", self.mtus[0])
        world.link(self.nsr1, "veth1", self.nsr2, "veth0", self.mtus[1])
        world.link(self.nsr2, "veth1", self.ns2, "eth0", self.mtus[2])
        for host, device, four, six in (
            (self.ns1, "eth0", "10.0.1.99", "dead:1::99"),
            (self.nsr1, "veth0", "10.0.1.1", "dead:1::1"),
            (self.nsr1, "veth1", "192.168.10.1", "fee1:2::1"),
            (self.nsr2, "veth0", "192.168.10.2", "fee1:2::2"),
            (self.nsr2, "veth1", "10.0.2.1", "dead:2::1"),
            (self.ns2, "eth0", "10.0.2.99", "dead:2::99"),
        ):
            host.ip(f"address add {four}/24 dev {device}")
            host.ip(f"address add {six}/64 dev {device} nodad")
        for host, four, six in (
            (self.ns1, "10.0.1.1", "dead:1::1"),
            (self.nsr1, "192.168.10.2", "fee1:2::2"),
            (self.nsr2, "192.168.10.1", "fee1:2::1"),
            (self.ns2, "10.0.2.1", "dead:2::1"),
        ):
            host.ip(f"route add default via {four}")
            host.ip(f"route add default via {six}")
        for router in (self.nsr1, self.nsr2):
            router.sysctl(net__ipv4__ip_forward=1, net__ipv6__conf__all__forwarding=1)
        self.ns2.run("nft", "-f", "-", text=SEEN)

    def up(self, rules: str, *arguments: str) -> Service:
        return self.world.up(self.nsr1, rules, *arguments)

    def discovery(self, on: bool) -> None:
        """Path MTU discovery of the hosts for IPv4."""
        for host in (self.ns1, self.ns2):
            host.sysctl(net__ipv4__ip_no_pmtu_disc=0 if on else 1)

    def transfer(
        self, service: Service, *, address: str = "10.0.2.99", to: str | None = None, fast: bool = True
    ) -> str:
        """Bytes both ways over a connection that is on the fast path before most of them go, or is refused.

        Returns:
            The client's address as the server sees it.
        """
        with service.events() as events:
            exchange = Exchange(self.ns1, self.ns2, address, size=SIZE, port=12345, to=to)
            events.until("added" if fast else "refused")
            exchange.run()
            exchange.close()
            if fast:
                events.until("ended", "FIN")
        return exchange.seen

    def counted(self) -> tuple[int, int]:
        """Bytes that the forward chain saw, of each direction."""
        return count(self.nsr1, "routed_orig"), count(self.nsr1, "routed_repl")

    def dscps(self) -> tuple[int, int]:
        """Packets without DSCP and with cs3 that ns2 got since the last time."""
        seen = count(self.ns2, "ip4dscp0", "packets"), count(self.ns2, "ip4dscp3", "packets")
        self.ns2.run("nft", "reset", "counters")
        return seen


def count(host: Host, name: str, unit: str = "bytes") -> int:
    listing = host.run("nft", "list", "counter", "inet", "filter", name)
    found = re.search(rf"{unit} (\d+)", listing)
    assert found, listing
    return int(found[1])


@pytest.fixture
def world(tmp_path):
    require_root()
    with World(tmp_path) as opened:
        yield opened


def test_plain(world):
    chain = Chain(world, (1500, 1500, 1500))
    chain.ns1.run("ping", "-c", "1", "-q", "10.0.2.99")
    chain.ns2.run("ping", "-c", "1", "-q", "dead:1::99")
    service = chain.up(RULES)
    assert chain.transfer(service) == "10.0.1.99"
    assert chain.transfer(service, address="dead:2::99") == "dead:1::99"
    assert all(seen < SIZE / 10 for seen in chain.counted())


def test_other_mtus_with_and_without_discovery(world):
    chain = Chain(world)
    service = chain.up(RULES + NAT)
    chain.discovery(on=False)
    assert chain.transfer(service) == "192.168.10.1"
    assert chain.transfer(service, to="10.6.6.6 1666") == "192.168.10.1"
    chain.transfer(service, address="dead:2::99")
    chain.discovery(on=True)
    chain.nsr1.run("nft", "reset", "counters")
    assert chain.transfer(service) == "192.168.10.1"
    assert chain.transfer(service, to="10.6.6.6 1666") == "192.168.10.1"
    assert all(seen < SIZE / 2 for seen in chain.counted())


ATTACHED = "type filter hook {} priority 0; ip dscp set cs3;"


@pytest.mark.parametrize(
    ("family", "hook", "fast", "seen"),
    [
        ("inet", None, True, (True, False)),
        ("netdev", "ingress device veth0", False, (False, True)),
        ("netdev", "egress device veth1", False, (False, True)),
        ("inet", "forward", True, (True, True)),
    ],
)
def test_rules_at_other_hooks(world, family, hook, fast, seen):
    """Rules at ingress and egress see all packets, so none takes the fast path; others see the first."""
    chain = Chain(world)
    if hook is not None:
        chain.nsr1.run("nft", f"table {family} n {{ chain c {{ {ATTACHED.format(hook)} }}; }}")
    service = chain.up(RULES)
    chain.transfer(service, fast=fast)
    assert tuple(packets > 0 for packets in chain.dscps()) == seen


@pytest.mark.parametrize("seed", range(2))
def test_random_mtus(world, seed):
    numbers = random.Random(seed)
    first, second, third = (numbers.choice([1280, numbers.randint(1280, 65535)]) for _ in range(3))
    chain = Chain(world, (first, second, third))
    service = chain.up(RULES + NAT)
    for discovery in (False, True):
        chain.discovery(on=discovery)
        chain.transfer(service)
        chain.transfer(service, to="10.6.6.6 1666")
        chain.transfer(service, address="dead:2::99")


def test_bridge(world):
    chain = Chain(world)
    for line in (
        "link add name br0 type bridge",
        "address flush dev veth0",
        "link set up dev veth0",
        "link set veth0 master br0",
        "address add 10.0.1.1/24 dev br0",
        "address add dead:1::1/64 dev br0 nodad",
        "link set up dev br0",
    ):
        chain.nsr1.ip(line)
    service = chain.up(RULES + NAT.replace('iif "veth0"', 'iif "br0"'))
    assert chain.transfer(service) == "192.168.10.1"
    assert chain.transfer(service, to="10.6.6.6 1666") == "192.168.10.1"
    chain.transfer(service, address="dead:2::99")
    assert all(seen < SIZE / 2 for seen in chain.counted())
