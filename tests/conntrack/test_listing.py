"""Lines as ``conntrack`` 1.4.7 and the kernel print them."""

from __future__ import annotations

import pytest

from flowtable.clock import SECOND
from flowtable.conntrack.connection import Connection, Status, TcpState, TcpTracking
from flowtable.conntrack.core import Conntrack
from flowtable.conntrack.listing import conntrack_footer, conntrack_line, live, proc_line
from flowtable.conntrack.settings import Settings
from flowtable.conntrack.tuple import Tuple
from flowtable.packet.packet import GRE, ICMP, ICMPV6, IPV4, IPV6, TCP, UDP
from flowtable.ruleset.hook import Hook
from flowtable.ruleset.nat import NatKind
from flowtable.topology.sysctl import Sysctls
from tests.conntrack.wire import Lab, addr, gre, icmp, icmp6, ip, udp

SETTINGS = Settings.of(Sysctls())

# Recorded: ``conntrack -L``, ``conntrack -L -o extended`` and /proc/net/nf_conntrack of a router
# that masquerades 10.0.1.0/24 and fd01::/64, with accounting.
RECORDED = {
    "esp": (
        [ip("10.0.1.99", "10.0.2.99", 50, bytes(16))],
        "unknown  50 599 src=10.0.1.99 dst=10.0.2.99 packets=1 bytes=36 [UNREPLIED] src=10.0.2.99"
        " dst=10.0.2.1 packets=0 bytes=0 mark=0 use=1",
        "ipv4     2 unknown  50 599 src=10.0.1.99 dst=10.0.2.99 packets=1 bytes=36 [UNREPLIED] src=10.0.2.99"
        " dst=10.0.2.1 packets=0 bytes=0 mark=0 zone=0 use=2",
    ),
    "timestamp": (
        [
            icmp("10.0.1.99", "10.0.2.99", 13, ident=9, data=bytes(12)),
            icmp("10.0.2.99", "10.0.2.1", 14, ident=9, data=bytes(12)),
        ],
        "icmp     1 29 src=10.0.1.99 dst=10.0.2.99 type=13 code=0 id=9 packets=1 bytes=40 src=10.0.2.99"
        " dst=10.0.2.1 type=14 code=0 id=9 packets=1 bytes=40 mark=0 use=1",
        "ipv4     2 icmp     1 29 src=10.0.1.99 dst=10.0.2.99 type=13 code=0 id=9 packets=1 bytes=40"
        " src=10.0.2.99 dst=10.0.2.1 type=14 code=0 id=9 packets=1 bytes=40 mark=0 zone=0 use=2",
    ),
    "echo6": (
        [icmp6("fd01::99", "fd02::99", data=b""), icmp6("fd02::99", "fd02::1", 129, data=b"")],
        "icmpv6   58 29 src=fd01::99 dst=fd02::99 type=128 code=0 id=7 packets=1 bytes=48 src=fd02::99"
        " dst=fd02::1 type=129 code=0 id=7 packets=1 bytes=48 mark=0 use=1",
        "ipv6     10 icmpv6   58 29 src=fd01:0000:0000:0000:0000:0000:0000:0099"
        " dst=fd02:0000:0000:0000:0000:0000:0000:0099 type=128 code=0 id=7 packets=1 bytes=48"
        " src=fd02:0000:0000:0000:0000:0000:0000:0099 dst=fd02:0000:0000:0000:0000:0000:0000:0001"
        " type=129 code=0 id=7 packets=1 bytes=48 mark=0 zone=0 use=2",
    ),
    "udp": (
        [udp("10.0.1.99", "10.0.2.99", 5000, 53, b"xx")],
        "udp      17 29 src=10.0.1.99 dst=10.0.2.99 sport=5000 dport=53 packets=1 bytes=30 [UNREPLIED]"
        " src=10.0.2.99 dst=10.0.2.1 sport=53 dport=5000 packets=0 bytes=0 mark=0 use=1",
        "ipv4     2 udp      17 29 src=10.0.1.99 dst=10.0.2.99 sport=5000 dport=53 packets=1 bytes=30"
        " [UNREPLIED] src=10.0.2.99 dst=10.0.2.1 sport=53 dport=5000 packets=0 bytes=0 mark=0 zone=0 use=2",
    ),
    "gre": (
        [gre("10.0.1.99", "10.0.2.99", data=bytes(20))],
        "gre      47 29 src=10.0.1.99 dst=10.0.2.99 srckey=0x0 dstkey=0x0 packets=1 bytes=44 [UNREPLIED]"
        " src=10.0.2.99 dst=10.0.2.1 srckey=0x0 dstkey=0x0 packets=0 bytes=0 mark=0 use=1",
        "ipv4     2 gre      47 29 timeout=30, stream_timeout=180 src=10.0.1.99 dst=10.0.2.99 srckey=0x0"
        " dstkey=0x0 packets=1 bytes=44 [UNREPLIED] src=10.0.2.99 dst=10.0.2.1 srckey=0x0 dstkey=0x0"
        " packets=0 bytes=0 mark=0 zone=0 use=2",
    ),
    "pptp": (
        [gre("10.0.1.99", "10.0.2.99", bytes.fromhex("3001880b00040012"), b"abcdefgh")],
        "gre      47 29 src=10.0.1.99 dst=10.0.2.99 srckey=0x0 dstkey=0x12 packets=1 bytes=36 [UNREPLIED]"
        " src=10.0.2.99 dst=10.0.2.1 srckey=0x12 dstkey=0x0 packets=0 bytes=0 mark=0 use=1",
        "ipv4     2 gre      47 29 timeout=30, stream_timeout=180 src=10.0.1.99 dst=10.0.2.99 srckey=0x0"
        " dstkey=0x12 packets=1 bytes=36 [UNREPLIED] src=10.0.2.99 dst=10.0.2.1 srckey=0x12 dstkey=0x0"
        " packets=0 bytes=0 mark=0 zone=0 use=2",
    ),
}


@pytest.mark.parametrize(("packets", "line", "proc"), RECORDED.values(), ids=RECORDED)
def test_recorded_lines(packets, line, proc):
    lab = Lab()
    lab.topology.sysctls.nf_conntrack_acct = 1
    lab.follow_sysctls()
    lab.rule(Hook.POSTROUTING, NatKind.MASQUERADE)
    for number, raw in enumerate(packets):
        lab.forward(raw, back=number == 1)
    connection, now = lab.only(), lab.now + SECOND // 2
    assert conntrack_line(connection, now) == line
    assert conntrack_line(connection, now, extended=True) == proc.split(f" {line[:3]}")[0] + " " + line
    assert proc_line(connection, now, SETTINGS) == proc


def connection(l4proto: int = TCP, *, status: int = 0, **attributes: object) -> Connection:
    original = Tuple(IPV4, l4proto, addr("10.0.1.99"), addr("10.0.2.99"), 40000, 443)
    reply = Tuple(IPV4, l4proto, addr("10.0.2.99"), addr("192.0.2.1"), 443, 40000)
    result = Connection(original, reply)
    result.status = status
    result.expires = 432000 * SECOND - 1
    if l4proto == TCP:
        result.tcp = TcpTracking()
        result.tcp.state = TcpState.ESTABLISHED
    for name, value in attributes.items():
        setattr(result, name, value)
    if result.offloaded:
        result.references += 1
    return result


SEEN, ASSURED, OFFLOAD, HW = Status.SEEN_REPLY, Status.ASSURED, Status.OFFLOAD, Status.HW_OFFLOAD
TUPLES = (
    "src=10.0.1.99 dst=10.0.2.99 sport=40000 dport=443{} src=10.0.2.99 dst=192.0.2.1 sport=443 dport=40000"
)


@pytest.mark.parametrize(
    ("status", "line"),
    [
        (0, f"tcp      6 431999 ESTABLISHED {TUPLES.format(' [UNREPLIED]')} mark=0 use=1"),
        (SEEN, f"tcp      6 431999 ESTABLISHED {TUPLES.format('')} mark=0 use=1"),
        (SEEN | ASSURED, f"tcp      6 431999 ESTABLISHED {TUPLES.format('')} [ASSURED] mark=0 use=1"),
        (SEEN | ASSURED | OFFLOAD, f"tcp      6 {TUPLES.format('')} [OFFLOAD] mark=0 use=2"),
        (SEEN | ASSURED | OFFLOAD | HW, f"tcp      6 {TUPLES.format('')} [HW_OFFLOAD] mark=0 use=2"),
        (OFFLOAD, f"tcp      6 {TUPLES.format(' [UNREPLIED]')} [OFFLOAD] mark=0 use=2"),
    ],
)
def test_status(status, line):
    assert conntrack_line(connection(status=status), 0) == line
    proc = f"ipv4     2 {line}".replace("mark=0 use", "mark=0 zone=0 use")
    assert proc_line(connection(status=status), 0, SETTINGS) == proc[:-1] + str(int(proc[-1]) + 1)


def test_offloaded_udp():
    line = conntrack_line(connection(UDP, status=OFFLOAD, packets=[9, 0], bytes=[630, 0]), 0)
    assert line == (
        "udp      17 src=10.0.1.99 dst=10.0.2.99 sport=40000 dport=443 packets=9 bytes=630 [UNREPLIED]"
        " src=10.0.2.99 dst=192.0.2.1 sport=443 dport=40000 packets=0 bytes=0 [OFFLOAD] mark=0 use=2"
    )


@pytest.mark.parametrize("state", TcpState)
def test_states(state):
    c = connection()
    assert c.tcp is not None
    c.tcp.state = state
    assert f" 431999 {state.name} src=" in conntrack_line(c, 0)


def test_mark_zone_helper_and_identifier():
    c = connection(UDP, mark=0xFFFFFFFF, zone=5, helper="ftp", ident=1849038029)
    assert conntrack_line(c, 0, ident=True).endswith("mark=4294967295 zone=5 helper=ftp use=1 id=1849038029")
    assert proc_line(c, 0, SETTINGS).endswith("mark=4294967295 zone=5 use=2")


@pytest.mark.parametrize(
    ("directions", "name", "before"), [(1, "zone-orig=5", "[UNREPLIED]"), (2, "zone-reply=5", "mark=0")]
)
def test_zone_of_one_direction(directions, name, before):
    c = connection(UDP, zone=5, zone_directions=directions)
    assert f" {name} {before}" in conntrack_line(c, 0)
    assert f" {name} {before}" in proc_line(c, 0, SETTINGS)
    assert "zone=" not in conntrack_line(c, 0)


@pytest.mark.parametrize(
    ("address", "text"),
    [
        ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
        ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
        ("::", "::"),
        ("::1", "::1"),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.1"),
        ("::192.0.2.1", "::192.0.2.1"),
        ("::1:2", "::0.1.0.2"),
        ("::2", "::2"),
        ("64:ff9b::192.0.2.1", "64:ff9b::c000:201"),
    ],
)
def test_addresses_as_inet_ntop_writes_them(address, text):
    original = Tuple(IPV6, ICMPV6, addr(address), addr("fd02::99"), 7, 128 << 8)
    c = Connection(original, original._replace(dport=129 << 8))
    assert conntrack_line(c, 0) == (
        f"icmpv6   58 0 src={text} dst=fd02::99 type=128 code=0 id=7 [UNREPLIED]"
        f" src={text} dst=fd02::99 type=129 code=0 id=7 mark=0 use=1"
    )


def test_keys_and_types():
    assert "srckey=0x9c40 dstkey=0x1bb" in conntrack_line(connection(GRE), 0)
    assert "type=1 code=187 id=40000" in conntrack_line(connection(ICMP), 0)


def test_timed_out_ones_are_not_shown():
    conntrack = Conntrack(Sysctls())
    for number, l4proto in enumerate((UDP, TCP, GRE)):
        c = connection(l4proto)
        c.expires = number * SECOND
        conntrack.insert(c, 0)
    clash = connection(ICMP, status=Status.NAT_CLASH)
    conntrack.insert_reply(clash, 0)
    assert [c.l4proto for c in live(conntrack, SECOND)] == [GRE]


def test_footer():
    assert conntrack_footer(13) == "conntrack v1.4.7 (conntrack-tools): 13 flow entries have been shown."
