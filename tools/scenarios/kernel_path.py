"""The fast path in the kernel, beside the reference: every frame goes through both.

The program runs on frames by BPF_PROG_TEST_RUN, attached to nothing, in a namespace that has a device
for every index that a box's device may have. It takes root.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.datapath.layout import ENDS, PORT_PROMISCUOUS, Ending, Port
from flowtable.datapath.reference import ReferenceDatapath
from flowtable.datapath.tables import Installer, expressible, settings
from flowtable.datapath.xdp import XdpTables
from flowtable.flows.datapath import Handover
from flowtable.packet.miss import Miss
from scenarios.machine.namespace import Namespace

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from flowtable.flows.datapath import OnEnd, Outcome
    from flowtable.flows.entry import FlowEntry
    from flowtable.flows.teardown import Teardown
    from flowtable.profile import Profile
    from flowtable.ruleset.family import Family

_PASS, _REDIRECT = 2, 4
_SHORTEST: Final = 14
"""BPF_PROG_TEST_RUN takes no shorter frames."""
_DEVICES: Final = range(2, 40)
_CAPACITY: Final = 64


def stage() -> Namespace:
    """A namespace with a device for every index; they carry nothing. The program has to run inside."""
    namespace = Namespace()
    namespace.ip(
        f"link add d{index} index {index} type veth peer name p{index} index {1000 + index}"
        for index in _DEVICES
    )
    return namespace


class Beside:
    """Makes the datapaths of a box's flowtables, and knows what they found.

    Attributes:
        frames: how many frames were compared.
        found: what the kernel did otherwise than the reference, in words.
    """

    def __init__(self) -> None:
        self.frames = 0
        self.found: list[str] = []

    def __call__(self, family: Family, profile: Profile, on_end: OnEnd) -> KernelPath:
        """Make one."""
        return KernelPath(self, family, profile, on_end)


class KernelPath:
    """Forwards as the reference does, and has the program in the kernel do the same."""

    def __init__(self, beside: Beside, family: Family, profile: Profile, on_end: OnEnd) -> None:
        self._beside = beside
        self._on_end = on_end
        self._ended: list[tuple[FlowEntry, Teardown]] = []
        self._reference = ReferenceDatapath(family, profile, self._end)
        self._tables = XdpTables(settings(family, profile), _CAPACITY)
        self._installer = Installer(self._tables, profile, lambda *_: None, hands_over=False)
        self._counted: dict[Miss | None, int] = {}
        self._uncertain: set[FlowEntry] = set()
        self._tunnelled: set[FlowEntry] = set()

    def _end(self, entry: FlowEntry, reason: Teardown, now: int) -> None:
        self._ended.append((entry, reason))
        self._on_end(entry, reason, now)

    def install(self, entry: FlowEntry) -> None:
        """Forward by an entry, or bring an installed one up to date."""
        if expressible(entry):
            self._tunnelled.discard(entry)
            for direction in entry.directions:
                self._tables.set_port(direction.key.iif, Port(state=PORT_PROMISCUOUS))
                self._tables.allow(direction.device.index)
            self._installer.install(entry)
        else:
            self._tunnelled.add(entry)
            if entry in self._installer:
                self._installer.remove(entry)
        self._reference.install(entry)

    def remove(self, entry: FlowEntry) -> None:
        """Forget an entry."""
        self.stats(entry)
        if entry in self._installer:
            self._installer.remove(entry)
        self._tunnelled.discard(entry)
        self._reference.remove(entry)

    def stats(self, entry: FlowEntry) -> None:
        """Bring the counts of an entry up to date; the kernel's have to be the same."""
        counted = None
        if entry in self._installer:
            self._installer.report(entry)
            counted = [(way.packets, way.bytes) for way in entry.directions]
        self._reference.stats(entry)
        expected = [(way.packets, way.bytes) for way in entry.directions]
        if counted not in (None, expected) and entry not in self._uncertain:
            self._beside.found.append(f"counted {counted}, expected {expected}")

    def active(self, entries: Collection[FlowEntry]) -> Iterable[FlowEntry]:
        """All that the reference has seen packets of."""
        return self._reference.active(entries)

    def process(self, frame: bytes, iif: int, now: int) -> Outcome:
        """Forward a frame, and hold what the kernel makes of it against that."""
        if len(frame) < _SHORTEST:
            return self._reference.process(frame, iif, now)
        action, left, _ = self._tables.program.run(frame, iif)
        reason = self._reason()
        records = [Ending.from_buffer_copy(record) for record in self._tables.events.read()]
        ended = [(self._installer.entries[each.entry].entry, ENDS[each.end - 1]) for each in records]
        self._ended.clear()
        expected = self._reference.process(frame, iif, now)
        self._beside.frames += 1
        if isinstance(expected, Handover):
            # The neighbour layer wants to see it, which is not for a program to arrange.
            self._uncertain.update(installed.entry for installed in self._installer.entries.values())
        elif isinstance(expected, Miss):
            # Only the reference looks into tunnels.
            known = reason is expected or reason in (Miss.PROTOCOL, Miss.NO_ENTRY)
            if action != _PASS or left != frame or not known:
                self._tell(frame, f"{_name(action)} ({reason}), expected a miss: {expected}")
        elif action == _PASS and reason in (Miss.PROTOCOL, Miss.NO_ENTRY) and self._tunnelled:
            pass
        elif action != _REDIRECT or left != expected[1]:
            self._tell(frame, f"{_name(action)} ({reason}) {left.hex()}, expected {expected[1].hex()}")
        if ended != self._ended:
            self._tell(frame, f"ended {ended}, expected {self._ended}")
        return expected

    def _reason(self) -> Miss | None:
        """Why the last frame took the classic path."""
        before, self._counted = self._counted, self._tables.statistics()
        (reason,) = (each for each, count in self._counted.items() if count != before.get(each, 0))
        return reason

    def _tell(self, frame: bytes, what: str) -> None:
        self._beside.found.append(f"{frame.hex()}: {what}")


def _name(action: int) -> str:
    return {_PASS: "XDP_PASS", _REDIRECT: "XDP_REDIRECT"}.get(action, f"action {action}")
