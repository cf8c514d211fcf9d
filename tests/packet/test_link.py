"""Ethernet, VLAN tags, PPPoE and ARP, as scapy builds and reads them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import ARP, Dot1AD, Dot1Q, Ether
from scapy.layers.ppp import PPP, PPPoE

from flowtable.packet import arp, ethernet, pppoe, vlan
from flowtable.packet.arp import Arp
from flowtable.packet.ethernet import Ethernet
from flowtable.packet.malformed import Malformed
from flowtable.packet.pppoe import Pppoe
from flowtable.packet.vlan import Vlan
from tests.packet import frames
from tests.packet.frames import MAC_A, MAC_B

macs = st.binary(min_size=6, max_size=6)
u16 = st.integers(0, 0xFFFF)


def test_ethernet_view():
    frame = bytes(frames.ethernet(type=0x1234) / b"payload")
    header = Ethernet(frame).check()
    assert (header.source, header.destination, header.ethertype) == (MAC_A, MAC_B, 0x1234)
    assert (header.payload_offset, header.payload) == (14, b"payload")


@given(macs, macs, u16, st.binary(max_size=20))
def test_ethernet_build(source, destination, ethertype, payload):
    frame = ethernet.build(destination, source, ethertype, payload)
    assert frame == bytes(Ether(src=source.hex(":"), dst=destination.hex(":"), type=ethertype) / payload)
    header = Ethernet(b"xx" + frame, 2).check()
    assert (header.source, header.destination, header.ethertype) == (source, destination, ethertype)
    assert header.payload == payload


@given(st.integers(0, 4095), st.integers(0, 7), st.booleans(), u16)
def test_vlan(vid, pcp, dei, ethertype):
    tag = vlan.build(vid, ethertype, pcp=pcp, dei=dei)
    assert tag == bytes(Dot1Q(vlan=vid, prio=pcp, id=int(dei), type=ethertype))
    view = Vlan(b"...." + tag, 4).check()
    assert (view.vid, view.pcp, view.dei, view.ethertype) == (vid, pcp, dei, ethertype)
    assert view.tci == pcp << 13 | dei << 12 | vid
    assert view.payload_offset == 8


def test_stacked_tags():
    frame = bytes(frames.ethernet() / Dot1AD(vlan=7) / Dot1Q(vlan=5) / IP() / UDP())
    outer = Vlan(frame, Ethernet(frame).payload_offset).check()
    inner = Vlan(frame, outer.payload_offset).check()
    assert Ethernet(frame).ethertype == 0x88A8
    assert (outer.vid, outer.ethertype, inner.vid, inner.ethertype) == (7, 0x8100, 5, 0x0800)


@given(u16, st.sampled_from([pppoe.PPP_IPV4, pppoe.PPP_IPV6]), st.binary(max_size=30))
def test_pppoe(session, protocol, payload):
    packet = pppoe.build(session, protocol, payload)
    assert packet == bytes(PPPoE(sessionid=session) / PPP(proto=protocol) / payload)
    view = Pppoe(packet + b"padding").check()
    assert (view.session, view.protocol, view.payload) == (session, protocol, payload)
    assert (view.length, view.payload_offset) == (len(payload) + 2, 8)


@pytest.mark.parametrize(
    ("packet", "reason", "offset"),
    [
        (bytes.fromhex("1100 0001 0002 00"), "needs 8 bytes, 7 are there", 0),
        (bytes.fromhex("2100 0001 0002 0021"), "version or type", 0),
        (bytes.fromhex("11a7 0001 0002 0021"), "code 167", 1),
        (bytes.fromhex("1100 0001 0001 0021"), "no PPP protocol", 4),
        (bytes.fromhex("1100 0001 0003 0021"), "needs 9 bytes, 8 are there", 0),
    ],
)
def test_malformed_pppoe(packet, reason, offset):
    with pytest.raises(Malformed, match=reason) as caught:
        Pppoe(packet).check()
    assert caught.value.offset == offset
    assert str(caught.value).endswith(f"(at byte {offset})")


@given(u16, macs, st.binary(min_size=4, max_size=4), macs, st.binary(min_size=4, max_size=4))
def test_arp(operation, sender_mac, sender, target_mac, target):
    message = arp.build(operation, sender_mac, sender, target_mac, target)
    theirs = ARP(message)
    assert (theirs.op, theirs.hwsrc, theirs.hwdst) == (operation, sender_mac.hex(":"), target_mac.hex(":"))
    assert bytes(map(int, theirs.psrc.split("."))) == sender
    assert bytes(map(int, theirs.pdst.split("."))) == target
    view = Arp(b"." + message + bytes(18), 1).check()
    assert (view.operation, view.sender_mac, view.target_mac) == (operation, sender_mac, target_mac)
    assert (view.sender, view.target) == (sender, target)


def test_arp_as_scapy_builds_it():
    who_has = bytes(ARP(op="who-has", hwsrc=MAC_A.hex(":"), psrc="10.0.0.1", pdst="10.0.0.2", hwdst=None))
    assert Arp(who_has).check().operation == arp.REQUEST
    is_at = bytes(ARP(op="is-at", hwsrc=MAC_A.hex(":"), psrc="10.0.0.1", pdst="10.0.0.2"))
    assert Arp(is_at).check().operation == arp.REPLY


def test_malformed_arp():
    message = arp.build(arp.REQUEST, MAC_A, bytes(4), bytes(6), bytes(4))
    with pytest.raises(Malformed, match="ARP message needs 28 bytes, 27 are there"):
        Arp(message[:27]).check()
    with pytest.raises(Malformed, match="not for IPv4 over Ethernet"):
        Arp(b"\0\6" + message[2:]).check()


def test_a_view_behind_the_end_of_the_buffer():
    with pytest.raises(Malformed, match="Ethernet header needs 14 bytes, 0 are there"):
        Ethernet(b"abc", 9).check()
    with pytest.raises(Malformed, match="VLAN tag needs 4 bytes, 2 are there"):
        Vlan(b"abcdef", 2, 4).check()
