"""Programs in the kernel that the fast path is measured beside."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from ctypes import Array, Structure, c_uint8, c_uint32, c_uint64
from functools import cache
from pathlib import Path
from typing import Final

from flowtable.datapath.bpf import NO_PREALLOC, BpfObject, Map, Program, possible_cpus

SOURCE: Final = Path(__file__).parent / "c" / "bench.c"
HEADERS: Final = Path(__file__).parents[2] / "src" / "flowtable" / "datapath" / "c"
PORTS: Final = 50_000
FIRST_PORT: Final = 10_000
FRAME: Final = bytes(60)


class Config(Structure):
    """Ref: bench.c:struct bench_config."""

    _fields_ = (
        ("device", c_uint32),
        ("flows", c_uint32),
        ("macs", c_uint8 * 12),
        ("source", c_uint8 * 4),
        ("target", c_uint8 * 4),
    )


class Programs:
    """The programs of ``bench.c``.

    Attributes:
        empty: lets every frame pass.
        redirect: sends every frame on to the device of the configuration.
        find: looks up its flow, counts it there, and sends it on.
        source: makes a frame a datagram of the next flow, and sends it to that device.
        sink: counts and drops every frame.
    """

    def __init__(self, config: Config) -> None:
        """Load them.

        Raises:
            BpfError: the kernel does not take them.
        """
        loaded = BpfObject(_compiled())
        loaded.set_constants(config)
        loaded.set_size("flows", 2 * config.flows, NO_PREALLOC)
        loaded.set_size("entries", config.flows)
        loaded.load("bench_source")
        self.empty = Program(loaded, "bench_empty")
        self.redirect = Program(loaded, "bench_redirect")
        self.find = Program(loaded, "bench_find")
        self.source = Program(loaded, "bench_source")
        self.sink = Program(loaded, "bench_sink")
        self._counts: Map[c_uint32, Array[c_uint64]] = Map(
            loaded, "counts", c_uint32, c_uint64 * possible_cpus()
        )
        self._flows: Map[Array[c_uint8], Array[c_uint32]] = Map(loaded, "flows", c_uint8 * 20, c_uint32 * 7)
        self._exits: Map[c_uint32, c_uint32] = Map(loaded, "exits", c_uint32, c_uint32)

    def allow(self, ifindex: int) -> None:
        """Let frames leave through a device, in the network namespace of this thread."""
        self._exits.set(c_uint32(ifindex), c_uint32(ifindex))

    def add_flow(self, number: int, wire: bytes) -> None:
        """Have ``find`` find a flow by its addresses and ports."""
        key, flow = (c_uint8 * 20)(*wire), (c_uint32 * 7)(number)
        self._flows.set(key, flow)

    @property
    def arrived(self) -> int:
        """Frames in the sink."""
        counts = self._counts.get(c_uint32(1))
        return sum(counts) if counts is not None else 0


@cache
def _compiled() -> bytes:
    options = ("-O2", "-g", "-Wall", "-Wextra", "-Werror", "-target", "bpfel-freestanding", "-mcpu=v3", "-c")
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder, "bench.o")
        command = [
            sys.executable,
            "-m",
            "ziglang",
            "cc",
            *options,
            f"-I{HEADERS}",
            str(SOURCE),
            "-o",
            str(result),
        ]
        subprocess.run(command, check=True)
        return result.read_bytes()
