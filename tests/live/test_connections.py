"""Connections of the running kernel, as flowtables know them."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

from flowtable.clock import SECOND
from flowtable.conntrack.connection import Connection, Status, TcpFlag, TcpState
from flowtable.conntrack.removal import Removal
from flowtable.live.connections import Connections
from flowtable.live.ctnetlink import request
from flowtable.live.ctnetlink.message import Request
from flowtable.live.ctnetlink.report import Event, Identity, Report
from flowtable.live.ctnetlink.request import Change, Masked
from flowtable.live.ctnetlink.socket import Requester
from flowtable.live.ctnetlink.table import KernelTable
from flowtable.live.mark import Carrier, Mark
from flowtable.topology.sysctl import Sysctls
from tests.live.hosts import CLIENT, SERVER, WAN, Host, hosts, in_namespace, sh, sysctl
from tests.namespace import require

LABEL = Mark(Carrier.LABEL, 127)
BIT = Mark(Carrier.MARK, 4)


def rules(mark: Mark = LABEL) -> None:
    require("nft")
    sh(
        "nft -f -",
        f"""
table inet t {{
  chain forward {{
    type filter hook forward priority 0
    {mark.statements}
  }}
}}
table ip nat {{
  chain postrouting {{
    type nat hook postrouting priority 100
    oifname wan0 masquerade
  }}
}}
""",
    )


class Watched:
    """Connections of the kernel, and what was told of them, on a clock that can be set ahead."""

    def __init__(self, *marks: Mark, accounting: int = 0) -> None:
        self.marked: list[tuple[Connection, Mark]] = []
        self.gone: list[tuple[Connection, Removal]] = []
        self.ahead = 0
        self.kernel = KernelTable()
        self.connections = Connections(
            Sysctls(nf_conntrack_acct=accounting),
            lambda *what: self.marked.append(what),
            self.kernel,
            self.clock,
        )
        self.connections.marks = marks or (LABEL,)
        self.connections.subscribe(lambda connection, now, reason: self.gone.append((connection, reason)))
        self.requester = Requester()

    def clock(self) -> int:
        return time.monotonic_ns() + self.ahead

    def until(self, done: Callable[[], object]) -> None:
        while not done():
            assert select.select([self.connections], [], [], 10)[0], "nothing more is told"
            self.connections.read()

    def there(self, connection: Connection) -> Report:
        """What the kernel has of a connection."""
        identity = request.identity(connection.original, connection.zone)
        assert self.connections.find(identity) is connection
        report = self.requester.get(request.get(identity))
        assert report is not None
        return report


def talk(client: Host, server: Host, port: int = 53) -> tuple[socket.socket, socket.socket]:
    """A UDP connection with an answer and another question."""
    here, there = client.udp(CLIENT, 5000), server.udp(SERVER, port)
    here.sendto(b"question", (SERVER, port))
    _, source = there.recvfrom(100)
    there.sendto(b"answer", source)
    here.recv(100)
    here.sendto(b"question", (SERVER, port))
    there.recv(100)
    return here, there


def connect(client: Host, server: Host) -> tuple[socket.socket, socket.socket]:
    listening = server.server(SERVER, 80)
    here = client.connect(SERVER, 80)
    return here, listening.accept()[0]


@in_namespace
def test_a_udp_connection_is_known_when_rules_mark_it() -> None:
    rules()
    client, server = hosts()
    watched = Watched()
    talk(client, server)
    watched.until(lambda: watched.marked)
    ((connection, mark),) = watched.marked
    assert mark == LABEL
    assert connection.reply.dst == socket.inet_aton(WAN)
    assert connection.status & Status.NAT_MASK == Status.SRC_NAT
    assert connection.confirmed and not connection.offloaded
    assert 28 * SECOND < connection.expires - watched.clock() <= 30 * SECOND
    assert connection.packets is None
    watched.connections.unmark(connection, LABEL)
    watched.connections.write()
    assert watched.there(connection).labels is None
    watched.connections.read()
    assert len(watched.marked) == 1


@in_namespace
def test_the_mark_of_a_connection_does_as_well() -> None:
    rules(BIT)
    client, server = hosts()
    watched = Watched(BIT, accounting=1)
    talk(client, server)
    watched.until(lambda: watched.marked)
    ((connection, mark),) = watched.marked
    assert mark == BIT and connection.mark == 1 << BIT.bit and connection.packets == [0, 0]
    watched.requester.order(
        Change(mark=Masked(0x100, 0x100)).request(watched_identity(connection), acknowledge=True)
    )
    watched.connections.unmark(connection, BIT)
    watched.connections.write()
    assert watched.there(connection).mark == 0x100


def watched_identity(connection: Connection) -> Identity:
    return request.identity(connection.original, connection.zone)


@in_namespace
def test_tcp_is_made_liberal_and_stays_so_with_its_highest_acknowledgement_forgotten() -> None:
    rules()
    client, server = hosts()
    watched = Watched()
    here, there = connect(client, server)
    watched.until(lambda: watched.marked)
    ((connection, _),) = watched.marked
    assert connection.tcp is not None and connection.tcp.state == TcpState.ESTABLISHED
    assert connection.status & Status.ASSURED
    watched.connections.offload(connection)
    watched.connections.write()
    tcp = watched.there(connection).tcp
    assert tcp is not None and tcp.flags is not None
    assert all(flags & TcpFlag.BE_LIBERAL for flags in tcp.flags)
    watched.connections.take_back(connection)
    watched.connections.write()
    tcp = watched.there(connection).tcp
    assert tcp is not None and tcp.flags is not None
    assert all(flags & (TcpFlag.BE_LIBERAL | TcpFlag.MAXACK_SET) == TcpFlag.BE_LIBERAL for flags in tcp.flags)
    here.close()
    there.close()
    watched.until(lambda: connection.tcp and connection.tcp.state == TcpState.TIME_WAIT)


@in_namespace
def test_an_offloaded_connection_is_kept_alive_and_left_with_what_it_has() -> None:
    rules()
    client, server = hosts()
    watched = Watched()
    talk(client, server)
    watched.until(lambda: watched.marked)
    ((connection, _),) = watched.marked
    connections = watched.connections
    connections.offload(connection)
    connections.write()
    start = watched.clock()
    # Packets on the fast path, 20 s later: the kernel learns of them when half of its 30 s are over.
    watched.ahead = 20 * SECOND
    connection.status |= Status.ASSURED
    connections.set_timeout(connection, start + 140 * SECOND)
    connections.write()
    report = watched.there(connection)
    assert report.timeout is not None and 118 <= report.timeout <= 120
    assert report.status is not None and report.status & Status.ASSURED
    connections.set_timeout(connection, start + 150 * SECOND)
    connections.write()
    again = watched.there(connection)
    assert again.timeout is not None and again.timeout <= 120, "not every packet is worth an order"
    connections.take_back(connection)
    connections.write()
    last = watched.there(connection)
    assert last.timeout is not None and 128 <= last.timeout <= 130
    connections.set_timeout(connection, watched.clock() + 5 * SECOND)
    connections.write()
    shortened = watched.there(connection)
    assert shortened.timeout is not None and shortened.timeout <= 5


@in_namespace
def test_a_connection_that_closes_keeps_the_time_that_the_kernel_gave_it() -> None:
    rules()
    client, server = hosts()
    watched = Watched()
    here, there = connect(client, server)
    watched.until(lambda: watched.marked)
    ((connection, _),) = watched.marked
    watched.connections.offload(connection)
    watched.connections.write()
    here.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    here.close()
    with suppress(ConnectionResetError):
        there.recv(1)
    # The reset is on its way up the classic path; the flow ends before the kernel is heard of.
    watched.connections.take_back(connection)
    watched.connections.write()
    report = watched.there(connection)
    assert report.tcp is not None and report.tcp.state == TcpState.CLOSE
    assert report.timeout is not None and report.timeout <= 10


@in_namespace
def test_who_deletes_and_who_flushes() -> None:
    rules()
    client, server = hosts()
    watched = Watched()
    here, there = talk(client, server)
    watched.until(lambda: watched.marked)
    ((connection, _),) = watched.marked
    watched.connections.offload(connection)
    watched.connections.write()
    watched.requester.order(request.flush())
    watched.until(lambda: watched.gone)
    assert watched.gone == [(connection, Removal.REQUEST)]
    assert connection.dying and len(watched.connections) == 0
    watched.connections.take_back(connection)
    watched.connections.write()
    # The same tuples again are another connection.
    here.sendto(b"question", (SERVER, 53))
    _, source = there.recvfrom(100)
    there.sendto(b"answer", source)
    watched.until(lambda: len(watched.marked) == 2)
    assert watched.marked[1][0] is not connection


@in_namespace
def test_after_an_overrun_nothing_is_missed() -> None:
    rules()
    client, server = hosts()
    watched = Watched()
    here, there = talk(client, server)
    watched.until(lambda: watched.marked)
    for port in range(100, 160):
        here.sendto(b"question", (SERVER, port))
    watched.kernel._listener._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2304)
    watched.requester.order(request.flush())
    here.sendto(b"question", (SERVER, 53))
    _, source = there.recvfrom(100)
    there.sendto(b"answer", source)
    here.recv(100)
    watched.until(lambda: watched.connections.overruns)
    assert [connection for connection, _ in watched.gone] == [watched.marked[0][0]]
    assert len(watched.marked) == 2 and len(watched.connections) == 1
    assert watched.marked[0][0] is not watched.marked[1][0]


class Flooded:
    """A kernel that has lost something, with more to read behind it."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.waiting = 3

    def fileno(self) -> int:
        return -1

    def close(self) -> None:
        pass

    def read(self) -> list[Report]:
        self.calls.append("read")
        self.waiting -= 1
        return [Report(Event.UPDATE, 2, 0, {})] if self.waiting >= 0 else []

    def overrun(self) -> bool:
        return self.waiting == 2

    def dump(self) -> Iterator[Report]:
        self.calls.append("dump")
        return iter(())

    def look(self, identities: Sequence[Identity]) -> list[Report | None]:
        return []

    def write(self, requests: Sequence[Request]) -> list[tuple[int, int]]:
        return []


def test_after_an_overrun_all_is_read_before_the_table_is_looked_through() -> None:
    kernel = Flooded()
    connections = Connections(Sysctls(), lambda *what: None, kernel)
    connections.read()
    assert kernel.calls == ["dump", "read", "read", "read", "read", "dump"]


@in_namespace
def test_plans_for_what_is_no_more_do_not_pile_up() -> None:
    rules()
    watched = Watched()
    talk(*hosts())
    watched.until(lambda: watched.marked)
    for _ in range(5000):
        watched.connections.offload(watched.marked[0][0])
    assert len(watched.connections._due) < 2000


@in_namespace
def test_connections_from_before_are_found_by_looking() -> None:
    rules()
    client, server = hosts()
    # As while nobody listens; that other namespaces may have listeners counts as well.
    sysctl("net.netfilter.nf_conntrack_events", 0)
    here, there = client.udp(CLIENT, 5000), server.udp(SERVER, 53)
    here.sendto(b"question", (SERVER, 53))
    _, source = there.recvfrom(100)
    sysctl("net.netfilter.nf_conntrack_events", 1)
    watched = Watched()
    there.sendto(b"answer", source)
    here.recv(100)
    watched.connections.read()
    watched.connections.write()
    assert not watched.marked, "the kernel keeps no events for it"
    watched.ahead = 3 * SECOND
    watched.connections.write()
    assert len(watched.marked) == 1
    watched.requester.order(request.flush())
    watched.connections.read()
    assert not watched.gone
    watched.ahead = 10 * SECOND
    watched.connections.write()
    assert len(watched.gone) == 1


@in_namespace
def test_marks_of_an_earlier_life_are_taken_away() -> None:
    rules()
    client, server = hosts()
    watched = Watched()
    talk(client, server)
    watched.connections.unmark_all()
    assert [report.labels for report in watched.requester.dump(request.dump())] == [None]


@in_namespace
def test_zones_are_part_of_what_a_connection_is_known_by() -> None:
    rules()
    sh("nft add chain inet t zone { type filter hook prerouting priority -300; }")
    sh("nft add rule inet t zone ct zone set 7")
    client, server = hosts()
    watched = Watched()
    talk(client, server)
    watched.until(lambda: watched.marked)
    ((connection, _),) = watched.marked
    assert connection.zone == 7
    watched.connections.unmark(connection, LABEL)
    watched.connections.write()
    assert watched.there(connection).labels is None


@in_namespace
def test_a_kernel_that_tells_nothing_is_refused() -> None:
    sysctl("net.netfilter.nf_conntrack_events", 0)
    try:
        KernelTable()
    except OSError as error:
        assert "nf_conntrack_events" in str(error)
    else:
        raise AssertionError
