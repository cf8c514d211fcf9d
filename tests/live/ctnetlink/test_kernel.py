"""The running kernel understands what is asked of it, and is understood."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable

import pytest

from flowtable.conntrack.connection import Status, TcpFlag, TcpState
from flowtable.conntrack.tuple import Tuple
from flowtable.live.ctnetlink import request, tuples
from flowtable.live.ctnetlink.report import Event, Report
from flowtable.live.ctnetlink.request import Change, Masked
from flowtable.live.ctnetlink.socket import Listener, Requester
from flowtable.packet.packet import ICMP, IPV4, IPV6, TCP, UDP
from tests.live.hosts import CLIENT, CLIENT6, SERVER, SERVER6, WAN, hosts, in_namespace, sh, sysctl
from tests.namespace import require

LABEL = 126
RULES = f"""
table inet t {{
  chain forward {{
    type filter hook forward priority 0
    ct state established ct label ! {LABEL} ct label set {LABEL}
  }}
}}
table ip nat {{
  chain postrouting {{
    type nat hook postrouting priority 100
    oifname wan0 masquerade
  }}
}}
"""
LIBERAL = Masked(TcpFlag.BE_LIBERAL, TcpFlag.BE_LIBERAL | TcpFlag.MAXACK_SET)


def rules() -> None:
    require("nft")
    sh("nft -f -", RULES)


def wait(listener: Listener, done: Callable[[Report], bool]) -> list[Report]:
    """The events up to one."""
    heard: list[Report] = []
    while not heard or not done(heard[-1]):
        assert select.select([listener], [], [], 10)[0], f"only {heard}"
        heard += listener.read(1)
    return heard


def labelled(report: Report) -> bool:
    return report.labels is not None


@in_namespace
def test_udp_from_its_first_packet_to_its_deletion() -> None:
    rules()
    client, server = hosts()
    with Listener() as listener, Requester() as requester:
        here, there = client.udp(CLIENT, 5000), server.udp(SERVER, 53)
        here.sendto(b"question", (SERVER, 53))
        _, source = there.recvfrom(100)
        there.sendto(b"answer", source)
        here.recv(100)
        first, second = wait(listener, labelled)
        assert (first.event, second.event) == (Event.NEW, Event.UPDATE)
        assert first.original == Tuple(
            IPV4, UDP, socket.inet_aton(CLIENT), socket.inet_aton(SERVER), 5000, 53
        )
        assert first.reply == Tuple(IPV4, UDP, socket.inet_aton(SERVER), socket.inet_aton(WAN), 53, source[1])
        assert first.family == IPV4
        assert first.labels is None and first.counters is None and first.tcp is None and first.use is None
        # The reply is what makes it established: the rule that labels it sees the reply already.
        assert second.status is not None and second.status & Status.SEEN_REPLY
        assert second.labels == 1 << LABEL
        assert second.ident == first.ident
        here.sendto(b"again", (SERVER, 53))
        there.recv(100)
        assert not listener.read(), "the packets after that change nothing that is told"

        entry = requester.get(request.get(first.identity))
        assert entry is not None and entry.event is Event.ENTRY
        assert entry.identity == first.identity
        assert entry.labels == 1 << LABEL and entry.mark == 0 and entry.use == 2
        requester.order(request.delete(first.identity, first.ident))
        (last,) = wait(listener, lambda report: report.event is Event.DESTROY)
        assert last.identity == first.identity
        with pytest.raises(FileNotFoundError):
            requester.order(request.delete(first.identity))
        assert requester.get(request.get(first.identity)) is None


@in_namespace
def test_tcp_is_told_state_by_state_and_made_liberal() -> None:
    rules()
    client, server = hosts()
    with Listener() as listener, Requester() as requester:
        server_socket = server.server(SERVER, 80)
        here = client.connect(SERVER, 80)
        there, _ = server_socket.accept()
        heard = wait(listener, lambda report: (report.status or 0) & Status.ASSURED != 0)
        states = [report.tcp.state for report in heard if report.tcp is not None]
        assert states == [TcpState.SYN_SENT, TcpState.SYN_RECV, TcpState.ESTABLISHED]
        # The SYN-ACK is the first packet of `ct state established`.
        assert [labelled(report) for report in heard] == [False, True, False]
        identity = heard[0].identity
        change = Change(timeout=1000, tcp=(LIBERAL, LIBERAL)).request(identity)
        assert requester.send([change, change]) == []
        (own, _) = wait(listener, lambda report: report.timeout == 1000) + listener.read()
        assert own.port == requester.port
        assert own.tcp is not None and own.tcp.flags is not None
        assert all(flags & LIBERAL.mask == TcpFlag.BE_LIBERAL for flags in own.tcp.flags)
        requester.send([change])
        assert listener.read(own=requester.port) == []
        here.close()
        there.close()
        heard = wait(
            listener, lambda report: report.tcp is not None and report.tcp.state == TcpState.TIME_WAIT
        )
        assert next(report.tcp.state for report in heard if report.tcp) == TcpState.FIN_WAIT


@in_namespace
def test_dumps_are_filtered_by_the_kernel() -> None:
    client, server = hosts()
    sh("nft add table inet t")
    sh("nft add chain inet t f { type filter hook forward priority 0; }")
    sysctl("net.netfilter.nf_conntrack_acct", 1)
    sh("nft add rule inet t f ct state new,established")
    with Requester() as requester:
        for address, ours in ((SERVER, CLIENT), (SERVER6, CLIENT6)):
            here, there = client.udp(ours, 5000), server.udp(address, 53)
            here.sendto(b"question", (address, 53))
            there.recvfrom(100)
        client.sh(f"ping -q -c 1 {SERVER}")
        client.sh(f"ping -q -c 1 {SERVER6}")
        entries = list(requester.dump(request.dump()))
        assert len(entries) == 4
        assert all(tuples.encode(entry.original) == entry.identity.tuple for entry in entries)
        assert {entry.family for entry in entries} == {IPV4, IPV6}
        ping = next(entry for entry in entries if entry.original.l4proto == ICMP)
        assert (ping.original.icmp_type, ping.reply.icmp_type) == (8, 0)
        assert ping.counters is not None and [each.packets for each in ping.counters] == [1, 1]
        assert ping.counters[0].bytes == 84
        assert [entry.family for entry in requester.dump(request.dump(IPV6))] == [IPV6, IPV6]
        requester.order(Change(mark=Masked(0x30, 0xF0)).request(ping.identity, acknowledge=True))
        marked = list(requester.dump(request.dump(mark=Masked(0x30, 0xFF))))
        assert [entry.identity for entry in marked] == [ping.identity]
        replied = Masked(Status.SEEN_REPLY, Status.SEEN_REPLY)
        assert len(list(requester.dump(request.dump(status=replied)))) == 2
        count = requester.statistics(request.statistics())
        assert count is not None and count.entries == 4
        requester.order(request.flush(IPV6))
        assert [entry.family for entry in requester.dump(request.dump())] == [IPV4, IPV4]


@in_namespace
def test_many_orders_go_at_once_and_each_failure_is_told() -> None:
    client, server = hosts()
    sh("nft add table inet t")
    sh("nft add chain inet t f { type filter hook forward priority 0; }")
    sh("nft add rule inet t f ct state new,established")
    here, there = client.udp(CLIENT, 5000), server.udp(SERVER, 53)
    with Requester() as requester:
        for _ in range(3):
            here.sendto(b"question", (SERVER, 53))
            there.recv(100)
        (entry,) = requester.dump(request.dump())
        nobody = request.identity(Tuple(IPV4, TCP, bytes(4), bytes(4), 1, 2))
        orders = [Change(timeout=100 + number).request(entry.identity) for number in range(999)]
        for place in (0, 256, 998):
            orders[place] = Change(timeout=5).request(nobody)
        assert requester.send(orders) == [(0, 2), (256, 2), (998, 2)]
        (entry,) = requester.dump(request.dump())
        assert entry.timeout is not None and 1000 < entry.timeout <= 100 + 997


@in_namespace
def test_an_overrun_is_told_and_events_that_were_kept_are_read() -> None:
    client, server = hosts()
    sh("nft add table inet t")
    sh("nft add chain inet t f { type filter hook forward priority 0; }")
    sh("nft add rule inet t f ct state new,established")
    with Listener(receive_buffer=8192) as listener:
        here, there = client.udp(CLIENT, 5000), server.udp(SERVER, 53)
        for port in range(53, 153):
            here.sendto(b"question", (SERVER, port))
        here.sendto(b"question", (SERVER, 53))
        there.recv(100)
        there.recv(100)
        assert 0 < len(listener.read()) < 100
        assert listener.overrun()
        assert listener.read() == []
        assert not listener.overrun()
        here.sendto(b"question", (SERVER, 200))
        wait(listener, lambda report: report.original.dport == 200)
