"""What the flowtable does, step by step: when a flow is added, what it forwards, and when it ends."""

from __future__ import annotations

from scapy.layers.inet import ICMP, IP, UDP

from scenarios.author import (
    CLIENT,
    CLIENT6,
    SERVER,
    SERVER6,
    WAN,
    WAN6,
    Scenario,
    Tcp,
    Udp,
    changed,
    flowtable,
    router,
    scenario,
    traffic,
)
from scenarios.topics.forwarding import DATA

ACCT = {"net__netfilter__nf_conntrack_acct": 1}
MASQUERADE = 'chain post { type nat hook postrouting priority srcnat; oifname "wan0" masquerade; }'
FORWARDED = 'chain pre { type nat hook prerouting priority dstnat; iifname "wan0" dnat ip to 10.0.1.99; }'


@scenario
def vector_1_udp_unreplied(s: Scenario) -> None:
    """The second datagram adds the flow, whoever sends it; conntrack never learns of the reply."""
    s.rules = flowtable()
    udp = Udp(s)
    udp.out()
    udp.out()
    udp.back()
    udp.talk(2)


@scenario
def vector_1_udp_unreplied_idle(s: Scenario) -> None:
    """A flow without a reply ends after its idle time, and its connection with it."""
    s.box = router(net__netfilter__nf_flowtable_udp_timeout=2, net__netfilter__nf_conntrack_udp_timeout=2)
    s.rules = flowtable()
    udp = Udp(s)
    udp.out()
    udp.out()
    udp.back()
    s.end(5)


@scenario
def vector_2_udp_replied(s: Scenario) -> None:
    """Out, reply, out: added by the reply."""
    s.rules = flowtable()
    Udp(s).talk(3)


@scenario
def vector_2_udp_replied_idle(s: Scenario) -> None:
    """A flow with replies ends after its idle time; what is left of the connection is that much less."""
    s.box = router(net__netfilter__nf_flowtable_udp_timeout=2)
    s.rules = flowtable()
    udp = Udp(s)
    udp.talk(3)
    s.end(5)


@scenario
def vector_3_tcp(s: Scenario) -> None:
    """The third packet of the handshake adds the flow."""
    s.rules = flowtable()
    connection = Tcp(s)
    connection.open()
    connection.talk(3)


@scenario
def vector_3_tcp_in_reply_direction_only(s: Scenario) -> None:
    """A rule for the server's side only: its first segment after the handshake adds the flow."""
    s.rules = flowtable(add='iifname "wan0" flow add @f')
    connection = Tcp(s)
    connection.open()
    connection.talk(3)


@scenario
def vector_3_tcp_idle(s: Scenario) -> None:
    """An idle TCP flow ends; the connection keeps what it had."""
    s.box = router(net__netfilter__nf_flowtable_tcp_timeout=2)
    s.rules = flowtable()
    connection = Tcp(s)
    connection.open()
    connection.talk(2)
    s.end(5)


@scenario
def vector_4_fin(s: Scenario) -> None:
    """A FIN ends the flow and goes up the classic path."""
    s.rules = flowtable()
    connection = Tcp(s)
    connection.open()
    connection.talk(2)
    connection.out("FA")


@scenario
def vector_4_fin_of_both(s: Scenario) -> None:
    """The whole end of a connection."""
    s.rules = flowtable()
    connection = Tcp(s)
    connection.open()
    connection.talk(2)
    connection.out("FA")
    connection.back("A")
    connection.back("PA", b"more")
    connection.back("FA")
    connection.out("A")


@scenario
def vector_4_rst(s: Scenario) -> None:
    """A reset from each side."""
    s.rules = flowtable()
    for sport in (40001, 40002):
        connection = Tcp(s, sport=sport)
        connection.open()
        connection.talk(2)
        (connection.out if sport == 40001 else connection.back)("RA")
        connection.talk(1)


@scenario
def vector_4_ports_reused(s: Scenario) -> None:
    """The same ports after the end: a new connection and a new flow."""
    s.rules = flowtable()
    connection = Tcp(s)
    connection.open()
    connection.talk(1)
    connection.out("FA")
    connection.back("FA")
    connection.out("A")
    again = Tcp(s, seq=900000, ack=800000)
    again.open()
    again.talk(2)


@scenario
def syn_on_a_flow(s: Scenario) -> None:
    """A SYN with the ports of a flow that lives."""
    s.rules = flowtable()
    connection = Tcp(s)
    connection.open()
    connection.talk(1)
    again = Tcp(s, seq=900000, ack=800000)
    again.out("S")
    again.back("SA")
    again.out("A")
    connection.talk(1)


@scenario
def vector_5_mtu(s: Scenario) -> None:
    """A packet of the MTU's size takes the fast path, one byte more the classic path; the flow stays."""
    s.box = router(wan_mtu=1400)
    s.rules = flowtable()
    Udp(s).talk(2)
    for flags in ("", "DF"):
        for size in (1372, 1373):
            Udp(s).out(DATA[:size], flags=flags)
    six = Udp(s, src=CLIENT6, dst=SERVER6)
    six.talk(2)
    for size in (1352, 1353):
        six.out(DATA[:size])
    Udp(s).talk(1)


@scenario
def vector_5_mtu_of_the_way_back(s: Scenario) -> None:
    """The smaller MTU is on the client's side."""
    s.box = router(lan_mtu=1400)
    s.rules = flowtable()
    Udp(s).talk(2)
    for size in (1372, 1373):
        Udp(s).back(DATA[:size])
        Udp(s).back(DATA[:size], flags="DF")


@scenario
def vector_5_mtu_of_a_route(s: Scenario) -> None:
    """The MTU of a route is the flow's."""
    s.box = changed(router(), routes=[{"to": "10.6.0.0/16", "via": SERVER, "mtu": 1000}])
    s.rules = flowtable()
    udp = Udp(s, dst="10.6.0.1")
    udp.talk(2)
    for size in (972, 973):
        udp.out(DATA[:size])
        udp.out(DATA[:size], flags="DF")


@scenario
def vector_5_mtu_of_a_route6(s: Scenario) -> None:
    """The MTU of an IPv6 route counts on the classic way out; the flow has that of the device."""
    s.box = changed(router(), routes=[{"to": "2001:db8:6::/48", "via": SERVER6, "dev": "wan0", "mtu": 1300}])
    s.rules = flowtable()
    udp = Udp(s, src=CLIENT6, dst="2001:db8:6::1")
    udp.out(DATA[:1300])
    udp.talk(2)
    for size in (1252, 1253, 1452):
        udp.out(DATA[:size])


@scenario
def mtu_changes(s: Scenario) -> None:
    """The MTU of the device changes: the flow keeps what it was created with."""
    s.rules = flowtable()
    Udp(s).talk(2)
    s.event(link={"dev": "wan0", "mtu": 1400})
    s.wait(0.2)
    Udp(s).out(DATA[:1400])
    Udp(s).talk(1)


@scenario
def vector_6_ttl(s: Scenario) -> None:
    """TTL 2 takes the fast path, TTL 1 and 0 the classic path."""
    s.rules = flowtable()
    for src, dst in ((CLIENT, SERVER), (CLIENT6, SERVER6)):
        udp = Udp(s, src=src, dst=dst)
        udp.talk(2)
        for ttl in (255, 2, 1, 0):
            udp.out(ttl=ttl)
        udp.talk(1)


@scenario
def vector_7_masquerade(s: Scenario) -> None:
    """Translation on the fast path, with and without a UDP checksum."""
    s.rules = flowtable(more=MASQUERADE)
    udp = Udp(s, seen_src=WAN)
    udp.talk(3)
    s.lan(IP(src=CLIENT, dst=SERVER, id=0x4242) / UDP(sport=5000, dport=53, chksum=0) / b"x")
    s.wan(IP(src=SERVER, dst=WAN, id=0x4242) / UDP(sport=53, dport=5000, chksum=0) / b"x")
    connection = Tcp(s, seen_src=WAN)
    connection.open()
    connection.talk(2)
    Udp(s, src=CLIENT6, dst=SERVER6, seen_src=WAN6).talk(3)


@scenario
def vector_7_masquerade_to_another_port(s: Scenario) -> None:
    """Address and port change."""
    rule = 'oifname "wan0" meta l4proto { tcp, udp } snat ip to 10.0.2.1:6000'
    s.rules = flowtable(more=f"chain post {{ type nat hook postrouting priority srcnat; {rule}; }}")
    Udp(s, seen_src=WAN, seen_sport=6000).talk(3)
    connection = Tcp(s, seen_src=WAN, seen_sport=6000)
    connection.open()
    connection.talk(2)


@scenario
def vector_7_checksum_that_becomes_zero(s: Scenario) -> None:
    """A UDP checksum that comes out as zero is sent as 0xffff."""
    s.rules = flowtable(more=MASQUERADE)
    udp = Udp(s, seen_src=WAN)
    udp.talk(2)
    plain = UDP(bytes(IP(src=WAN, dst=SERVER) / UDP(sport=5000, dport=53) / b"\0\0")[20:])
    filler = plain.chksum.to_bytes(2, "big")
    udp.out(filler)
    udp.out(((plain.chksum - 1) % 65536).to_bytes(2, "big"))


@scenario
def vector_8_dnat_and_snat(s: Scenario) -> None:
    """Both addresses and both ports change."""
    s.rules = flowtable(
        more="chain pre { type nat hook prerouting priority dstnat; "
        f"ip daddr 192.0.2.5 tcp dport 1666 dnat ip to 10.0.2.99:443; }}\n{MASQUERADE}"
    )
    connection = Tcp(s, dst="192.0.2.5", dport=1666, seen_src=WAN, seen_dst=SERVER, seen_dport=443)
    connection.open()
    connection.talk(3)


@scenario
def vector_8_port_forward(s: Scenario) -> None:
    """A connection from outside to a forwarded port."""
    s.rules = flowtable(more=FORWARDED)
    for _ in range(3):
        s.wan(IP(src=SERVER, dst=WAN, id=0x4242) / UDP(sport=1024, dport=53) / b"question")
        s.lan(IP(src=CLIENT, dst=SERVER, id=0x4242) / UDP(sport=53, dport=1024) / b"answer")


@scenario
def vector_13_rule_goes_on(s: Scenario) -> None:
    """What stands behind `flow add` in a rule happens once for each flow."""
    s.rules = flowtable(add="flow add @f counter")
    traffic(s)


@scenario
def vector_13_accept_behind(s: Scenario) -> None:
    """`flow add @f accept` accepts the packet that adds, and no other."""
    s.rules = flowtable(add="flow add @f accept")
    connection = Tcp(s)
    connection.open()
    connection.talk(1)
    connection.out("FA")
    Udp(s).talk(2)


@scenario
def vector_14_not_offloaded(s: Scenario) -> None:
    """ICMP, SCTP, unknown protocols: never."""
    s.rules = flowtable()
    for seq in range(3):
        s.lan(IP(src=CLIENT, dst=SERVER, id=0x4242) / ICMP(id=7, seq=seq) / b"ping")
        s.wan(IP(src=SERVER, dst=CLIENT, id=0x4242) / ICMP(type=0, id=7, seq=seq) / b"ping")
        s.lan(IP(src=CLIENT, dst=SERVER, id=0x4242, proto=253) / b"what")
        s.wan(IP(src=SERVER, dst=CLIENT, id=0x4242, proto=253) / b"what")


@scenario
def vector_14_notrack(s: Scenario) -> None:
    """Without connection tracking there is no flow."""
    s.rules = flowtable(
        more="chain raw { type filter hook prerouting priority raw; "
        "udp dport 53 notrack; udp sport 53 notrack; }"
    )
    Udp(s).talk(3)


@scenario
def vector_15_counter_without_accounting(s: Scenario) -> None:
    """The counter flag without nf_conntrack_acct counts nothing."""
    s.rules = flowtable(options="counter")
    traffic(s)


@scenario
def counter_with_accounting(s: Scenario) -> None:
    """The counter flag with nf_conntrack_acct: what the fast path carried is counted."""
    s.box = router(**ACCT)
    s.rules = flowtable(options="counter")
    traffic(s)


@scenario
def accounting_without_counter(s: Scenario) -> None:
    """Without the counter flag accounting stands still while the fast path has the flow."""
    s.box = router(**ACCT)
    s.rules = flowtable()
    traffic(s)
