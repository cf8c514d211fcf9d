"""What users of flowtables ask and stumble over, played."""

from __future__ import annotations

from scapy.layers.inet import IP, UDP

from scenarios.author import (
    CLIENT,
    LAN,
    SERVER,
    WAN,
    Scenario,
    Tcp,
    Udp,
    changed,
    flowtable,
    router,
    scenario,
)

_ACCOUNTED = {"net__netfilter__nf_conntrack_acct": 1}
_DSL = {"name": "dsl0", "mac": "02:00:00:00:03:01", "addresses": ["10.0.3.1/24"]}
_DSL_MAC = "02:00:00:00:03:99"
_GATEWAYS = [
    {"address": "10.0.2.254", "dev": "wan0", "mac": "02:00:00:00:02:fe"},
    {"address": "10.0.3.254", "dev": "dsl0", "mac": _DSL_MAC},
]
FAR = "198.51.100.7"


@scenario
def after_some_packets(s: Scenario) -> None:
    """Inspection wants to see the first packets: the flow is added after six of the client's."""
    s.box = router(**_ACCOUNTED)
    s.rules = flowtable(add="ct original packets >= 6 flow add @f")
    Udp(s).talk(8)
    connection = Tcp(s)
    connection.open()
    connection.talk(8)


@scenario
def after_some_bytes(s: Scenario) -> None:
    """Short connections are not worth a flow: it is added after a thousand bytes."""
    s.box = router(**_ACCOUNTED)
    s.rules = flowtable(add="ct bytes > 1000 flow add @f")
    connection = Tcp(s)
    connection.open()
    for _ in range(6):
        connection.out("PA", bytes(200))
        connection.back("A")
    Udp(s).talk(3)


@scenario
def exempt_by_mark(s: Scenario) -> None:
    """What is shaped or inspected keeps to the classic path by its mark."""
    s.rules = flowtable(
        before="tcp dport 8080 ct mark set 1",
        add="ct mark != 1 flow add @f",
    )
    for dport in (443, 8080):
        connection = Tcp(s, sport=40000 + dport, dport=dport)
        connection.open()
        connection.talk(2)


@scenario
def limits_count_the_classic_path_only(s: Scenario) -> None:
    """A limit and a quota behind `flow add` see what takes the classic path, and no more."""
    s.rules = flowtable(
        more="""
    chain limited {
        type filter hook forward priority filter + 10; policy accept;
        ip protocol udp limit rate over 1/minute burst 3 packets counter drop
        quota over 10 kbytes counter drop
    }
"""
    )
    Udp(s).talk(10)
    udp = Udp(s, sport=5001)
    for _ in range(10):
        udp.out(ttl=1)


@scenario
def a_new_rule_does_not_cut(s: Scenario) -> None:
    """A rule that drops comes while a flow lives: it goes on; the connection has to be deleted as well."""
    s.rules = flowtable()
    udp = Udp(s)
    udp.talk(3)
    s.event(ruleset="insert rule inet x forward ip saddr 10.0.1.99 counter drop")
    udp.talk(2)
    s.event(conntrack="flush")
    udp.talk(2)


@scenario
def rules_are_reloaded(s: Scenario) -> None:
    """A firewall flushes everything and loads it anew, the flowtable as it was: flows are gone."""
    s.rules = flowtable()
    udp, connection = Udp(s), Tcp(s)
    udp.talk(3)
    connection.open()
    connection.talk(2)
    s.event(ruleset="flush ruleset\n" + flowtable())
    s.wait(0.3)
    udp.talk(3)
    connection.talk(3)


@scenario
def two_uplinks(s: Scenario) -> None:
    """Marks choose the uplink; connections keep theirs, on the fast path as well."""
    s.box = changed(
        router(),
        devices=[_DSL],
        neighbours=_GATEWAYS,
        routes=[
            {"to": "default", "via": "10.0.2.254"},
            {"to": "default", "via": "10.0.3.254", "table": 100},
        ],
        rules=[{"priority": 1000, "fwmark": 1, "table": 100}],
    )
    s.rules = flowtable(
        "lan0",
        "wan0",
        "dsl0",
        more="""
    chain pre {
        type filter hook prerouting priority mangle; policy accept;
        meta mark set ct mark
        iifname "lan0" ct state new udp dport 54 ct mark set 1 meta mark set 1
    }
    chain post {
        type nat hook postrouting priority srcnat; policy accept;
        oifname { "wan0", "dsl0" } masquerade
    }
""",
    )
    by_wan = Udp(s, dst=FAR, seen_src=WAN)
    for _ in range(4):
        by_wan.out()
        by_wan.back()
        s.lan(IP(src=CLIENT, dst=FAR, id=0x4242) / UDP(sport=5000, dport=54) / b"by the other")
        s.wan(
            IP(src=FAR, dst="10.0.3.1", id=0x4242) / UDP(sport=54, dport=5000) / b"and back",
            device="dsl0",
            src=_DSL_MAC,
            dst=_DSL["mac"],
        )


@scenario
def hairpin(s: Scenario) -> None:
    """A host of the LAN uses a port forward by the public address: both ways take the fast path."""
    s.box = changed(
        router(), neighbours=[{"address": "10.0.1.50", "dev": "lan0", "mac": "02:00:00:00:01:50"}]
    )
    s.rules = flowtable(
        more=f"""
    chain pre {{
        type nat hook prerouting priority dstnat; policy accept;
        ip daddr {WAN} udp dport 53 dnat ip to 10.0.1.50
    }}
    chain post {{
        type nat hook postrouting priority srcnat; policy accept;
        ip saddr 10.0.1.0/24 ip daddr 10.0.1.50 masquerade
    }}
"""
    )
    for _ in range(4):
        s.lan(IP(src=CLIENT, dst=WAN, id=0x4242) / UDP(sport=5000, dport=53) / b"question")
        s.lan(
            IP(src="10.0.1.50", dst=LAN, id=0x4242) / UDP(sport=53, dport=5000) / b"the answer",
            src="02:00:00:00:01:50",
        )


@scenario
def dscp_rules(s: Scenario) -> None:
    """DSCP that rules write on the classic path is not written on the fast path."""
    s.rules = flowtable(
        more="""
    chain marked {
        type filter hook postrouting priority mangle; policy accept;
        oifname "wan0" ip dscp set ef counter
    }
"""
    )
    Udp(s).talk(4)


@scenario
def ports_of_a_known_service(s: Scenario) -> None:
    """Only some ports are offloaded: a set says which."""
    s.rules = flowtable(add="meta l4proto { tcp, udp } th dport { 443, 8443 } flow add @f")
    for dport in (443, 80):
        connection = Tcp(s, sport=40000 + dport, dport=dport)
        connection.open()
        connection.talk(3)


@scenario
def reverse_path_filter(s: Scenario) -> None:
    """Strict reverse path filtering sees no packet of the fast path."""
    s.box = router(net__ipv4__conf__all__rp_filter=1)
    s.rules = flowtable(
        more="""
    chain raw {
        type filter hook prerouting priority raw; policy accept;
        fib saddr . iif oif missing counter drop
    }
"""
    )
    Udp(s).talk(3)
    s.lan(IP(src=SERVER, dst=CLIENT, id=0x4242) / UDP(sport=53, dport=5000) / b"not from here")
