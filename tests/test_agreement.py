"""The fast path and the classic path put the same bytes on the same devices.

Every generated conversation runs through two boxes with the same rules, one of them without
its flowtable. What leaves them must be the same, frame by frame, whatever happens on the way:
translation, fragments, expiring TTLs, oversized packets, closing and reused connections, idle
times. The default profile promises that without exception.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP, IPOption_NOP, fragment
from scapy.layers.inet6 import IPv6

from tests.lab import BOX, CLIENT, CLIENT6, SERVER, SERVER6, Lab

RULES = """
table inet gw {
    flowtable f {
        hook ingress priority filter; devices = { lan0, wan0 }; counter
    }
    chain forward {
        type filter hook forward priority filter; policy drop;
        meta l4proto { tcp, udp } flow add @f
        ct state established,related accept
        iifname "lan0" accept
        ct status dnat accept
    }
}
table ip nat {
    chain prerouting {
        type nat hook prerouting priority dstnat; policy accept;
        iifname "wan0" tcp dport 8443 dnat to 10.0.1.99:443
    }
    chain postrouting {
        type nat hook postrouting priority srcnat; policy accept;
        oifname "wan0" masquerade
    }
}
"""
CLASSIC = RULES.replace("meta l4proto { tcp, udp } flow add @f\n", "")
# Conntrack does not see the data that the bypass forwards, so it does not wait for its acknowledgement
# with this shorter timeout.
PATIENT = BOX + "  net.netfilter.nf_conntrack_tcp_timeout_unacknowledged: 432000\n"
BOXES = {
    "plain": PATIENT,
    "narrow wan": PATIENT.replace("name: wan0,", "name: wan0, mtu: 1400,"),
    "accounting": PATIENT + "  net.netfilter.nf_conntrack_acct: 1\n",
}

KINDS = (
    "data",
    "data",
    "data",
    "data",
    "close",
    "reset",
    "large",
    "expiring",
    "last hop",
    "fragments",
    "options",
)


@dataclass
class Conversation:
    """One flow of the client, kept so that conntrack takes every packet for valid."""

    family: int
    tcp: bool
    sport: int
    seq: list[int] = field(default_factory=lambda: [1000, 9000])
    stage: int = 0

    def packet(self, reply: bool, kind: str, size: int, public: bytes | None):
        """The next packet in a direction; None where the conversation has none to send."""
        flags = ""
        if self.tcp:
            if self.stage == 0:
                reply, flags, kind, size = False, "S", "data", 0
            elif self.stage == 1:
                reply, flags, kind, size = True, "SA", "data", 0
            elif self.stage == 2:
                reply, flags, kind, size = False, "A", "data", 0
            else:
                flags = {"close": "FA", "reset": "RA"}.get(kind, "PA")
        elif kind in ("close", "reset"):
            kind = "data"
        header = self._network(reply)
        transport = self._transport(reply, flags, size)
        if self.tcp:
            self._advance(reply, flags, size)
        if kind == "large":
            return [header / transport / (b"L" * 1380)] if not self.tcp else [header / transport]
        return self._variants(header, transport, kind, size)

    def _network(self, reply: bool):
        if self.family == 4:
            return IP(src=SERVER, dst="10.0.2.1") if reply else IP(src=CLIENT, dst=SERVER)
        return IPv6(src=SERVER6, dst=CLIENT6) if reply else IPv6(src=CLIENT6, dst=SERVER6)

    def _transport(self, reply: bool, flags: str, size: int):
        sport, dport = (7, self.sport) if reply else (self.sport, 7)
        payload = b"x" * size
        if not self.tcp:
            return UDP(sport=sport, dport=dport) / payload
        mine, other = (1, 0) if reply else (0, 1)
        ack = self.seq[other] if "A" in flags else 0
        return TCP(sport=sport, dport=dport, flags=flags, seq=self.seq[mine], ack=ack, window=60000) / payload

    def _advance(self, reply: bool, flags: str, size: int) -> None:
        mine = 1 if reply else 0
        self.seq[mine] += size + ("S" in flags) + ("F" in flags)
        if self.stage < 3:
            self.stage += 1
        elif "R" in flags or "F" in flags:
            self.stage = 0
            self.seq = [self.seq[0] + 100000, self.seq[1] + 200000]
            self.sport += 100

    def _variants(self, header, transport, kind: str, size: int):
        if kind == "expiring":
            header.ttl = 1
        elif kind == "last hop":
            header.ttl = 2
        elif kind == "options" and self.family == 4:
            header.options = [IPOption_NOP()] * 4
        elif kind == "fragments" and self.family == 4 and size >= 64:
            return fragment(header / transport, fragsize=40)
        return [header / transport]


actions = st.tuples(
    st.integers(0, 3),
    st.booleans(),
    st.sampled_from(KINDS),
    st.integers(0, 200),
    st.sampled_from((0.0, 0.01, 0.01, 0.01, 1.2, 20.0, 31.0, 61.0, 121.0)),
)


@settings(max_examples=120, deadline=None)
@given(st.sampled_from(sorted(BOXES)), st.lists(actions, min_size=1, max_size=40))
def test_the_bypass_changes_nothing_but_the_way(box, script):
    fast = Lab(RULES, box_file=BOXES[box])
    slow = Lab(CLASSIC, box_file=BOXES[box])
    conversations = [
        Conversation(4, True, 40000),
        Conversation(4, False, 5000),
        Conversation(6, True, 40001),
        Conversation(6, False, 5001),
    ]
    for index, reply, kind, size, pause in script:
        for lab in (fast, slow):
            lab.wait(pause)
        for packet in conversations[index].packet(reply, kind, size, None):
            from_server = packet.src in (SERVER, SERVER6)
            sent = [(lab.server if from_server else lab.client)(packet) for lab in (fast, slow)]
            assert [(s.device, s.frame) for s in sent[0]] == [(s.device, s.frame) for s in sent[1]]
    assert states(fast) == states(slow)


def states(lab: Lab) -> list[str]:
    """The connections without what offloading may change: the status word, timeouts, use count."""
    told = ("src", "dst", "sport", "dport")
    return sorted(" ".join(w for w in line.split() if w.startswith(told)) for line in lab.connections())


@pytest.mark.parametrize("profile", ["linux-6.12", "linux-6.18", "linux-5.13"])
def test_kernels_agree_while_a_connection_lives(profile):
    fast, slow = Lab(RULES, profile=profile), Lab(CLASSIC, profile=profile)
    conversations = [Conversation(4, True, 40000), Conversation(4, False, 5000), Conversation(6, True, 40001)]
    for turn in range(60):
        conversation = conversations[turn % 3]
        for packet in conversation.packet(turn % 5 == 0, "data", turn, None):
            from_server = packet.src in (SERVER, SERVER6)
            sent = [(lab.server if from_server else lab.client)(packet) for lab in (fast, slow)]
            assert [(s.device, s.frame) for s in sent[0]] == [(s.device, s.frame) for s in sent[1]]
    assert fast.statistics.bypass > 40
