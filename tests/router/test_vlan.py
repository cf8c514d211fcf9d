"""VLAN devices: whose frames they get, and how theirs leave."""

import pytest
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.l2 import ARP, Dot1AD, Dot1Q, Ether

from flowtable.packet.drop import Drop
from tests.router.stacks import BROADCAST, HOST_A, HOST_B, asks, lab, layers, ping, statistics

MAC = "02:00:00:00:01:01"
OTHER = "02:00:00:00:01:02"
ETH0 = f'name: eth0, mac: "{MAC}", addresses: [10.0.0.1/24]'
VLAN10 = "name: eth0.10, kind: vlan, parent: eth0, id: 10, addresses: [10.0.10.1/24]"
SERVICE = "name: svc, kind: vlan, parent: eth0, id: 10, protocol: 802.1ad, addresses: [10.0.11.1/24]"
INNER = "name: cust, kind: vlan, parent: svc, id: 20, addresses: [10.0.20.1/24]"
VLAN0 = "name: prio, kind: vlan, parent: eth0, id: 0, addresses: [10.0.30.1/24]"
NEIGHBOURS = [
    f'address: {address}, dev: {device}, mac: "{HOST_A}"'
    for address, device in (
        ("10.0.0.9", "eth0"),
        ("10.0.10.9", "eth0.10"),
        ("10.0.11.9", "svc"),
        ("10.0.20.9", "cust"),
        ("10.0.30.9", "prio"),
    )
]


def answer_to(bench, tags, subnet, dst=MAC):
    """What answers a ping in a subnet behind tags, None if nobody does."""
    frame = Ether(src=HOST_A, dst=dst) / (tags / ping(f"10.0.{subnet}.9", f"10.0.{subnet}.1"))
    sent = bench.receive("eth0", frame)
    assert len(sent) <= 1
    return sent[0].ether if sent else None


@pytest.fixture
def bench():
    return lab(ETH0, VLAN10, SERVICE, INNER, neighbours=NEIGHBOURS[:4])


@pytest.mark.parametrize(
    ("tags", "subnet"),
    [
        (Dot1Q(vlan=10), 10),
        (Dot1AD(vlan=10), 11),
        (Dot1AD(vlan=10) / Dot1Q(vlan=20), 20),
    ],
)
def test_each_tag_has_its_device(bench, tags, subnet):
    answer = answer_to(bench, tags, subnet)
    assert answer[IP].src == f"10.0.{subnet}.1"
    wire = [(tag.__class__, tag.vlan) for tag in answer.iterpayloads() if isinstance(tag, (Dot1Q, Dot1AD))]
    assert wire == [(tag.__class__, tag.vlan) for tag in tags.iterpayloads()]
    assert answer.src == MAC


def test_priority_and_drop_eligibility_do_not_matter_and_are_not_sent(bench):
    answer = answer_to(bench, Dot1Q(vlan=10, prio=5, id=1), 10)
    assert (answer[Dot1Q].prio, answer[Dot1Q].id) == (0, 0)


@pytest.mark.parametrize(
    "tags",
    [
        Dot1Q(vlan=11),
        Dot1AD(vlan=20),
        Dot1Q(vlan=20),
        Dot1AD(vlan=10) / Dot1AD(vlan=20),
        Dot1Q(vlan=10) / Dot1Q(vlan=5),
    ],
)
def test_tags_of_nobody(bench, tags):
    assert answer_to(bench, tags, 0) is None
    assert bench.drops == {Drop.VLAN_UNKNOWN: 1}


def test_a_priority_tag_is_the_device_s_own_traffic_and_hides_no_other_tag(bench):
    assert Dot1Q not in answer_to(bench, Dot1Q(vlan=0, prio=3), 0)
    assert answer_to(bench, Dot1Q(vlan=0) / Dot1Q(vlan=10), 10)[Dot1Q].vlan == 10


def test_vlan_0_can_have_a_device():
    bench = lab(ETH0, VLAN0, neighbours=[NEIGHBOURS[0], NEIGHBOURS[4]])
    assert answer_to(bench, Dot1Q(vlan=0), 30)[Dot1Q].vlan == 0


def test_a_mac_address_of_its_own():
    bench = lab(ETH0, f'{VLAN10}, mac: "{OTHER}"', neighbours=NEIGHBOURS[:2])
    assert answer_to(bench, Dot1Q(vlan=10), 10, OTHER).src == OTHER
    # What the card below took for its own address is the host's, and so for the device above.
    assert answer_to(bench, Dot1Q(vlan=10), 10).src == OTHER
    assert bench.receive("eth0", Ether(src=HOST_A, dst=OTHER) / ping("10.0.0.9", "10.0.0.1")) == []
    assert bench.drops == {Drop.OTHER_HOST: 1}


def test_arp_stays_in_its_vlan(bench):
    request = asks("10.0.10.9", "10.0.10.1", HOST_A)
    request = Ether(src=HOST_A, dst=BROADCAST) / Dot1Q(vlan=10) / request[ARP]
    (reply,) = bench.receive("eth0", request)
    assert layers([reply]) == [("eth0", ["Ether", "Dot1Q", "ARP"])]
    assert (reply.ether[Dot1Q].vlan, reply.ether[ARP].op, reply.ether[ARP].hwsrc) == (10, 2, MAC)
    bench.receive("eth0", Ether(src=HOST_B, dst=MAC) / Dot1Q(vlan=10) / ping("10.0.10.9", "10.0.10.77"))
    assert layers(bench.sent[-1:]) == [("eth0", ["Ether", "Dot1Q", "ARP"])]


def test_a_router_on_a_stick(bench):
    (sent,) = bench.receive(
        "eth0",
        Ether(src=HOST_B, dst=MAC)
        / Dot1Q(vlan=10)
        / IP(src="10.0.10.7", dst="10.0.20.9", ttl=9)
        / UDP()
        / b"x",
    )
    assert layers([sent]) == [("eth0", ["Ether", "Dot1AD", "Dot1Q", "IP", "UDP", "Raw"])]
    assert (sent.ether[Dot1AD].vlan, sent.ether[Dot1Q].vlan, sent.ether[IP].ttl) == (10, 20, 8)
    assert sent.ether[Dot1AD].type == 0x8100


def test_rules_see_the_device_of_the_vlan():
    rules = """
    table inet t {
        chain i {
            type filter hook input priority 0
            iifname "eth0.10" counter comment "vlan"
            iifname "eth0" counter comment "below"
        }
    }
    table netdev n {
        chain at_eth0 {
            type filter hook ingress device "eth0" priority 0
            ip saddr 10.0.10.9 counter comment "tagged"
        }
        chain at_vlan {
            type filter hook ingress device "eth0.10" priority 0
            ip saddr 10.0.10.9 counter comment "untagged"
        }
    }
    """
    bench = lab(ETH0, VLAN10, rules=rules, neighbours=NEIGHBOURS[:2])
    answer_to(bench, Dot1Q(vlan=10), 10)
    listing = bench.listing()
    for comment, packets in (("vlan", 1), ("below", 0), ("tagged", 1), ("untagged", 1)):
        assert f'counter packets {packets} bytes {packets * 28} comment "{comment}"' in listing


def test_a_device_that_is_down(bench):
    vlan = bench.box.topology.devices["svc"]
    bench.box.topology.set_link(vlan, up=False)
    assert answer_to(bench, Dot1AD(vlan=10), 11) is None
    assert bench.drops == {Drop.DEVICE_DOWN: 1}
    assert answer_to(bench, Dot1AD(vlan=10) / Dot1Q(vlan=20), 20) is None
    assert answer_to(bench, Dot1Q(vlan=10), 10) is not None


def test_devices_that_come_and_go(bench):
    topology = bench.box.topology
    topology.remove_device(topology.devices["cust"])
    assert answer_to(bench, Dot1AD(vlan=10) / Dot1Q(vlan=20), 20) is None
    assert bench.drops == {Drop.VLAN_UNKNOWN: 1}
    assert answer_to(bench, Dot1AD(vlan=10), 11) is not None


def test_statistics(bench):
    answer_to(bench, Dot1AD(vlan=10) / Dot1Q(vlan=20), 20)
    assert statistics(bench, "cust") == (1, 28, 1, 14 + 28)
    # The tag of the device above is payload; a received frame is counted without its Ethernet header.
    assert statistics(bench, "svc") == (1, 4 + 28, 1, 14 + 4 + 28)


def test_the_mtu_is_that_of_the_vlan_device():
    bench = lab(
        ETH0,
        f"{VLAN10}, mtu: 1400",
        'name: eth1, mac: "02:00:00:00:02:01", addresses: [10.1.0.1/24]',
        neighbours=[*NEIGHBOURS[:2], f'address: 10.1.0.9, dev: eth1, mac: "{HOST_B}"'],
    )
    packet = IP(src="10.1.0.9", dst="10.0.10.9", flags="DF") / UDP() / bytes(1373)
    (error,) = bench.receive("eth1", Ether(src=HOST_B, dst="02:00:00:00:02:01") / packet)
    assert (error.device, error.ether[ICMP].type, error.ether[ICMP].nexthopmtu) == ("eth1", 3, 1400)
