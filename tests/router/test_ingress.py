"""Ingress: what is taken off the wire, what it meets there, in which order, and where it goes."""

import pytest
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6, IPv6ExtHdrDestOpt
from scapy.layers.l2 import ARP, Dot1AD, Dot1Q, Ether

from flowtable.packet.drop import Drop
from flowtable.packet.miss import Miss
from tests.lab import (
    CLIENT,
    CLIENT6,
    CLIENT_MAC,
    LAN_MAC,
    SERVER,
    SERVER6,
    SERVER_MAC,
    Lab,
    Sent,
    udp,
    udp_reply,
)

ROUTER, ROUTER6 = "10.0.1.1", "2001:db8:1::1"
PING = IP(src=CLIENT, dst=ROUTER) / ICMP(id=1, seq=1)


def counters(lab: Lab) -> dict[str, int]:
    """Packets by comment of the rules of a ruleset that have a counter."""
    found = {}
    for line in lab.listing().splitlines():
        if "comment" in line:
            found[line.split('"')[1]] = int(line.split("packets ")[1].split()[0])
    return found


def offload(lab: Lab) -> None:
    """Get a UDP flow into the flowtable: the answer does."""
    lab.client(udp())
    lab.server(udp_reply())


def test_a_device_that_is_down_takes_nothing():
    lab = Lab("")
    lan = lab.box.topology.devices["lan0"]
    lab.box.topology.set_link(lan, up=False)
    assert lab.client(udp()) == []
    assert lab.drops == {Drop.DEVICE_DOWN: 1}
    assert lab.statistics.prerouting == 0


@pytest.mark.parametrize("size", [0, 5, 6, 12, 13])
def test_frames_without_a_whole_header(size):
    for ruleset in ("", Lab.ruleset, EARLY):
        lab = Lab(ruleset)
        assert lab.receive("lan0", bytes(Ether(src=CLIENT_MAC, dst=LAN_MAC) / PING)[:size]) == []
        assert lab.drops == {Drop.ETHERNET_TRUNCATED: 1}


EARLY = """
table netdev t {
    chain c {
        type filter hook ingress device "lan0" priority 0
        counter comment "seen"
    }
}
"""


def test_frames_for_another_host():
    lab = Lab(EARLY)
    assert lab.receive("lan0", Ether(src=CLIENT_MAC, dst="02:00:00:00:09:09") / PING) == []
    assert lab.drops == {Drop.OTHER_HOST: 1}
    assert counters(lab) == {"seen": 0}


def test_frames_for_everybody_and_for_groups_are_taken():
    lab = Lab("")
    request = ARP(op=1, hwsrc=CLIENT_MAC, psrc=CLIENT, pdst=ROUTER)
    (answer,) = lab.receive("lan0", Ether(src=CLIENT_MAC, dst="ff:ff:ff:ff:ff:ff") / request)
    assert answer.ether[ARP].op == 2
    ping = IPv6(src=CLIENT6, dst="ff02::1") / ICMPv6EchoRequest()
    assert len(lab.receive("lan0", Ether(src=CLIENT_MAC, dst="33:33:00:00:00:01") / ping)) == 1
    # Addressed to all at layer 2 and to one host at layer 3: not to be forwarded.
    assert lab.receive("lan0", Ether(src=CLIENT_MAC, dst="ff:ff:ff:ff:ff:ff") / udp()) == []
    forwarded = IPv6(src=CLIENT6, dst=SERVER6) / UDP()
    assert lab.receive("lan0", Ether(src=CLIENT_MAC, dst="33:33:00:00:00:01") / forwarded) == []
    assert lab.drops == {Drop.NOT_FORWARDABLE: 2}
    assert (lab.statistics.arp, lab.statistics.prerouting) == (1, 3)


def test_unknown_ethertypes():
    lab = Lab("")
    for frame in (
        Ether(src=CLIENT_MAC, dst=LAN_MAC, type=0x88CC) / b"lldp",
        Ether(src=CLIENT_MAC, dst=LAN_MAC) / Dot1Q(vlan=0, type=0x88CC) / b"lldp",
    ):
        assert lab.receive("lan0", frame) == []
    assert lab.drops == {Drop.UNKNOWN_PROTOCOL: 2}


def test_tags_of_a_vlan_that_the_box_does_not_have():
    lab = Lab("")
    for tags in (Dot1Q(vlan=5), Dot1AD(vlan=0) / Dot1Q(vlan=256)):
        assert lab.receive("lan0", Ether(src=CLIENT_MAC, dst=LAN_MAC) / tags / PING) == []
    assert lab.drops == {Drop.VLAN_UNKNOWN: 2}


def test_a_tag_that_is_cut_off():
    lab = Lab("")
    frame = bytes(Ether(src=CLIENT_MAC, dst=LAN_MAC) / Dot1Q(vlan=0) / PING)
    for size in (14, 17, 19):
        assert lab.receive("lan0", frame[:size]) == []
    assert lab.drops == {Drop.ETHERNET_TRUNCATED: 3}


def test_a_tag_without_a_vlan_is_ignored():
    lab = Lab("")
    for tags in (Dot1Q(vlan=0, prio=3), Dot1AD(vlan=0) / Dot1Q(vlan=0, prio=7)):
        (answer,) = lab.receive("lan0", Ether(src=CLIENT_MAC, dst=LAN_MAC) / tags / PING)
        assert answer.ether[ICMP].type == 0
    ping6 = IPv6(src=CLIENT6, dst=ROUTER6) / ICMPv6EchoRequest()
    assert len(lab.receive("lan0", Ether(src=CLIENT_MAC, dst=LAN_MAC) / Dot1Q(vlan=0) / ping6)) == 1
    request = ARP(op=1, hwsrc=CLIENT_MAC, psrc=CLIENT, pdst=ROUTER)
    (answer,) = lab.receive("lan0", Ether(src=CLIENT_MAC, dst="ff:ff:ff:ff:ff:ff") / Dot1Q(vlan=0) / request)
    assert answer.ether.type == 0x0806


def test_a_frame_of_nothing_but_tags():
    lab = Lab("")
    assert lab.receive("lan0", Ether(LAN_MAC_BYTES + bytes(6) + b"\x81\x00\x00\x00" * 16000)) == []
    assert lab.drops == {Drop.ETHERNET_TRUNCATED: 1}


LAN_MAC_BYTES = bytes.fromhex(LAN_MAC.replace(":", ""))


def test_the_fast_path_takes_what_it_knows():
    lab = Lab()
    offload(lab)
    assert lab.statistics.bypass == 0
    before = lab.statistics.prerouting
    (sent,) = lab.client(udp())
    assert (sent.device, sent.ether.dst, sent.ether[IP].ttl) == ("wan0", SERVER_MAC, 63)
    assert len(lab.server(udp_reply())) == 1
    assert (lab.statistics.bypass, lab.statistics.prerouting) == (2, before)
    assert lab.statistics.misses[Miss.NO_ENTRY] == 2


FLOWTABLE = """
table inet x {
    flowtable f { hook ingress priority 0; devices = { lan0, wan0 }; }
    chain y {
        type filter hook forward priority 0
        flow add @f
    }
}
"""
CHAIN = """
table netdev n%(name)s {
    chain c {
        type filter hook ingress device "lan0" priority %(priority)s
        counter comment "%(name)s"
    }
}
"""


@pytest.mark.parametrize(
    ("ruleset", "sees"),
    [
        # By priority, wherever they stand.
        ([CHAIN % {"name": "a", "priority": -1}, FLOWTABLE], True),
        ([FLOWTABLE, CHAIN % {"name": "a", "priority": -1}], True),
        ([CHAIN % {"name": "a", "priority": 1}, FLOWTABLE], False),
        ([FLOWTABLE, CHAIN % {"name": "a", "priority": 1}], False),
        # Of equal priority, what was registered last comes first.
        ([CHAIN % {"name": "a", "priority": 0}, FLOWTABLE], False),
        ([FLOWTABLE, CHAIN % {"name": "a", "priority": 0}], True),
    ],
)
def test_chains_before_and_behind_the_flowtable(ruleset, sees):
    lab = Lab("".join(ruleset))
    offload(lab)
    seen = counters(lab)["a"]
    assert seen == 1
    assert len(lab.client(udp())) == 1
    assert lab.statistics.bypass == 1
    assert counters(lab)["a"] == seen + sees


def test_a_chain_drops_what_the_fast_path_would_take():
    chain = """
    table netdev n {
        chain c {
            type filter hook ingress device "lan0" priority -1
            udp dport 53 ip ttl 9 drop
        }
    }
    """
    lab = Lab(FLOWTABLE + chain)
    offload(lab)
    assert lab.client(IP(src=CLIENT, dst=SERVER, ttl=9) / UDP(sport=5000, dport=53)) == []
    assert lab.drops == {Drop.RULE: 1}
    assert lab.statistics.bypass == 0
    assert len(lab.client(udp())) == 1


def test_the_policy_of_a_chain():
    lab = Lab(
        """
        table netdev n {
            chain c { type filter hook ingress device "lan0" priority 0; policy drop
                meta protocol arp accept
            }
        }
        """
    )
    request = ARP(op=1, hwsrc=CLIENT_MAC, psrc=CLIENT, pdst=ROUTER)
    assert len(lab.receive("lan0", Ether(src=CLIENT_MAC, dst="ff:ff:ff:ff:ff:ff") / request)) == 1
    assert lab.client(PING) == []
    assert lab.drops == {Drop.POLICY: 1}


def test_chains_of_equal_priority_run_latest_first():
    """The one registered last drops before the other sees anything."""
    lab = Lab(
        """
        table netdev n {
            chain a {
                type filter hook ingress device "lan0" priority 0
                counter comment "a"
            }
            chain b {
                type filter hook ingress device "lan0" priority 0
                counter drop comment "b"
            }
        }
        """
    )
    lab.client(PING)
    assert counters(lab) == {"a": 0, "b": 1}


@pytest.mark.parametrize(
    ("packet", "seen"),
    [
        (udp(), 1),
        (IP(src=CLIENT, dst=SERVER, options=[b"\x94\x04\x00\x00"]) / UDP(sport=5000, dport=53), 1),
        (IPv6(src=CLIENT6, dst=SERVER6) / IPv6ExtHdrDestOpt() / UDP(sport=5000, dport=53), 1),
        # No header of that family, or not all of it: nobody knows where its ports are.
        (IP(src=CLIENT, dst=SERVER, version=5) / UDP(sport=5000, dport=53), 0),
        (IP(src=CLIENT, dst=SERVER, ihl=4) / UDP(sport=5000, dport=53), 0),
        (IP(src=CLIENT, dst=SERVER, len=300) / UDP(sport=5000, dport=53), 0),
        (IP(src=CLIENT, dst=SERVER, len=19) / UDP(sport=5000, dport=53), 0),
        (IPv6(src=CLIENT6, dst=SERVER6, version=4) / UDP(sport=5000, dport=53), 0),
        (IPv6(src=CLIENT6, dst=SERVER6, plen=99) / UDP(sport=5000, dport=53), 0),
        (IP(src=CLIENT, dst=SERVER, frag=1, proto=17) / UDP(sport=5000, dport=53), 0),
    ],
)
def test_a_chain_finds_the_transport_header(packet, seen):
    lab = Lab(EARLY.replace("counter", "udp dport 53 counter"))
    lab.client(packet)
    assert counters(lab) == {"seen": seen}


def two_flowtables(first: int, second: int) -> str:
    return f"""
    table inet a {{
        flowtable f {{ hook ingress priority {first}; devices = {{ lan0, wan0 }}; }}
        chain y {{
            type filter hook forward priority 0
            udp dport 53 flow add @f
            udp sport 53 flow add @f
        }}
    }}
    table ip b {{
        flowtable f {{ hook ingress priority {second}; devices = {{ lan0, wan0 }}; }}
        chain y {{
            type filter hook forward priority 0
            udp dport 54 flow add @f
            udp sport 54 flow add @f
        }}
    }}
    """


@pytest.mark.parametrize(
    ("priorities", "first"), [((-1, 0), "a"), ((0, -1), "b"), ((0, 0), "b"), ((5, 6), "a")]
)
def test_several_flowtables_on_one_device(priorities, first):
    lab = Lab(two_flowtables(*priorities))
    for dport in (53, 54):
        lab.client(udp(dport=dport))
        lab.server(udp_reply(sport=dport))
    assert [len(list(flowtable)) for flowtable in lab.box.flowtables] == [1, 1]
    before = lab.statistics.misses.total()
    assert len(lab.client(udp(dport=53))) == len(lab.client(udp(dport=54))) == 1
    assert lab.statistics.bypass == 2
    # The flowtable in front misses what only the other one knows.
    assert lab.statistics.misses.total() == before + 1
    before = lab.statistics.misses.total()
    lab.client(udp(dport=53))
    assert lab.statistics.misses.total() - before == (first == "b")


def test_what_every_flowtable_misses_goes_up_once():
    lab = Lab(two_flowtables(0, 1))
    sent: list[Sent] = lab.client(udp(dport=99))
    assert len(sent) == 1
    assert (lab.statistics.misses[Miss.NO_ENTRY], lab.statistics.prerouting) == (2, 1)
    lab.client(IP(src=CLIENT, dst=SERVER, frag=3, proto=17) / b"abcdefgh")
    assert lab.statistics.misses[Miss.FRAGMENT] == 2
