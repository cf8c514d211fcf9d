"""More flows than the table of a chip has room for: what `make pressure` does, in short."""

from __future__ import annotations

import pytest

from arrivals import LAN, RULES, Arrivals, box_file
from flowtable.clock import SECOND
from flowtable.flows.hardware import OffloadFailure
from flowtable.router import Box
from flowtable.ruleset import parse
from flowtable.topology.boxfile import load
from flowtable.topology.hardware import Eviction

ARRIVALS = Arrivals(flows=400, seconds=2.5, clients=100)
START = 1_000_000 * SECOND


def run(chip: str, rules: str = RULES) -> tuple[Box, int]:
    """The box after all of it, and how many packets there were."""
    sent = 0

    def transmit(device: object, frame: bytes, time: int) -> None:
        nonlocal sent
        sent += 1

    box = Box(load(box_file(ARRIVALS, chip), "box.yaml"), parse(rules, "ruleset.nft"), transmit=transmit)
    packets = 0
    for time, device, frame in ARRIVALS.packets():
        box.receive(box.topology.devices[device], frame, START + time)
        packets += 1
        assert sent == packets, f"packet {packets} was lost: {box.statistics.drops}"
    return box, packets


@pytest.mark.parametrize("ways", [None, 4])
@pytest.mark.parametrize("policy", Eviction)
def test_no_packet_is_lost(policy: Eviction, ways: int | None) -> None:
    chip = f"entries: 128, eviction: {policy.value}, insert_latency_us: 20, insert_rate: 20000"
    box, packets = run(chip if ways is None else f"{chip}, ways: {ways}")
    statistics = box.statistics
    assert statistics.hardware + statistics.ingress == packets
    share = statistics.hardware / packets
    assert 0.05 < share < 0.85
    assert box.chips is not None
    (switch,) = box.chips.switches
    assert len(switch) <= 128
    failures = box.flowtables.work.failures
    full = OffloadFailure.CAPACITY if ways is None else OffloadFailure.COLLISION
    assert (failures[full] > 30) is (policy is Eviction.NONE)
    assert (switch.evictions > 30) is (policy is not Eviction.NONE)


def test_room_for_all_takes_all_but_the_first_packets() -> None:
    box, packets = run("entries: 4096")
    assert box.statistics.hardware / packets > 0.8
    assert not box.flowtables.work.failures


def test_counts_are_those_of_a_box_without_hardware() -> None:
    """Accounting has every packet once, wherever it went."""
    box, _ = run("entries: 128, eviction: lru")
    plain, _ = run("entries: 128", RULES.replace("\t\tflags offload\n", ""))
    assert box.statistics.hardware and not plain.statistics.hardware
    totals = []
    for each in (box, plain):
        each.flowtables.synchronise_all()
        connections = sorted(each.conntrack, key=lambda connection: connection.original)
        totals.append([(c.original, c.packets, c.bytes) for c in connections])
    assert totals[0] == totals[1]


def test_arrivals_are_in_order_and_the_same_every_time() -> None:
    packets = list(ARRIVALS.packets())
    assert [time for time, _, _ in packets] == sorted(time for time, _, _ in packets)
    assert packets == list(ARRIVALS.packets())
    assert 0.3 < sum(device == LAN for _, device, _ in packets) / len(packets) < 0.6
