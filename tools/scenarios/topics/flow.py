"""The flowtable: which packets take the fast path, what `flow add` refuses, rules around it."""

from __future__ import annotations

from scapy.layers.inet import ICMP, IP, UDP, IPOption_NOP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrHopByHop
from scapy.layers.l2 import GRE

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
from scenarios.topics.forwarding import DATA, pieces, pieces6
from scenarios.topics.nat import quoting
from scenarios.topics.sctp import WAYS, Association

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


@scenario
def counter_and_padding(s: Scenario) -> None:
    """Ethernet padding on the fast path: forwarded and counted."""
    s.box = router(**ACCT)
    s.rules = flowtable(options="counter")
    Udp(s).talk(2)
    packet = bytes(IP(src=CLIENT, dst=SERVER, id=0x4242) / UDP(sport=5000, dport=53) / b"ab")
    s.lan(packet + bytes(16))
    packet = bytes(IP(src=SERVER, dst=CLIENT, id=0x4242) / UDP(sport=53, dport=5000) / b"ab")
    s.wan(packet + bytes(16))


@scenario
def counter_and_translation(s: Scenario) -> None:
    """Accounting of a masqueraded flow, with packets of both paths."""
    s.box = router(wan_mtu=1400, **ACCT)
    s.rules = flowtable(options="counter", more=MASQUERADE)
    udp = Udp(s, seen_src=WAN)
    udp.talk(2)
    udp.out(DATA[:1400])
    udp.talk(1)


@scenario
def fragments(s: Scenario) -> None:
    """Fragments of an offloaded flow take the classic path."""
    s.rules = flowtable()
    Udp(s).talk(2)
    packet = IP(src=CLIENT, dst=SERVER, id=0x4242) / UDP(sport=5000, dport=53) / DATA[:1400]
    for piece in pieces(packet, 800):
        s.lan(piece)
    Udp(s, src=CLIENT6, dst=SERVER6).talk(2)
    for piece in pieces6(IPv6(src=CLIENT6, dst=SERVER6) / UDP(sport=5000, dport=53) / DATA[:1400], 800):
        s.lan(piece)
    Udp(s).talk(1)


@scenario
def options(s: Scenario) -> None:
    """IPv4 options and IPv6 extension headers take the classic path."""
    s.rules = flowtable()
    Udp(s).talk(2)
    Udp(s).out(options=[IPOption_NOP()] * 4)
    Udp(s, src=CLIENT6, dst=SERVER6).talk(2)
    udp = UDP(sport=5000, dport=53) / b"x"
    s.lan(IPv6(src=CLIENT6, dst=SERVER6) / IPv6ExtHdrDestOpt() / udp)
    s.lan(IPv6(src=CLIENT6, dst=SERVER6) / IPv6ExtHdrHopByHop() / udp)
    Udp(s).talk(1)


@scenario
def options_do_not_add(s: Scenario) -> None:
    """A packet with IPv4 options does not add a flow."""
    s.rules = flowtable()
    Udp(s).out()
    Udp(s).back(options=[IPOption_NOP()] * 4)
    Udp(s).back(options=[IPOption_NOP()] * 4)
    Udp(s).talk(2)


@scenario
def malformed(s: Scenario) -> None:
    """What looks like a packet of the flow: wrong checksum, cut short, an odd header length."""
    s.rules = flowtable()
    Udp(s).talk(2)
    good = bytes(IP(src=CLIENT, dst=SERVER, id=0x4242) / UDP(sport=5000, dport=53) / b"question")
    for at, value in ((10, 0x55), (26, 0x55), (3, 200), (3, 29), (0, 0x46), (0, 0x65), (6, 0x80)):
        bad = bytearray(good)
        bad[at] = value
        s.frame("lan0", s.client.frame(good)[:14] + bytes(bad))
    s.frame("lan0", s.client.frame(good)[: 14 + 24])
    s.frame("lan0", s.client.frame(good)[: 14 + 30])
    Udp(s).talk(1)


@scenario
def tcp_header_cut(s: Scenario) -> None:
    """TCP segments whose header is not whole, or says that it is longer."""
    s.rules = flowtable()
    connection = Tcp(s)
    connection.open()
    connection.talk(1)
    segment = bytes(connection.segment_out("A"))
    s.lan(segment[:32])
    longer = bytearray(segment)
    longer[32] = 0xF0
    s.lan(bytes(longer))
    shorter = bytearray(segment)
    shorter[32] = 0x20
    s.lan(bytes(shorter))


@scenario
def tcp_wrong_checksum(s: Scenario) -> None:
    """The fast path does not look at transport checksums."""
    s.rules = flowtable(more=MASQUERADE)
    connection = Tcp(s, seen_src=WAN)
    connection.open()
    connection.talk(1)
    segment = connection.segment_out("PA", b"x")
    segment.payload.chksum = 0x1234
    s.lan(segment)


@scenario
def tcp_out_of_window(s: Scenario) -> None:
    """Nobody looks at windows on the fast path, nor afterwards."""
    s.rules = flowtable(before="ct state invalid counter drop")
    connection = Tcp(s)
    connection.open()
    connection.talk(1)
    connection.out("PA", b"far", seq=connection.seq + 300000)
    connection.back("PA", DATA[:1400])
    connection.out("PA", DATA[:1400], seq=connection.seq - 300000)


@scenario
def tcp_not_established(s: Scenario) -> None:
    """A connection that was picked up in the middle is added when it is assured."""
    s.rules = flowtable()
    connection = Tcp(s)
    connection.out("PA", b"question")
    connection.out("PA", b"question")
    connection.back("PA", b"answer")
    connection.talk(2)


@scenario
def tcp_one_way(s: Scenario) -> None:
    """A connection of which only one direction passes is never assured."""
    s.rules = flowtable()
    connection = Tcp(s)
    connection.out("S")
    connection.out("A")
    for _ in range(3):
        connection.out("PA", b"x")


@scenario
def fin_does_not_add(s: Scenario) -> None:
    """A FIN or RST is the first that the rule sees of an established connection: it adds nothing."""
    s.rules = flowtable(add='iifname "wan0" flow add @f')
    for sport, flags in ((40001, "FA"), (40002, "RA")):
        connection = Tcp(s, sport=sport)
        connection.open()
        connection.back(flags)


@scenario
def tcp_handshake_without_data(s: Scenario) -> None:
    """A connection that is closed right after its handshake."""
    s.rules = flowtable()
    connection = Tcp(s)
    connection.open()
    connection.out("FA")
    connection.back("FA")
    connection.out("A")


@scenario
def gre(s: Scenario) -> None:
    """GRE without a key is offloaded, with a key not, PPTP's not."""
    s.rules = flowtable()
    for number, header in enumerate((GRE(proto=0x0800), GRE(proto=0x0800, key_present=1, key=77))):
        there = f"10.0.2.{99 - number}"
        for _ in range(3):
            s.lan(IP(src=CLIENT, dst=there, id=0x4242) / header / DATA[:20])
            s.wan(IP(src=there, dst=CLIENT, id=0x4242) / header / DATA[:20])
    s.box["neighbours"].append({"address": "10.0.2.98", "dev": "wan0", "mac": s.server.src})
    pptp = bytes.fromhex("3001880b0004001100000001") + b"data"
    s.lan(IP(src=CLIENT, dst=SERVER, id=0x4242, proto=47) / pptp)
    for _ in range(3):
        s.lan(IP(src=CLIENT, dst="10.0.2.97", id=0x4242, proto=47) / pptp)
        s.wan(IP(src="10.0.2.97", dst=CLIENT, id=0x4242, proto=47) / pptp)
    s.box["neighbours"].append({"address": "10.0.2.97", "dev": "wan0", "mac": s.server.src})


@scenario
def gre_translated(s: Scenario) -> None:
    """Translated GRE is not offloaded."""
    s.rules = flowtable(more=MASQUERADE)
    for _ in range(3):
        s.lan(IP(src=CLIENT, dst=SERVER, id=0x4242) / GRE(proto=0x0800) / DATA[:20])
        s.wan(IP(src=SERVER, dst=WAN, id=0x4242) / GRE(proto=0x0800) / DATA[:20])


@scenario
def errors_about_a_flow(s: Scenario) -> None:
    """ICMP errors about an offloaded flow take the classic path, translated back."""
    s.rules = flowtable(more=MASQUERADE)
    Udp(s, seen_src=WAN).talk(3)
    sent = IP(src=WAN, dst=SERVER, id=0x4242, ttl=60) / UDP(sport=5000, dport=53) / b"question"
    for kind, code in ((3, 1), (3, 4), (11, 0)):
        s.wan(IP(src="10.0.2.254", dst=WAN, id=0x4242) / quoting(kind, code, sent))
    Udp(s, seen_src=WAN).talk(1)


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
def sctp(s: Scenario) -> None:
    """An SCTP association with a flowtable."""
    s.rules = flowtable()
    association = Association(s)
    association.steps(WAYS["established"])
    association.steps("data <sack data <sack")


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
