"""Neighbour discovery messages and options."""

from __future__ import annotations

from ipaddress import IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet6 import (
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6ND_Redirect,
    ICMPv6ND_RS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptMTU,
    ICMPv6NDOptPrefixInfo,
    ICMPv6NDOptRedirectedHdr,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
)
from scapy.utils6 import in6_getnsma

from flowtable.packet import nd
from flowtable.packet.malformed import Malformed
from tests.packet.frames import MAC_A

V6 = bytes(15) + b"\2" + bytes(15) + b"\3"
addresses = st.binary(min_size=16, max_size=16)
u8, u16, u32 = st.integers(0, 255), st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF)
SOURCE = nd.lladdr_option(nd.SOURCE_LLADDR, MAC_A)
TARGET = nd.lladdr_option(nd.TARGET_LLADDR, MAC_A)


def theirs(*layers) -> bytes:
    stacked = IPv6(src="::2", dst="::3")
    for layer in layers:
        stacked = stacked / layer
    return bytes(stacked)[40:]


def text(address: bytes) -> str:
    return str(IPv6Address(address))


def test_router_solicitation():
    message = nd.build_router_solicitation(SOURCE, addresses=V6)
    assert message == theirs(ICMPv6ND_RS(), ICMPv6NDOptSrcLLAddr(lladdr=MAC_A.hex(":")))
    view = nd.RouterSolicitation(b"#" + message, 1).check()
    assert (view.source_lladdr, view.target_lladdr, view.mtu, view.prefixes) == (MAC_A, None, None, [])
    assert nd.RouterSolicitation(nd.build_router_solicitation(addresses=V6)).check().source_lladdr is None


@given(
    hop_limit=u8,
    managed=st.booleans(),
    other_config=st.booleans(),
    lifetime=u16,
    reachable_time=u32,
    retransmit_time=u32,
    mtu=u32,
    prefix=st.builds(nd.Prefix, addresses, st.integers(0, 128), st.booleans(), st.booleans(), u32, u32),
)
def test_router_advertisement(
    hop_limit, managed, other_config, lifetime, reachable_time, retransmit_time, mtu, prefix
):
    message = nd.build_router_advertisement(
        SOURCE,
        nd.mtu_option(mtu),
        nd.prefix_option(prefix),
        addresses=V6,
        hop_limit=hop_limit,
        managed=managed,
        other_config=other_config,
        lifetime=lifetime,
        reachable_time=reachable_time,
        retransmit_time=retransmit_time,
    )
    assert message == theirs(
        ICMPv6ND_RA(
            chlim=hop_limit,
            M=int(managed),
            O=int(other_config),
            prf=0,
            routerlifetime=lifetime,
            reachabletime=reachable_time,
            retranstimer=retransmit_time,
        ),
        ICMPv6NDOptSrcLLAddr(lladdr=MAC_A.hex(":")),
        ICMPv6NDOptMTU(mtu=mtu),
        ICMPv6NDOptPrefixInfo(
            prefix=text(prefix.prefix),
            prefixlen=prefix.prefixlen,
            L=int(prefix.on_link),
            A=int(prefix.autonomous),
            validlifetime=prefix.valid,
            preferredlifetime=prefix.preferred,
        ),
    )
    view = nd.RouterAdvertisement(message).check()
    assert (view.hop_limit, view.managed, view.other_config) == (hop_limit, managed, other_config)
    assert (view.lifetime, view.reachable_time, view.retransmit_time) == (
        lifetime,
        reachable_time,
        retransmit_time,
    )
    assert (view.source_lladdr, view.mtu, view.prefixes) == (MAC_A, mtu, [prefix])


@given(addresses)
def test_neighbour_solicitation(target):
    message = nd.build_neighbour_solicitation(target, SOURCE, addresses=V6)
    assert message == theirs(ICMPv6ND_NS(tgt=text(target)), ICMPv6NDOptSrcLLAddr(lladdr=MAC_A.hex(":")))
    view = nd.NeighbourSolicitation(message).check()
    assert (view.target, view.source_lladdr) == (target, MAC_A)


@given(addresses, st.booleans(), st.booleans(), st.booleans())
def test_neighbour_advertisement(target, router, solicited, override):
    flags = router * nd.ROUTER | solicited * nd.SOLICITED | override * nd.OVERRIDE
    message = nd.build_neighbour_advertisement(target, TARGET, addresses=V6, flags=flags)
    assert message == theirs(
        ICMPv6ND_NA(tgt=text(target), R=int(router), S=int(solicited), O=int(override)),
        ICMPv6NDOptDstLLAddr(lladdr=MAC_A.hex(":")),
    )
    view = nd.NeighbourAdvertisement(message).check()
    assert (view.target, view.target_lladdr, view.source_lladdr) == (target, MAC_A, None)
    assert (view.router, view.solicited, view.override) == (router, solicited, override)


@given(addresses, addresses, st.integers(0, 100), st.integers(16, 80))
def test_redirect(target, destination, length, room):
    original = bytes(range(length))
    quote = nd.redirected_option(original, room)
    assert len(quote) % 8 == 0
    assert len(quote) <= room
    message = nd.build_redirect(target, destination, TARGET, quote, addresses=V6)
    assert message == theirs(
        ICMPv6ND_Redirect(tgt=text(target), dst=text(destination)),
        ICMPv6NDOptDstLLAddr(lladdr=MAC_A.hex(":")),
        ICMPv6NDOptRedirectedHdr(pkt=original[: len(quote) - 8]),
    )
    view = nd.Redirect(message).check()
    assert (view.target, view.destination, view.target_lladdr) == (target, destination, MAC_A)
    assert (view.redirected or b"") == original[: len(quote) - 8]
    assert nd.Redirect(nd.build_redirect(target, destination, addresses=V6)).check().redirected is None


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (nd.build_router_solicitation(addresses=V6), "type 133 is not a neighbour solicitation"),
        (nd.build_neighbour_solicitation(bytes(16), addresses=V6)[:23], "needs 24 bytes, 23 are there"),
        (b"\x87\1" + bytes(22), "with code 1"),
        (b"\x87\0" + bytes(22) + b"\1\0", "option of a wrong length"),
        (b"\x87\0" + bytes(22) + b"\1\2" + bytes(6), "option of a wrong length"),
        (b"\x87\0" + bytes(22) + b"\1", "option of a wrong length"),
    ],
)
def test_malformed(message, reason):
    if len(message) == 8:
        message += bytes(16)
    with pytest.raises(Malformed, match=reason):
        nd.NeighbourSolicitation(message).check()


def test_lladdr_of_another_length_is_not_a_mac():
    option = bytes([nd.SOURCE_LLADDR, 2]) + bytes(14)
    message = nd.build_neighbour_solicitation(bytes(16), option, addresses=V6)
    assert nd.NeighbourSolicitation(message).check().source_lladdr is None


@given(addresses)
def test_solicited_node(address):
    assert nd.solicited_node(address) == in6_getnsma(address)
