"""The section ``hardware`` of a box file."""

from __future__ import annotations

import pytest

from flowtable.clock import MILLISECOND, SECOND
from flowtable.topology.boxfile import BoxError, dump, load
from flowtable.topology.hardware import PRESETS, Chip, ChipModel, Eviction, Feature

DEVICES = """\
devices:
  - {name: eth0, mac: "02:00:00:00:00:01"}
  - {name: eth1, mac: "02:00:00:00:00:02"}
  - {name: eth2, mac: "02:00:00:00:00:03"}
  - {name: lan1, kind: dsa, parent: eth2, port: 1, tag: mtk}
  - {name: br0, kind: bridge, mac: "02:00:00:00:00:04"}
"""
HERE = "hardware.chips[0]"


def chips(text: str) -> list[Chip]:
    return load(DEVICES + text).hardware.chips


def message(text: str) -> str:
    with pytest.raises(BoxError) as caught:
        load(DEVICES + text)
    (problem,) = caught.value.problems
    return str(problem)


def chip(rest: str) -> str:
    return message(f"hardware:\n  chips:\n    - {{name: a, {rest}}}\n")


def test_none() -> None:
    box = load(DEVICES)
    assert not box.hardware.chips
    assert box.hardware.queue_latency == 500_000
    assert "hardware" not in dump(box)


def test_all_keys() -> None:
    text = """\
hardware:
  queue_latency_us: 20
  chips:
    - {name: ppe, preset: packet-engine, ports: [eth0, lan1]}
    - name: asic
      ports: [eth1]
      entries: 64
      ways: 4
      eviction: lru
      insert_latency_us: 7
      insert_rate: 100
      counters: false
      counter_interval_ms: 5
      bind_threshold: 9
      ageing: 60
      lacks: [ipv6-nat, 802.1ad, pppoe]
"""
    box = load(DEVICES + text)
    assert box.hardware.queue_latency == 20_000
    ppe, asic = box.hardware.chips
    assert ppe == Chip("ppe", (box.devices["eth0"], box.devices["lan1"]), PRESETS["packet-engine"])
    assert asic.model == ChipModel(
        entries=64,
        ways=4,
        eviction=Eviction.LRU,
        insert_latency=7000,
        insert_rate=100,
        counters=False,
        counter_interval=5 * MILLISECOND,
        bind_threshold=9,
        ageing=60 * SECOND,
        lacks=frozenset({Feature.IPV6_NAT, Feature.DOT1AD, Feature.PPPOE}),
    )


@pytest.mark.parametrize("preset", list(PRESETS))
def test_what_is_written_reads_the_same(preset: str) -> None:
    more = "ways: 2, eviction: oldest, ageing: 3, counters: false"
    text = (
        "hardware:\n  queue_latency_us: 9\n  chips:\n"
        f"    - {{name: a, preset: {preset}, ports: [eth0]}}\n"
        f"    - {{name: b, preset: {preset}, ports: [eth1, lan1], {more}}}\n"
    )
    box = load(DEVICES + text)
    again = load(dump(box)).hardware
    assert again.queue_latency == box.hardware.queue_latency
    for one, other in zip(again.chips, box.hardware.chips, strict=True):
        assert (one.name, one.model) == (other.name, other.model)
        assert [port.name for port in one.ports] == [port.name for port in other.ports]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ports: [eth9]", "9:25: hardware.chips[0].ports[0]: unknown device 'eth9'; did you mean 'eth2'?"),
        ("ports: []", "9:24: hardware.chips[0].ports: a chip has ports"),
        ("ports: [br0]", "9:24: hardware.chips[0].ports: a bridge device is no port of a chip"),
        ("ports: [eth0, eth0]", "9:24: hardware.chips[0].ports: eth0 is listed twice"),
        (
            "ports: [eth2]",
            "9:24: hardware.chips[0].ports: eth2 is a conduit; its user ports are the chip's",
        ),
        ("ports: [eth0], entries: 0", "9:41: hardware.chips[0].entries: expected 1..1000000000, got 0"),
        (
            "ports: [eth0], entries: 6, ways: 4",
            f"9:50: {HERE}.ways: 6 entries are not a multiple of 4 ways",
        ),
        (
            "ports: [eth0], eviction: fifo",
            f"9:42: {HERE}.eviction: expected none, oldest or lru, got fifo",
        ),
        (
            "ports: [eth0], preset: mt7621",
            "9:40: hardware.chips[0].preset: expected ideal, packet-engine, dsa-switch or nic, got mt7621",
        ),
        (
            "ports: [eth0], lacks: [ip6]",
            f"9:40: {HERE}.lacks[0]: expected ipv6, nat, ipv6-nat, vlan, qinq, 802.1ad, pppoe or gre,"
            " got ip6",
        ),
        (
            "ports: [eth0], entry: 3",
            "9:32: hardware.chips[0]: unknown key 'entry'; did you mean 'entries'?",
        ),
    ],
)
def test_errors(text: str, expected: str) -> None:
    assert chip(text) == expected


def test_chips_share_nothing() -> None:
    first = "hardware:\n  chips:\n    - {name: a, ports: [eth0]}\n"
    assert message(first + "    - {name: a, ports: [eth1]}\n") == (
        "10:14: hardware.chips[1].name: there is already a chip 'a'"
    )
    assert message(first + "    - {name: b, ports: [eth1, eth0]}\n") == (
        "10:24: hardware.chips[1].ports: eth0 belongs to a"
    )
    assert message("hardware: {latency: 3}\n").startswith("7:12: hardware: unknown key 'latency'")
