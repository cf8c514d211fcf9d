"""What runs at each hook, in which order; and that connections are tracked only where rules need it."""

import pytest
from scapy.layers.inet import ICMP, IP, UDP, fragment
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment, fragment6

from flowtable.packet.drop import Drop
from tests.lab import CLIENT, CLIENT6, SERVER, SERVER6, Lab, Sent, udp, udp_reply


def chain(hook: str, priority: object, *rules: str, kind: str = "filter", name: str = "c") -> str:
    lines = "\n".join(f"        {rule}" for rule in rules)
    return f"    chain {name} {{\n        type {kind} hook {hook} priority {priority}\n{lines}\n    }}\n"


def table(*chains: str, family: str = "inet", name: str = "t") -> str:
    return f"table {family} {name} {{\n{''.join(chains)}}}\n"


def pieces():
    return fragment(IP(src=CLIENT, dst=SERVER, id=5) / UDP(sport=5000, dport=53) / (b"x" * 2000), 800)


def counted(lab: Lab) -> list[int]:
    """The packet counters of the listing, from top to bottom."""
    words = lab.listing().split()
    return [int(words[at + 1]) for at, word in enumerate(words) if word == "packets"]


# A ruleset without ct neither tracks nor defragments


@pytest.mark.parametrize(
    "rules", ["", table(chain("prerouting", 0, "counter")), table(chain("forward", 0, "udp dport 53 accept"))]
)
def test_without_need_nothing_is_tracked(rules):
    lab = Lab(rules)
    sent: list[Sent] = []
    for piece in pieces():
        (one,) = lab.client(piece)
        sent.append(one)
    lab.client(udp())
    assert [bytes(s.ether[IP].payload) for s in sent] == [bytes(piece.payload) for piece in pieces()]
    assert lab.connections() == []
    assert (lab.statistics.reassembled, lab.statistics.forward) == (0, 4)


@pytest.mark.parametrize(
    "rule",
    [
        "ct state invalid drop",
        "ct mark 5 drop",
        "ct mark set 5",
        "notrack",
        "flow add @f",
        "masquerade",
        "dnat",
    ],
)
def test_what_needs_it(rule):
    flowtable = "    flowtable f { hook ingress priority 0; devices = { lan0, wan0 }; }\n"
    kinds = {
        "notrack": chain("prerouting", -300, "udp dport 9 notrack"),
        "flow add @f": flowtable + chain("forward", 0, rule),
        "masquerade": chain("postrouting", 100, "udp dport 9 masquerade", kind="nat"),
        "dnat": chain("prerouting", -100, "udp dport 9 dnat ip to 10.0.2.77", kind="nat"),
    }
    lab = Lab(table(kinds.get(rule) or chain("forward", 0, rule)))
    lab.client(udp())
    for piece in pieces():
        lab.client(piece)
    assert len(lab.connections()) == (rule != "notrack")
    assert lab.statistics.reassembled == (2 if rule != "notrack" else 0)


def test_only_the_family_that_needs_it_is_tracked():
    lab = Lab(table(chain("forward", 0, "ct state invalid drop"), family="ip6"))
    packet6 = (
        IPv6(src=CLIENT6, dst=SERVER6) / IPv6ExtHdrFragment(id=9) / UDP(sport=1, dport=2) / (b"x" * 2000)
    )
    for piece in fragment6(packet6, 1280):
        lab.client(piece)
    for piece in pieces():
        lab.client(piece)
    assert (len(lab.connections()), lab.statistics.reassembled) == (1, 1)


# Order


def test_rules_before_and_behind_defragmentation_and_tracking():
    lab = Lab(
        table(
            chain("prerouting", -401, "counter", name="fragments"),
            chain("prerouting", -399, "counter", name="whole"),
            chain("prerouting", -201, "ct state new counter", name="raw"),
            chain("prerouting", -199, "ct state new counter", name="tracked"),
        )
    )
    for piece in pieces():
        lab.client(piece)
    assert counted(lab) == [3, 1, 0, 1]


def test_rules_before_and_behind_translation():
    lab = Lab(
        table(
            chain("prerouting", -101, "ip daddr 10.0.1.1 counter", name="before"),
            chain("prerouting", "dstnat", f"udp dport 53 dnat ip to {SERVER}", kind="nat", name="nat"),
            chain("prerouting", -99, "ip daddr 10.0.1.1 counter", name="behind"),
            chain("postrouting", 99, f"ip saddr {CLIENT} counter", name="unmasked"),
            chain("postrouting", "srcnat", "masquerade", kind="nat", name="mask"),
            chain("postrouting", 101, f"ip saddr {CLIENT} counter", name="masked"),
        )
    )
    lab.client(udp(destination="10.0.1.1"))
    assert counted(lab) == [1, 0, 1, 0]


def test_the_first_chain_that_drops_ends_it():
    lab = Lab(
        table(
            chain("forward", 1, "counter", name="later"),
            chain("forward", -1, "counter", "drop", name="first"),
        )
    )
    assert lab.client(udp()) == []
    assert counted(lab) == [0, 1]
    assert lab.drops == {Drop.RULE: 1}


def test_of_equal_priority_the_latest_runs_first():
    lab = Lab(
        table(chain("forward", 0, "counter", name="a"), chain("forward", 0, "counter drop", name="b"))
        + table(chain("forward", 0, "counter", name="a"), name="u")
    )
    lab.client(udp())
    assert counted(lab) == [0, 1, 1]


def test_accepting_ends_the_chain_and_not_the_hook():
    lab = Lab(
        table(
            chain("forward", 0, "accept", "drop", name="first"),
            chain("forward", 1, "counter", name="second"),
        )
    )
    assert len(lab.client(udp())) == 1
    assert counted(lab) == [1]


def test_a_connection_is_confirmed_when_its_packet_has_made_it():
    lab = Lab(table(chain("postrouting", 0, "ct state new udp dport 9 drop", "udp dport 10 drop")))
    for dport in (9, 10):
        assert lab.client(udp(dport=dport)) == []
    assert lab.connections() == []
    lab.client(udp(dport=11))
    assert len(lab.connections()) == 1
    # Delivered to the box, as well.
    lab.client(IP(src=CLIENT, dst="10.0.1.1") / ICMP(id=3))
    assert len(lab.connections()) == 2


def test_nat_of_one_family_translates_no_other():
    lab = Lab(table(chain("postrouting", 100, "masquerade", kind="nat"), family="ip"))
    (sent,) = lab.client(udp())
    assert sent.ether[IP].src == "10.0.2.1"
    (sent,) = lab.client(IPv6(src=CLIENT6, dst=SERVER6) / UDP(sport=1, dport=2))
    assert sent.ether[IPv6].src == CLIENT6


def test_one_nat_chain_brings_all_four_hooks():
    """What the postrouting chain has translated, prerouting translates back."""
    lab = Lab(table(chain("postrouting", 100, "oifname wan0 masquerade", kind="nat")))
    lab.client(udp())
    (sent,) = lab.server(udp_reply(destination="10.0.2.1"))
    assert (sent.device, sent.ether[IP].dst) == ("lan0", CLIENT)
