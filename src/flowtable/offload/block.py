"""The hardware behind one flowtable: the drivers that are bound to its devices.

Every driver is asked about every rule, as Linux does; one that has neither the device of arrival
nor that of departure says so. One that takes it is enough.

Ref: net/netfilter/nf_flow_table_offload.c:nf_flow_offload_tuple, struct flow_block.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.conntrack.tuple import ORIGINAL, REPLY
from flowtable.flows.hardware import Failure, OffloadFailure, Placed, Reading
from flowtable.offload.build import build
from flowtable.offload.rule import Cookie

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from flowtable.flows.entry import FlowEntry
    from flowtable.flows.hardware import Placing
    from flowtable.offload.driver import Driver
    from flowtable.offload.rule import Rule
    from flowtable.profile import Profile
    from flowtable.ruleset import model
    from flowtable.topology.device import Device

_DIRECTIONS: Final = (ORIGINAL, REPLY)


class Block:
    """``flows.hardware.Hardware`` made of drivers.

    Attributes:
        bound: the driver of each device that has one.
        queue_latency: from the request of a flow to the worker that carries it out, nanoseconds.
    """

    def __init__(
        self,
        bound: dict[Device, Driver],
        profile: Profile,
        queue_latency: int,
        rebound: Callable[[model.Flowtable, Block], None],
    ) -> None:
        """Make a block.

        Args:
            bound: the driver of each device that has one; they are bound already.
            profile: how rules are made.
            queue_latency: nanoseconds.
            rebound: brings ``bound`` up to date with a declaration.
        """
        self.bound = bound
        self.queue_latency = queue_latency
        self._profile = profile
        self._rebound = rebound

    @property
    def drivers(self) -> Iterable[Driver]:
        """The drivers, each once."""
        return {id(driver): driver for driver in self.bound.values()}.values()

    def rebind(self, declaration: model.Flowtable) -> None:
        """The flowtable is on other devices now."""
        self._rebound(declaration, self)

    def replace(self, entry: FlowEntry, now: int) -> tuple[Placing, Placing]:
        """Have the drivers forward both directions.

        Linux gives up both if it cannot make the rule of one; sound profiles take what there is, and
        have the drivers forget what does not hold any more.
        """
        rules = [build(entry, d, self._profile) for d in _DIRECTIONS]
        sound = self._profile.sound_offload
        first, second = (
            self._replace(entry, d, rules, now, forget=sound)
            if sound or not any(isinstance(rule, OffloadFailure) for rule in rules)
            else Failure(rule if isinstance(rule, OffloadFailure) else OffloadFailure.OTHER_DIRECTION)
            for d, rule in zip(_DIRECTIONS, rules, strict=True)
        )
        return first, second

    def _replace(
        self, entry: FlowEntry, d: int, rules: list[Rule | OffloadFailure], now: int, *, forget: bool
    ) -> Placing:
        rule = rules[d]
        if isinstance(rule, OffloadFailure):
            if forget:
                for driver in self.drivers:
                    driver.destroy(_cookie(entry, d), now)
            return Failure(rule)
        return _best([driver.replace(rule, now) for driver in self.drivers])

    def destroy(self, entry: FlowEntry, now: int) -> tuple[Placing, Placing]:
        """Have the drivers forget both directions; that one does not know a rule is no failure."""
        first, second = (
            _worst([driver.destroy(_cookie(entry, d), now) for driver in self.drivers], now)
            for d in _DIRECTIONS
        )
        return first, second

    def stats(self, entry: FlowEntry, now: int) -> tuple[Reading | Failure, Reading | Failure]:
        """Read the counters of both directions."""
        first, second = (self._stats(entry, d, now) for d in _DIRECTIONS)
        return first, second

    def _stats(self, entry: FlowEntry, d: int, now: int) -> Reading | Failure:
        failures = [Failure(OffloadFailure.NO_DRIVER)]
        for driver in self.drivers:
            reading = driver.stats(_cookie(entry, d), now)
            if isinstance(reading, Reading):
                return reading
            failures.append(reading)
        return max(failures, key=lambda failure: _telling(failure))

    def drop(self, driver: str) -> frozenset[int]:
        """A driver went away with its rules; the indexes of the devices that it had.

        Ref: net/netfilter/nf_flow_table_offload.c:nf_flow_table_indr_cleanup.
        """
        gone = [device for device, known in self.bound.items() if known.name == driver]
        for device in gone:
            del self.bound[device]
        return frozenset(device.index for device in gone)


def _cookie(entry: FlowEntry, d: int) -> Cookie:
    assert entry.hardware is not None
    return Cookie(entry.hardware.cookie, d)


_RANK: Final = (
    OffloadFailure.NO_DRIVER,
    OffloadFailure.NOT_FOUND,
    OffloadFailure.INGRESS_PORT,
    OffloadFailure.EGRESS_PORT,
)
"""What drivers say that have little to do with a rule, the least telling first."""


def _telling(failure: Failure) -> int:
    return _RANK.index(failure.reason) if failure.reason in _RANK else len(_RANK)


def _best(placings: list[Placing]) -> Placing:
    """One that took the rule; else what the driver says that has most to do with it."""
    for placing in placings:
        if isinstance(placing, Placed):
            return placing
    failures = [placing for placing in placings if isinstance(placing, Failure)]
    return max(failures, key=_telling, default=Failure(OffloadFailure.DRIVER_GONE))


def _worst(placings: list[Placing], now: int) -> Placing:
    """A driver that kept the rule; else the last that forgot it."""
    failures = [each for each in placings if isinstance(each, Failure)]
    kept = [failure for failure in failures if failure.reason is not OffloadFailure.NOT_FOUND]
    if kept:
        return kept[0]
    ready = max((each.ready for each in placings if isinstance(each, Placed)), default=now)
    return Placed("", ready)
