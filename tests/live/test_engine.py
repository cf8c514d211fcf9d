"""From a connection that the rules marked to a flow, and back."""

from __future__ import annotations

from dataclasses import dataclass, field

from flowtable.clock import MILLISECOND, SECOND
from flowtable.conntrack.connection import Connection
from flowtable.datapath.reference import ReferenceDatapath
from flowtable.flows.entry import FlowEntry
from flowtable.flows.refusal import Refusal
from flowtable.flows.teardown import Teardown
from flowtable.live.engine import FIRST_RETRY, LAST_RETRY, Engine, Refused, make_offer
from flowtable.live.rates import Rate, Rates
from flowtable.live.rows import ended_row, flow_row, refused_row
from flowtable.profile import DEFAULT
from flowtable.ruleset import Ruleset, parse
from tests.lab import BOX, CLIENT, Lab, Tcp, box_with, udp, udp_reply

TRACKED = """
table inet x {
    chain y { type filter hook forward priority filter; ct state established counter; }
    chain z { type nat hook postrouting priority srcnat; oifname wan0 NAT; }
}
"""
DECLARED = "table inet x { flowtable f { hook ingress priority filter; devices = { lan0, wan0 }; }; }"


@dataclass
class Diary:
    """Who is told what happened."""

    entries: list[tuple[str, object]] = field(default_factory=list)

    def added(self, entry: FlowEntry, now: int) -> None:
        self.entries.append(("added", entry.connection))

    def refused(self, refused: Refused, now: int) -> None:
        self.entries.append(("refused", refused.reason))

    def ended(self, entry: FlowEntry, reason: Teardown, now: int) -> None:
        self.entries.append(("ended", reason))


class Bench:
    """A lab whose rules offload nothing, and an engine beside it."""

    def __init__(self, box_file: str = BOX, nat: str = "") -> None:
        self.lab = Lab(
            TRACKED.replace("oifname wan0 NAT;", nat and f"oifname wan0 {nat};"), box_file=box_file
        )
        self.diary = Diary()
        self.engine = Engine(
            self.lab.box.topology,
            self.lab.box.conntrack,
            DEFAULT,
            ReferenceDatapath,
            self.diary,
            self.lab.now,
        )
        self.ruleset = parse(DECLARED, "x.nft")
        self.engine.declare(Ruleset(), self.ruleset, self.lab.now)

    @property
    def flowtable(self):
        (flowtable,) = self.engine.flowtables
        return flowtable

    @property
    def connection(self) -> Connection:
        (connection,) = self.lab.box.conntrack
        return connection

    def mark(self) -> Refusal | None:
        return self.engine.marked(self.connection, self.flowtable, self.lab.now)

    def wait(self, nanoseconds: int) -> None:
        self.lab.wait(nanoseconds / SECOND)
        self.engine.advance(self.lab.now)


def test_a_marked_connection_becomes_a_flow_once():
    bench = Bench()
    bench.lab.client(udp())
    bench.lab.server(udp_reply())
    assert bench.mark() is None
    assert bench.mark() is None
    assert bench.diary.entries == [("added", bench.connection)]
    assert bench.engine.added == len(list(bench.engine.flowtables.entries())) == 1


def test_a_flow_that_is_idle_ends_and_can_come_back():
    bench = Bench()
    bench.lab.client(udp())
    bench.lab.server(udp_reply())
    bench.mark()
    connection = bench.connection
    for _ in range(32):
        bench.engine.advance(bench.lab.now)
        bench.lab.now += SECOND
    assert bench.diary.entries == [("added", connection), ("ended", Teardown.IDLE)]
    assert bench.engine.marked(connection, bench.flowtable, bench.lab.now) is None


def test_tcp_is_refused_until_it_is_established():
    bench = Bench()
    tcp = Tcp(bench.lab)
    tcp.out("S")
    assert bench.mark() is Refusal.NOT_ESTABLISHED
    tcp.back("SA")
    tcp.out("A")
    assert bench.engine.next_due == bench.lab.now + FIRST_RETRY
    bench.wait(FIRST_RETRY)
    assert bench.diary.entries == [("refused", Refusal.NOT_ESTABLISHED), ("added", bench.connection)]
    assert bench.engine.refusals == 0


def test_what_is_refused_is_tried_less_and_less_often():
    bench = Bench(box_with("to: 203.0.113.0/24, via: 10.0.2.99, dev: wan0"))
    bench.lab.client(udp(destination="203.0.113.9"))
    bench.lab.server(udp_reply(source="203.0.113.9"))
    fib = bench.lab.box.topology.fib4
    (route,) = [route for route in fib if route.gateway is not None]
    fib.remove(route)
    assert bench.mark() is Refusal.NO_ROUTE
    times = []
    for _ in range(14):
        due = bench.engine.next_due
        assert due is not None
        times.append((due - bench.lab.now) // MILLISECOND)
        bench.lab.now = due
        bench.engine.advance(due)
    assert times[:4] == [20, 40, 80, 160]
    assert times[-1] == LAST_RETRY // MILLISECOND
    assert bench.diary.entries == [("refused", Refusal.NO_ROUTE)]
    (refused,) = bench.engine.refused
    assert refused.tries == 15
    fib.add(route)
    bench.lab.now = refused.due or 0
    bench.engine.advance(bench.lab.now)
    assert bench.diary.entries[-1] == ("added", bench.connection)


def test_what_is_vetoed_is_not_offloaded_until_the_veto_falls():
    bench = Bench()
    bench.lab.client(udp())
    bench.lab.server(udp_reply())
    connection = bench.connection
    vetoes = [Refusal.CAPACITY]
    bench.engine = Engine(
        bench.lab.box.topology,
        bench.lab.box.conntrack,
        DEFAULT,
        ReferenceDatapath,
        bench.diary,
        bench.lab.now,
        lambda entry: vetoes[0] if vetoes and entry.connection is connection else None,
    )
    bench.engine.declare(Ruleset(), bench.ruleset, bench.lab.now)
    assert bench.mark() is Refusal.CAPACITY
    assert not connection.offloaded
    vetoes.clear()
    bench.wait(FIRST_RETRY)
    assert bench.diary.entries == [("refused", Refusal.CAPACITY), ("added", connection)]


def test_the_last_packets_of_a_connection_are_not_news():
    bench = Bench()
    tcp = Tcp(bench.lab)
    tcp.open()
    tcp.out("FA")
    assert bench.mark() is Refusal.TCP_CLOSING
    assert (bench.engine.refusals, bench.diary.entries) == (0, [])


def test_what_is_refused_for_good_is_not_tried_again():
    bench = Bench()
    bench.lab.client(udp())
    bench.connection.helper = "sip"
    assert bench.mark() is Refusal.HELPER
    assert bench.engine.next_due is None
    row = refused_row(next(bench.engine.refused), ("x.nft:3:5",), bench.lab.now + SECOND)
    assert (row.reason, row.text, row.since, row.tries) == ("HELPER", Refusal.HELPER.text, 1.0, 1)
    assert row.flowtable == "inet x f"


def test_a_connection_that_goes_takes_its_refusal_along():
    bench = Bench()
    Tcp(bench.lab).out("S")
    bench.mark()
    bench.lab.wait(200)
    assert bench.engine.refusals == 0
    assert bench.engine.next_due is None


def test_the_way_of_a_translated_connection():
    bench = Bench(nat="masquerade")
    bench.lab.client(udp())
    bench.lab.server(udp_reply(destination="10.0.2.1"))
    assert bench.mark() is None
    (entry,) = bench.engine.flowtables.entries()
    row = flow_row(entry, bench.lab.now, (None, None), "xdp native")
    assert row.snat
    assert (row.original.iif, row.original.oif, row.original.leaves.src) == ("lan0", "wan0", "10.0.2.1")
    assert (row.reply.iif, row.reply.oif, row.reply.leaves.dst) == ("wan0", "lan0", CLIENT)
    assert ended_row(entry, Teardown.FLUSH).reply.dst == "10.0.2.1"


def test_local_connections_are_no_flows():
    bench = Bench()
    bench.lab.client(udp(destination="10.0.1.1"))
    assert make_offer(bench.connection, bench.lab.box.topology) is None


def test_flush_ends_everything_and_forgets_what_was_refused():
    bench = Bench()
    bench.lab.client(udp())
    bench.lab.server(udp_reply())
    bench.mark()
    bench.engine.flush(bench.lab.now)
    assert bench.diary.entries[-1] == ("ended", Teardown.FLUSH)
    assert not list(bench.engine.flowtables.entries())


def test_a_flowtable_that_is_not_declared_any_more_takes_its_flows_and_refusals_along():
    bench = Bench()
    Tcp(bench.lab).out("S")
    bench.mark()
    bench.engine.declare(bench.ruleset, Ruleset(), bench.lab.now)
    assert bench.engine.refusals == 0
    bench.wait(LAST_RETRY)
    assert bench.diary.entries == [("refused", Refusal.NOT_ESTABLISHED)]


def test_rates_are_differences():
    bench = Bench()
    bench.lab.client(udp())
    bench.lab.server(udp_reply())
    bench.mark()
    (entry,) = bench.engine.flowtables.entries()
    rates = Rates()
    start = entry.created
    original = entry.directions[0]
    rates.look([entry], start)
    assert rates.of(entry) == (None, None)
    original.packets, original.bytes = 10, 1000
    rates.look([entry], start + 2 * SECOND)
    assert rates.of(entry) == (Rate(5, 4000), Rate(0, 0))
    original.packets, original.bytes = 11, 1100
    rates.look([entry], start + 2 * SECOND + 1)
    assert rates.of(entry) == (Rate(5, 4000), Rate(0, 0)), "too soon to know better"
    rates.look([entry], start + 3 * SECOND)
    assert rates.of(entry) == (Rate(1, 800), Rate(0, 0))
    rates.forget()
    assert rates.of(entry) == (None, None)
