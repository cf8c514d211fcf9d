"""The driver: filters that come, go and are read, told to tc in its words."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from flowtable.clock import SECOND
from flowtable.flows.hardware import Failure, OffloadFailure, Placed, Reading
from flowtable.offload.driver import Capabilities
from flowtable.offload.tcflower.text import flower, guard, lacks, shape_of
from flowtable.topology.hardware import Feature

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowtable.flows.hardware import Placing
    from flowtable.offload.rule import Cookie, Rule
    from flowtable.offload.tcflower.text import Shape
    from flowtable.topology.device import Device

CHAIN: Final = 61711
"""The chain of our filters, and the preference of the filter in chain 0 that leads to it: both are
ours alone, so that what a process left behind that was killed is found by the next."""
_DIRECTIONS: Final = 2


class FilterStats(NamedTuple):
    """What tc says of a filter.

    Attributes:
        packets: that passed its last action.
        bytes: their lengths.
        idle: seconds since the latest.
        in_hw: whether hardware has it.
    """

    packets: int
    bytes: int
    idle: int
    in_hw: bool


class Tc(Protocol):
    """The tc program of a network namespace."""

    def batch(self, commands: Sequence[str]) -> dict[int, str]:
        """Run commands, each whatever became of those before; what was said of those that failed."""
        ...

    def filters(self, device: str, chain: int) -> dict[int, FilterStats]:
        """The flower filters of a device's ingress chain, by their handles."""
        ...

    def refuses(self, device: str) -> str | None:
        """Why a device takes no filters into hardware, None if it may."""
        ...


@dataclass(slots=True)
class _Filter:
    """A filter that is in.

    Attributes:
        rule: the rule.
        where: what tells it to ``tc filter del``.
        packets: packets of it that were read.
        bytes: their lengths.
    """

    rule: Rule
    where: str
    packets: int = 0
    bytes: int = 0


@dataclass(slots=True)
class _Bound:
    """A bound device.

    Attributes:
        device: the device.
        flowtables: how many bound it.
        made_qdisc: whether its clsact qdisc is ours.
        preferences: of the shapes that have a guard: of the guard; rules have the next.
        read_at: when its counters were read, nanoseconds.
        stats: what they said.
    """

    device: Device
    made_qdisc: bool
    flowtables: int = 1
    preferences: dict[Shape, int] = field(default_factory=dict)
    read_at: int = -1
    stats: dict[int, FilterStats] = field(default_factory=dict)


class TcFlower:
    """Hardware behind tc.

    Attributes:
        name: what listings call it.
    """

    def __init__(self, tc: Tc, *, skip_hw: bool = False, interval: int = SECOND, name: str = "tc") -> None:
        """Begin without any device.

        Args:
            tc: says it to the kernel.
            skip_hw: have software execute the filters, for tests on machines without such hardware.
            interval: how old counters may be, nanoseconds: reading those of one is reading all.
            name: what listings call it.
        """
        self.name = name
        self._tc = tc
        self._skip = "skip_hw" if skip_hw else "skip_sw"
        self._interval = interval
        self._bound: dict[int, _Bound] = {}
        self._filters: dict[Cookie, _Filter] = {}

    @property
    def capabilities(self) -> Capabilities:
        """What can be told beforehand: what tc has no words for."""
        return Capabilities(
            None, frozenset({Feature.PPPOE}), counters=True, notes=("through tc flower", self._skip)
        )

    def refuses(self, device: Device) -> Failure | None:
        """Whether a device takes no filters into hardware."""
        if self._skip == "skip_hw":
            return None
        refused = self._tc.refuses(device.name)
        return None if refused is None else Failure(OffloadFailure.NO_DRIVER, self.name, refused)

    def bind(self, device: Device) -> Failure | None:
        """Lead what arrives at a device to a chain of ours, of which nothing is left from before."""
        known = self._bound.get(device.index)
        if known is not None:
            known.flowtables += 1
            return None
        refused = self.refuses(device)
        if refused is not None:
            return refused
        name = device.name
        failed = self._tc.batch(
            [
                f"qdisc add dev {name} clsact",
                *_removal(name),
                f"filter add dev {name} ingress chain 0 pref {CHAIN} protocol all"
                f" flower {self._skip} action goto chain {CHAIN}",
            ]
        )
        last = 3
        if last in failed:
            if 0 not in failed:
                self._tc.batch([f"qdisc del dev {name} clsact"])
            return Failure(OffloadFailure.NO_DRIVER, self.name, failed[last])
        self._bound[device.index] = _Bound(device, made_qdisc=0 not in failed)
        return None

    def unbind(self, device: Device) -> None:
        """Take all of ours away from a device."""
        bound = self._bound[device.index]
        bound.flowtables -= 1
        if bound.flowtables:
            return
        del self._bound[device.index]
        self._filters = {c: f for c, f in self._filters.items() if f.rule.match.ingress is not device}
        self._tc.batch(_removal(device.name))
        if bound.made_qdisc:
            self._tc.batch([f"qdisc del dev {device.name} clsact"])

    def replace(self, rule: Rule, now: int) -> Placing:
        """Add the filter of a rule, in place of that with the same cookie."""
        old = self._filters.get(rule.cookie)
        if old is not None and old.rule == rule:
            return Placed(self.name, now)
        bound = self._bound.get(rule.match.ingress.index)
        lacking = lacks(rule)
        failure = None
        if bound is None:
            failure = Failure(OffloadFailure.INGRESS_PORT, self.name, rule.match.ingress.name)
        elif lacking is not None:
            failure = Failure(OffloadFailure.UNSUPPORTED, self.name, lacking)
        if old is not None:
            # A filter is never changed in place: its counts would be those of another.
            self.destroy(rule.cookie, now)
        if failure is not None or bound is None:
            assert failure is not None
            return failure
        shape = shape_of(rule.match)
        commands = []
        preference = bound.preferences.get(shape)
        start = f"dev {bound.device.name} ingress chain {CHAIN} protocol {shape.protocol}"
        if preference is None:
            preference = bound.preferences[shape] = 1 + 2 * len(bound.preferences)
            commands.append(f"filter add {start} pref {preference} {guard(shape, self._skip)}")
        where = f"{start} pref {preference + 1} handle {_handle(rule.cookie):#x}"
        commands.append(f"filter add {where} {flower(rule, self._skip)}")
        failed = self._tc.batch(commands)
        if failed:
            if len(commands) > 1 and 0 in failed:
                del bound.preferences[shape]
            return Failure(OffloadFailure.DRIVER, self.name, failed[max(failed)])
        self._filters[rule.cookie] = _Filter(rule, where)
        return Placed(self.name, now)

    def destroy(self, cookie: Cookie, now: int) -> Placing:
        """Delete the filter of a rule."""
        known = self._filters.pop(cookie, None)
        if known is None:
            return Failure(OffloadFailure.NOT_FOUND, self.name)
        failed = self._tc.batch([f"filter del {known.where} flower"])
        if failed:
            return Failure(OffloadFailure.DRIVER, self.name, failed[0])
        return Placed(self.name, now)

    def stats(self, cookie: Cookie, now: int) -> Reading | Failure:
        """Read the counters of a rule, no older than the interval."""
        known = self._filters.get(cookie)
        if known is None:
            return Failure(OffloadFailure.NOT_FOUND, self.name)
        bound = self._bound[known.rule.match.ingress.index]
        if bound.read_at < 0 or now - bound.read_at >= self._interval:
            bound.stats = self._tc.filters(bound.device.name, CHAIN)
            bound.read_at = now
        said = bound.stats.get(_handle(cookie))
        if said is None:
            return Reading(0, 0, 0)  # added since
        packets, size = said.packets - known.packets, said.bytes - known.bytes
        known.packets, known.bytes = said.packets, said.bytes
        used = bound.read_at - said.idle * SECOND if said.packets else 0
        lost = None
        if self._skip == "skip_sw" and not said.in_hw:
            lost = Failure(OffloadFailure.EVICTED, self.name, "not_in_hw")
        return Reading(packets, size, max(used, 0), lost)


def _handle(cookie: Cookie) -> int:
    return cookie.flow * _DIRECTIONS + cookie.direction


def _removal(device: str) -> list[str]:
    """The commands that take all of ours away, whoever put it there."""
    return [
        f"filter del dev {device} ingress chain 0 pref {CHAIN}",
        f"filter del dev {device} ingress chain {CHAIN}",
    ]
