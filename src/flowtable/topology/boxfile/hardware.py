"""``hardware``: the chips that forward flows, and how long the kernel takes to tell them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from flowtable.clock import MILLISECOND, SECOND
from flowtable.topology.boxfile import text
from flowtable.topology.boxfile.draft import Draft
from flowtable.topology.boxfile.reader import Field, Section, UnreadableError
from flowtable.topology.device import Device
from flowtable.topology.error import TopologyError
from flowtable.topology.hardware import (
    MICROSECOND,
    PRESETS,
    QUEUE_LATENCY,
    Chip,
    ChipModel,
    Eviction,
    Feature,
)
from flowtable.topology.topology import Topology

_KEYS: Final = ("queue_latency_us", "chips")
_CHIP_KEYS: Final = (
    "name",
    "preset",
    "ports",
    "entries",
    "ways",
    "eviction",
    "insert_latency_us",
    "insert_rate",
    "counters",
    "counter_interval_ms",
    "bind_threshold",
    "ageing",
    "lacks",
)
_MOST: Final = 10**9


def read(field: Field, draft: Draft) -> None:
    """Add the chips."""
    section = field.section(_KEYS)
    hardware = draft.topology.hardware
    latency = section.get("queue_latency_us", lambda f: f.integer(0, _MOST), QUEUE_LATENCY // MICROSECOND)
    hardware.queue_latency = latency * MICROSECOND
    for item in section.items("chips"):
        try:
            _read(item, draft)
        except UnreadableError:
            continue


def _read(item: Field, draft: Draft) -> None:
    section = item.section(_CHIP_KEYS)
    name = section.need("name", Field.text)
    ports = section.need("ports", lambda field: _ports(field, draft))
    base = section.get("preset", lambda f: f.choice(PRESETS), ChipModel())
    model = _model(section, base)
    if name is None or ports is None or not section.sound:
        return
    if model.ways is not None and model.entries % model.ways:
        section.at("ways").note(f"{model.entries} entries are not a multiple of {model.ways} ways")
        return
    try:
        draft.topology.hardware.add(Chip(name, ports, model))
    except TopologyError as error:
        section.at(error.about).note(str(error))


def _ports(field: Field, draft: Draft) -> tuple[Device, ...]:
    return tuple(draft.device(item) for item in field.items())


def _model(section: Section, base: ChipModel) -> ChipModel:
    """What the preset says, with what the chip has of its own."""

    def number(key: str, default: int, unit: int = 1, least: int = 0) -> int:
        return section.get(key, lambda f: f.integer(least, _MOST) * unit, default)

    def perhaps(key: str, default: int | None, unit: int = 1) -> int | None:
        return section.get(key, lambda f: f.integer(1, _MOST) * unit, default)

    return replace(
        base,
        entries=number("entries", base.entries, least=1),
        ways=perhaps("ways", base.ways),
        eviction=section.get("eviction", lambda f: f.member(Eviction), base.eviction),
        insert_latency=number("insert_latency_us", base.insert_latency, MICROSECOND),
        insert_rate=perhaps("insert_rate", base.insert_rate),
        counters=section.get("counters", Field.boolean, base.counters),
        counter_interval=number("counter_interval_ms", base.counter_interval, MILLISECOND),
        bind_threshold=number("bind_threshold", base.bind_threshold),
        ageing=perhaps("ageing", base.ageing, SECOND),
        lacks=section.get("lacks", _features, base.lacks),
    )


def _features(field: Field) -> frozenset[Feature]:
    return frozenset(item.member(Feature) for item in field.items())


def write(topology: Topology) -> Iterator[str]:
    """The section's lines; chips with all that they are, whatever preset they came from."""
    hardware = topology.hardware
    if hardware.queue_latency == QUEUE_LATENCY and not hardware.chips:
        return
    yield "hardware:"
    if hardware.queue_latency != QUEUE_LATENCY:
        yield f"  queue_latency_us: {hardware.queue_latency // MICROSECOND}"
    if hardware.chips:
        yield "  chips:"
    for chip in hardware.chips:
        model = chip.model
        lacks = ", ".join(text.quoted(each.value) for each in Feature if each in model.lacks)
        yield "    - " + text.inline(
            {
                "name": text.quoted(chip.name),
                "ports": f"[{', '.join(text.quoted(port.name) for port in chip.ports)}]",
                "entries": str(model.entries),
                "ways": None if model.ways is None else str(model.ways),
                "eviction": None if model.eviction is Eviction.NONE else model.eviction.value,
                "insert_latency_us": str(model.insert_latency // MICROSECOND),
                "insert_rate": None if model.insert_rate is None else str(model.insert_rate),
                "counters": None if model.counters else "false",
                "counter_interval_ms": str(model.counter_interval // MILLISECOND),
                "bind_threshold": str(model.bind_threshold),
                "ageing": None if model.ageing is None else str(model.ageing // SECOND),
                "lacks": f"[{lacks}]",
            }
        )
