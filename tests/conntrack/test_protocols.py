"""UDP, ICMP, ICMPv6, GRE and everything else."""

from __future__ import annotations

import struct

import pytest

from flowtable.clock import MILLISECOND, SECOND
from flowtable.conntrack.connection import Status
from flowtable.packet.packet import CtInfo
from flowtable.ruleset.hook import Hook
from tests.conntrack.wire import (
    CLIENT,
    CLIENT6,
    SERVER,
    SERVER6,
    Lab,
    gre,
    icmp,
    icmp6,
    ip,
    packet,
    state,
    tcp,
    udp,
    unreachable,
)

UDP = 17


@pytest.fixture
def lab() -> Lab:
    return Lab(translating=False)


def assured(lab: Lab) -> bool:
    return lab.only().status & Status.ASSURED != 0


class TestUdp:
    def test_unreplied(self, lab):
        assert state(lab.forward(udp(CLIENT, SERVER))) == "new"
        lab.now += 20 * SECOND
        assert state(lab.forward(udp(CLIENT, SERVER))) == "new"
        assert lab.left() == 30
        assert not lab.only().status & Status.SEEN_REPLY

    def test_becomes_a_stream_after_two_seconds(self, lab):
        lab.forward(udp(CLIENT, SERVER))
        assert state(lab.forward(udp(SERVER, CLIENT, 53, 5000), back=True)) == "established"
        assert (lab.left(), assured(lab)) == (30, False)
        lab.now += 2 * SECOND
        assert state(lab.forward(udp(CLIENT, SERVER))) == "established"
        assert (lab.left(), assured(lab)) == (30, False)
        lab.now += MILLISECOND
        lab.forward(udp(CLIENT, SERVER))
        assert (lab.left(), assured(lab)) == (120, True)

    def test_first_answer_does_not_make_a_stream(self, lab):
        lab.forward(udp(CLIENT, SERVER))
        lab.now += 10 * SECOND
        lab.forward(udp(SERVER, CLIENT, 53, 5000), back=True)
        assert (lab.left(), assured(lab)) == (30, False)

    def test_loser_of_a_clash_is_never_assured(self, lab):
        lab.forward(udp(CLIENT, SERVER))
        lab.only().status |= Status.NAT_CLASH | Status.SEEN_REPLY
        lab.now += 5 * SECOND
        lab.forward(udp(CLIENT, SERVER))
        assert not assured(lab)

    @pytest.mark.parametrize("length", [0, 7, 14, 0xFFFF])
    def test_wrong_length(self, lab, length):
        raw = udp(CLIENT, SERVER, data=b"hello")
        raw = raw[:24] + length.to_bytes(2) + b"\0\0" + raw[28:]
        assert state(lab.forward(raw)) == "invalid"

    def test_length_below_what_is_there(self, lab):
        raw = udp(CLIENT, SERVER, data=b"hello")
        assert state(lab.forward(raw[:24] + b"\0\x0a\0\0" + raw[28:])) == "new"

    def test_cut_off(self, lab):
        assert state(lab.forward(udp(CLIENT, SERVER)[:27])) == "invalid"

    @pytest.mark.parametrize(("src", "dst"), [(CLIENT, SERVER), (CLIENT6, SERVER6)])
    def test_checksum(self, lab, src, dst):
        raw = bytearray(udp(src, dst))
        at = len(raw) - len(b"hello") - 2
        raw[at] ^= 0xFF
        assert state(lab.forward(bytes(raw))) == "invalid"
        raw[at : at + 2] = b"\0\0"
        assert state(lab.forward(bytes(raw))) == "new"

    def test_sysctls(self):
        lab = Lab(translating=False)
        lab.topology.sysctls.nf_conntrack_udp_timeout = 3
        lab.topology.sysctls.nf_conntrack_udp_timeout_stream = 7
        lab.follow_sysctls()
        lab.forward(udp(CLIENT, SERVER))
        assert lab.left() == 3
        lab.forward(udp(SERVER, CLIENT, 53, 5000), back=True)
        lab.now += 5 * SECOND // 2
        lab.forward(udp(CLIENT, SERVER))
        assert lab.left() == 7


class TestIcmp:
    def test_query_and_answer(self, lab):
        assert state(lab.forward(icmp(CLIENT, SERVER))) == "new"
        assert state(lab.forward(icmp(SERVER, CLIENT, 0), back=True)) == "established"
        assert lab.left() == 30
        assert state(lab.forward(icmp(CLIENT, SERVER, ident=8))) == "new"
        assert len(lab.conntrack) == 2

    @pytest.mark.parametrize(
        ("kind", "expected"),
        [(8, "new"), (13, "new"), (15, "new"), (17, "new")]
        + [(kind, "invalid") for kind in (0, 14, 16, 18, 1, 2, 6, 7, 9, 10, 19, 40, 255)],
    )
    def test_what_may_begin(self, lab, kind, expected):
        assert state(lab.forward(icmp(CLIENT, SERVER, kind))) == expected
        assert len(lab.conntrack) == (expected == "new")

    def test_cut_off(self, lab):
        assert state(lab.forward(icmp(CLIENT, SERVER)[:27])) == "invalid"

    @pytest.mark.parametrize(("checksum", "expected"), [(1, "invalid"), (0, "new")])
    def test_checksum(self, checksum, expected):
        lab = Lab(translating=False)
        lab.topology.sysctls.nf_conntrack_checksum = checksum
        lab.follow_sysctls()
        raw = bytearray(icmp(CLIENT, SERVER))
        raw[-1] ^= 1
        assert state(lab.forward(bytes(raw))) == expected

    def test_of_the_other_family(self, lab):
        assert state(lab.forward(ip(CLIENT6, SERVER6, 1, b"\x08\0\0\0\0\1\0\1"))) == "invalid"
        assert state(lab.forward(ip(CLIENT, SERVER, 58, b"\x80\0\0\0\0\1\0\1"))) == "invalid"


V4 = (CLIENT, SERVER, "10.0.2.77", 3)
V6 = (CLIENT6, SERVER6, "fd02::77", 1)


@pytest.mark.parametrize(("client", "server", "router", "kind"), [V4, V6], ids=["v4", "v6"])
class TestErrors:
    def test_about_the_original_direction(self, lab, client, server, router, kind):
        sent = udp(client, server)
        lab.forward(sent)
        p = lab.forward(unreachable(router, client, sent, kind=kind), back=True)
        assert p is not None and p.ct is lab.only()
        assert p.ctinfo == CtInfo.RELATED_REPLY
        assert not lab.only().status & Status.SEEN_REPLY
        assert lab.left() == 30

    def test_about_the_reply_direction(self, lab, client, server, router, kind):
        lab.forward(udp(client, server))
        answer = udp(server, client, 53, 5000)
        lab.forward(answer, back=True)
        p = lab.forward(unreachable(client, server, answer, kind=kind))
        assert p is not None and p.ct is lab.only()
        assert p.ctinfo == CtInfo.RELATED

    @pytest.mark.parametrize("protocol", ["tcp", "echo", "gre", "other"])
    def test_about_other_protocols(self, lab, client, server, router, kind, protocol):
        sent = {
            "tcp": tcp(client, server, flags="S"),
            "echo": icmp6(client, server) if ":" in client else icmp(client, server),
            "gre": gre(client, server),
            "other": ip(client, server, 253, b"abcd"),
        }[protocol]
        assert state(lab.forward(sent)) == "new"
        assert state(lab.forward(unreachable(router, client, sent, kind=kind), back=True)) == "related"

    def test_about_nothing_known(self, lab, client, server, router, kind):
        assert (
            state(lab.forward(unreachable(router, client, udp(client, server), kind=kind), back=True))
            == "invalid"
        )

    def test_to_somebody_else(self, lab, client, server, router, kind):
        """Or anybody could have packets to others accepted as related."""
        sent = udp(client, server)
        lab.forward(sent)
        other = "fd01::98" if ":" in client else "10.0.1.98"
        assert state(lab.forward(unreachable(router, other, sent, kind=kind), back=True)) == "invalid"

    def test_quoting_too_little(self, lab, client, server, router, kind):
        sent = udp(client, server)
        lab.forward(sent)
        header = 40 if ":" in client else 20
        assert (
            state(lab.forward(unreachable(router, client, sent[: header + 4], kind=kind), back=True))
            == "related"
        )
        for size in (header + 3, header, header - 1, 1, 0):
            p = lab.forward(unreachable(router, client, sent[:size], kind=kind), back=True)
            assert state(p) == "invalid"

    def test_quoting_an_error(self, lab, client, server, router, kind):
        inner = unreachable(client, server, udp(server, client), kind=kind)
        assert state(lab.forward(unreachable(router, client, inner, kind=kind), back=True)) == "invalid"


def test_error_quoting_a_later_fragment(lab):
    sent = bytearray(udp(CLIENT, SERVER))
    lab.forward(bytes(sent))
    sent[6:8] = b"\0\x01"
    assert state(lab.forward(unreachable("10.0.2.77", CLIENT, bytes(sent)), back=True)) == "invalid"


@pytest.mark.parametrize(
    ("first", "extension", "expected"),
    [
        (60, b"\x11\0\1\4\0\0\0\0", "related"),
        (44, b"\x11\0\0\0\0\0\0\7", "related"),
        (44, b"\x11\0\0\x08\0\0\0\7", "invalid"),
        (60, b"\x3b\0\1\4\0\0\0\0", "invalid"),
    ],
)
def test_icmpv6_error_quoting_extension_headers(lab, first, extension, expected):
    sent = udp(CLIENT6, SERVER6)
    lab.forward(sent)
    quoted = sent[:6] + bytes((first,)) + sent[7:40] + extension + sent[40:]
    assert state(lab.forward(unreachable("fd02::77", CLIENT6, quoted, kind=1), back=True)) == expected


@pytest.mark.parametrize("kind", [3, 4, 5, 11, 12])
def test_icmp_errors(lab, kind):
    sent = udp(CLIENT, SERVER)
    lab.forward(sent)
    assert state(lab.forward(unreachable("10.0.2.77", CLIENT, sent, kind=kind), back=True)) == "related"


@pytest.mark.parametrize("kind", [1, 2, 3, 4, 100, 127])
def test_icmpv6_errors(lab, kind):
    sent = udp(CLIENT6, SERVER6)
    lab.forward(sent)
    assert state(lab.forward(unreachable("fd02::77", CLIENT6, sent, kind=kind), back=True)) == "related"


class TestIcmpv6:
    def test_query_and_answer(self, lab):
        assert state(lab.forward(icmp6(CLIENT6, SERVER6))) == "new"
        assert state(lab.forward(icmp6(SERVER6, CLIENT6, 129), back=True)) == "established"
        assert lab.left() == 30

    @pytest.mark.parametrize("kind", [130, 131, 132, 133, 134, 135, 136, 143, 151, 152])
    def test_what_keeps_the_link_together_is_not_tracked(self, lab, kind):
        assert state(lab.forward(icmp6("fe80::1", "ff02::1", kind))) == "untracked"
        assert len(lab.conntrack) == 0

    @pytest.mark.parametrize(
        ("kind", "expected"),
        [(128, "new"), (139, "new"), (129, "invalid"), (140, "invalid"), (138, "invalid"), (255, "invalid")],
    )
    def test_what_may_begin(self, lab, kind, expected):
        assert state(lab.forward(icmp6(CLIENT6, SERVER6, kind))) == expected

    def test_cut_off(self, lab):
        assert state(lab.forward(icmp6(CLIENT6, SERVER6)[:47])) == "invalid"

    def test_checksum(self, lab):
        raw = bytearray(icmp6(CLIENT6, SERVER6))
        raw[-1] ^= 1
        assert state(lab.forward(bytes(raw))) == "invalid"


class TestRedirect:
    ROUTER = "fe80::1"

    def redirect(
        self, quoted: bytes, *, src: str = ROUTER, code: int = 0, hops: int = 255, option: bytes | None = None
    ):
        if option is None:
            option = struct.pack(">BB6x", 4, (8 + len(quoted) + 7) // 8) + quoted
        raw = bytearray(ip(src, CLIENT6, 58, struct.pack(">BBHI32x", 137, code, 0, 0) + option, ttl=hops))
        return packet(bytes(raw), SECOND)

    def classify(self, lab: Lab, p) -> str:
        lab.conntrack.incoming(p)
        return state(p)

    def test_about_a_connection(self, lab):
        sent = udp(CLIENT6, SERVER6)
        lab.forward(sent)
        assert self.classify(lab, self.redirect(sent)) == "related"

    def test_about_nothing_known(self, lab):
        assert self.classify(lab, self.redirect(udp(CLIENT6, SERVER6))) == "invalid"

    @pytest.mark.parametrize(
        "wrong", [{"hops": 254}, {"src": "fd01::1"}, {"option": b""}, {"option": b"\4\0"}]
    )
    def test_that_no_router_sends(self, lab, wrong):
        sent = udp(CLIENT6, SERVER6)
        lab.forward(sent)
        assert self.classify(lab, self.redirect(sent, **wrong)) == "invalid"

    @pytest.mark.parametrize("other", [{"code": 1}, {"option": b"\2\1" + bytes(6)}])
    def test_that_quotes_nothing_is_no_query_either(self, lab, other):
        assert self.classify(lab, self.redirect(b"", **other)) == "invalid"

    def test_cut_off(self, lab):
        p = self.redirect(udp(CLIENT6, SERVER6))
        raw = bytes(p.data)
        short = ip(self.ROUTER, CLIENT6, 58, raw[40:79], ttl=255)
        assert self.classify(lab, packet(short, SECOND)) == "invalid"


class TestGre:
    def test_plain(self, lab):
        assert state(lab.forward(gre(CLIENT, SERVER))) == "new"
        assert (lab.left(), assured(lab)) == (30, False)
        assert state(lab.forward(gre(SERVER, CLIENT), back=True)) == "established"
        assert (lab.left(), assured(lab)) == (30, False)
        assert state(lab.forward(gre(CLIENT, SERVER))) == "established"
        assert (lab.left(), assured(lab)) == (180, True)

    def test_keys_do_not_tell_connections_apart(self, lab):
        lab.forward(gre(CLIENT, SERVER, b"\x20\0\x08\0\0\0\0\1"))
        lab.forward(gre(CLIENT, SERVER, b"\x20\0\x08\0\0\0\0\2"))
        assert (lab.only().original.sport, lab.only().original.dport) == (0, 0)

    def test_pptp_goes_by_its_call(self, lab):
        lab.forward(gre(CLIENT, SERVER, bytes.fromhex("3001880b00040012")))
        lab.forward(gre(CLIENT, SERVER, bytes.fromhex("3001880b00040013")))
        assert [c.original.dport for c in lab.conntrack] == [0x12, 0x13]

    def test_version_1_without_ppp(self, lab):
        assert state(lab.forward(gre(CLIENT, SERVER, bytes.fromhex("3001080000040012")))) == "invalid"

    @pytest.mark.parametrize("header", [b"", b"\0", b"\x30\x01\x88"])
    def test_cut_off(self, lab, header):
        assert state(lab.forward(gre(CLIENT, SERVER, header, b""))) == "new"


def test_other_protocols_go_by_addresses(lab):
    assert state(lab.forward(ip(CLIENT, SERVER, 89, b""))) == "new"
    assert lab.left() == 600
    assert state(lab.forward(ip(SERVER, CLIENT, 89, b"x"), back=True)) == "established"
    assert state(lab.forward(ip(CLIENT, SERVER, 50, b"x"))) == "new"
    assert state(lab.forward(ip(CLIENT, SERVER, 255, b"x"))) == "new"


def test_ipv6_without_a_transport_header(lab):
    assert state(lab.forward(ip(CLIENT6, SERVER6, 59, b""))) == "invalid"
    p = packet(ip(CLIENT6, SERVER6, 60, b""), SECOND)
    p.l4proto = 255
    lab.conntrack.incoming(p)
    assert state(p) == "invalid"


def test_ipv6_behind_extension_headers(lab):
    plain = udp(CLIENT6, SERVER6)
    for raw in (plain, plain[:6] + b"\x3c" + plain[7:40] + b"\x11\0\1\4\0\0\0\0" + plain[40:]):
        p = packet(raw, SECOND)
        p.l4proto, p.thoff = 17, len(raw) - 13
        lab.conntrack.incoming(p)
        lab.conntrack.confirm(p)
        assert state(p) == "new"
    assert len(lab.conntrack) == 1


def test_ipv4_behind_options(lab):
    plain = udp(CLIENT, SERVER)
    assert state(lab.forward(plain)) == "new"
    assert state(lab.forward(ip(CLIENT, SERVER, UDP, plain[20:], options=b"\1\1\1\0"))) == "new"
    assert len(lab.conntrack) == 1


def test_fragments_are_not_tracked(lab):
    """They come here only where nothing has made them whole: sent by the box in pieces."""
    for raw in (udp(CLIENT, SERVER), ip(CLIENT, SERVER, 253, b"abcd")):
        p = packet(raw[:6] + b"\x20\x05" + raw[8:], SECOND)
        assert p.fragoff == 40
        p.hook = Hook.OUTPUT
        lab.conntrack.incoming(p)
        assert state(p) == "invalid"
    assert len(lab.conntrack) == 0
