"""The fast path in the kernel: the object of ``c/kernel.c`` and its tables.

Entries lie in memory that the kernel shares with this process, so that counters are read, and
flows ended, without a system call.
"""

from __future__ import annotations

from ctypes import Array, c_uint32, sizeof
from importlib.resources import files
from mmap import ALLOCATIONGRANULARITY, mmap
from typing import Final

from flowtable.datapath.bpf import MMAPABLE, NO_PREALLOC, BpfObject, Map, Program, RingBuffer, possible_cpus
from flowtable.datapath.layout import (
    MISSES,
    Config,
    Cpu,
    Ending,
    Entry,
    Flow,
    Key,
    Link,
    LinkKey,
    NextHop,
    Port,
)
from flowtable.datapath.shared import RESTING
from flowtable.packet.miss import Miss
from flowtable.packet.packet import IPV4

OBJECT: Final = "kernel.o"
"""The package build puts it beside the sources in C."""
XDP_PROGRAM: Final = "ft_xdp"
TC_PROGRAM: Final = "ft_tc"
CAPACITY: Final = 65536
"""Flows that tables hold where nothing else is said."""

PREALLOCATED: Final = 16384
"""Tables for no more flows than this take the memory for all of them at once, which makes adding cheaper."""
DEVICES: Final = 65536
"""Indexes of devices are below this."""
NEXT_HOPS: Final = 65536
"""Next hops for which there is room in any case; for one of four flows where that is more."""
EVENTS_MAX: Final = 1 << 24
"""The ring buffer's size, bytes, where so many flows could end at once that more would be needed."""
SAMPLES: Final = 1 << 20
"""The ring buffer's size for sampled packets, bytes."""

_RECORD_HEADER: Final = 8
_PAGE: Final = 4096


class XdpTables:
    """The tables of flowtables in the kernel, and the programs that read them.

    Attributes:
        program: the program for XDP.
        tc_program: the program for traffic control.
        capacity: how many flows the tables hold.
        events: packets that ended flows, as ``Ending``.
        samples: packets that were forwarded, as ``Sample``, where the configuration asks for them.
    """

    def __init__(self, config: Config, capacity: int = CAPACITY) -> None:
        """Load the program with empty tables.

        Args:
            config: how the flowtables behave.
            capacity: how many flows the tables hold.

        Raises:
            BpfError: the kernel does not take it, with the end of the verifier's log; or libbpf
                is missing.
            FileNotFoundError: the package was built without it.
        """
        loaded = BpfObject((files("flowtable.datapath") / OBJECT).read_bytes())
        loaded.set_constants(config)
        for name in ("flows4", "flows6"):
            loaded.set_size(name, 2 * capacity, 0 if capacity <= PREALLOCATED else NO_PREALLOC)
        numbers = capacity + RESTING + 1
        hops = min(2 * capacity, max(NEXT_HOPS, capacity // 4))
        loaded.set_size("next_hops", hops + RESTING + 1)
        loaded.set_size("links", hops)
        loaded.set_size("entries", numbers, MMAPABLE)
        loaded.set_size("ports", DEVICES)
        loaded.set_size("devices", DEVICES)
        loaded.set_size("events", _ring(capacity))
        if config.sample:
            loaded.set_size("samples", SAMPLES)
        loaded.load(XDP_PROGRAM, TC_PROGRAM)
        self.capacity = capacity
        self.program = Program(loaded, XDP_PROGRAM)
        self.tc_program = Program(loaded, TC_PROGRAM)
        self._links: Map[LinkKey, Link] = Map(loaded, "links", LinkKey, Link)
        self._next_hops: Map[c_uint32, NextHop] = Map(loaded, "next_hops", c_uint32, NextHop)
        self._ports: Map[c_uint32, Port] = Map(loaded, "ports", c_uint32, Port)
        self._devices: Map[c_uint32, c_uint32] = Map(loaded, "devices", c_uint32, c_uint32)
        self._flows4: Map[Key, Flow] = Map(loaded, "flows4", Key, Flow)
        self._flows6: Map[Key, Flow] = Map(loaded, "flows6", Key, Flow)
        self._cpus: Map[c_uint32, Array[Cpu]] = Map(loaded, "cpus", c_uint32, Cpu * possible_cpus())
        self.events = RingBuffer(loaded, "events")
        self.samples = RingBuffer(loaded, "samples")
        size = numbers * sizeof(Entry)
        whole = -(-size // ALLOCATIONGRANULARITY) * ALLOCATIONGRANULARITY
        self._entries_fd = loaded.map_fd("entries")
        self._entries = mmap(self._entries_fd, whole)

    @property
    def descriptors(self) -> tuple[int, ...]:
        """File descriptors of what grows with the capacity; of each the kernel says what memory it takes."""
        maps = (self._flows4, self._flows6, self._next_hops, self._links)
        return (*(each.fd for each in maps), self._entries_fd)

    def set_link(self, key: LinkKey, link: Link) -> None:
        """Add a link, or say something else of it."""
        self._links.set(key, link)

    def remove_link(self, key: LinkKey) -> None:
        """Forget a link."""
        self._links.delete(key)

    def set_next_hop(self, number: int, hop: NextHop) -> None:
        """Say what a next hop is that no flow goes to yet."""
        self._next_hops.set(c_uint32(number), hop)

    def set_flow(self, family: int, key: Key, flow: Flow) -> None:
        """Have packets with a key forwarded, or forwarded in another way."""
        self._flows(family).set(key, flow)

    def remove_flow(self, family: int, key: Key) -> None:
        """Have packets with a key forwarded no more."""
        self._flows(family).delete(key)

    def entry(self, number: int) -> Entry:
        """What the directions of an entry share: the memory itself, which packets change."""
        return Entry.from_buffer(self._entries, number * sizeof(Entry))

    def refreshed(self) -> list[int]:
        """When packets last refreshed each entry, nanoseconds, by its number."""
        with memoryview(self._entries) as memory, memory.cast("Q") as words:
            step = sizeof(Entry) // words.itemsize
            with words[Entry.refreshed.offset // words.itemsize :: step] as times:
                return times.tolist()

    def allow(self, ifindex: int) -> None:
        """Let packets leave through a device."""
        self._devices.set(c_uint32(ifindex), c_uint32(ifindex))

    def disallow(self, ifindex: int) -> None:
        """Let packets leave through a device no more: they take the classic path."""
        self._devices.delete(c_uint32(ifindex))

    def set_port(self, ifindex: int, port: Port) -> None:
        """Say which frames are the box's own on a device.

        Raises:
            BpfError: the device has an index of ``DEVICES`` or more.
        """
        self._ports.set(c_uint32(ifindex), port)

    def statistics(self) -> dict[Miss | None, int]:
        """Packets by why they went up the classic path; those that were forwarded under None."""
        cpus = self._cpus.get(c_uint32(0))
        assert cpus is not None
        counted: dict[Miss | None, int] = {}
        for number, reason in enumerate((None, *MISSES)):
            if total := sum(cpu.counts[number] for cpu in cpus):
                counted[reason] = total
        return counted

    def _flows(self, family: int) -> Map[Key, Flow]:
        return self._flows4 if family == IPV4 else self._flows6


def _ring(flows: int) -> int:
    """Bytes of a ring buffer in which each of so many flows can say that it ended: a power of two."""
    needed = flows * (sizeof(Ending) + _RECORD_HEADER)
    return max(_PAGE, min(1 << (needed - 1).bit_length(), EVENTS_MAX))
