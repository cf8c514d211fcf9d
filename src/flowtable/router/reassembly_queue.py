"""What waits for the rest of its packet, whatever the family: places, timers and memory.

What overlaps is an attack and takes its whole packet with it; what is there twice is ignored.

Ref: net/ipv4/inet_fragment.c.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_right
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from flowtable.clock import SECOND, Alarm
from flowtable.packet.drop import Drop
from flowtable.ruleset.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowtable.packet.packet import Packet
    from flowtable.topology.topology import Topology

    Report = Callable[[Packet, int], None]

_DROP: Final = int(Verdict.DROP)

QUEUE_COST: Final = 256
"""What a queue counts against the memory limit. Ref: struct ipq, struct frag_queue."""
_OVERHEAD: Final = 768
"""What a fragment counts beside its bytes. Ref: include/linux/skbuff.h:SKB_TRUESIZE."""

ECN: Final = (None, 0, 0, None, 0, None, 0, None, 3, None, 3, None, 3, None, 3, None)
"""ECN bits of the whole, by the set of ECN fields seen (bit n: field n); None: not together.

Ref: net/ipv4/inet_fragment.c:ip_frag_ecn_table.
"""


class Fit(Enum):
    """How a fragment fits to those that are there."""

    NEW = auto()
    DUPLICATE = auto()
    OVERLAP = auto()


class Queue:
    """The fragments of one packet.

    Attributes:
        due: when it is given up, nanoseconds.
        fragments: offset, payload and packet of each.
        runs: start and end of what is there without a gap, ascending; only the last one grows.
        length: where the packet ends as far as is known.
        held: payload bytes that are there.
        last: the fragment without "more fragments" is there, so ``length`` is final.
        ecn: set of the ECN fields seen.
        max_size: largest fragment, with its header.
        max_df_size: largest fragment with the don't-fragment bit.
        cost: what it counts against the memory limit.
        arrived: what the sender's count of fragments was at the last one (``ipq.rid``).

    Ref: include/net/inet_frag.h:struct inet_frag_queue.
    """

    __slots__ = (
        "arrived",
        "cost",
        "due",
        "ecn",
        "fragments",
        "held",
        "last",
        "length",
        "max_df_size",
        "max_size",
        "runs",
    )

    def __init__(self, due: int) -> None:
        self.due = due
        self.arrived = 0
        self.max_size = 0
        self.max_df_size = 0
        self.cost = 0
        self.restart()

    def restart(self) -> None:
        """Forget what is there."""
        self.fragments: list[tuple[int, bytes, Packet]] = []
        self.runs: list[list[int]] = []
        self.length = 0
        self.held = 0
        self.last = False
        self.ecn = 0

    @property
    def first(self) -> Packet | None:
        """The fragment that begins the packet."""
        return next((packet for offset, _, packet in self.fragments if offset == 0), None)

    @property
    def whole(self) -> bool:
        """Whether nothing is missing."""
        return self.last and self.held == self.length

    def place(self, offset: int, end: int) -> Fit:
        """Find the place of the payload bytes from ``offset`` to ``end``, and take it if it is free.

        Ref: net/ipv4/inet_fragment.c:inet_frag_queue_insert.
        """
        runs = self.runs
        if not runs or runs[-1][1] < end:
            if runs and offset < runs[-1][1]:
                return Fit.OVERLAP
            if runs and offset == runs[-1][1]:
                runs[-1][1] = end
            else:
                runs.append([offset, end])
            return Fit.NEW
        at = bisect_right(runs, offset, key=_start)
        if at and offset < runs[at - 1][1]:
            return Fit.DUPLICATE if end <= runs[at - 1][1] else Fit.OVERLAP
        if at < len(runs) and end > runs[at][0]:
            return Fit.OVERLAP
        runs.insert(at, [offset, end])
        return Fit.NEW

    def add(self, offset: int, payload: bytes, packet: Packet, tos: int) -> None:
        """Keep a fragment for which ``place`` found room."""
        self.fragments.append((offset, payload, packet))
        self.held += len(payload)
        self.ecn |= 1 << (tos & 3)
        self.cost += len(packet.data) + _OVERHEAD


def _start(run: list[int]) -> int:
    return run[0]


class Reassembly(ABC):
    """What IPv4 and IPv6 have in common: the queues, their timers and their memory."""

    __slots__ = ("_alarm", "_discard", "_joined", "_memory", "_queues", "_time_exceeded", "_topology")

    def __init__(
        self,
        topology: Topology,
        discard: Report,
        time_exceeded: Report,
        joined: Report,
        alarm: Alarm | None,
    ) -> None:
        self._alarm = Alarm() if alarm is None else alarm
        self._topology = topology
        self._discard = discard
        self._time_exceeded = time_exceeded
        self._joined = joined
        self._queues: dict[bytes, Queue] = {}
        self._memory = 0

    def __len__(self) -> int:
        """How many packets wait for fragments."""
        return len(self._queues)

    @property
    def waiting(self) -> int:
        """How many fragments wait for others."""
        return sum(len(queue.fragments) for queue in self._queues.values())

    @property
    def next_due(self) -> int | None:
        """When ``advance`` has something to do, None while nothing waits."""
        return next((queue.due for queue in self._queues.values()), None)

    def advance(self, now: int) -> None:
        """Give up the packets whose time is over by ``now``, each at its own time."""
        while (due := self.next_due) is not None and due <= now:
            key, queue = next(iter(self._queues.items()))
            self._remove(key, queue)
            first = queue.first
            if first is not None:
                self._expired(first, due)
            self._give_up(queue, Drop.FRAGMENT_TIMEOUT, due)

    @abstractmethod
    def _expired(self, first: Packet, now: int) -> None:
        """Tell the sender that the rest of its packet did not come, if it is to be told."""

    def _find(self, key: bytes, timeout: int, limit: int, now: int) -> Queue | None:
        """The queue of that key, a new one if there is none and memory for it.

        Ref: net/ipv4/inet_fragment.c:inet_frag_find.
        """
        if not limit or self._memory > limit:
            return None
        queue = self._queues.get(key)
        if queue is None:
            queue = self._queues[key] = Queue(now + timeout * SECOND)
            self._alarm.set(queue.due)
            queue.cost = QUEUE_COST
            self._memory += QUEUE_COST
        return queue

    def _keep(self, queue: Queue, offset: int, payload: bytes, packet: Packet, tos: int) -> None:
        before = queue.cost
        queue.add(offset, payload, packet, tos)
        self._memory += queue.cost - before

    def _remove(self, key: bytes, queue: Queue) -> None:
        del self._queues[key]
        self._memory -= queue.cost

    def _give_up(self, queue: Queue, reason: Drop, now: int, but: Packet | None = None) -> None:
        for _, _, packet in queue.fragments:
            if packet is not but:
                packet.drop = reason
                self._discard(packet, now)

    def _destroy(self, key: bytes, queue: Queue, packet: Packet) -> int:
        """Drop a packet for good because of its fragment ``packet``."""
        self._remove(key, queue)
        self._give_up(queue, Drop.FRAGMENT_INVALID, packet.time, packet)
        return refuse(packet, Drop.FRAGMENT_INVALID)


def refuse(packet: Packet, reason: Drop) -> int:
    """The verdict for a fragment that ends here, with its reason noted."""
    packet.drop = reason
    return _DROP


def put_together(queue: Queue, packet: Packet, data: bytearray) -> None:
    """Make ``packet`` the whole: ``data`` is the header, the rest comes from the fragments.

    What the link layer said and what rules noted is that of the first fragment; the device and
    the time are those of the one that came last, as ``packet`` has them.

    Ref: net/ipv4/inet_fragment.c:inet_frag_reasm_prepare, inet_frag_reasm_finish.
    """
    fragments = sorted(queue.fragments, key=_offset)
    first = fragments[0][2]
    packet.data = data + b"".join([payload for _, payload, _ in fragments])
    packet.link = first.link
    packet.pkttype = first.pkttype
    packet.mark = first.mark
    packet.priority = first.priority
    packet.frag_sizes = tuple([len(payload) for _, payload, _ in fragments])


def _offset(fragment: tuple[int, bytes, Packet]) -> int:
    return fragment[0]
