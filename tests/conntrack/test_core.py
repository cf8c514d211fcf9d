"""The stations: who is tracked, confirmed, counted, expired, and dropped in a full table."""

from __future__ import annotations

import pytest

from flowtable.clock import SECOND
from flowtable.conntrack.connection import Connection, SctpState, SctpTracking, Status, TcpState, template
from flowtable.conntrack.core import Conntrack
from flowtable.conntrack.removal import Removal
from flowtable.conntrack.table import Table
from flowtable.conntrack.tuple import ORIGINAL, REPLY, Tuple
from flowtable.packet.drop import Drop
from flowtable.packet.packet import IPV4, UDP, CtInfo, Packet
from flowtable.topology.sysctl import Sysctls
from tests.conntrack.wire import CLIENT, SERVER, Lab, addr, gre, packet, state, tcp, udp


@pytest.fixture
def lab() -> Lab:
    return Lab(translating=False)


def enter(conntrack: Conntrack, raw: bytes, now: int = SECOND) -> Packet:
    p = packet(raw, now)
    assert conntrack.incoming(p) == 1
    assert conntrack.confirm(p) == 1
    return p


class TestWhoIsTracked:
    def test_not_twice(self, lab):
        p = packet(udp(CLIENT, SERVER), SECOND)
        lab.conntrack.incoming(p)
        connection = p.ct
        lab.conntrack.incoming(p)
        assert p.ct is connection
        assert p.ctinfo == CtInfo.NEW

    def test_not_after_notrack(self, lab):
        p = packet(udp(CLIENT, SERVER), SECOND)
        p.ctinfo = CtInfo.UNTRACKED
        assert lab.conntrack.incoming(p) == 1
        assert p.ct is None
        assert lab.conntrack.confirm(p) == 1
        assert len(lab.conntrack) == 0

    def test_not_remembered_before_it_is_confirmed(self, lab):
        p = packet(udp(CLIENT, SERVER), SECOND)
        lab.conntrack.incoming(p)
        assert len(lab.conntrack) == 0
        q = packet(udp(SERVER, CLIENT, 53, 5000), SECOND)
        lab.conntrack.incoming(q)
        assert state(q) == "new"
        assert q.ct is not p.ct

    def test_related_by_expectation(self, lab):
        p = enter(lab.conntrack, udp(CLIENT, SERVER))
        assert p.ct is not None
        p.ct.status |= Status.EXPECTED
        assert state(enter(lab.conntrack, udp(CLIENT, SERVER))) == "related"


class TestConfirm:
    def test_timeout_runs_from_then(self, lab):
        p = packet(udp(CLIENT, SERVER), SECOND)
        lab.conntrack.incoming(p)
        connection = p.ct
        assert connection is not None
        assert connection.expires == 30 * SECOND
        p.time = 5 * SECOND
        lab.conntrack.confirm(p)
        assert connection.expires == 35 * SECOND
        assert connection.start == SECOND
        assert connection.status & Status.CONFIRMED

    def test_both_directions_are_found(self, lab):
        p = enter(lab.conntrack, udp(CLIENT, SERVER))
        connection = p.ct
        assert connection is not None
        for direction in (ORIGINAL, REPLY):
            assert lab.conntrack.find(connection.tuple(direction)) == (connection, direction)
        assert lab.conntrack.find(connection.original, zone=3) is None

    def test_answers_of_the_box_do_not_confirm(self, lab):
        """A reject answers before the connection is confirmed, in its reply direction."""
        p = packet(udp(CLIENT, SERVER), SECOND)
        lab.conntrack.incoming(p)
        p.ctinfo = CtInfo.RELATED_REPLY
        assert lab.conntrack.confirm(p) == 1
        assert len(lab.conntrack) == 0

    def test_deleted_before(self, lab):
        p = packet(udp(CLIENT, SERVER), SECOND)
        lab.conntrack.incoming(p)
        assert p.ct is not None
        lab.conntrack.delete(p.ct, SECOND)
        assert lab.conntrack.confirm(p) == 0
        assert p.drop is Drop.CONNTRACK_CLASH

    def test_tcp_clash_is_lost(self, lab):
        first, second = (packet(tcp(CLIENT, SERVER, flags="S"), SECOND) for _ in range(2))
        for p in (first, second):
            lab.conntrack.incoming(p)
        assert lab.conntrack.confirm(first) == 1
        assert lab.conntrack.confirm(second) == 0
        assert second.drop is Drop.CONNTRACK_CLASH

    @pytest.mark.parametrize("raw", [udp(CLIENT, SERVER), gre(CLIENT, SERVER)])
    def test_others_join_the_winner(self, lab, raw):
        lab.topology.sysctls.nf_conntrack_acct = 1
        lab.follow_sysctls()
        first, second = (packet(raw, SECOND) for _ in range(2))
        for p in (first, second):
            lab.conntrack.incoming(p)
        lab.conntrack.confirm(first)
        assert lab.conntrack.confirm(second) == 1
        assert second.ct is first.ct is lab.only()
        assert lab.only().packets == [2, 0]
        assert lab.only().bytes == [2 * len(raw), 0]

    def test_translated_differently_it_lives_a_second(self, lab):
        first, second = (packet(udp(CLIENT, SERVER), SECOND) for _ in range(2))
        for p, port in ((first, 7000), (second, 7001)):
            lab.conntrack.incoming(p)
            assert p.ct is not None
            lab.conntrack.set_reply(p.ct, p.ct.reply._replace(dport=port))
            p.ct.status |= Status.SRC_NAT | Status.NAT_DONE_MASK
        lab.conntrack.confirm(first)
        assert lab.conntrack.confirm(second) == 1
        loser = second.ct
        assert loser is not None and loser is not first.ct
        assert loser.status & Status.NAT_CLASH
        assert lab.conntrack.find(loser.original) == (first.ct, ORIGINAL)
        assert lab.conntrack.find(loser.reply) == (loser, REPLY)
        answer = enter(lab.conntrack, udp(SERVER, CLIENT, 53, 7001), SECOND + SECOND // 2)
        assert answer.ct is loser
        assert loser.expires == 2 * SECOND
        lab.conntrack.expire(2 * SECOND)
        assert loser.dying

    def test_answers_taken_by_another(self, lab):
        first = enter(lab.conntrack, tcp(CLIENT, SERVER, flags="S"))
        assert first.ct is not None
        p = packet(tcp("10.0.1.98", SERVER, flags="S"), SECOND)
        lab.conntrack.incoming(p)
        assert p.ct is not None
        lab.conntrack.set_reply(p.ct, first.ct.reply)
        assert lab.conntrack.confirm(p) == 0


class TestAccounting:
    def test_counts_both_directions(self, lab):
        lab.topology.sysctls.nf_conntrack_acct = 1
        lab.follow_sysctls()
        sent, answer = udp(CLIENT, SERVER, data=b"x" * 10), udp(SERVER, CLIENT, 53, 5000, data=b"y" * 100)
        lab.forward(sent)
        lab.forward(answer, back=True)
        lab.forward(answer, back=True)
        assert lab.only().packets == [1, 2]
        assert lab.only().bytes == [38, 2 * 128]

    def test_not_unless_the_sysctl_said_so_in_the_beginning(self, lab):
        lab.forward(udp(CLIENT, SERVER))
        lab.topology.sysctls.nf_conntrack_acct = 1
        lab.follow_sysctls()
        lab.forward(udp(CLIENT, SERVER))
        assert (lab.only().packets, lab.only().bytes) == (None, None)


class TestExpiry:
    def test_on_lookup(self, lab):
        lab.forward(udp(CLIENT, SERVER))
        old = lab.only()
        lab.now += 30 * SECOND - 1
        lab.forward(udp(CLIENT, SERVER))
        assert lab.only() is old
        lab.now += 30 * SECOND
        assert state(lab.forward(udp(CLIENT, SERVER))) == "new"
        assert lab.only() is not old
        assert old.dying

    def test_on_time(self, lab):
        removed = []
        lab.conntrack.subscribe(lambda c, now, reason: removed.append((c.original.sport, now, reason)))
        lab.forward(udp(CLIENT, SERVER, 1))
        lab.now += 10 * SECOND
        lab.forward(udp(CLIENT, SERVER, 2))
        for second in range(12, 45):
            lab.conntrack.expire(second * SECOND)
        assert removed == [(1, 31 * SECOND, Removal.TIMEOUT), (2, 41 * SECOND, Removal.TIMEOUT)]

    def test_refreshed_ones_stay(self, lab):
        for _ in range(20):
            lab.forward(udp(CLIENT, SERVER))
            lab.conntrack.expire(lab.now)
            lab.now += 20 * SECOND
        assert len(lab.conntrack) == 1

    def test_shortened_ones_go_on_time(self, lab):
        lab.forward(tcp(CLIENT, SERVER, flags="S", seq=1))
        lab.forward(tcp(SERVER, CLIENT, 443, 40000, "SA", 9, 2), back=True)
        lab.forward(tcp(CLIENT, SERVER, flags="A", seq=2, ack=10))
        lab.conntrack.expire(lab.now)
        lab.forward(tcp(SERVER, CLIENT, 443, 40000, "R", 10), back=True)
        assert lab.left() == 10
        lab.conntrack.expire(lab.now + 10 * SECOND)
        assert len(lab.conntrack) == 0

    def test_set_timeout(self, lab):
        lab.forward(udp(CLIENT, SERVER))
        connection = lab.only()
        lab.conntrack.set_timeout(connection, lab.now + 86400 * SECOND)
        lab.conntrack.expire(lab.now + 3600 * SECOND)
        assert not connection.dying
        lab.conntrack.set_timeout(connection, lab.now + 3601 * SECOND)
        lab.conntrack.expire(lab.now + 3601 * SECOND)
        assert connection.dying

    def test_fixed_timeout(self, lab):
        lab.forward(udp(CLIENT, SERVER))
        lab.only().status |= Status.FIXED_TIMEOUT
        lab.now += 20 * SECOND
        lab.forward(udp(CLIENT, SERVER))
        assert lab.left() == 10

    def test_plans_do_not_outlive_their_connections_for_long(self, lab):
        for port in range(1000):
            lab.forward(tcp(CLIENT, SERVER, port, flags="A", seq=1, ack=1))
            lab.conntrack.flush(lab.now)
        lab.conntrack.expire(lab.now + 121 * SECOND)
        assert lab.conntrack._plans == []


class TestRemoval:
    def test_only_once(self, lab):
        lab.forward(udp(CLIENT, SERVER))
        connection = lab.only()
        assert lab.conntrack.delete(connection, lab.now)
        assert not lab.conntrack.delete(connection, lab.now)

    def test_flush(self, lab):
        removed = []
        lab.conntrack.subscribe(lambda c, now, reason: removed.append((c.original.sport, reason)))
        for port in (3, 1, 2):
            lab.forward(udp(CLIENT, SERVER, port))
        lab.conntrack.flush(lab.now)
        assert removed == [(3, Removal.REQUEST), (1, Removal.REQUEST), (2, Removal.REQUEST)]
        assert lab.conntrack.find(Tuple(IPV4, UDP, addr(CLIENT), addr(SERVER), 3, 53)) is None

    def test_listeners_may_delete_others(self, lab):
        def cascade(connection, now, reason):
            for other in list(lab.conntrack):
                lab.conntrack.delete(other, now)

        lab.conntrack.subscribe(cascade)
        for port in (1, 2, 3):
            lab.forward(udp(CLIENT, SERVER, port))
        lab.conntrack.expire(lab.now + 40 * SECOND)
        assert len(lab.conntrack) == 0

    def test_order_of_confirmation(self, lab):
        for port in (5, 2, 9):
            lab.forward(udp(CLIENT, SERVER, port))
        assert [c.original.sport for c in lab.conntrack] == [5, 2, 9]


class TestFullTable:
    @pytest.fixture
    def small(self) -> Lab:
        lab = Lab(translating=False)
        lab.topology.sysctls.nf_conntrack_max = 3
        lab.follow_sysctls()
        return lab

    def ports(self, lab: Lab) -> list[int]:
        return [c.original.sport for c in lab.conntrack]

    def test_oldest_that_is_not_assured_goes(self, small):
        removed = []
        small.conntrack.subscribe(lambda c, now, reason: removed.append((c.original.sport, reason)))
        for port in (1, 2, 3):
            small.forward(udp(CLIENT, SERVER, port))
        next(iter(small.conntrack)).status |= Status.ASSURED
        small.forward(udp(CLIENT, SERVER, 4))
        assert self.ports(small) == [1, 3, 4]
        assert removed == [(2, Removal.EARLY_DROP)]

    def test_packets_are_dropped_if_all_are_assured(self, small):
        for port in (1, 2, 3):
            small.forward(udp(CLIENT, SERVER, port))
        for connection in small.conntrack:
            connection.status |= Status.ASSURED
        p = packet(udp(CLIENT, SERVER, 4), small.now)
        assert small.conntrack.incoming(p) == 0
        assert p.drop is Drop.CONNTRACK_FULL
        assert state(small.forward(udp(CLIENT, SERVER, 1))) == "new"

    def test_offloaded_ones_are_spared_unless_udp(self, small):
        small.forward(tcp(CLIENT, SERVER, 1, flags="S"))
        small.forward(udp(CLIENT, SERVER, 2))
        small.forward(udp(CLIENT, SERVER, 3))
        for connection in small.conntrack:
            connection.status |= Status.OFFLOAD
        small.forward(udp(CLIENT, SERVER, 4))
        assert self.ports(small) == [1, 3, 4]
        # The spared one is still the oldest.
        next(iter(small.conntrack)).status &= ~Status.OFFLOAD
        small.forward(udp(CLIENT, SERVER, 5))
        assert self.ports(small) == [3, 4, 5]

    def test_closing_ones_go_with_the_next_collection(self):
        lab = Lab(translating=False)
        lab.topology.sysctls.nf_conntrack_max = 100
        lab.follow_sysctls()
        for port in range(100):
            lab.forward(tcp(CLIENT, SERVER, port, flags="A", seq=1, ack=1))
        for connection in lab.conntrack:
            connection.status |= Status.ASSURED
            assert connection.tcp is not None
            if connection.original.sport >= 75:
                connection.tcp.state = TcpState.TIME_WAIT
            elif connection.original.sport >= 50:
                connection.tcp, connection.sctp = None, SctpTracking()
                connection.sctp.state = SctpState.SHUTDOWN_SENT
        assert lab.forward(udp(CLIENT, SERVER, 1)) is None
        lab.conntrack.expire(lab.now)
        assert self.ports(lab) == [*range(50), *range(56, 100)]
        assert state(lab.forward(udp(CLIENT, SERVER, 1))) == "new"

    def test_not_offloaded_ones(self):
        lab = Lab(translating=False)
        lab.topology.sysctls.nf_conntrack_max = 100
        lab.follow_sysctls()
        for port in range(100):
            lab.forward(tcp(CLIENT, SERVER, port, flags="A", seq=1, ack=1))
        for connection in lab.conntrack:
            connection.status |= Status.OFFLOAD
        assert lab.forward(udp(CLIENT, SERVER, 1)) is None
        lab.conntrack.expire(lab.now)
        assert len(lab.conntrack) == 100

    def test_no_limit(self):
        lab = Lab(translating=False)
        lab.topology.sysctls.nf_conntrack_max = 0
        lab.follow_sysctls()
        for port in range(10):
            lab.forward(udp(CLIENT, SERVER, port))
        assert len(lab.conntrack) == 10

    def test_expired_ones_make_room(self, small):
        for port in (1, 2, 3):
            small.forward(udp(CLIENT, SERVER, port))
        for connection in small.conntrack:
            connection.status |= Status.ASSURED
        small.now += 40 * SECOND
        small.conntrack.expire(small.now)
        assert state(small.forward(udp(CLIENT, SERVER, 4))) == "new"


class TestZones:
    def enter(self, lab: Lab, raw: bytes, zone: int, directions: int = 3) -> Packet:
        p = packet(raw, lab.now)
        p.ct = template(zone, directions)
        lab.conntrack.incoming(p)
        lab.conntrack.confirm(p)
        return p

    def test_keep_equal_tuples_apart(self, lab):
        lab.forward(udp(CLIENT, SERVER))
        p = self.enter(lab, udp(CLIENT, SERVER), 5)
        assert state(p) == "new"
        assert len(lab.conntrack) == 2
        assert p.ct is not None
        assert p.ct.zone == 5
        assert lab.conntrack.find(p.ct.original, 5) == (p.ct, ORIGINAL)
        answer = self.enter(lab, udp(SERVER, CLIENT, 53, 5000), 5)
        assert answer.ct is p.ct
        assert state(answer) == "established"
        assert not next(iter(lab.conntrack)).status & Status.SEEN_REPLY

    def test_of_the_original_direction_only(self, lab):
        p = self.enter(lab, udp(CLIENT, SERVER), 5, 1)
        assert p.ct is not None
        answer = enter(lab.conntrack, udp(SERVER, CLIENT, 53, 5000))
        assert answer.ct is p.ct
        again = self.enter(lab, udp(CLIENT, SERVER), 5, 1)
        assert again.ct is p.ct
        assert state(enter(lab.conntrack, udp(CLIENT, SERVER, 5001))) == "new"

    def test_of_the_reply_direction_only(self, lab):
        p = self.enter(lab, udp(CLIENT, SERVER), 5, 2)
        answer = self.enter(lab, udp(SERVER, CLIENT, 53, 5000), 5, 2)
        assert answer.ct is p.ct

    def test_expire_like_others(self, lab):
        p = self.enter(lab, udp(CLIENT, SERVER), 5)
        lab.now += 31 * SECOND
        q = self.enter(lab, udp(CLIENT, SERVER), 5)
        assert q.ct is not p.ct
        assert len(lab.conntrack) == 1


def test_same_seed_same_identifiers():
    def identifiers(seed: int) -> list[int]:
        conntrack = Conntrack(Sysctls(), seed)
        for port in range(5):
            enter(conntrack, udp(CLIENT, SERVER, port))
        return [connection.ident for connection in conntrack]

    assert identifiers(1) == identifiers(1) != identifiers(2)
    assert len(set(identifiers(1))) == 5


def test_a_table_by_itself():
    table = Table()
    tuple_ = Tuple(IPV4, UDP, addr(CLIENT), addr(SERVER), 1, 2)
    inverse = tuple_.invert()
    assert inverse is not None
    connection = Connection(tuple_, inverse)
    connection.expires = SECOND
    table.insert(connection, 5 * SECOND)
    assert connection.expires == 6 * SECOND
    assert table.lookup(tuple_.key, 5 * SECOND) == (connection, ORIGINAL)
    assert table.lookup(tuple_.key, 6 * SECOND) is None
    assert len(table) == 0
