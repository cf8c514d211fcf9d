from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import ARP, Ether

from flowtable.packet.packet import IPV4, PacketType
from flowtable.router.arp import Outcome
from flowtable.topology.device import Address, Scope
from flowtable.topology.neighbour import NeighbourState
from tests.router.bench import A_MAC, BOX, C_MAC, R_MAC, RB_MAC, SHARED, Bench, address, merged

A, C, ROUTER, FAR = "10.1.0.2", "10.1.0.9", "10.1.0.1", "10.2.0.1"
BROADCAST = int(PacketType.BROADCAST)
STALE, REACHABLE = NeighbourState.STALE, NeighbourState.REACHABLE


def hear(bench: Bench, pkttype: int = 0, device=None, **fields: Any) -> Outcome:
    message = ARP(**merged(fields, op=1, hwsrc=A_MAC.hex(":"), psrc=A, pdst=ROUTER))
    frame = bytes(Ether(dst="ff:ff:ff:ff:ff:ff") / message)
    outcome = bench.arp.receive(device or bench.a0, frame, 14, pkttype, bench.now)
    assert bench.arp.outcomes[outcome]
    return outcome


def replies(bench: Bench) -> list[tuple[str, str, str, str, str]]:
    """Sender and target of the replies sent, whose Ethernet header agrees with them."""
    frames, bench.frames = bench.frames, []
    told = []
    for name, frame, _ in frames:
        seen = Ether(frame)
        arp = seen[ARP]
        assert (arp.op, seen.src, seen.dst, len(frame)) == (2, arp.hwsrc, arp.hwdst, 42)
        told.append((name, arp.hwsrc, arp.psrc, arp.hwdst, arp.pdst))
    return told


def known(bench: Bench, host: str = A, device=None):
    entry = bench.topology.neighbours.get(device or bench.a0, address(host))
    return entry and (entry.mac, entry.state)


def test_a_request_for_the_box_is_answered_and_its_sender_remembered():
    bench = Bench()
    assert hear(bench, BROADCAST) is Outcome.REPLIED
    assert replies(bench) == [("a0", R_MAC.hex(":"), ROUTER, A_MAC.hex(":"), A)]
    assert known(bench) == (A_MAC, STALE)


def test_every_device_answers_for_every_address():
    bench = Bench()
    assert hear(bench, BROADCAST, pdst=FAR) is Outcome.REPLIED
    assert replies(bench) == [("a0", R_MAC.hex(":"), FAR, A_MAC.hex(":"), A)]


def test_arp_ignore():
    for level, answered in ((0, {ROUTER, FAR}), (1, {ROUTER}), (2, {ROUTER}), (3, {ROUTER, FAR}), (8, set())):
        bench = Bench(BOX + f"  net.ipv4.conf.all.arp_ignore: {level}\n")
        for target in (ROUTER, FAR):
            outcome = hear(bench, BROADCAST, pdst=target)
            assert outcome is (Outcome.REPLIED if target in answered else Outcome.IGNORED), (level, target)
        assert len(replies(bench)) == len(answered)
    bench = Bench(BOX + "  net.ipv4.conf.all.arp_ignore: 2\n")
    assert hear(bench, BROADCAST, psrc="10.9.0.1") is Outcome.IGNORED
    assert hear(bench, BROADCAST, psrc="0.0.0.0") is Outcome.REPLIED


def test_arp_ignore_of_addresses_that_stay_on_the_host():
    bench = Bench(BOX + "  net.ipv4.conf.all.arp_ignore: 3\n")
    for target, scope in (("10.1.0.5", Scope.HOST), ("10.1.0.6", Scope.LINK)):
        bench.topology.add_address(bench.b0, Address(IPV4, address(target), 32, scope=scope))
    assert hear(bench, BROADCAST, pdst="10.1.0.5") is Outcome.IGNORED
    assert hear(bench, BROADCAST, pdst="10.1.0.6") is Outcome.REPLIED


def test_accept_local():
    bench = Bench(BOX + "  net.ipv4.conf.all.accept_local: 1\n")
    assert hear(bench, BROADCAST, psrc=FAR) is Outcome.REPLIED
    assert hear(bench, BROADCAST, psrc="127.0.0.1") is Outcome.NOT_OURS
    bench = Bench(BOX + "  net.ipv4.conf.all.accept_local: 1\n  net.ipv4.conf.all.route_localnet: 1\n")
    assert hear(bench, BROADCAST, psrc="127.0.0.1") is Outcome.REPLIED


def test_requests_for_others_are_not_answered():
    bench = Bench()
    assert hear(bench, BROADCAST, pdst="10.1.0.44") is Outcome.NOT_OURS
    assert hear(bench, BROADCAST, pdst="10.1.0.255") is Outcome.NOT_OURS
    assert not replies(bench)
    assert known(bench) is None


def test_a_probe_is_answered_without_remembering_anybody():
    # RFC 5227.
    bench = Bench()
    assert hear(bench, BROADCAST, psrc="0.0.0.0") is Outcome.REPLIED
    assert replies(bench) == [("a0", R_MAC.hex(":"), ROUTER, A_MAC.hex(":"), "0.0.0.0")]
    assert len(bench.topology.neighbours) == 0
    assert hear(bench, psrc="0.0.0.0", op=2) is Outcome.NOT_OURS
    assert hear(bench, psrc="0.0.0.0", pdst="10.1.0.44") is Outcome.NOT_OURS


def test_senders_that_cannot_be_are_not_answered():
    bench = Bench()
    for sender in (ROUTER, FAR, "127.0.0.1", "224.0.0.1", "255.255.255.255"):
        assert hear(bench, BROADCAST, psrc=sender) is Outcome.NOT_OURS, sender
    assert not replies(bench)
    assert len(bench.topology.neighbours) == 0


def test_reverse_path_filter():
    strict = Bench(BOX + "  net.ipv4.conf.a0.rp_filter: 1\n")
    assert hear(strict, psrc="10.2.0.2") is Outcome.NOT_OURS
    assert hear(strict) is Outcome.REPLIED
    loose = Bench(BOX + "  net.ipv4.conf.a0.rp_filter: 2\n")
    assert hear(loose, psrc="10.2.0.2") is Outcome.REPLIED
    assert hear(loose, psrc="203.0.113.1") is Outcome.NOT_OURS
    # An address that no packet may be sent to is no sender's.
    assert hear(loose, psrc="10.66.0.1") is Outcome.NOT_OURS


def test_only_wanted_replies_are_believed():
    bench = Bench()
    reply: dict[str, Any] = {"op": 2, "hwdst": R_MAC.hex(":")}
    assert hear(bench, **reply) is Outcome.NOT_OURS
    assert known(bench) is None
    bench.topology.neighbours.set(bench.a0, address(A), None, NeighbourState.INCOMPLETE)
    assert hear(bench, **reply) is Outcome.LEARNT
    assert known(bench) == (A_MAC, REACHABLE)


def test_a_broadcast_reply_proves_nothing():
    bench = Bench()
    bench.topology.neighbours.set(bench.a0, address(A), None, NeighbourState.INCOMPLETE)
    assert hear(bench, BROADCAST, op=2) is Outcome.LEARNT
    assert known(bench) == (A_MAC, STALE)


def test_a_request_for_somebody_else_still_tells_about_a_known_neighbour():
    bench = Bench()
    bench.topology.neighbours.set(bench.a0, address(A), C_MAC, REACHABLE)
    assert hear(bench, BROADCAST, pdst="10.1.0.44") is Outcome.LEARNT
    assert known(bench) == (A_MAC, STALE)


def test_an_announcement_overrides_at_once_another_reply_does_not():
    bench = Bench()
    hear(bench)
    other: dict[str, Any] = {"hwsrc": C_MAC.hex(":"), "op": 2, "hwdst": R_MAC.hex(":")}
    assert hear(bench, **other) is Outcome.LEARNT
    assert known(bench) == (A_MAC, STALE)
    hear(bench, BROADCAST, hwsrc=C_MAC.hex(":"), pdst=A)
    assert known(bench) == (C_MAC, STALE)
    # A gratuitous reply names its own address as the target's as well.
    hear(bench, op=2, pdst=A, hwdst="00:00:00:00:00:00")
    assert known(bench) == (C_MAC, STALE)
    hear(bench, op=2, pdst=A, hwdst=A_MAC.hex(":"))
    assert known(bench) == (A_MAC, REACHABLE)
    bench.wait(1.1)
    hear(bench, **other)
    assert known(bench) == (C_MAC, REACHABLE)


def test_arp_accept():
    announcement: dict[str, Any] = {"pdst": A, "pkttype": BROADCAST}
    bench = Bench()
    assert hear(bench, **announcement) is Outcome.NOT_OURS
    bench = Bench(BOX + "  net.ipv4.conf.a0.arp_accept: 1\n")
    assert hear(bench, psrc=C, pkttype=BROADCAST, pdst="10.1.0.44") is Outcome.NOT_OURS
    assert hear(bench, **announcement) is Outcome.LEARNT
    assert known(bench) == (A_MAC, STALE)
    assert hear(bench, psrc="10.7.0.1", op=2) is Outcome.LEARNT
    assert known(bench, "10.7.0.1") == (A_MAC, REACHABLE)
    for sender in (ROUTER, FAR, "10.1.0.255", "224.0.0.9", "239.1.1.1", "255.255.255.255"):
        assert hear(bench, psrc=sender, op=2) is Outcome.NOT_OURS
    bench = Bench(BOX + "  net.ipv4.conf.a0.arp_accept: 2\n")
    assert hear(bench, psrc="10.7.0.1", op=2) is Outcome.NOT_OURS
    assert hear(bench, psrc=C, op=2) is Outcome.LEARNT


def test_what_is_not_arp_for_ipv4_over_ethernet():
    bench = Bench()
    wrong: tuple[dict[str, Any], ...] = (
        {"hwtype": 15},
        {"ptype": 0x86DD},
        {"hwlen": 8},
        {"plen": 16},
        {"op": 3},
        {"pdst": "224.0.0.1"},
        {"pdst": "127.0.0.1"},
    )
    for fields in wrong:
        assert hear(bench, **fields) is Outcome.MALFORMED, fields
    short = bytes(Ether() / ARP())[:-1]
    assert bench.arp.receive(bench.a0, short, 14, 0, bench.now) is Outcome.MALFORMED
    assert bench.arp.receive(bench.topology.lo, bytes(42), 14, 0, bench.now) is Outcome.NOT_OURS
    assert hear(bench, int(PacketType.OTHERHOST)) is Outcome.NOT_OURS
    assert not bench.frames
    assert bench.arp.outcomes[Outcome.MALFORMED] == 8


def solicited(bench: Bench, source: str | None, *, target: str = A, **how) -> Any:
    neighbour = bench.topology.neighbours.set(bench.a0, address(target), A_MAC, NeighbourState.PROBE)
    packet = bench.packet(IP(src=source, dst=target) / UDP()) if source else None
    bench.arp.solicit(neighbour, packet, how.get("unicast", False), bench.now)
    name, frame, _ = bench.frames.pop()
    seen = Ether(frame)
    assert (name, seen.src, seen[ARP].hwsrc, seen[ARP].op) == ("a0", R_MAC.hex(":"), R_MAC.hex(":"), 1)
    assert (seen[ARP].hwdst, seen[ARP].pdst) == ("00:00:00:00:00:00", target)
    assert seen.dst == (A_MAC.hex(":") if how.get("unicast") else "ff:ff:ff:ff:ff:ff")
    return seen[ARP]


def test_requests_show_the_box_s_own_source():
    bench = Bench()
    assert solicited(bench, None).psrc == ROUTER
    assert solicited(bench, "10.9.9.9").psrc == ROUTER
    # A packet of the box's own shows its source, whichever device has it.
    assert solicited(bench, FAR).psrc == FAR
    assert solicited(bench, None, target="10.1.7.5").psrc == "10.1.7.1"
    assert solicited(bench, None, unicast=True).psrc == ROUTER


def test_arp_announce():
    bench = Bench(BOX + "  net.ipv4.conf.all.arp_announce: 1\n")
    assert solicited(bench, FAR).psrc == ROUTER
    assert solicited(bench, "10.1.7.1", target="10.1.7.5").psrc == "10.1.7.1"
    assert solicited(bench, "10.1.7.1", target=A).psrc == ROUTER
    bench = Bench(BOX + "  net.ipv4.conf.all.arp_announce: 2\n")
    assert solicited(bench, FAR).psrc == ROUTER


def test_a_device_without_an_address_asks_in_nobody_s_name():
    bench = Bench(
        "devices:\n  - {name: a0, mac: '02:00:00:00:01:01'}\n  - {name: b0, mac: '02:00:00:00:02:01'}\n"
    )
    assert bench.b0.mac == RB_MAC
    assert solicited(bench, None).psrc == "0.0.0.0"


@given(st.binary(max_size=64), st.integers(0, 3))
def test_garbage_never_raises(message, pkttype):
    bench = Bench(topology=SHARED)
    outcome = bench.arp.receive(bench.a0, bytes(14) + message, 14, pkttype, bench.now)
    assert outcome in Outcome


@given(st.binary(min_size=20, max_size=20), st.integers(0, 3), st.integers(1, 2))
def test_no_addresses_make_it_raise(addresses, pkttype, operation):
    bench = Bench(topology=SHARED)
    head = bytes.fromhex("000108000604") + operation.to_bytes(2)
    bench.arp.receive(bench.a0, head + addresses, 0, pkttype, bench.now)
    assert len(bench.frames) <= 1
