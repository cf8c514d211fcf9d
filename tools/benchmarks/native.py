"""The fast path in C, in the process: beside the reference, from capture to capture, with many flows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Final

from benchmarks.row import Aim, Row, Unit
from benchmarks.traffic import EXAMPLE, ROUNDS, Frame, closing, example, hits
from flowtable.capture import Direction, PcapngWriter
from flowtable.clock import MILLISECOND, SECOND
from flowtable.datapath.layout import Flow, Key, NextHop
from flowtable.datapath.native import NativeDatapath
from flowtable.flows.datapath import Door
from flowtable.packet.burst import Burst
from flowtable.packet.checksum import TTL_DELTA, fill_ipv4
from flowtable.packet.packet import IPV4
from flowtable.profile import DEFAULT
from flowtable.ruleset.family import Family

TURNS: Final = 30
PART: Final = 5_000
"""The contestants take turns after so many frames; of each turn the best counts."""
REFERENCE: Final = "reference"
NATIVE: Final = "native, in bursts"
SIZES: Final = (100, 10_000, 1_000_000, 4_000_000)
LOOKED_UP: Final = 400_000
"""Frames for each number of flows."""


def in_memory() -> Iterator[Row]:
    """Packets of the home router that take the fast path, from memory to memory."""
    frames = example()
    slow, taken = hits(frames)
    fast, _ = hits(frames, NativeDatapath)
    fast.transmit_many = lambda burst: None
    # The same frames lie in memory for both, as often as they are sent.
    parts = [taken[at : at + PART] for at in range(0, len(taken), PART)]
    devices = slow.topology.devices
    bursts = [Burst.of((devices[name].index, data, now) for name, data, now in part) for part in parts]
    before = fast.statistics.bypass
    best = [[float("inf")] * len(parts) for _ in range(2)]
    for _ in range(TURNS):
        for number, (part, burst) in enumerate(zip(parts, bursts, strict=True)):
            begin = time.process_time_ns()
            for name, data, now in part:
                slow.receive(devices[name], data, now)
            between = time.process_time_ns()
            fast.receive_many(burst)
            end = time.process_time_ns()
            best[0][number] = min(best[0][number], between - begin)
            best[1][number] = min(best[1][number], end - between)
    if fast.statistics.bypass - before != TURNS * len(taken):
        raise SystemExit("not every packet took the fast path in C")
    reference, native = (len(taken) * SECOND / sum(times) for times in best)
    subject = "Fast path in the process, packets of the home router"
    yield Row(subject, REFERENCE, reference, Unit.PACKETS_PER_SECOND)
    yield Row(
        subject, NATIVE, native, Unit.PACKETS_PER_SECOND, REFERENCE, native / reference, aim=Aim(">=", 20)
    )
    yield Row(subject, f"{NATIVE}, by itself", native, Unit.PACKETS_PER_SECOND, aim=Aim(">=", 5_000_000))


def from_capture_to_capture(packets: int = 1_000_000) -> Iterator[Row]:
    """Whole runs of the command over a capture in which one packet of twenty takes the classic path."""
    subject = "flowtable run from capture to capture, 5 % of the packets on the classic path"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mixed.pcapng"
        with path.open("wb") as stream, PcapngWriter(stream, ["lan0", "wan0"]) as writer:
            for device, data, moment in mixed(packets):
                writer.write(device, moment, data, Direction.IN)
        rates = {}
        for name, option in ((REFERENCE, "reference"), (NATIVE, "native")):
            seconds, share = run(path, option)
            if not 0.93 < share < 0.96:
                raise SystemExit(f"{share:.1%} of the packets took the fast path, and not 95 %")
            rates[name] = packets / seconds
    yield Row(subject, REFERENCE, rates[REFERENCE], Unit.PACKETS_PER_SECOND)
    ratio = rates[NATIVE] / rates[REFERENCE]
    yield Row(subject, NATIVE, rates[NATIVE], Unit.PACKETS_PER_SECOND, REFERENCE, ratio)


def mixed(packets: int) -> Iterator[Frame]:
    """The example's traffic until its flows stand, then their packets and, one in twenty, others."""
    frames = [frame for frame in example() if not closing(frame[1])]
    now = frames[0][2]
    yield from frames
    _, taken = hits(frames)
    quick = {data for _, data, _ in taken}
    others = [frame for frame in frames if frame[1] not in quick]
    now = frames[-1][2]
    for number in range(packets - len(frames)):
        some = others if number % 20 == 19 else taken
        device, data, _ = some[number // 20 % len(some) if some is others else number % len(some)]
        now += MILLISECOND // 100
        yield device, data, now


def run(path: Path, datapath: str) -> tuple[float, float]:
    """Processor time of a run in seconds, its start included; the share of its packets on the fast path."""
    command = [sys.executable, "-m", "flowtable", "run", str(EXAMPLE / "ruleset.nft"), str(path), "--json"]
    command += ["--box", str(EXAMPLE / "box.yaml"), "--datapath", datapath, "--out", f"{path}.out"]
    with tempfile.TemporaryFile() as output:
        child = subprocess.Popen(command, stdout=output)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            raise SystemExit(f"flowtable run ended with {child.returncode}")
        output.seek(0)
        stations = json.load(output)["stations"]
    return usage.ru_utime + usage.ru_stime, stations["bypass"] / stations["ingress"]


def with_many_flows() -> Iterator[Row]:
    """What a packet costs, and a flow, by the number of flows; packets of 60 bytes of flows at random."""
    figures = [measure(size) for size in SIZES]
    subject = "Fast path in C by the number of flows, 60 byte packets of flows at random"
    few = f"{SIZES[0]:,} flows"
    for size, (nanoseconds, _) in zip(SIZES, figures, strict=True):
        aim = Aim("<=", 2.5) if size == 1_000_000 else None
        name, ratio = f"{size:,} flows", nanoseconds / figures[0][0]
        if size == SIZES[0]:
            yield Row(subject, name, nanoseconds, Unit.NANOSECONDS, size=size)
        else:
            yield Row(subject, name, nanoseconds, Unit.NANOSECONDS, few, ratio, size, aim)
    subject = "Memory of a flow in C, both directions"
    for size, (_, memory) in zip(SIZES, figures, strict=True):
        aim = Aim("<=", 256) if size >= 10_000 else None
        yield Row(subject, f"{size:,} flows", memory, Unit.BYTES, size=size, aim=aim)


def measure(flows: int) -> tuple[float, float]:
    """Nanoseconds of a packet and bytes of a flow, with so many IPv4 flows."""
    datapath = NativeDatapath(Family.INET, DEFAULT, lambda *_: None)
    tables = datapath.tables
    before = tables.memory
    key, flow = Key(link=1, protocol=17), Flow(mtu=1500, ip_delta=TTL_DELTA)
    hop = NextHop(device=2, length=14)
    hop.head[:14] = bytes(12) + b"\x08\x00"
    tables.set_next_hop(1, hop)
    flow.next_hop = 1
    for number in range(flows):
        flow.entry = number + 1
        tables.entry(flow.entry)
        for reply in range(2):
            key.addresses[:8] = address(number, reply)
            flow.addresses[:8] = key.addresses[:8]
            flow.flags = reply
            tables.set_flow(IPV4, key, flow)
    memory = (tables.memory - before) / flows
    datapath.set_doors({1: Door((bytes(6),)), 2: Door(wire=True)})
    burst = Burst.of((1, frame, SECOND) for frame in datagrams(flows))
    left = Burst(bytearray(1 << 20), 8192)
    best = float("inf")
    for _ in range(ROUNDS):
        at = 0
        begin = time.process_time_ns()
        while at < burst.count:
            at, judged = datapath.forward(burst, at, 2 * SECOND, left)
            if judged:
                raise SystemExit("a packet has no flow")
        best = min(best, time.process_time_ns() - begin)
    return best / burst.count, memory


def address(number: int, reply: int) -> bytes:
    """The addresses of packets of a direction of a flow; all ports are 0."""
    client, server = (0x0A000000 + number).to_bytes(4), b"\xc0\0\2\1"
    return server + client if reply else client + server


def datagrams(flows: int) -> Iterator[bytes]:
    """Datagrams of flows at random."""
    random = Random(1)
    frame = bytearray(bytes(12) + b"\x08\x00" + b"\x45\0\0\x2e\0\0\0\0\x40\x11" + bytes(36))
    frame[38:40] = (26).to_bytes(2)
    for _ in range(LOOKED_UP):
        frame[26:34] = address(random.randrange(flows), random.randrange(2))
        fill_ipv4(frame, 14)
        yield bytes(frame)


def rows() -> Iterator[Row]:
    """All of it."""
    yield from in_memory()
    yield from from_capture_to_capture()
    yield from with_many_flows()
