from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import ICMPv6ND_NS, IPv6
from scapy.layers.l2 import ARP, Ether

from flowtable.clock import SECOND, Alarm
from flowtable.packet.drop import Drop
from flowtable.router import neighbour
from flowtable.router.neighbour import Resolver
from flowtable.topology.event import Event, NeighbourChanged
from flowtable.topology.neighbour import NeighbourState
from tests.router.bench import A_MAC, BOX, C_MAC, SHARED, START, Bench, address

State = NeighbourState
HOP = address("10.1.0.2")
HOP6 = address("2001:db8:1::2")
AGEING = BOX + "  net.ipv4.neigh.a0.base_reachable_time_ms: 30000\n"


def ask(bench: Bench, hop: bytes = HOP):
    """Resolve for a new packet; the packet and what came of it."""
    ip = (
        IP(src="10.2.0.2", dst="10.1.0.2")
        if len(hop) == 4
        else IPv6(src="2001:db8:2::2", dst="2001:db8:1::2")
    )
    packet = bench.packet(ip / UDP(sport=1, dport=2) / b"x")
    return packet, bench.resolver.resolve(packet, bench.a0, hop, bench.now)


def hear(bench: Bench, mac: bytes | None = A_MAC, state: State = State.REACHABLE, **how):
    return bench.resolver.update(bench.a0, HOP, mac, state, bench.now, **how)


def state(bench: Bench, hop: bytes = HOP) -> State | None:
    known = bench.topology.neighbours.get(bench.a0, hop)
    return None if known is None else known.state


def test_a_known_neighbour_needs_no_question():
    for known in (State.PERMANENT, State.NOARP, State.REACHABLE, State.STALE, State.DELAY, State.PROBE):
        bench = Bench()
        bench.topology.neighbours.set(bench.a0, HOP, A_MAC, known)
        assert ask(bench)[1] == A_MAC
        assert not bench.frames
        # Nothing ages: see base_reachable_time_ms in NeighParms.
        assert bench.resolver.next_due is None


def test_packets_wait_for_the_answer_in_their_order():
    bench = Bench()
    packets = [ask(bench)[0] for _ in range(3)]
    assert len(bench.frames) == 1
    assert state(bench) is State.INCOMPLETE
    bench.wait(0.5)
    assert hear(bench) is not None
    assert bench.delivered == [(packet, A_MAC) for packet in packets]
    assert state(bench) is State.REACHABLE
    assert ask(bench)[1] == A_MAC
    bench.wait(100)
    assert len(bench.frames) == 1
    assert not bench.failed


def test_three_questions_a_second_apart_then_it_has_failed():
    bench = Bench()
    packets = [ask(bench)[0] for _ in range(2)]
    bench.wait(10)
    assert [(now - START) / SECOND for _, _, now in bench.frames] == [0, 1, 2]
    assert {frame for _, frame, _ in bench.frames} == {bench.frames[0][1]}
    assert bench.failed == packets
    assert {packet.drop for packet in packets} == {Drop.NEIGHBOUR_FAILED}
    assert state(bench) is State.FAILED
    # The next packet asks anew.
    ask(bench)
    assert len(bench.frames) == 4
    assert bench.frames[3][2] == START + 10 * SECOND


def test_the_box_is_told_when_it_must_ask_again():
    alarm = Alarm()
    bench = Bench()
    bench.resolver = Resolver(
        bench.topology,
        deliver=lambda packet, neighbour, now: None,
        fail=lambda packet, now: None,
        discard=bench._discard,
        alarm=alarm,
    )
    bench.resolver.serve(2, lambda neighbour, packet, unicast, now: None)
    ask(bench)
    assert alarm.due == START + SECOND


def test_ipv6_asks_the_solicited_node_group():
    bench = Bench()
    packet, mac = ask(bench, HOP6)
    assert mac is None
    bench.wait(10)
    assert [(packet.time - START) / SECOND for packet in bench.sent] == [0, 1, 2]
    assert bench.failed == [packet]
    asked = IPv6(bytes(bench.sent[0].data))
    assert (asked.src, asked.dst) == ("fe80::ff:fe00:101", "ff02::1:ff00:2")
    assert asked[ICMPv6ND_NS].tgt == "2001:db8:1::2"


def test_sysctls_of_the_device():
    bench = Bench(
        BOX
        + "  net.ipv4.neigh.a0.mcast_solicit: 1\n"
        + "  net.ipv4.neigh.a0.retrans_time_ms: 250\n"
        + "  net.ipv4.neigh.a0.unres_qlen: 2\n"
    )
    packets = [ask(bench)[0] for _ in range(3)]
    assert bench.discarded == packets[:1]
    assert packets[0].drop is Drop.NEIGHBOUR_QUEUE
    assert bench.resolver.next_due == START + SECOND // 4
    bench.wait(0.25)
    assert bench.failed == packets[1:]
    assert len(bench.frames) == 1


def test_the_queue_holds_101_packets_and_loses_the_oldest():
    bench = Bench()
    packets = [ask(bench)[0] for _ in range(105)]
    assert bench.discarded == packets[:4]
    hear(bench)
    assert [packet for packet, _ in bench.delivered] == packets[4:]


def test_neighbours_that_are_not_to_be_asked_for_fail_at_once():
    bench = Bench(BOX + "  net.ipv4.neigh.a0.mcast_solicit: 0\n")
    packet, mac = ask(bench)
    assert mac is None
    assert bench.discarded == [packet]
    assert packet.drop is Drop.NEIGHBOUR_FAILED
    assert state(bench) is State.FAILED
    assert bench.resolver.next_due is None


def test_an_error_about_a_failed_neighbour_that_needs_the_same_neighbour():
    bench = Bench()

    def fail(packet, now):
        bench.failed.append(packet)
        again = bench.packet(IP(src="10.1.0.1", dst="10.1.0.2") / UDP())
        bench.resolver.resolve(again, bench.a0, HOP, now)

    bench.resolver = Resolver(
        bench.topology,
        deliver=lambda packet, neighbour, now: None,
        fail=fail,
        discard=bench._discard,
    )
    bench.resolver.serve(2, lambda neighbour, packet, unicast, now: None)
    packets = [ask(bench)[0] for _ in range(3)]
    bench.wait(3)
    # Ref: net/core/neighbour.c:neigh_invalidate: it is a very thin place.
    assert bench.failed == packets[:1]
    assert len(bench.discarded) == 3
    assert state(bench) is State.INCOMPLETE
    bench.wait(100)


def test_listeners_hear_when_a_neighbour_becomes_valid_moves_or_fails():
    bench = Bench()
    heard: list[bool] = []

    def listen(event: Event) -> None:
        assert isinstance(event, NeighbourChanged)
        heard.append(event.neighbour.valid)

    bench.topology.subscribe(listen)
    ask(bench)
    hear(bench)
    hear(bench, C_MAC)
    hear(bench, C_MAC)
    assert heard == [False, True, True]


# __neigh_update


def test_only_those_asked_for_or_wanted_are_remembered():
    bench = Bench()
    assert hear(bench) is None
    assert hear(bench, None, create=True) is None
    assert state(bench) is None
    assert hear(bench, state=State.STALE, create=True) is not None
    assert state(bench) is State.STALE


def test_fixed_entries_do_not_change():
    for fixed in (State.PERMANENT, State.NOARP):
        bench = Bench()
        bench.topology.neighbours.set(bench.a0, HOP, A_MAC, fixed)
        known = hear(bench, C_MAC)
        assert known is not None
        assert (known.mac, known.state) == (A_MAC, fixed)


def test_hearsay_does_not_make_a_reachable_neighbour_stale():
    bench = Bench()
    hear(bench, create=True)
    hear(bench, state=State.STALE)
    assert state(bench) is State.REACHABLE
    hear(bench, None, state=State.STALE)
    assert state(bench) is State.REACHABLE
    # With another MAC address it does.
    known = hear(bench, C_MAC, state=State.STALE)
    assert known is not None
    assert (known.mac, known.state) == (C_MAC, State.STALE)


def test_overriding():
    bench = Bench()
    hear(bench, create=True)
    known = hear(bench, C_MAC, override=False)
    assert known is not None
    assert (known.mac, known.state) == (A_MAC, State.REACHABLE)
    hear(bench, C_MAC, override=False, weak_override=True, router=True)
    assert (known.mac, known.state, known.router) == (A_MAC, State.STALE, False)
    hear(bench, C_MAC, override=False, weak_override=True)
    assert (known.mac, known.state) == (A_MAC, State.STALE)
    hear(bench, C_MAC, state=State.REACHABLE, router=True)
    assert (known.mac, known.state, known.router) == (C_MAC, State.REACHABLE, True)
    hear(bench, C_MAC, router=False)
    assert not known.router


def test_the_first_of_several_answers_stands_for_the_lock_time():
    bench = Bench()
    hear(bench, create=True)
    bench.wait(0.5)
    known = hear(bench, C_MAC, override=False, settled=True)
    assert known is not None
    assert known.mac == A_MAC
    bench.wait(0.51)
    hear(bench, C_MAC, override=False, settled=True)
    assert known.mac == C_MAC


def test_somebody_else_makes_the_neighbour_known():
    bench = Bench()
    packet, _ = ask(bench)
    bench.topology.neighbours.set(bench.a0, HOP, A_MAC, State.PERMANENT)
    bench.wait(1)
    assert bench.delivered == [(packet, A_MAC)]
    assert bench.resolver.next_due is None


def test_somebody_else_deletes_the_neighbour():
    bench = Bench()
    packet, _ = ask(bench)
    known = bench.topology.neighbours.get(bench.a0, HOP)
    assert known is not None
    bench.topology.neighbours.delete(known)
    bench.wait(1)
    assert bench.discarded == [packet]
    assert state(bench) is None
    ask(bench)
    assert state(bench) is State.INCOMPLETE


def test_a_device_that_goes_down_forgets():
    bench = Bench()
    packet, _ = ask(bench)
    bench.topology.neighbours.set(bench.a0, HOP6, A_MAC, State.STALE)
    bench.topology.neighbours.set(bench.a0, address("10.1.0.9"), C_MAC, State.PERMANENT)
    other = bench.topology.neighbours.set(bench.b0, address("10.2.0.9"), C_MAC, State.STALE)
    bench.resolver.flush(bench.a0, bench.now)
    assert bench.discarded == [packet]
    assert state(bench) is state(bench, HOP6) is None
    assert state(bench, address("10.1.0.9")) is State.PERMANENT
    assert bench.topology.neighbours.get(bench.b0, other.address) is other
    bench.wait(10)
    assert not bench.failed


# Ageing


def test_a_reachable_neighbour_ages_and_is_probed_once_used():
    bench = Bench(AGEING)
    packet, _ = ask(bench)
    hear(bench)
    assert bench.delivered == [(packet, A_MAC)]
    bench.frames.clear()
    bench.wait(30)
    assert state(bench) is State.STALE
    bench.wait(1000)
    assert state(bench) is State.STALE
    assert ask(bench)[1] == A_MAC
    assert state(bench) is State.DELAY
    bench.wait(4.9)
    assert not bench.frames
    bench.wait(0.1)
    assert state(bench) is State.PROBE
    ((device, frame, now),) = bench.frames
    assert (device, now) == ("a0", bench.now)
    seen = Ether(frame)
    assert (seen.dst, seen[ARP].op, seen[ARP].pdst) == (A_MAC.hex(":"), 1, "10.1.0.2")
    assert ask(bench)[1] == A_MAC
    hear(bench)
    assert state(bench) is State.REACHABLE
    assert bench.resolver.next_due == bench.now + 30 * SECOND


def test_a_neighbour_that_does_not_answer_three_probes_has_failed():
    bench = Bench(AGEING)
    bench.topology.neighbours.set(bench.a0, HOP, A_MAC, State.STALE)
    assert ask(bench)[1] == A_MAC
    bench.wait(20)
    assert [(now - START) / SECOND for _, _, now in bench.frames] == [5, 6, 7]
    assert state(bench) is State.FAILED
    assert ask(bench)[1] is None
    assert Ether(bench.frames[3][1]).dst == "ff:ff:ff:ff:ff:ff"


def test_a_neighbour_that_proves_itself_in_time_is_not_probed():
    bench = Bench(AGEING)
    hear(bench, create=True)
    bench.wait(20)
    hear(bench)
    bench.wait(29.9)
    assert state(bench) is State.REACHABLE
    bench.wait(0.1)
    assert state(bench) is State.STALE
    ask(bench)
    hear(bench)
    assert state(bench) is State.REACHABLE
    bench.wait(29)
    assert not bench.frames


def test_a_neighbour_of_the_box_file_ages_from_its_first_use():
    bench = Bench(AGEING)
    bench.topology.neighbours.set(bench.a0, HOP, A_MAC, State.REACHABLE)
    bench.wait(100)
    assert ask(bench)[1] == A_MAC
    bench.wait(29.9)
    assert state(bench) is State.REACHABLE
    bench.wait(0.1)
    assert state(bench) is State.STALE


def test_only_devices_that_age_do():
    bench = Bench(BOX + "  net.ipv4.neigh.b0.base_reachable_time_ms: 30000\n")
    bench.topology.neighbours.set(bench.a0, HOP, A_MAC, State.STALE)
    assert ask(bench)[1] == A_MAC
    assert state(bench) is State.STALE
    assert bench.resolver.next_due is None


def test_used_while_reachable_time_is_short():
    # Ref: neigh_timer_handler: "neigh is delayed".
    bench = Bench(BOX + "  net.ipv4.neigh.a0.base_reachable_time_ms: 1000\n")
    ask(bench)
    hear(bench)
    bench.frames.clear()
    bench.wait(1)
    assert state(bench) is State.DELAY
    bench.wait(5)
    assert state(bench) is State.PROBE


# Room


def test_a_scan_does_not_fill_the_memory(monkeypatch):
    monkeypatch.setattr(neighbour, "LIMIT", 8)
    monkeypatch.setattr(neighbour, "_KEPT", 4)
    bench = Bench()
    hops = [address(f"10.1.0.{n}") for n in range(50, 62)]
    packets = [ask(bench, hop)[0] for hop in hops]
    # All of them wait for an answer: the table overflows.
    assert bench.discarded == packets[8:]
    assert {packet.drop for packet in bench.discarded} == {Drop.NEIGHBOUR_FAILED}
    bench.wait(10)
    assert bench.failed == packets[:8]
    assert ask(bench, hops[9])[1] is None
    assert len(bench.topology.neighbours) == 5
    assert state(bench, hops[9]) is State.INCOMPLETE


def test_a_full_table_keeps_what_is_fixed_and_what_changed_lately(monkeypatch):
    monkeypatch.setattr(neighbour, "LIMIT", 4)
    monkeypatch.setattr(neighbour, "_KEPT", 2)
    bench = Bench()
    learnt = [address(f"10.1.0.{n}") for n in range(50, 54)]
    for hop in learnt:
        bench.wait(1)
        bench.resolver.update(bench.a0, hop, A_MAC, State.STALE, bench.now, create=True)
    assert hear(bench, create=True) is None
    bench.wait(3.5)
    assert hear(bench, create=True) is not None
    assert [hop for hop in learnt if state(bench, hop) is None] == learnt[:2]


def test_deletion_is_announced(monkeypatch):
    monkeypatch.setattr(neighbour, "LIMIT", 1)
    monkeypatch.setattr(neighbour, "_KEPT", 0)
    bench = Bench()
    events: list[Event] = []
    bench.topology.subscribe(events.append)
    bench.resolver.update(bench.a0, HOP6, A_MAC, State.STALE, bench.now, create=True)
    bench.resolver.update(bench.a0, HOP, A_MAC, State.STALE, bench.now, create=True)
    bench.wait(6)
    bench.resolver.update(bench.a0, address("10.1.0.3"), A_MAC, State.STALE, bench.now, create=True)
    gone = [
        event.neighbour.address for event in events if isinstance(event, NeighbourChanged) and event.removed
    ]
    assert gone == [HOP]


# What holds for all


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("ask"), st.integers(2, 4), st.floats(0, 3)),
            st.tuples(st.just("reply"), st.integers(2, 4), st.floats(0, 3)),
            st.tuples(st.just("hear"), st.integers(2, 4), st.floats(0, 9)),
            st.tuples(st.just("down"), st.just(0), st.floats(0, 1)),
        ),
        max_size=25,
    ),
    st.booleans(),
)
def test_every_packet_comes_out_once(steps, ageing):
    bench = Bench(topology=SHARED)
    neighbours = bench.topology.neighbours
    for known in neighbours:
        neighbours.delete(known)
    if ageing:
        bench.resolver._ageing = True
        parms = bench.topology.sysctls.neigh(2, "a0")
        bench.resolver._parms[2, bench.a0.index] = type(parms)(3, 3, 1000, 3, 4000, 5, 60)
    asked = at_once = 0
    for step, host, pause in steps:
        bench.wait(pause)
        hop = address(f"10.1.0.{host}")
        match step:
            case "ask":
                asked += 1
                at_once += ask(bench, hop)[1] is not None
            case "reply":
                bench.resolver.update(bench.a0, hop, A_MAC, State.REACHABLE, bench.now)
            case "hear":
                bench.resolver.update(bench.a0, hop, C_MAC, State.STALE, bench.now, create=True)
            case _:
                bench.resolver.flush(bench.a0, bench.now)
    bench.wait(1000)
    assert asked == at_once + len(bench.delivered) + len(bench.failed) + len(bench.discarded)
    assert bench.resolver.next_due is None
