"""What connections make of reports, and what they write, on a kernel of the test's making."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from errno import ENOENT

import pytest

from flowtable.clock import SECOND
from flowtable.conntrack.connection import Connection, Status, TcpFlag, TcpState
from flowtable.conntrack.removal import Removal
from flowtable.conntrack.tuple import Tuple
from flowtable.live.connections import Connections
from flowtable.live.ctnetlink import tuples
from flowtable.live.ctnetlink.attribute import attributes
from flowtable.live.ctnetlink.constants import Cta
from flowtable.live.ctnetlink.message import Request
from flowtable.live.ctnetlink.report import Event, Identity, Report
from flowtable.live.mark import Carrier, Mark
from flowtable.netlink.attribute import attribute, nested
from flowtable.packet.packet import IPV4, TCP, UDP
from flowtable.topology.sysctl import Sysctls

MARK = Mark(Carrier.LABEL, 3)
SEEN = Status.CONFIRMED | Status.SEEN_REPLY


class Kernel:
    """Says what a test has it say."""

    def __init__(self) -> None:
        self.events: list[Report] = []
        self.table: dict[Identity, Report] = {}
        self.lost = False
        self.looks = 0
        self.dumps = 0
        self.written: list[dict[int, bytes]] = []
        self.gone: set[int] = set()

    def fileno(self) -> int:
        return -1

    def close(self) -> None:
        pass

    def read(self) -> list[Report]:
        said, self.events = self.events, []
        return said

    def overrun(self) -> bool:
        lost, self.lost = self.lost, False
        return lost

    def dump(self) -> Iterator[Report]:
        self.dumps += 1
        return iter(list(self.table.values()))

    def look(self, identities: Sequence[Identity]) -> list[Report | None]:
        self.looks += 1
        return [self.table.get(identity) for identity in identities]

    def write(self, requests: Sequence[Request]) -> list[tuple[int, int]]:
        self.written += [attributes(each.body, 4) for each in requests]
        return [(place, ENOENT) for place in range(len(requests)) if place in self.gone]

    @property
    def last(self) -> dict[int, bytes]:
        return self.written[-1]


class Lab:
    def __init__(self, kernel: Kernel | None = None) -> None:
        self.kernel = Kernel() if kernel is None else kernel
        self.now = 1000 * SECOND
        self.marked: list[Connection] = []
        self.gone: list[tuple[Connection, Removal]] = []
        self.connections = Connections(
            Sysctls(), lambda connection, mark: self.marked.append(connection), self.kernel, lambda: self.now
        )
        self.connections.marks = (MARK,)
        self.connections.subscribe(lambda connection, now, reason: self.gone.append((connection, reason)))

    def tell(self, *reports: Report) -> None:
        self.kernel.events += reports
        self.connections.read()

    def write_after(self, seconds: float) -> int:
        """How many orders that makes."""
        self.now += int(seconds * SECOND)
        before = len(self.kernel.written)
        self.connections.write()
        return len(self.kernel.written) - before

    @property
    def connection(self) -> Connection:
        return self.marked[0]


def report(
    event: Event = Event.UPDATE,
    *,
    ident: int = 1,
    protocol: int = UDP,
    status: int = SEEN,
    timeout: int | None = 30,
    labels: int | None = 1 << MARK.bit,
    state: int | None = None,
    sport: int = 5000,
) -> Report:
    original = Tuple(IPV4, protocol, b"\x0a\0\1\x63", b"\x0a\0\2\x63", sport, 53)
    fields = {
        Cta.TUPLE_ORIG: tuples.encode(original),
        Cta.TUPLE_REPLY: tuples.encode(original.inverse()),
        Cta.ID: struct.pack(">I", ident),
        Cta.STATUS: struct.pack(">I", status),
    }
    if timeout is not None:
        fields[Cta.TIMEOUT] = struct.pack(">I", timeout)
    if labels is not None:
        fields[Cta.LABELS] = struct.pack("=QQ", labels, 0)
    if state is not None:
        flags = (attribute(kind, b"\0\0") for kind in (4, 5))
        scales = (attribute(kind, b"\0") for kind in (2, 3))
        fields[Cta.PROTOINFO] = nested(1, attribute(1, bytes([state])), *scales, *flags)
    return Report(event, IPV4, 0, fields)


def timeout_of(written: dict[int, bytes]) -> int | None:
    value = written.get(Cta.TIMEOUT)
    return None if value is None else int.from_bytes(value)


def test_what_rules_did_not_mark_is_not_known() -> None:
    lab = Lab()
    lab.tell(report(labels=None), report(labels=1 << 4), report(Event.DESTROY, labels=None))
    assert not lab.marked and not lab.gone and len(lab.connections) == 0


def test_the_state_of_tcp_is_asked_for_where_an_event_does_not_say_it() -> None:
    lab = Lab()
    full = report(Event.ENTRY, protocol=TCP, state=TcpState.ESTABLISHED, timeout=432000)
    lab.kernel.table[full.identity] = full
    lab.tell(report(protocol=TCP, timeout=432000))
    assert lab.kernel.looks == 1
    assert lab.connection.tcp is not None and lab.connection.tcp.state == TcpState.ESTABLISHED
    lab.tell(report(protocol=TCP, state=TcpState.SYN_SENT, sport=5001), report(protocol=TCP, sport=5002))
    assert lab.kernel.looks == 2, "one says it, the other is gone when it is looked for"
    assert len(lab.connections) == 2


def test_a_number_that_is_another_is_another_connection() -> None:
    lab = Lab()
    there = report(Event.ENTRY, ident=2)
    lab.kernel.table[there.identity] = there
    lab.tell(report(ident=1), report(ident=2))
    first, second = lab.marked
    assert lab.gone == [(first, Removal.REOPENED)] and first.dying and not second.dying
    lab.tell(report(ident=1), report(Event.DESTROY, ident=1))
    assert len(lab.gone) == 1, "what is said of the first does not concern the second"
    lab.kernel.table.clear()
    lab.tell(report(ident=3))
    assert lab.gone[1:] == [(second, Removal.REOPENED)] and len(lab.connections) == 0


@pytest.mark.parametrize(("timeout", "reason"), [(None, Removal.TIMEOUT), (7, Removal.REQUEST)])
def test_why_a_connection_is_gone(timeout: int | None, reason: Removal) -> None:
    lab = Lab()
    lab.tell(report(), report(Event.DESTROY, timeout=timeout))
    assert lab.gone == [(lab.connection, reason)]


def test_a_udp_connection_that_is_a_stream_has_been_one() -> None:
    lab = Lab()
    lab.tell(report(status=SEEN | Status.ASSURED), report(sport=5001))
    stream, fresh = lab.marked
    assert lab.now - stream.start > 2 * SECOND and fresh.start == lab.now


def test_timeouts_are_written_before_half_of_them_is_over_and_no_oftener() -> None:
    lab = Lab()
    lab.tell(report(timeout=120))
    lab.connections.offload(lab.connection)
    assert lab.write_after(0) == 0, "there is nothing to say of UDP"
    orders = 0
    for _ in range(600):
        lab.connections.set_timeout(lab.connection, lab.now + 120 * SECOND)
        orders += lab.write_after(1)
    assert 5 <= orders <= 12
    assert timeout_of(lab.kernel.last) == 119
    # Without packets it is looked after until it times out, and nothing is written.
    assert sum(lab.write_after(1) for _ in range(130)) <= 1
    assert lab.connections._due == []


def test_status_that_the_fast_path_saw_is_written_along() -> None:
    lab = Lab()
    lab.tell(report())
    lab.connections.offload(lab.connection)
    lab.connection.status |= Status.ASSURED
    lab.connections.set_timeout(lab.connection, lab.now + 120 * SECOND)
    assert lab.write_after(20) == 1
    assert int.from_bytes(lab.kernel.last[Cta.STATUS]) == SEEN | Status.ASSURED


def test_a_tcp_flow_costs_two_orders_in_its_life() -> None:
    lab = Lab()
    lab.tell(report(protocol=TCP, state=TcpState.ESTABLISHED, timeout=432000))
    lab.connections.offload(lab.connection)
    assert len(lab.kernel.written) == 1, "before any packet takes the fast path"
    assert lab.write_after(0) == 0
    info = attributes(attributes(lab.kernel.last[Cta.PROTOINFO])[1])
    assert info[4] == info[5] == bytes([TcpFlag.BE_LIBERAL] * 2)
    for _ in range(100):
        lab.connections.set_timeout(lab.connection, lab.now + 432000 * SECOND)
        assert lab.write_after(1) == 0
    kept = report(Event.ENTRY, protocol=TCP, state=TcpState.ESTABLISHED, timeout=431900)
    lab.kernel.table[kept.identity] = kept
    lab.connections.take_back(lab.connection)
    assert lab.write_after(0) == 1
    assert timeout_of(lab.kernel.last) == 431999
    info = attributes(attributes(lab.kernel.last[Cta.PROTOINFO])[1])
    assert info[4] == bytes((TcpFlag.BE_LIBERAL, TcpFlag.BE_LIBERAL | TcpFlag.MAXACK_SET))


def test_a_connection_that_closes_while_its_timeout_is_written_keeps_the_short_one() -> None:
    lab = Lab()
    open_ = report(Event.ENTRY, protocol=TCP, state=TcpState.ESTABLISHED, timeout=431000)
    lab.tell(report(protocol=TCP, state=TcpState.ESTABLISHED, timeout=432000))
    lab.kernel.table[open_.identity] = open_
    lab.connections.offload(lab.connection)
    lab.connections.set_timeout(lab.connection, lab.now + 432000 * SECOND)
    lab.connections.take_back(lab.connection)
    lab.write_after(0)
    assert timeout_of(lab.kernel.last) == 432000
    # The reset came in between: what the kernel said of it was on its way.
    lab.tell(report(protocol=TCP, state=TcpState.CLOSE, timeout=10, labels=None))
    assert lab.write_after(0) == 1
    assert timeout_of(lab.kernel.last) == 10
    lab.tell(report(protocol=TCP, state=TcpState.CLOSE, timeout=9, labels=None))
    assert lab.write_after(0) == 0


def test_who_is_gone_when_something_is_written_is_gone() -> None:
    lab = Lab()
    lab.tell(report())
    lab.connections.unmark(lab.connection, MARK)
    lab.kernel.gone = {0}
    lab.write_after(0)
    assert lab.gone == [(lab.connection, Removal.TIMEOUT)]
    lab.connections.unmark(lab.connection, MARK)
    lab.connections.take_back(lab.connection)
    assert lab.write_after(0) == 0


def test_what_an_overrun_swallowed_is_found_in_the_table() -> None:
    lab = Lab()
    lab.tell(report(sport=1), report(sport=2))
    new = report(Event.ENTRY, sport=3, ident=3)
    again = report(Event.ENTRY, sport=1, ident=9)
    lab.kernel.table = {each.identity: each for each in (new, again)}
    lab.kernel.lost = True
    lab.connections.read()
    assert lab.connections.overruns == 1
    assert sorted(reason.name for _, reason in lab.gone) == ["REOPENED", "TIMEOUT"]
    assert [connection.ident for connection in lab.marked[2:]] == [3, 9]


def test_a_broken_report_is_as_good_as_a_lost_one() -> None:
    lab = Lab()
    broken = report()
    broken.fields[Cta.STATUS] = b"?"
    whole = report(Event.ENTRY)
    lab.kernel.table = {whole.identity: whole}
    lab.tell(broken)
    assert lab.connections.overruns == 1 and len(lab.marked) == 1


def test_silent_connections_are_looked_for_ever_more_seldom_until_there_are_none() -> None:
    kernel = Kernel()
    old = report(Event.ENTRY, labels=None)
    kernel.table[old.identity] = old
    lab = Lab(kernel)
    for _ in range(300):
        lab.write_after(1)
    assert 5 <= kernel.dumps <= 10
    kernel.table[old.identity] = report(Event.ENTRY)
    for _ in range(64):
        lab.write_after(1)
    assert len(lab.marked) == 1
    kernel.table.clear()
    for _ in range(200):
        lab.write_after(1)
    assert len(lab.gone) == 1
    before = kernel.dumps
    for _ in range(200):
        lab.write_after(1)
    assert kernel.dumps == before
