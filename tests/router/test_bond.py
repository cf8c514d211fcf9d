"""Bonds: the slave that a frame may come in on, and the one it leaves by."""

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1Q, Ether

from flowtable.packet.drop import Drop
from flowtable.router import bond as bonding
from flowtable.topology.bond import Bond
from tests.router.stacks import HOST_A, asks, devices, lab, layers, ping, statistics

MAC = "02:00:00:00:01:01"
SLAVES = [f'name: eth{number}, mac: "02:00:00:00:01:1{number}", master: bond0' for number in range(3)]
NEIGHBOUR = [f'address: 10.0.0.9, dev: bond0, mac: "{HOST_A}"']
REQUEST = Ether(src=HOST_A, dst=MAC) / ping("10.0.0.9", "10.0.0.1")


def bonded(*more, mode="active-backup", **keys):
    words = "".join(f", {key}: {value}" for key, value in keys.items())
    bond = f'name: bond0, kind: bond, mac: "{MAC}", mode: {mode}{words}, addresses: [10.0.0.1/24]'
    return lab(bond, *SLAVES, *more, neighbours=NEIGHBOUR)


def bond_of(bench) -> Bond:
    bond = bench.box.topology.devices["bond0"]
    assert isinstance(bond, Bond)
    return bond


def test_only_the_active_slave_is_heard_and_sends():
    bench = bonded(active="eth1")
    (sent,) = bench.receive("eth1", REQUEST)
    assert (sent.device, sent.ether.src) == ("eth1", MAC)
    assert bench.receive("eth0", REQUEST) == []
    assert bench.receive("eth0", asks("10.0.0.9", "10.0.0.1", HOST_A)) == []
    assert bench.drops == {Drop.BOND_INACTIVE: 2}
    assert statistics(bench, "bond0") == (1, 42, 1, 42)


def test_another_takes_over():
    bench = bonded(active="eth0")
    topology = bench.box.topology
    topology.set_link(topology.devices["eth0"], up=False)
    assert devices(bench.receive("eth1", REQUEST)) == ["eth1"]
    for device in ("eth1", "eth2"):
        topology.set_link(topology.devices[device], up=False)
    assert bench.receive("eth1", REQUEST) == []
    bench.receive("eth0", REQUEST)
    assert bench.drops == {Drop.DEVICE_DOWN: 2}


def test_without_slaves_nothing_leaves():
    bench = bonded('name: wan0, mac: "02:00:00:00:02:01", addresses: [10.0.2.1/24]')
    topology = bench.box.topology
    for number in range(3):
        topology.release(topology.devices[f"eth{number}"])
    packet = IP(src="10.0.2.9", dst="10.0.0.9") / UDP()
    assert bench.receive("wan0", Ether(src=HOST_A, dst="02:00:00:00:02:01") / packet) == []
    assert bench.drops == {Drop.BOND_NO_SLAVE: 1}
    assert bench.statistics.withheld == 1


def test_link_local_groups_are_the_slave_s():
    bench = bonded(active="eth1")
    assert bench.receive("eth0", Ether(src=HOST_A, dst="01:80:c2:00:00:02", type=0x8809) / b"lacp") == []
    assert bench.drops == {Drop.UNKNOWN_PROTOCOL: 1}


@pytest.mark.parametrize("mode", ["balance-xor", "802.3ad"])
def test_all_slaves_are_heard_where_all_send(mode):
    bench = bonded(mode=mode)
    for number in range(3):
        assert len(bench.receive(f"eth{number}", REQUEST)) == 1


def frame(packet, source="02:00:00:00:00:01", destination="02:00:00:00:00:02"):
    return Ether(src=source, dst=destination) / packet


UDP4 = IP(src="192.0.2.1", dst="192.0.2.130") / UDP(sport=1000, dport=2000)


@pytest.mark.parametrize("policy", ["layer2", "layer2+3", "layer3+4"])
def test_a_flow_keeps_its_slave(policy):
    bench = bonded(
        'name: wan0, mac: "02:00:00:00:02:01", addresses: [10.0.2.1/24]',
        mode="balance-xor",
        xmit_hash_policy=policy,
    )
    used = set()
    for port in range(1000, 1040):
        packet = IP(src="10.0.2.9", dst="10.0.0.9") / UDP(sport=port, dport=53)
        first = devices(bench.receive("wan0", Ether(src=HOST_A, dst="02:00:00:00:02:01") / packet))
        again = devices(bench.receive("wan0", Ether(src=HOST_A, dst="02:00:00:00:02:01") / packet))
        assert first == again
        used.update(first)
    assert len(used) == (3 if policy == "layer3+4" else 1)


def words(value: int) -> int:
    """What bond_ip_hash does with the words at the end."""
    value ^= value >> 16
    return value ^ value >> 8


def slave(policy: str, packet) -> int:
    bench = bonded(mode="balance-xor", xmit_hash_policy=policy)
    chosen = bonding.slave_of(bond_of(bench), bytes(packet))
    assert chosen is not None
    return int(chosen.name[-1])


# 192.0.2.1 and 192.0.2.130 as a machine that stores the lowest byte first reads them.
ADDRESSES = 0x010200C0 ^ 0x820200C0
PORTS = int.from_bytes((1000).to_bytes(2) + (2000).to_bytes(2), "little")
SIX = IPv6(src="2001:db8::1", dst="2001:db8::82") / TCP(sport=1000, dport=2000)


@pytest.mark.parametrize(
    ("policy", "packet", "value"),
    [
        ("layer2", frame(UDP4), 2 ^ 1 ^ 0x0800),
        ("layer2", frame(SIX), 2 ^ 1 ^ 0x86DD),
        ("layer2", frame(Dot1Q(vlan=5) / UDP4), 2 ^ 1 ^ 0x0800),
        ("layer2", frame(Dot1Q(vlan=5) / Dot1Q(vlan=6) / UDP4), 2 ^ 1 ^ 0x8100),
        ("layer2+3", frame(UDP4), words(2 ^ 1 ^ 0x0800 ^ ADDRESSES)),
        ("layer2+3", frame(SIX), words(2 ^ 1 ^ 0x86DD ^ 0x01000000 ^ 0x82000000)),
        ("layer2+3", Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02", type=0x88B5) / b"x", 3 ^ 0x88B5),
        ("layer3+4", frame(UDP4), words(PORTS ^ ADDRESSES) >> 1),
        ("layer3+4", frame(SIX), words(PORTS ^ 0x01000000 ^ 0x82000000) >> 1),
        ("layer3+4", frame(Dot1Q(vlan=5) / UDP4), words(PORTS ^ ADDRESSES) >> 1),
        # A fragment has no ports; an echo request its identifier; an error those of what it is about.
        (
            "layer3+4",
            frame(IP(src="192.0.2.1", dst="192.0.2.130", flags="MF") / UDP(sport=1000, dport=2000)),
            words(ADDRESSES) >> 1,
        ),
        (
            "layer3+4",
            frame(IP(src="192.0.2.1", dst="192.0.2.130") / ICMP(type=8, id=0x1234)),
            words((8 | 0x1234 << 16) ^ ADDRESSES) >> 1,
        ),
        (
            "layer3+4",
            frame(IP(src="198.51.100.7", dst="192.0.2.1") / ICMP(type=3, code=3) / UDP4),
            words(PORTS ^ ADDRESSES) >> 1,
        ),
    ],
)
def test_hashes(policy, packet, value):
    """Ref: drivers/net/bonding/bond_main.c:__bond_xmit_hash."""
    assert slave(policy, packet) == value % 3


def test_a_vlan_on_a_bond():
    bench = bonded("name: bond0.5, kind: vlan, parent: bond0, id: 5, addresses: [10.5.0.1/24]", active="eth1")
    request = Ether(src=HOST_A, dst=MAC) / Dot1Q(vlan=5) / ping("10.5.0.9", "10.5.0.1")
    sent = bench.receive("eth1", request)
    assert layers(sent) == [("eth1", ["Ether", "Dot1Q", "ARP"])]
    assert sent[0].ether[Dot1Q].vlan == 5
