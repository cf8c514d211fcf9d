"""What Linux draws at random is taken out, and nothing else."""

from __future__ import annotations

import pytest
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import ICMPv6MLReport2, IPv6, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop
from scapy.layers.l2 import Dot1Q, Ether
from scapy.layers.ppp import PPP, PPPoE

from flowtable.cli.chance import Chance, is_listener_report

HEAD = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
BELOW = {
    "ethernet": HEAD,
    "vlan": HEAD / Dot1Q(vlan=7),
    "session": HEAD / PPPoE(sessionid=17) / PPP(proto=0x21),
    "tunnel": HEAD / IP(id=1),
}


@pytest.mark.parametrize("below", BELOW)
def test_an_identification_that_never_came_in_is_chance(below):
    chance = Chance()
    chance.saw(bytes(BELOW[below] / IP(id=5) / UDP()))
    kept = bytes(BELOW[below] / IP(id=5) / UDP())
    assert chance.without(kept) == kept
    drawn = bytes(BELOW[below] / IP(id=0xBEEF) / UDP())
    assert chance.without(drawn) == bytes(BELOW[below] / IP(id=0) / UDP())


def test_the_clock_in_own_timestamp_replies_is_chance():
    def reply(ident: int, clock: int) -> bytes:
        message = ICMP(type=14, id=5, seq=6, ts_ori=1234, ts_rx=clock, ts_tx=clock)
        return bytes(HEAD / IP(id=ident) / message)

    chance = Chance()
    chance.saw(bytes(HEAD / IP(id=7)))
    assert chance.without(reply(1, 5000)) == reply(0, 0)
    assert chance.without(reply(7, 5000)) == reply(7, 5000)


def test_labels_and_fragment_identifications_are_chance():
    chance = Chance()
    chance.saw(bytes(HEAD / IPv6(fl=7) / IPv6ExtHdrFragment(nh=17, id=9) / UDP()))
    for label, ident in ((7, 9), (0, 9)):
        frame = bytes(HEAD / IPv6(fl=label) / IPv6ExtHdrFragment(nh=17, id=ident) / UDP())
        assert chance.without(frame) == frame
    drawn = bytes(HEAD / IPv6(fl=8, tc=3) / IPv6ExtHdrFragment(nh=17, id=10) / UDP())
    assert chance.without(drawn) == bytes(HEAD / IPv6(tc=3) / IPv6ExtHdrFragment(nh=17, id=0) / UDP())


@pytest.mark.parametrize("end", range(64))
def test_frames_that_are_cut_short_stay_as_they_are(end):
    frame = bytes(HEAD / Dot1Q(vlan=7) / IPv6() / UDP())[:end]
    chance = Chance()
    chance.saw(frame)
    assert chance.without(frame) == frame


def test_listener_reports():
    assert is_listener_report(bytes(HEAD / IPv6() / IPv6ExtHdrHopByHop(nh=58) / ICMPv6MLReport2()))
    assert not is_listener_report(bytes(HEAD / IPv6() / UDP()))
