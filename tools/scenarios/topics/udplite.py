"""UDP-Lite: connections, coverage of the checksum, translation.

Connection tracking checks the checksum of UDP-Lite as if it were UDP's, so it has to be told not to
check any, or all is invalid.
"""

from __future__ import annotations

import struct
from functools import partial

from scapy.layers.inet import ICMP, IP, in4_chksum
from scapy.layers.inet6 import IPv6, in6_chksum
from scapy.packet import Packet

from scenarios.author import (
    CLIENT,
    CLIENT6,
    SERVER,
    SERVER6,
    WAN,
    WAN6,
    Scenario,
    flowtable,
    router,
    scenario,
)
from scenarios.topics.conntrack import STATEFUL
from scenarios.topics.nat import nat

_UDP, _UDPLITE = 17, 136
UNCHECKED = router(net__netfilter__nf_conntrack_checksum=0)


def datagram(
    src: str,
    dst: str,
    sport: int = 5000,
    dport: int = 53,
    *,
    data: bytes = b"question",
    coverage: int = 0,
    check: int | None = None,
    summed_as: int = _UDPLITE,
) -> Packet:
    """A datagram.

    Args:
        src: source address.
        dst: destination address.
        sport: source port.
        dport: destination port.
        data: what is in it.
        coverage: how much its checksum covers, 0 for all.
        check: its checksum; None for the right one.
        summed_as: the protocol in the pseudo header.
    """
    blank = struct.pack(">HHHH", sport, dport, coverage, 0) + data
    network = (IPv6 if ":" in src else partial(IP, id=0x4242))(src=src, dst=dst)
    if check is None:
        # The pseudo header has the whole length, whatever is covered (RFC 3828 section 3.1).
        covered = blank[: coverage or len(blank)]
        rest = len(blank) - len(covered)
        if ":" in src:
            network.plen = len(blank)
            check = in6_chksum(summed_as, network, covered + bytes(rest))
        else:
            network.len = 20 + len(blank)
            check = in4_chksum(summed_as, network, covered + bytes(rest))
        check = check or 0xFFFF
    segment = struct.pack(">HHHH", sport, dport, coverage, check) + data
    if ":" in src:
        network.nh = _UDPLITE
    else:
        network.proto = _UDPLITE
    return network / segment


@scenario
def conversation(s: Scenario) -> None:
    """Datagrams each way, over IPv4 and IPv6: a stream from the second answer on."""
    s.box = router(net__netfilter__nf_conntrack_checksum=0, net__netfilter__nf_conntrack_acct=1)
    s.rules = STATEFUL
    for src, dst in ((CLIENT, SERVER), (CLIENT6, SERVER6)):
        for sport, answers in ((5000, 0), (5001, 1), (5002, 3)):
            s.lan(datagram(src, dst, sport))
            for _ in range(answers):
                s.wan(datagram(dst, src, 53, sport))


def _each_coverage(s: Scenario) -> None:
    s.rules = STATEFUL
    for summed_as, first in ((_UDPLITE, 5000), (_UDP, 5100)):
        for src, dst in ((CLIENT, SERVER), (CLIENT6, SERVER6)):
            for sport, covered in enumerate((0, 7, 8, 9, 12, 16, 17), start=first):
                s.lan(datagram(src, dst, sport, coverage=covered, summed_as=summed_as))
            s.lan(datagram(src, dst, first + 10, check=0))
            s.lan(datagram(src, dst, first + 11, check=0x1234))
            for sport, covered in ((first + 12, 8), (first + 13, 16)):
                whole = bytes(datagram(src, dst, sport, coverage=covered, summed_as=summed_as))
                s.lan(whole[:-1] + b"!")


@scenario
def coverage(s: Scenario) -> None:
    """Checksums that cover all, the header, some of the data, less than the header, more than there is."""
    _each_coverage(s)


@scenario
def coverage_unchecked(s: Scenario) -> None:
    """The same where connection tracking checks no checksums: only lengths count."""
    s.box = UNCHECKED
    _each_coverage(s)


@scenario
def translation(s: Scenario) -> None:
    """Masquerading; a port that is taken; an ICMP error."""
    s.box = UNCHECKED
    s.rules = nat('oifname "wan0" meta l4proto udplite masquerade to :6000') + STATEFUL
    for src, dst, own in ((CLIENT, SERVER, WAN), (CLIENT6, SERVER6, WAN6)):
        s.lan(datagram(src, dst, coverage=8))
        s.wan(datagram(dst, own, 53, 6000))
    s.lan(datagram(CLIENT, SERVER, 5001))
    quoted = bytes(datagram(WAN, SERVER, 6000))
    for kept in (len(quoted), 28):
        s.wan(IP(src=SERVER, dst=WAN, id=0x4242) / ICMP(type=3, code=3) / quoted[:kept])


@scenario
def flow(s: Scenario) -> None:
    """A flowtable does not take UDP-Lite."""
    s.box = UNCHECKED
    s.rules = flowtable()
    for _ in range(3):
        s.lan(datagram(CLIENT, SERVER))
        s.wan(datagram(SERVER, CLIENT, 53, 5000))
