"""Connection tracking of each protocol; the counters tell the state of each packet."""

from __future__ import annotations

from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import ICMPv6EchoReply, ICMPv6EchoRequest, IPv6
from scapy.layers.l2 import GRE

from scenarios.author import (
    CLIENT,
    CLIENT6,
    LAN,
    SERVER,
    SERVER6,
    Scenario,
    Tcp,
    Udp,
    router,
    scenario,
)
from scenarios.topics.forwarding import DATA

STATES = "\n".join(
    f"ct state {state} counter" for state in ("new", "established", "related", "invalid", "untracked")
)
STATEFUL = f"""
table inet t {{
    chain forward {{
        type filter hook forward priority filter; policy accept;
        {STATES}
        ct status assured counter
        ct status seen-reply counter
    }}
}}
"""
ACCOUNTING = router(net__netfilter__nf_conntrack_acct=1)


def tracked(s: Scenario) -> Tcp:
    """A scenario with counters for each state, and a TCP connection in it."""
    s.rules = STATEFUL
    return Tcp(s)


@scenario
def tcp(s: Scenario) -> None:
    """From the handshake to TIME_WAIT."""
    s.box = ACCOUNTING
    connection = tracked(s)
    connection.open()
    connection.talk(2)
    connection.out("FA")
    connection.back("A")
    connection.back("FA")
    connection.out("A")


@scenario
def tcp_each_stage(s: Scenario) -> None:
    """Connections that stop at each stage."""
    s.rules = STATEFUL
    steps = ("S", "sa", "A", "PA", "FA", "a", "fa", "A")
    for length in range(1, len(steps) + 1):
        connection = Tcp(s, sport=40000 + length)
        for step in steps[:length]:
            (connection.out if step.isupper() else connection.back)(step.upper())


@scenario
def tcp_resets(s: Scenario) -> None:
    """A reset at each stage, from each side."""
    s.rules = STATEFUL
    for number, stage in enumerate(("S", "S sa", "S sa A", "S sa A FA", "S sa A FA fa")):
        for side in (0, 1):
            connection = Tcp(s, sport=40000 + 10 * number + side)
            for step in stage.split():
                (connection.out if step.isupper() else connection.back)(step.upper())
            (connection.out if side == 0 else connection.back)("RA")


@scenario
def tcp_reset_out_of_window(s: Scenario) -> None:
    """A reset that does not fit is invalid and resets nothing."""
    connection = tracked(s)
    connection.open()
    connection.talk(1)
    connection.back("R", seq=connection.ack + 100000)
    connection.back("R", seq=connection.ack - 3000)
    connection.talk(1)


@scenario
def tcp_retransmissions(s: Scenario) -> None:
    """Segments that come again, and what is left of the time after three."""
    s.box = router(net__netfilter__nf_conntrack_tcp_timeout_max_retrans=200)
    connection = tracked(s)
    connection.open()
    connection.out("PA", b"question")
    connection.seq -= 8
    for _ in range(5):
        connection.out("PA", b"question")
        connection.seq -= 8


@scenario
def tcp_out_of_window(s: Scenario) -> None:
    """Segments before and behind the window, and acknowledgements of what was never sent."""
    connection = tracked(s)
    connection.open()
    connection.talk(1)
    seq, ack = connection.seq, connection.ack
    connection.out("PA", b"x", seq=seq + 200000)
    connection.seq = seq
    connection.out("PA", b"x", seq=seq - 200000)
    connection.seq = seq
    connection.out("A", ack=ack + 200000)
    connection.out("A", ack=ack - 200000)
    connection.talk(1)


@scenario
def tcp_zero_window(s: Scenario) -> None:
    """A receiver that wants no more for now."""
    s.box = router(net__netfilter__nf_conntrack_tcp_timeout_max_retrans=200)
    connection = tracked(s)
    connection.open()
    connection.out("PA", b"question")
    connection.back("A", window=0)


@scenario
def tcp_window_scale(s: Scenario) -> None:
    """Scaled windows: what is in the window by scale only."""
    connection = tracked(s)
    connection.out("S", options=[("MSS", 1460), ("WScale", 7), ("SAckOK", b"")])
    connection.back("SA", options=[("MSS", 1460), ("WScale", 4), ("SAckOK", b"")])
    connection.out("A", window=500)
    connection.back("PA", DATA[:1000], window=1000)
    connection.back("PA", b"far ahead", seq=connection.ack + 50000)
    connection.back("PA", b"too far ahead", seq=connection.ack + 500000)


@scenario
def tcp_sack(s: Scenario) -> None:
    """Selective acknowledgements count as acknowledgements."""
    connection = tracked(s)
    connection.out("S", options=[("SAckOK", b"")])
    connection.back("SA", options=[("SAckOK", b"")])
    connection.out("A")
    connection.out("PA", b"lost")
    connection.out("PA", b"come")
    first = connection.seq - 4
    connection.back("A", ack=first - 4, options=[("SAck", (first, first + 4))])
    connection.out("PA", b"lost", seq=first - 4)


@scenario
def tcp_simultaneous_open(s: Scenario) -> None:
    """Both sides begin at once."""
    connection = tracked(s)
    connection.out("S")
    connection.back("S", ack=0)
    connection.out("SA", seq=1000)
    connection.back("SA", seq=5000)
    connection.out("A", seq=1001)
    connection.talk(1)


@scenario
def tcp_syn_again(s: Scenario) -> None:
    """The SYN comes again with another sequence number; an old SYN-ACK, a reset, and a new start."""
    connection = tracked(s)
    connection.out("S")
    connection.out("S", seq=1000)
    connection.out("S", seq=777)
    connection.back("SA", ack=778)


@scenario
def tcp_port_reused(s: Scenario) -> None:
    """The same ports after the end: a new connection."""
    connection = tracked(s)
    connection.open()
    connection.out("FA")
    connection.back("FA")
    connection.out("A")
    again = Tcp(s, seq=900000, ack=800000)
    again.open()
    again.talk(1)


@scenario
def tcp_port_reused_after_reset(s: Scenario) -> None:
    """The same ports after a reset."""
    connection = tracked(s)
    connection.open()
    connection.back("R", seq=connection.ack)
    again = Tcp(s, seq=900000, ack=800000)
    again.open()


@scenario
def tcp_pickup(s: Scenario) -> None:
    """A connection whose beginning nobody saw."""
    connection = tracked(s)
    connection.talk(2)
    Tcp(s, sport=40001).back("PA", b"from the server")
    Tcp(s, sport=40002).back("SA")
    Tcp(s, sport=40003).out("A")


@scenario
def tcp_no_pickup(s: Scenario) -> None:
    """The same with nf_conntrack_tcp_loose=0."""
    s.box = router(net__netfilter__nf_conntrack_tcp_loose=0)
    connection = tracked(s)
    connection.talk(2)


@scenario
def tcp_liberal(s: Scenario) -> None:
    """Out of window with nf_conntrack_tcp_be_liberal=1."""
    s.box = router(net__netfilter__nf_conntrack_tcp_be_liberal=1)
    connection = tracked(s)
    connection.open()
    connection.out("PA", b"x", seq=connection.seq + 200000)
    connection.back("R", seq=connection.ack + 100000)


@scenario
def tcp_odd_flags(s: Scenario) -> None:
    """Combinations of flags that mean nothing."""
    s.rules = STATEFUL
    for number, flags in enumerate(("", "SF", "SR", "FR", "SFRPAU", "F", "P", "U", "SA", "SU", "SEC", "FPU")):
        Tcp(s, sport=40000 + number).out(flags)


@scenario
def tcp_wrong_checksum(s: Scenario) -> None:
    """A segment with a wrong checksum is invalid, and forwarded."""
    connection = tracked(s)
    segment = connection.segment_out("S")
    segment.payload.chksum = 0x1234
    s.lan(segment)


@scenario
def udp(s: Scenario) -> None:
    """Unreplied, replied, and a stream after two seconds."""
    s.rules = STATEFUL
    s.box = ACCOUNTING
    Udp(s, sport=5001).out()
    Udp(s, sport=5002).talk(1)
    stream = Udp(s, sport=5003)
    stream.talk(1)
    s.wait(2.5)
    stream.talk(2)


@scenario
def icmp(s: Scenario) -> None:
    """Echoes, replies nobody asked for, requests of other kinds."""
    s.rules = STATEFUL
    s.lan(IP(src=CLIENT, dst=SERVER, id=0x4242) / ICMP(id=7, seq=1) / b"ping")
    s.wan(IP(src=SERVER, dst=CLIENT, id=0x4242) / ICMP(type=0, id=7, seq=1) / b"ping")
    s.lan(IP(src=CLIENT, dst=SERVER, id=0x4242) / ICMP(type=0, id=8, seq=1) / b"ping")
    s.lan(IP(src=CLIENT, dst=SERVER, id=0x4242) / ICMP(type=13, id=9, seq=1, ts_ori=1, ts_rx=0, ts_tx=0))
    s.lan(IP(src=CLIENT, dst=SERVER, id=0x4242) / ICMP(type=9, id=9, seq=1))
    s.lan(IPv6(src=CLIENT6, dst=SERVER6) / ICMPv6EchoRequest(id=7, seq=1, data=b"ping"))
    s.wan(IPv6(src=SERVER6, dst=CLIENT6) / ICMPv6EchoReply(id=7, seq=1, data=b"ping"))
    s.wan(IPv6(src=SERVER6, dst=CLIENT6) / ICMPv6EchoReply(id=8, seq=1, data=b"ping"))


@scenario
def related(s: Scenario) -> None:
    """Errors about a connection are related to it."""
    s.rules = STATEFUL
    Udp(s).out()
    sent = IP(src=CLIENT, dst=SERVER, id=0x4242) / UDP(sport=5000, dport=53) / b"question"
    other = IP(src=CLIENT, dst=SERVER, id=0x4242) / UDP(sport=5999, dport=53) / b"question"
    s.wan(IP(src="10.0.2.254", dst=CLIENT, id=0x4242) / ICMP(type=3, code=3) / bytes(sent))
    s.wan(IP(src="10.0.2.254", dst=CLIENT, id=0x4242) / ICMP(type=3, code=3) / bytes(other))
    s.wan(IP(src="10.0.2.254", dst=CLIENT, id=0x4242) / ICMP(type=3, code=3) / bytes(sent)[:20])


@scenario
def gre(s: Scenario) -> None:
    """GRE without a key, with a key, and PPTP's."""
    s.rules = STATEFUL
    for header in (GRE(proto=0x0800), GRE(proto=0x0800, key_present=1, key=77)):
        for _ in range(2):
            s.lan(IP(src=CLIENT, dst=SERVER, id=0x4242) / header / DATA[:20])
            s.wan(IP(src=SERVER, dst=CLIENT, id=0x4242) / header / DATA[:20])
    s.lan(
        IP(src=CLIENT, dst=SERVER, id=0x4242, proto=47) / bytes.fromhex("3001880b0004001100000001") / b"data"
    )


@scenario
def generic(s: Scenario) -> None:
    """Protocols that nobody knows."""
    s.rules = STATEFUL
    for number in (50, 253):
        s.lan(IP(src=CLIENT, dst=SERVER, id=0x4242, proto=number) / DATA[:40])
        s.wan(IP(src=SERVER, dst=CLIENT, id=0x4242, proto=number) / DATA[:40])


@scenario
def notrack(s: Scenario) -> None:
    """What raw rules take out of tracking."""
    s.rules = (
        STATEFUL
        + """
table inet raw {
    chain pre {
        type filter hook prerouting priority raw; policy accept;
        udp dport 53 notrack
    }
}
"""
    )
    Udp(s).talk(1)
    Udp(s, dport=54).talk(1)


@scenario
def zones(s: Scenario) -> None:
    """The same tuple in two zones are two connections."""
    s.rules = (
        STATEFUL
        + """
table inet raw {
    chain pre {
        type filter hook prerouting priority raw; policy accept;
        ip dscp cs1 ct zone set 5
        ip dscp cs2 ct original zone set 6
    }
}
"""
    )
    Udp(s).out()
    Udp(s).out(tos=0x20)
    Udp(s).out(tos=0x40)
    Udp(s).back(tos=0x20)
    Udp(s).back()


@scenario
def marks(s: Scenario) -> None:
    """A connection's mark is set, kept, and matched."""
    s.rules = """
table inet t {
    chain forward {
        type filter hook forward priority filter; policy accept;
        ct mark 7 counter
        udp dport 53 ct mark set 7
        ct mark 7 ip dscp set cs3
        ct direction reply counter
    }
}
"""
    Udp(s).talk(2)
    Udp(s, dport=54).talk(1)


@scenario
def policy_drop(s: Scenario) -> None:
    """A stateful firewall: what is new from outside is dropped and leaves nothing behind."""
    s.rules = """
table inet t {
    chain forward {
        type filter hook forward priority filter; policy drop;
        ct state established,related accept
        ct state invalid counter drop
        iifname "lan0" accept
    }
    chain input {
        type filter hook input priority filter; policy drop;
        ct state established,related accept
    }
}
"""
    Udp(s).talk(1)
    Udp(s, sport=5001).back()
    Tcp(s).open()
    s.lan(IP(src=CLIENT, dst=LAN, id=0x4242) / UDP(sport=1, dport=2) / b"x")


@scenario
def rejected(s: Scenario) -> None:
    """Rejected with ICMP errors and with a reset."""
    s.rules = """
table inet t {
    chain forward {
        type filter hook forward priority filter; policy accept;
        tcp dport 443 reject with tcp reset
        tcp dport 444 reject
        udp dport 53 reject with icmpx type admin-prohibited
        udp dport 54 reject with icmpx type host-unreachable
    }
}
"""
    for src, dst in ((CLIENT, SERVER), (CLIENT6, SERVER6)):
        for dport in (443, 444):
            Tcp(s, src=src, dst=dst, dport=dport).out("S")
        Tcp(s, src=src, dst=dst, sport=40001).out("PA", b"in the middle")
        for dport in (53, 54):
            Udp(s, src=src, dst=dst, dport=dport).out()


@scenario
def expires(s: Scenario) -> None:
    """Connections end when their time is up: the next packet is new."""
    s.rules = STATEFUL
    s.box = router(
        net__netfilter__nf_conntrack_udp_timeout=6,
        net__netfilter__nf_conntrack_udp_timeout_stream=6,
        net__netfilter__nf_conntrack_tcp_timeout_established=6,
        net__netfilter__nf_conntrack_icmp_timeout=6,
    )
    Udp(s).talk(1)
    connection = Tcp(s)
    connection.open()
    s.wait(9)
    Udp(s).talk(1)
    connection.talk(1)
