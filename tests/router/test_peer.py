"""Token buckets and the budget, as the kernel's arithmetic has them."""

from flowtable.clock import MILLISECOND, SECOND
from flowtable.router.ident import Identifiers
from flowtable.router.peer import IcmpBudget, Peers
from flowtable.topology.sysctl import Sysctls

HOST = b"\x0a\0\0\x01"


def test_a_quiet_host_gets_six_at_once_then_one_each_interval():
    peer = Peers().get(HOST, 0)
    assert [peer.allow(SECOND, 0) for _ in range(8)] == [True] * 6 + [False] * 2
    assert not peer.allow(SECOND, SECOND - 1)
    assert peer.allow(SECOND, SECOND)
    assert not peer.allow(SECOND, SECOND)
    # However long the pause, the bucket holds six.
    assert sum(peer.allow(SECOND, 100 * SECOND) for _ in range(20)) == 6


def test_an_interval_of_zero_allows_everything():
    peer = Peers().get(HOST, 0)
    assert all(peer.allow(0, 0) for _ in range(100))


def test_route_errors_come_five_at_once_then_one_a_second():
    peer = Peers().get(HOST, 0)
    assert sum(peer.allow_route_error(0) for _ in range(10)) == 5
    assert not peer.allow_route_error(SECOND - 1)
    assert peer.allow_route_error(SECOND)


def test_route_errors_and_messages_draw_from_the_same_bucket():
    # Each "no route" passes ip_error and then icmpv4_xrlim_allow.
    peer = Peers().get(HOST, 0)
    sent = [peer.allow_route_error(0) and peer.allow(SECOND, 0) for _ in range(10)]
    assert sum(sent) == 2
    assert sent[:2] == [True, True]


def test_of_too_many_hosts_the_one_longest_not_asked_for_is_forgotten(monkeypatch):
    monkeypatch.setattr(Peers, "LIMIT", 3)
    peers = Peers()
    first, second, third = (peers.get(bytes([n]), 0) for n in range(3))
    assert peers.get(bytes([0]), 0) is first
    peers.get(bytes([3]), 0)
    assert len(peers) == 3
    assert peers.get(bytes([0]), 0) is first
    assert peers.get(bytes([2]), 0) is third
    assert peers.get(bytes([1]), 0) is not second


def test_the_budget_is_refilled_when_empty_and_not_sooner_than_20_ms():
    budget = IcmpBudget(Sysctls(icmp_msgs_per_sec=1000, icmp_msgs_burst=50))

    def spend(now: int) -> int:
        count = 0
        while budget.allow(now):
            budget.consume()
            count += 1
        return count

    assert spend(0) == 50
    assert spend(19 * MILLISECOND) == 0
    assert spend(20 * MILLISECOND) == 20
    assert spend(50 * MILLISECOND) == 30
    assert spend(10 * SECOND) == 50


def test_a_budget_that_gains_nothing_stays_empty():
    budget = IcmpBudget(Sysctls(icmp_msgs_per_sec=0))
    assert not budget.allow(5 * SECOND)


def test_identifications_count_and_wrap():
    identifiers = Identifiers()
    assert [identifiers.ipv4() for _ in range(0x10001)][-3:] == [0xFFFF, 0, 1]
    assert [identifiers.ipv6() for _ in range(3)] == [1, 2, 3]
