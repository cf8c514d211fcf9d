"""The rules of bridges: which frames meet them, and what they see of them."""

import pytest
from scapy.layers.inet import ICMP
from scapy.layers.l2 import Dot1Q, Ether

from flowtable.packet.drop import Drop
from tests.router.stacks import HOST_A, HOST_B, devices, lab, ping

BR = "02:00:00:00:01:01"
PORTS = [f'name: lan{number}, mac: "02:00:00:00:01:1{number}", master: br0' for number in (1, 2)]
BR0 = f'name: br0, kind: bridge, mac: "{BR}", addresses: [10.0.1.1/24]'
NEIGHBOURS = [f'address: 10.0.1.9, dev: br0, mac: "{HOST_A}"']
HOOKS = ("prerouting", "input", "forward", "output", "postrouting")
THROUGH = Ether(src=HOST_A, dst=HOST_B) / ping("10.0.1.9", "10.0.1.8")
ASKING = Ether(src=HOST_A, dst=BR) / ping("10.0.1.9", "10.0.1.1")


def bench(**rules):
    chains = "".join(
        f"chain {hook} {{ type filter hook {hook} priority 0; {rule}; }}\n" for hook, rule in rules.items()
    )
    return lab(BR0, *PORTS, neighbours=NEIGHBOURS, rules=f"table bridge t {{\n{chains}}}\n")


@pytest.mark.parametrize(
    ("hook", "through", "answered"),
    [
        ("prerouting", False, False),
        ("input", True, False),
        ("forward", False, True),
        ("output", True, False),
        ("postrouting", False, False),
    ],
)
def test_each_hook_has_its_frames(hook, through, answered):
    one = bench(**{hook: "icmp id 1 drop"})
    assert devices(one.receive("lan1", THROUGH)) == ["lan2"] * through
    assert any(ICMP in sent.ether for sent in one.receive("lan1", ASKING)) is answered
    assert one.statistics.drops[Drop.RULE] == (not through) + (not answered)


def test_rules_see_the_port_the_bridge_and_the_stations():
    rule = (
        f'iifname "lan1" oifname "lan2" meta ibrname "br0" meta obrname "br0"'
        f" ether saddr {HOST_A} ether daddr {HOST_B} ip daddr 10.0.1.8 drop"
    )
    one = bench(forward=rule)
    assert devices(one.receive("lan1", THROUGH)) == []
    assert devices(one.receive("lan2", THROUGH)) == ["lan1"]
    assert one.statistics.drops[Drop.RULE] == 1


def test_rules_see_the_tag_of_a_frame():
    one = bench(prerouting="vlan id 5 drop")
    tagged = Ether(src=HOST_A, dst=HOST_B) / Dot1Q(vlan=5) / ping("10.0.1.9", "10.0.1.8")
    assert devices(one.receive("lan1", tagged)) == []
    tagged[Dot1Q].vlan = 6
    assert devices(one.receive("lan1", tagged)) == ["lan2"]


def test_postrouting_knows_no_way_in_and_forwarded_frames_are_not_the_boxs():
    """Seen on Linux 6.18."""
    one = bench(postrouting='iifname "lan1" drop; meta pkttype host drop')
    assert devices(one.receive("lan1", THROUGH)) == ["lan2"]
    one = bench(forward="meta pkttype other drop")
    assert devices(one.receive("lan1", THROUGH)) == []


def test_rules_change_frames():
    one = bench(forward="ip ttl set 9")
    (sent,) = one.receive("lan1", THROUGH)
    assert sent.ether["IP"].ttl == 9


def test_the_inet_family_does_not_see_bridged_frames():
    rules = "table inet t {\nchain c { type filter hook prerouting priority 0; drop; }\n}\n"
    one = lab(BR0, *PORTS, neighbours=NEIGHBOURS, rules=rules)
    assert devices(one.receive("lan1", THROUGH)) == ["lan2"]
    assert one.receive("lan1", ASKING) == []
