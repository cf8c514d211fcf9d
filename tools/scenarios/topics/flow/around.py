"""Flowtables among devices, chains and rules: what is listed, what runs before and behind them."""

from __future__ import annotations

from scapy.layers.inet import IP, UDP

from scenarios.author import (
    CLIENT,
    CLIENT6,
    SERVER,
    SERVER6,
    WAN,
    Scenario,
    Tcp,
    Udp,
    changed,
    flowtable,
    router,
    scenario,
    traffic,
)
from scenarios.topics.flow.vectors import ACCT
from scenarios.topics.forwarding import DATA


@scenario
def one_device(s: Scenario) -> None:
    """Only one of the devices is listed."""
    s.rules = flowtable("lan0")
    traffic(s)


@scenario
def two_flowtables(s: Scenario) -> None:
    """A flowtable for TCP, another for UDP, on the same devices of two tables."""
    chain = "chain forward {{ type filter hook forward priority {}; {} flow add @{}; counter; }}"
    s.rules = "\n".join(
        f"table inet {name} {{\n"
        f"flowtable {name} {{ hook ingress priority {priority}; devices = {{ lan0, wan0 }}; }}\n"
        f"{chain.format(priority, what, name)}\n}}"
        for name, priority, what in (("one", 0, "meta l4proto tcp"), ("two", 5, "meta l4proto udp"))
    )
    traffic(s)


@scenario
def one_family(s: Scenario) -> None:
    """Flowtables of the families ip and ip6."""
    s.rules = "\n".join(
        f"table {family} x {{ flowtable f {{ hook ingress priority 0; devices = {{ lan0, wan0 }}; }}\n"
        "chain forward { type filter hook forward priority 0; flow add @f; counter; }\n}"
        for family in ("ip", "ip6")
    )
    traffic(s)


@scenario
def one_family_only(s: Scenario) -> None:
    """A flowtable of the family ip and no other."""
    s.rules = """
table ip x {
    flowtable f { hook ingress priority 0; devices = { lan0, wan0 }; }
    chain forward { type filter hook forward priority 0; flow add @f; counter; }
}
"""
    traffic(s)


@scenario
def ingress_chains(s: Scenario) -> None:
    """Ingress chains before and behind the flowtable, by priority."""
    s.rules = (
        "table netdev n {\n"
        + "".join(
            f"chain {name} {{ type filter hook ingress device lan0 priority {priority}; counter; }}\n"
            for name, priority in (("before", -10), ("same", 0), ("behind", 10))
        )
        + "}\n"
        + flowtable()
    )
    traffic(s)


@scenario
def ingress_chain_drops(s: Scenario) -> None:
    """An ingress chain before the flowtable drops what would have been a hit."""
    s.rules = (
        "table netdev n {\n"
        "chain before { type filter hook ingress device lan0 priority -10; ip ttl 9 counter drop; }\n"
        "chain behind { type filter hook ingress device wan0 priority 10; ip ttl 9 counter drop; }\n}\n"
        + flowtable()
    )
    Udp(s).talk(2)
    for ttl in (9, 10):
        Udp(s).out(ttl=ttl)
        Udp(s).back(ttl=ttl)


@scenario
def egress_chains(s: Scenario) -> None:
    """Egress chains see what the fast path sends."""
    s.rules = (
        "table netdev n {\n"
        "chain lan { type filter hook egress device lan0 priority 0; counter; ip ttl 8 counter drop; }\n"
        "chain wan { type filter hook egress device wan0 priority 0; counter; }\n}\n" + flowtable()
    )
    Udp(s).talk(2)
    for ttl in (9, 10):
        Udp(s).out(ttl=ttl)
        Udp(s).back(ttl=ttl)


@scenario
def rules_that_are_bypassed(s: Scenario) -> None:
    """Rules behind `flow add` that drop: only what takes the classic path is dropped."""
    s.rules = flowtable(
        add="flow add @f\n        udp dport 53 ct packets > 0 accept\n udp length > 100 counter drop"
    )
    s.box = router(**ACCT)
    Udp(s, dport=54).talk(2)
    Udp(s, dport=54).out(DATA[:200])
    Udp(s, dport=55).out(DATA[:200])


@scenario
def marks_on_the_way(s: Scenario) -> None:
    """The zone is no part of the key, the mark of the connection stays."""
    s.rules = flowtable(before="ct mark set 7")
    Udp(s).talk(3)


@scenario
def to_the_box(s: Scenario) -> None:
    """What is for the box itself is never offloaded."""
    s.rules = flowtable()
    for _ in range(3):
        Udp(s, dst=WAN).out()


@scenario
def destination_known_by_dnat_only(s: Scenario) -> None:
    """Two connections to the same server, one through a port forward: two flows."""
    s.rules = flowtable(
        more="chain pre { type nat hook prerouting priority dstnat; "
        "ip daddr 192.0.2.5 dnat ip to 10.0.2.99; }"
    )
    Udp(s).talk(2)
    Udp(s, dst="192.0.2.5", sport=5001, seen_dst=SERVER).talk(3)


@scenario
def same_device(s: Scenario) -> None:
    """In and out of the same device."""
    s.box = changed(
        router(),
        neighbours=[{"address": "10.0.1.9", "dev": "lan0", "mac": "02:00:00:00:01:09"}],
        sysctls={"net.ipv4.conf.all.send_redirects": 0, "net.ipv4.conf.lan0.send_redirects": 0},
    )
    s.rules = flowtable()
    udp = Udp(s, dst="10.0.1.9")
    for _ in range(3):
        udp.out()
        s.lan(
            IP(src="10.0.1.9", dst=CLIENT, id=0x4242) / UDP(sport=53, dport=5000) / b"x",
            src="02:00:00:00:01:09",
        )


@scenario
def tos_and_label(s: Scenario) -> None:
    """DSCP, ECN, flow label and identification pass unchanged."""
    s.rules = flowtable()
    Udp(s).talk(2)
    Udp(s).out(tos=0xBB)
    Udp(s).out(flags="DF", tos=0x03)
    six = Udp(s, src=CLIENT6, dst=SERVER6)
    six.talk(2)
    six.out(tc=0xBB, fl=0x12345)


@scenario
def frames_to_others(s: Scenario) -> None:
    """Packets of a flow in frames to all stations, and to a group; from another station."""
    s.rules = flowtable()
    Udp(s).talk(2)
    packet = IP(src=CLIENT, dst=SERVER, id=0x4242) / UDP(sport=5000, dport=53) / b"question"
    for dst in ("ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01"):
        s.lan(packet, dst=dst)
    s.lan(packet, src="02:00:00:00:01:50")


@scenario
def tcp_mss_clamped(s: Scenario) -> None:
    """The SYNs are clamped on the classic path; the flow takes over after that."""
    s.box = router(wan_mtu=1400)
    s.rules = flowtable(before="tcp flags syn tcp option maxseg size set rt mtu")
    connection = Tcp(s)
    connection.out("S", options=[("MSS", 1460)])
    connection.back("SA", options=[("MSS", 1460)])
    connection.out("A")
    connection.talk(2)
