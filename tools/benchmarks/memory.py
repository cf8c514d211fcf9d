"""The memory of a long run: `flowtable run` over a capture of the home router's traffic, repeated.

It is measured before all else: Linux counts what this process takes when it starts the other as that one's.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from benchmarks.row import Aim, Row, Unit
from benchmarks.traffic import EXAMPLE, Frame, example, repeated
from flowtable.capture import Direction, PcapngWriter

MEGABYTES: Final = 1000


def peak_memory(frames: list[Frame], megabytes: int) -> tuple[int, float, int]:
    """Peak memory (MB), seconds and packets of a ``flowtable run`` over a capture of that size."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.pcapng"
        packets = 0
        with path.open("wb") as stream, PcapngWriter(stream, ["lan0", "wan0"]) as writer:
            for device, data, moment in repeated(frames, sys.maxsize):
                writer.write(device, moment, data, Direction.IN)
                packets += 1
                if not packets & 1023 and stream.tell() >= megabytes * 1_000_000:
                    break
        command = [sys.executable, "-m", "flowtable", "run", str(EXAMPLE / "ruleset.nft")]
        command += ["--box", str(EXAMPLE / "box.yaml"), str(path), "--out", str(Path(folder) / "out.pcapng")]
        begin = time.perf_counter()
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            raise SystemExit(f"flowtable run ended with {child.returncode}")
        return usage.ru_maxrss // 1000, time.perf_counter() - begin, packets


def rows() -> Iterator[Row]:
    """Peak memory and duration."""
    memory, lasted, packets = peak_memory(example(), MEGABYTES)
    subject = f"flowtable run over a capture of {MEGABYTES:,} MB, {packets:,} packets"
    yield Row(subject, "peak memory", memory, Unit.MEGABYTES, aim=Aim("<=", 200))
    yield Row(subject, "duration", lasted, Unit.SECONDS)
