"""Messages of the kernel, byte for byte, and what is no message."""

from __future__ import annotations

import inspect
import struct
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowtable.conntrack.connection import TcpFlag
from flowtable.conntrack.tuple import Tuple
from flowtable.live.ctnetlink import request, tuples
from flowtable.live.ctnetlink.attribute import MalformedError, attributes
from flowtable.live.ctnetlink.constants import Cta, Message
from flowtable.live.ctnetlink.message import Answer, Done, Statistics, decode
from flowtable.live.ctnetlink.report import Counters, Event, Report, TcpInfo
from flowtable.live.ctnetlink.request import Change, Masked
from flowtable.netlink.attribute import attribute, nested
from flowtable.packet.packet import GRE, ICMP, ICMPV6, IPV4, IPV6, TCP, UDP

SCTP = 132


def message(kind: int, flags: int, body: bytes, *, sequence: int = 7, port: int = 0) -> bytes:
    return struct.pack("=IHHII", 16 + len(body), kind, flags, sequence, port) + body


def connection(*fields: bytes, family: int = IPV4) -> bytes:
    return bytes([family, 0, 0, 0]) + b"".join(fields)


def only(data: bytes) -> Report:
    (report,) = decode(data)
    assert isinstance(report, Report)
    return report


def _tuples(family: int, size: int, *protocols: int) -> st.SearchStrategy[Tuple]:
    address, number = st.binary(min_size=size, max_size=size), st.integers(0, 0xFFFF)
    return st.builds(Tuple, st.just(family), st.sampled_from(protocols), address, address, number, number)


TUPLES = _tuples(IPV4, 4, TCP, UDP, GRE, SCTP, ICMP) | _tuples(IPV6, 16, TCP, UDP, GRE, SCTP, ICMPV6)


@given(TUPLES, st.none() | st.integers(0, 0xFFFF))
@settings(deadline=None)
def test_tuples_come_back(tuple_: Tuple, zone: int | None) -> None:
    value = tuples.encode(tuple_, zone)
    assert tuples.decode(value) == tuple_
    assert tuples.zone_of(value) == zone


@given(TUPLES, st.permutations(range(2)))
@settings(deadline=None)
def test_the_order_of_attributes_does_not_matter(tuple_: Tuple, order: list[int]) -> None:
    parts = [attribute(kind | 0x8000, value) for kind, value in attributes(tuples.encode(tuple_)).items()]
    assert tuples.decode(b"".join(parts[place] for place in order)) == tuple_


def test_a_protocol_without_ports_has_none() -> None:
    tuple_ = Tuple(IPV4, 50, b"\x0a\0\0\1", b"\x0a\0\0\2")
    assert tuples.decode(tuples.encode(tuple_)) == tuple_
    assert len(tuples.encode(tuple_)) == 32


ORIGINAL = Tuple(IPV4, TCP, b"\x0a\0\1\x63", b"\x0a\0\2\x63", 40000, 443)
REPLY = Tuple(IPV4, TCP, b"\x0a\0\2\x63", b"\xc0\0\2\1", 443, 40000)
TUPLE_FIELDS = (
    nested(Cta.TUPLE_ORIG, tuples.encode(ORIGINAL)),
    nested(Cta.TUPLE_REPLY, tuples.encode(REPLY)),
)
ENTRY = message(
    Message.NEW,
    2,
    connection(
        *TUPLE_FIELDS,
        attribute(Cta.ZONE, b"\0\5"),
        attribute(Cta.STATUS, struct.pack(">I", 0x18E)),
        attribute(Cta.MARK, struct.pack(">I", 0xFFFFFFFE)),
        attribute(Cta.SECCTX | 0x8000, attribute(1, b"system_u\0")),
        attribute(Cta.ID, struct.pack(">I", 0x80000001)),
        attribute(Cta.USE, struct.pack(">I", 2)),
        attribute(Cta.TIMEOUT, struct.pack(">I", 431999)),
        nested(
            Cta.PROTOINFO,
            nested(
                1,
                attribute(1, b"\3"),
                attribute(2, b"\7"),
                attribute(3, b"\x0a"),
                attribute(4, b"\x23\0"),
                attribute(5, b"\x2b\0"),
            ),
        ),
        nested(
            Cta.COUNTERS_ORIG, attribute(1, struct.pack(">Q", 1 << 40)), attribute(2, struct.pack(">Q", 9))
        ),
        nested(Cta.COUNTERS_REPLY, attribute(1, struct.pack(">Q", 3)), attribute(2, struct.pack(">Q", 4))),
        nested(Cta.TIMESTAMP, attribute(1, struct.pack(">Q", 1_700_000_000_000_000_000))),
        nested(Cta.HELP, attribute(1, b"ftp\0")),
        attribute(Cta.LABELS, struct.pack("=QQ", 1, 1 << 62)),
        nested(Cta.SEQ_ADJ_ORIG, attribute(1, bytes(4))),
    ),
    port=12,
)


def test_everything_in_an_entry() -> None:
    entry = only(ENTRY)
    assert (entry.event, entry.family, entry.port) == (Event.ENTRY, IPV4, 12)
    assert (entry.original, entry.reply) == (ORIGINAL, REPLY)
    assert entry.identity == (tuples.encode(ORIGINAL), 5)
    assert (entry.zone, entry.zone_original, entry.zone_reply) == (5, None, None)
    assert (entry.status, entry.mark, entry.ident, entry.use, entry.timeout) == (
        0x18E,
        0xFFFFFFFE,
        0x80000001,
        2,
        431999,
    )
    assert entry.tcp == TcpInfo(3, (0x23, 0x2B), (7, 10))
    assert entry.sctp_state is None and entry.dccp_state is None
    assert entry.counters == (Counters(1 << 40, 9), Counters(3, 4))
    assert (entry.start, entry.stop) == (1_700_000_000_000_000_000, None)
    assert (entry.helper, entry.security_context) == ("ftp", "system_u")
    assert entry.labels == 1 | 1 << 126
    assert entry.sequence_adjusted


@pytest.mark.parametrize(
    ("kind", "flags", "event"),
    [
        (Message.NEW, 0x600, Event.NEW),
        (Message.NEW, 0, Event.UPDATE),
        (Message.DELETE, 0, Event.DESTROY),
        (Message.NEW, 2, Event.ENTRY),
    ],
)
def test_what_a_report_is_about(kind: Message, flags: int, event: Event) -> None:
    report = only(message(kind, flags, connection(*TUPLE_FIELDS)))
    assert report.event is event
    for silent in (
        "zone",
        "status",
        "timeout",
        "mark",
        "ident",
        "use",
        "labels",
        "helper",
        "tcp",
        "counters",
    ):
        assert getattr(report, silent) is None
    assert not report.sequence_adjusted


def test_the_last_report_of_a_tcp_connection_has_its_state_only() -> None:
    info = nested(Cta.PROTOINFO, nested(1, attribute(1, b"\7")))
    report = only(message(Message.DELETE, 0, connection(*TUPLE_FIELDS, info)))
    assert report.tcp == TcpInfo(7, None, None)


def test_own_requests_are_left_out() -> None:
    mine = message(Message.NEW, 0, connection(*TUPLE_FIELDS), port=99)
    other = message(Message.NEW, 0, connection(*TUPLE_FIELDS), port=98)
    assert [report.port for report in decode(mine + other, own=99) if isinstance(report, Report)] == [98]


def test_answers_ends_counts_and_strangers() -> None:
    data = b"".join(
        (
            message(2, 0, struct.pack("=i", -2) + bytes(16), sequence=4),
            message(3, 2, struct.pack("=i", 0), sequence=5),
            message(3, 0x10, b"", sequence=6),
            message(1, 0, b""),
            message(2 << 8, 0, connection()),
            message(Message.STATISTICS, 0, connection(attribute(1, b"\0\0\0\7"), attribute(2, b"\0\1\0\0"))),
        )
    )
    assert list(decode(data)) == [
        Answer(4, 2),
        Done(5, 0, False),
        Done(6, 0, True),
        Statistics(7, 65536),
    ]


def test_requests_byte_for_byte() -> None:
    of = request.identity(ORIGINAL, 5)
    assert request.dump(IPV6, mark=Masked(1, 3)).message(9) == message(
        Message.GET,
        0x301,
        bytes([IPV6, 0, 0, 0]) + attribute(Cta.MARK, b"\0\0\0\1") + attribute(Cta.MARK_MASK, b"\0\0\0\3"),
        sequence=9,
    )
    liberal = Masked(TcpFlag.BE_LIBERAL, TcpFlag.BE_LIBERAL)
    change = Change(
        timeout=-1, labels=Masked(1 << 126, 1 << 126), tcp=(liberal, liberal), helper="ftp", status=4
    ).request(of)
    fields = attributes(change.body, 4)
    assert change.kind == Message.NEW and change.flags == 1
    assert fields[Cta.TUPLE_ORIG] == of.tuple and fields[Cta.ZONE] == b"\0\5"
    assert fields[Cta.TIMEOUT] == bytes(4) and fields[Cta.STATUS] == b"\0\0\0\4"
    assert fields[Cta.LABELS] == fields[Cta.LABELS_MASK] == struct.pack("=QQ", 0, 1 << 62)
    assert fields[Cta.HELP] == attribute(1, b"ftp\0")
    assert attributes(attributes(fields[Cta.PROTOINFO])[1]) == {4: b"\x08\x08", 5: b"\x08\x08"}


PROPERTIES = [name for name, _ in inspect.getmembers(Report, lambda member: isinstance(member, property))]


def ask_everything(data: bytes) -> None:
    with suppress(MalformedError):
        for incoming in decode(data):
            if isinstance(incoming, Report):
                for name in PROPERTIES:
                    with suppress(MalformedError):
                        getattr(incoming, name)


@given(st.binary(max_size=200))
@settings(deadline=None)
def test_garbage_is_malformed_at_worst(data: bytes) -> None:
    ask_everything(data)
    ask_everything(message(Message.NEW, 2, data))
    ask_everything(message(Message.NEW, 2, connection(data)))
    ask_everything(message(2, 0, data))


@given(st.data())
@settings(deadline=None)
def test_damaged_messages_are_malformed_at_worst(data: st.DataObject) -> None:
    damaged = bytearray(ENTRY)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(16, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    ask_everything(bytes(damaged))
    ask_everything(bytes(damaged[: data.draw(st.integers(0, len(damaged)))]))
