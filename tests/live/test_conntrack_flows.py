"""What ``flowtable conntrack`` shows of connections on the fast path, and what becomes of these."""

from __future__ import annotations

import re
import time

import pytest

from flowtable.live.control import AskFlows
from tests.live.world import Exchange, Line, World, require_root

SIZE = 1 << 20
RULES = """
table inet x {
    flowtable f { hook ingress priority 0; devices = { lan, wan }; counter; }
    chain forward {
        type filter hook forward priority 0
        meta l4proto { tcp, udp } flow add @f
        counter
    }
}
"""


@pytest.fixture
def line(tmp_path):
    require_root()
    with World(tmp_path) as world:
        line = Line(world)
        line.router.sysctl(net__netfilter__nf_conntrack_acct=1)
        yield line


def connect(line: Line) -> Exchange:
    return Exchange(line.client, line.server, "10.0.2.99", size=SIZE)


def bytes_of(listing: str) -> list[int]:
    return [int(found) for found in re.findall(r" bytes=(\d+)", listing)]


def test_flows_are_offload_and_their_packets_are_counted_in(line: Line) -> None:
    service = line.world.up(line.router, RULES)
    with service.events() as events:
        exchange = connect(line)
        events.until("added")
        exchange.run()
        listing = line.router.flowtable("conntrack", "-L", "-p", "tcp")
        assert re.match(
            r"tcp      6 src=10\.0\.1\.99 dst=10\.0\.2\.99 .*\[OFFLOAD\] mark=0 use=2\n$", listing
        )
        assert all(size > SIZE for size in bytes_of(listing))
        plain = line.router.run("conntrack", "-L", "-p", "tcp")
        assert "[ASSURED]" in plain and all(size < SIZE // 10 for size in bytes_of(plain))
        assert line.router.flowtable("conntrack", "-L", "-u", "OFFLOAD") == listing
        assert line.router.flowtable("conntrack", "-L", "-u", "!OFFLOAD", "-p", "tcp") == ""
        line.router.flowtable("flush")
        events.until("ended", "FLUSH")
        after = line.router.flowtable("conntrack", "-L", "-p", "tcp")
        assert "ESTABLISHED" in after and "[ASSURED]" in after
        assert all(size > SIZE for size in bytes_of(after)), "what the fast path counted stays"


def test_a_deleted_connection_takes_its_flow_along_and_comes_back(line: Line) -> None:
    service = line.world.up(line.router, RULES)
    with service.events() as events:
        exchange = connect(line)
        events.until("added")
        deleted = line.router.flowtable("conntrack", "-D", "-p", "tcp", "--dport", "5000")
        assert deleted.count("[OFFLOAD]") == 1
        events.until("ended", "CONNECTION")
        exchange.run()
        events.until("added")
        exchange.run()
        line.router.run("conntrack", "-F", check=False)
        events.until("ended", "CONNECTION")
        exchange.run()
        events.until("added")
    (flow,) = service.ask(AskFlows())
    # Whoever sends first after a flush begins the connection.
    assert 5000 in (flow.original.arrives.sport, flow.original.arrives.dport)


def test_tracking_of_the_kernel_closes_the_connection_and_is_liberal_meanwhile(line: Line) -> None:
    service = line.world.up(line.router, RULES)
    with service.events() as events:
        exchange = connect(line)
        events.until("added")
        exchange.run()
        # Windows of the kernel are a megabyte behind; what takes the classic path is accepted all the same.
        line.router.run("nft", "add rule inet x forward ct state invalid counter drop")
        line.router.flowtable("flush")
        exchange.run()
        exchange.close()
        events.until("ended")
    deadline = time.monotonic() + 20
    while "TIME_WAIT" not in (listing := line.router.run("conntrack", "-L", "-p", "tcp")):
        assert time.monotonic() < deadline, listing
    timeout = int(listing.split()[2])
    assert timeout <= 120
    assert "invalid counter packets 0" in line.router.run("nft", "list", "chain", "inet", "x", "forward")
