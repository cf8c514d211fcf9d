"""The box: time and frames in, frames out; what its rules ask of it; what it counts."""

from __future__ import annotations

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP, fragment
from scapy.layers.l2 import ARP

from flowtable.clock import SECOND
from flowtable.flows.refusal import Refusal
from flowtable.flows.teardown import Teardown
from flowtable.packet.drop import Drop
from flowtable.packet.miss import Miss
from flowtable.router import Box
from flowtable.router.statistics import Statistics
from flowtable.ruleset import RulesetError, parse
from flowtable.topology.boxfile import load
from tests.lab import BOX, CLIENT, SERVER, START, Lab, Tcp, box_with, udp, udp_reply

EVERYTHING = """
table inet x {
    flowtable f { hook ingress priority 0; devices = { lan0, wan0 }; }
    chain y {
        type filter hook forward priority 0
        udp dport 7 reject
        tcp dport 7 reject with tcp reset
        udp dport 8 log prefix "eight " level info
        flow add @f
    }
}
"""


# Time


def test_timers_run_in_the_order_of_their_times():
    """The question for a neighbour, a timeout of fragments and garbage collection, whoever began first."""
    lab = Lab(EVERYTHING, box_file=box_with(net__ipv4__ipfrag_time=2))
    ended: list[tuple[str, int]] = []
    lab.box._flow_ended = lambda entry, reason, now: ended.append((reason.name, now))
    lab.client(udp())
    lab.server(udp_reply())
    lab.client(fragment(IP(src=CLIENT, dst="10.0.1.1") / UDP() / (b"x" * 100), 64)[0])
    before = len(lab.sent)
    lab.wait(0.5)
    lab.client(udp(destination="10.0.2.77"))
    lab.wait(100)
    seen = [(s.ether.payload.name, (s.time - START) / SECOND) for s in lab.sent[before:]]
    assert seen == [("ARP", 0.5), ("ARP", 1.5), ("IP", 2), ("ARP", 2.5), ("IP", 3.5)]
    assert [(name, (now - START) / SECOND) for name, now in ended] == [("IDLE", 30)]
    assert lab.statistics.teardowns == {Teardown.IDLE: 1}


def test_a_frame_comes_after_the_timers_before_it():
    lab = Lab("")
    lab.client(udp(destination="10.0.2.77"))
    lab.now += 10 * SECOND
    lab.server(udp_reply())
    assert [(s.ether.payload.name, (s.time - START) / SECOND) for s in lab.sent] == [
        ("ARP", 0),
        ("ARP", 1),
        ("ARP", 2),
        ("IP", 3),
        ("IP", 10),
    ]


def test_time_in_small_steps_is_time_in_one():
    def run(steps: int) -> list[tuple[bytes, int]]:
        lab = Lab(EVERYTHING)
        lab.client(udp(destination="10.0.2.77"))
        lab.client(udp())
        lab.server(udp_reply())
        for _ in range(steps):
            lab.wait(60 / steps)
        return [(s.frame, s.time) for s in lab.sent]

    assert run(1) == run(7) == run(600)


def test_connections_expire():
    lab = Lab(EVERYTHING)
    lab.client(udp())
    assert len(lab.connections()) == 1
    lab.wait(29)
    assert len(lab.connections()) == 1
    lab.wait(1)
    assert lab.connections() == []
    assert len(lab.box.conntrack) == 0


def test_a_link_that_goes_down_ends_its_flows():
    lab = Lab(EVERYTHING)
    lab.client(udp())
    lab.server(udp_reply())
    assert lab.entries() == 1
    lab.box.topology.set_link(lab.box.topology.devices["wan0"], up=False)
    assert lab.entries() == 0


# What rules ask of the box


def test_reject():
    lab = Lab(EVERYTHING)
    (sent,) = lab.client(udp(dport=7))
    assert (sent.device, sent.ether[ICMP].type, sent.ether[ICMP].code) == ("lan0", 3, 3)
    (sent,) = lab.client(IP(src=CLIENT, dst=SERVER) / TCP(dport=7, flags="S", seq=5))
    assert (sent.ether[IP].src, str(sent.ether[TCP].flags), sent.ether[TCP].ack) == (SERVER, "RA", 6)
    assert lab.drops == {Drop.REJECT: 2}


def test_a_connection_that_the_box_resets_is_soon_forgotten():
    rule = "ct state established tcp flags & psh == psh reject with tcp reset"
    lab = Lab(f"table inet x {{ chain y {{ type filter hook forward priority 0; {rule}; }}; }}")
    tcp = Tcp(lab)
    tcp.out("S")
    tcp.back("SA")
    tcp.out("A")
    assert lab.connections()[0].split()[2:4] == ["432000", "ESTABLISHED"]
    tcp.out("PA", b"x")
    assert lab.connections()[0].split()[2:4] == ["10", "CLOSE"]
    lab.wait(10)
    assert lab.connections() == []


def test_log():
    logged = []
    box = Box(
        load(BOX, "box.yaml"),
        parse(EVERYTHING, "ruleset.nft"),
        transmit=lambda *_: None,
        log=lambda packet, entry: logged.append((bytes(packet.data[16:20]), entry.prefix, entry.level)),
    )
    frame = bytes.fromhex("020000000101 020000000199 0800".replace(" ", "")) + bytes(udp(dport=8))
    box.receive(box.topology.devices["lan0"], frame, START)
    assert logged == [(bytes((10, 0, 2, 99)), "eight ", 6)]


def test_nobody_has_to_listen_to_the_log():
    assert len(Lab(EVERYTHING).client(udp(dport=8))) == 1


def test_flow_add():
    lab = Lab(EVERYTHING)
    lab.client(udp())
    assert lab.statistics.refusals == {Refusal.UNCONFIRMED: 1}
    lab.server(udp_reply())
    assert (lab.statistics.offloaded, lab.entries()) == (1, 1)
    lab.client(IP(src=CLIENT, dst=SERVER) / ICMP(id=1))
    assert lab.statistics.refusals.total() == 2


def test_devices_of_rules_have_to_be_there():
    with pytest.raises(RulesetError, match="wan7"):
        Lab(EVERYTHING.replace("wan0", "wan7"))


# What it counts


def test_counts():
    lab = Lab(EVERYTHING)
    tcp = Tcp(lab)
    tcp.open()
    for _ in range(5):
        tcp.out("A", b"x")
        tcp.back("A", b"y")
    statistics = lab.statistics
    assert (statistics.ingress, statistics.transmit, statistics.forward + statistics.bypass) == (13, 13, 13)
    assert statistics.offloadable == statistics.forward == statistics.misses[Miss.NO_ENTRY]
    assert statistics.flowtable == 13
    assert statistics.hit_rate == statistics.bypass / 13 > 0.5
    assert (statistics.unended, statistics.egress) == (0, 13)


def test_nothing_counted_yet():
    statistics = Statistics()
    assert (statistics.hit_rate, statistics.flowtable, statistics.egress, statistics.unended) == (
        0.0,
        0,
        0,
        0,
    )


def test_what_waits_is_neither_here_nor_there():
    lab = Lab("")
    lab.client(udp(destination="10.0.2.77"))
    lab.client(fragment(IP(src=CLIENT, dst="10.0.1.1") / UDP() / (b"x" * 100), 64)[0])
    assert lab.statistics.unended == lab.box.waiting == 2
    assert [ARP in s.ether for s in lab.sent] == [True]
    lab.wait(100)
    assert lab.statistics.unended == lab.box.waiting == 0
    assert lab.drops == {Drop.NEIGHBOUR_FAILED: 1, Drop.FRAGMENT_TIMEOUT: 1}
