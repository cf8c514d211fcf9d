"""SCTP: every state by every chunk and direction, verification tags, bundles, other paths, translation."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import partial
from typing import Final

from scapy.layers.inet import ICMP, IP
from scapy.layers.inet6 import IPv6
from scapy.layers.sctp import SCTP
from scapy.packet import Packet

from scenarios.author import (
    CLIENT,
    CLIENT6,
    LAN,
    SERVER,
    SERVER6,
    WAN,
    Scenario,
    describe,
    router,
    scenario,
)
from scenarios.topics.conntrack import ACCOUNTING, STATEFUL
from scenarios.topics.nat import nat, two_clients

CHUNKS: Final = {
    "data": 0,
    "init": 1,
    "init-ack": 2,
    "sack": 3,
    "heartbeat": 4,
    "heartbeat-ack": 5,
    "abort": 6,
    "shutdown": 7,
    "shutdown-ack": 8,
    "error": 9,
    "cookie-echo": 10,
    "cookie-ack": 11,
    "shutdown-complete": 14,
}
"""Types of chunks (RFC 9260 section 3.2)."""
WAYS: Final = {
    "nothing": "",
    "closed": "init",
    "cookie-wait": "init <init-ack",
    "cookie-echoed": "init <init-ack cookie-echo",
    "established": "init <init-ack cookie-echo <cookie-ack",
    "shutdown-sent": "init <init-ack cookie-echo <cookie-ack shutdown",
    "shutdown-recd": "init <init-ack cookie-echo <cookie-ack <shutdown",
    "shutdown-ack-sent": "init <init-ack cookie-echo <cookie-ack shutdown <shutdown-ack",
    "heartbeat-sent": "heartbeat",
}
"""How an association comes into each state: the chunks, those of the server with an arrow."""
TIMEOUTS: Final = router(
    **{
        f"net__netfilter__nf_conntrack_sctp_timeout_{state}": 1000 + 100 * number
        for number, state in enumerate(
            (
                "closed",
                "cookie_wait",
                "cookie_echoed",
                "established",
                "shutdown_sent",
                "shutdown_recd",
                "shutdown_ack_sent",
                "heartbeat_sent",
            )
        )
    }
)
"""A timeout for each state that tells it from all others."""
CLIENT_TAG: Final = 0x0C11E217
"""What the client asks for: packets to it carry that."""
SERVER_TAG: Final = 0x5E12E12D


def chunk(name: str, value: bytes | None = None, flags: int = 0, tag: int = 0) -> bytes:
    """A chunk, padded.

    Args:
        name: its type.
        value: what is in it; None for something that fits.
        flags: its flags.
        tag: what an INIT or INIT ACK asks for.
    """
    if value is None:
        initiate = struct.pack(">IIHHI", tag, 65536, 5, 5, 1)
        value = initiate if name in ("init", "init-ack") else b"\0\0\0\1 something"
    length = 4 + len(value)
    return struct.pack(">BBH", CHUNKS[name], flags, length) + value + bytes(-length % 4)


@dataclass
class Association:
    """An association whose packets carry the tags that they should.

    Attributes:
        s: where its packets go.
    """

    s: Scenario
    sport: int = 40000
    dport: int = 9
    src: str = CLIENT
    dst: str = SERVER
    seen_src: str = ""
    seen_dst: str = ""
    seen_sport: int = 0
    seen_dport: int = 0

    def packet(self, back: bool, chunks: bytes, tag: int) -> Packet:
        """A packet of either side."""
        if back:
            ends = self.seen_dst or self.dst, self.seen_src or self.src
            ports = self.seen_dport or self.dport, self.seen_sport or self.sport
        else:
            ends, ports = (self.src, self.dst), (self.sport, self.dport)
        network = IPv6 if ":" in self.src else partial(IP, id=0x4242)
        header = SCTP(sport=ports[0], dport=ports[1], tag=tag)
        return network(src=ends[0], dst=ends[1]) / header / chunks

    def send(self, names: str, tag: int | None = None, flags: int = 0, initiate: int | None = None) -> None:
        """Send a packet with these chunks; of the server, if the first has an arrow in front.

        Args:
            names: types of chunks.
            tag: the verification tag, None for the right one.
            flags: of all chunks.
            initiate: what an INIT or INIT ACK asks for, None for what its sender always asks for.
        """
        back = names.startswith("<")
        types = names.removeprefix("<").split("+")
        if initiate is None:
            initiate = SERVER_TAG if back else CLIENT_TAG
        if tag is None:
            tag = 0 if types[0] == "init" else CLIENT_TAG if back else SERVER_TAG
        chunks = b"".join(chunk(name, flags=flags, tag=initiate) for name in types)
        self.raw(chunks, tag, back=back)

    def raw(self, chunks: bytes, tag: int = SERVER_TAG, *, back: bool = False) -> None:
        """Send a packet with these bytes behind its header."""
        (self.s.wan if back else self.s.lan)(self.packet(back, chunks, tag))

    def steps(self, way: str) -> None:
        """Send packets of one chunk each."""
        for step in way.split():
            self.send(step)


def _in_state(way: str, arrow: str, s: Scenario) -> None:
    """Every chunk of a side to associations in a state; a port for each."""
    s.box, s.rules = TIMEOUTS, STATEFUL
    for number, name in enumerate(CHUNKS):
        association = Association(s, sport=40000 + number)
        association.steps(way)
        association.send(arrow + name)


for _state, _way in WAYS.items():
    for _side, _arrow in {"client": "", "server": "<"}.items():
        # What the server sends first would begin the other direction.
        if _way or not _arrow:
            describe(
                "sctp",
                f"{_state}-and-{_side}",
                f"Each chunk from the {_side} after: {_state}.",
                partial(_in_state, _way, _arrow),
            )


@scenario
def association(s: Scenario) -> None:
    """An association from its first INIT to its end, over IPv4 and IPv6."""
    s.box, s.rules = ACCOUNTING, STATEFUL
    for src, dst in ((CLIENT, SERVER), (CLIENT6, SERVER6)):
        one = Association(s, src=src, dst=dst)
        one.steps(WAYS["established"])
        one.steps("data <sack <data sack shutdown <shutdown-ack shutdown-complete")
        Association(s, sport=40001, src=src, dst=dst).steps(WAYS["established"])


@scenario
def default_timeouts(s: Scenario) -> None:
    """How long the states last that last longer than some seconds."""
    s.rules = STATEFUL
    for number, state in enumerate(("closed", "established", "heartbeat-sent")):
        Association(s, sport=40000 + number).steps(WAYS[state])


@scenario
def default_timeouts_of_beginning(s: Scenario) -> None:
    """How long an association may take to begin."""
    s.rules = STATEFUL
    for number, state in enumerate(("cookie-echoed", "cookie-wait")):
        Association(s, sport=40000 + number).steps(WAYS[state])


@scenario
def default_timeouts_of_end(s: Scenario) -> None:
    """How long an association may take to end."""
    s.rules = STATEFUL
    Association(s).steps(WAYS["shutdown-ack-sent"])


@scenario
def init_again(s: Scenario) -> None:
    """An INIT again does not renew the timeout; in the middle of an association it changes nothing."""
    s.box, s.rules = router(net__netfilter__nf_conntrack_sctp_timeout_closed=10), STATEFUL
    one, other = Association(s), Association(s, sport=40001)
    one.send("init")
    other.steps(WAYS["established"])
    s.wait(5)
    one.send("init")
    other.send("init")
    other.send("<init-ack")
    other.steps("data <sack")


def _with_tag(tag: int, s: Scenario) -> None:
    """Each chunk with a tag, those that may have the T bit with and without it."""
    s.box, s.rules = TIMEOUTS, STATEFUL
    sport = 40000
    for name in CHUNKS:
        for flags in (0, 1) if name in ("abort", "shutdown-complete") else (0,):
            one = Association(s, sport=sport)
            one.steps(WAYS["shutdown-ack-sent" if name == "shutdown-complete" else "established"])
            one.send(name, tag=tag, flags=flags)
            sport += 1


for _name, _tag in {"no-tag": 0, "wrong-tag": 0xBAD, "tag-of-the-other-side": CLIENT_TAG}.items():
    describe("sctp", _name, f"Each chunk with {_name.replace('-', ' ')}.", partial(_with_tag, _tag))


@scenario
def out_of_the_blue(s: Scenario) -> None:
    """Each chunk as the first of a connection, without a tag and with the T bit: these have a valid tag."""
    s.box, s.rules = TIMEOUTS, STATEFUL
    for number, name in enumerate(CHUNKS):
        Association(s, sport=40000 + number).send(name, tag=0)
        Association(s, sport=40100 + number).send(name, flags=1)


@scenario
def wrong_tags_of_answers(s: Scenario) -> None:
    """An INIT ACK, a COOKIE ECHO and a COOKIE ACK with tags that do not fit."""
    s.box, s.rules = TIMEOUTS, STATEFUL
    for number, tag in enumerate((0, 0xBAD, SERVER_TAG)):
        one = Association(s, sport=40000 + number)
        one.send("init")
        one.send("<init-ack", tag=tag)
        two = Association(s, sport=40010 + number)
        two.steps("init <init-ack")
        two.send("cookie-echo", tag=0xBAD if tag == SERVER_TAG else tag)
        three = Association(s, sport=40020 + number)
        three.steps("init <init-ack cookie-echo")
        three.send("<cookie-ack", tag=tag)


@scenario
def collisions(s: Scenario) -> None:
    """Both sides send an INIT, and answer with tags that fit and that do not."""
    s.box, s.rules = TIMEOUTS, STATEFUL
    for number, initiate in enumerate((SERVER_TAG, 0xBAD)):
        one = Association(s, sport=40000 + number)
        one.steps("init <init")
        one.send("<init-ack", initiate=initiate)
        one.send("init-ack")
        one.steps("cookie-echo <cookie-ack data")
        two = Association(s, sport=40010 + number)
        two.steps("init <init-ack")
        two.send("<init-ack", initiate=initiate)
        two.steps("cookie-echo <cookie-ack")
        two.send("<init", initiate=initiate)
        two.send("init-ack", tag=initiate)
        two.send("init", initiate=0xC0DE)
        two.send("<init-ack", tag=0xC0DE, initiate=initiate)


@scenario
def bundles(s: Scenario) -> None:
    """Chunks that may be together in a packet, and chunks that may not."""
    s.box, s.rules = TIMEOUTS, STATEFUL
    together = (
        "data+data",
        "sack+data",
        "cookie-echo+data",
        "data+cookie-echo",
        "data+cookie-ack",
        "data+init",
        "data+shutdown-complete",
        "shutdown-ack+shutdown-complete",
        "shutdown+abort",
        "sack+shutdown",
        "heartbeat+data",
        "heartbeat-ack+heartbeat",
        "error+abort",
    )
    for number, names in enumerate(together):
        one = Association(s, sport=40000 + number)
        one.steps(WAYS["established"])
        one.send(names)
    Association(s, sport=40100).send("init+init")
    Association(s, sport=40101).send("init+data")
    Association(s, sport=40102).send("heartbeat+heartbeat")
    Association(s, sport=40103).send("heartbeat+data")
    Association(s, sport=40104).send("shutdown-ack+error")


@scenario
def malformed(s: Scenario) -> None:
    """Packets that break off, chunks of length 0, a wrong checksum, chunks that nobody knows."""
    s.box, s.rules = TIMEOUTS, STATEFUL
    one = Association(s)
    one.steps(WAYS["established"])
    whole = bytes(one.packet(False, chunk("data"), SERVER_TAG))
    for kept in (24, 28, 31, 32, 34, 35, 36, 40):
        cut = IP(whole[:kept])
        del cut.len, cut.chksum
        s.lan(cut)
    one.raw(b"")
    one.raw(chunk("data") + b"\7\0")
    one.raw(chunk("data") + b"\7\0\0\0")
    one.raw(chunk("data") + b"\7\0\0\1")
    one.raw(chunk("data") + b"\7\0\xff\xff")
    one.raw(b"\xc8\0\0\4")
    one.raw(chunk("init", b"\0\0\0\7 short"), 0)
    s.lan(whole[:-1] + b"!")
    Association(s, sport=40001).raw(chunk("init", b"\0\0\0\7 short"), 0)
    Association(s, sport=40002).raw(b"\xc8\0\0\4", 0)
    Association(s, sport=40003).raw(b"", 0)
    Association(s, sport=40004).send("init", tag=7)


@scenario
def checksum_off(s: Scenario) -> None:
    """Without nf_conntrack_checksum a wrong checksum does not matter."""
    s.box, s.rules = router(net__netfilter__nf_conntrack_checksum=0), STATEFUL
    s.lan(bytes(Association(s).packet(False, chunk("init", tag=CLIENT_TAG), 0))[:-1] + b"!")


@scenario
def other_path(s: Scenario) -> None:
    """HEARTBEATs over a path whose beginning the box has not seen, and what follows."""
    s.box, s.rules = TIMEOUTS, STATEFUL
    one = Association(s)
    one.steps("heartbeat <heartbeat-ack data <sack <heartbeat heartbeat-ack shutdown <shutdown-ack")
    two = Association(s, sport=40001)
    two.send("heartbeat")
    two.send("<heartbeat-ack+data")
    two.send("<data", tag=0xBAD)
    three = Association(s, sport=40002)
    three.steps("heartbeat init <init-ack cookie-echo <cookie-ack")


@scenario
def path_taken_over(s: Scenario) -> None:
    """HEARTBEATs with other tags: an association was made anew on another path."""
    s.box, s.rules = TIMEOUTS, STATEFUL
    for number, way in enumerate(("heartbeat <heartbeat-ack", WAYS["established"])):
        one = Association(s, sport=40000 + number)
        one.steps(way)
        one.send("heartbeat", tag=0xA)
        one.send("<heartbeat-ack", tag=0xB)
        one.send("<data", tag=0xB)
        one.send("data", tag=0xA)
        one.send("heartbeat", tag=0xA)
        one.send("data", tag=0xA)
        two = Association(s, sport=40010 + number)
        two.steps(way)
        two.send("heartbeat", tag=0xA)
        two.send("heartbeat-ack", tag=0xB)
        two.send("heartbeat")
        two.send("<heartbeat-ack", tag=0xB)
        three = Association(s, sport=40020 + number)
        three.steps(way)
        three.send("heartbeat+data", tag=0xA)
        three.send("heartbeat+heartbeat", tag=0xA)
        three.send("heartbeat+shutdown", tag=0xA)
        three.send("heartbeat-ack+data", tag=0xA)
        three.send("<heartbeat-ack+data", tag=0xB)
        three.send("<heartbeat-ack", tag=0xB)


@scenario
def masquerade(s: Scenario) -> None:
    """An association behind a masquerading box; the checksum is made anew."""
    s.rules = nat('oifname "wan0" masquerade')
    one = Association(s, seen_src=WAN)
    one.steps(WAYS["established"])
    one.steps("data <sack <data sack")


@scenario
def masquerade_to_ports(s: Scenario) -> None:
    """Two clients use the same port: the second gets the other one of two."""
    two_clients(s)
    s.rules = nat('oifname "wan0" meta l4proto sctp masquerade to :6000-6001')
    for number, src in enumerate((CLIENT, "10.0.1.50")):
        one = Association(s, sport=6000, src=src, seen_src=WAN, seen_sport=6000 + number)
        one.steps("init <init-ack")


@scenario
def destination(s: Scenario) -> None:
    """A port of the box leads to a server, over IPv4 and IPv6."""
    s.rules = nat(
        pre=f"ip daddr {LAN} sctp dport 99 dnat ip to {SERVER}:9\n"
        f"ip6 daddr 2001:db8:2::98 sctp dport 99 dnat ip6 to [{SERVER6}]:9"
    )
    for src, dst, server in ((CLIENT, LAN, SERVER), (CLIENT6, "2001:db8:2::98", SERVER6)):
        one = Association(s, dport=99, src=src, dst=dst, seen_dst=server, seen_dport=9)
        one.steps(WAYS["established"])
        one.steps("data <sack")


@scenario
def errors_through_translation(s: Scenario) -> None:
    """ICMP errors that quote all of a translated packet, its header, and eight bytes."""
    s.rules = nat('oifname "wan0" meta l4proto sctp masquerade to :6000') + STATEFUL
    one = Association(s, seen_src=WAN, seen_sport=6000)
    one.send("init")
    sent = bytes(Association(s, src=WAN, sport=6000).packet(False, chunk("init", tag=CLIENT_TAG), 0))
    for quoted in (len(sent), 32, 31, 28):
        s.wan(IP(src=SERVER, dst=WAN, id=0x4242) / ICMP(type=3, code=10) / sent[:quoted])


@scenario
def rules(s: Scenario) -> None:
    """Ports, tags and chunks as rules see them; a rule writes a port."""
    s.rules = """
table inet t {
    chain forward {
        type filter hook forward priority filter; policy accept;
        ct protocol sctp counter
        sctp dport 9 counter
        sctp vtag 0 counter
        sctp chunk init exists counter
        sctp chunk data exists counter
        sctp chunk init init-tag 0xc11e217 counter
        th sport 40000 counter
        ct state established counter
    }
    chain out {
        type filter hook postrouting priority filter; policy accept;
        sctp sport 40001 sctp sport set 40002
    }
}
"""
    one = Association(s)
    one.steps(WAYS["established"])
    one.send("data")
    Association(s, sport=40001).send("init")
