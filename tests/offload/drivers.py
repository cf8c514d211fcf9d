"""A driver that does as it is told: what it takes, what it refuses, how long it needs."""

from __future__ import annotations

from dataclasses import dataclass, field

from flowtable.conntrack.tuple import ORIGINAL, REPLY
from flowtable.flows.hardware import Failure, OffloadFailure, Placed, Placing, Reading
from flowtable.offload.driver import Capabilities
from flowtable.offload.rule import Cookie, Rule
from flowtable.topology.device import Device


@dataclass
class Obedient:
    """Takes everything, unless it is told otherwise.

    Attributes:
        devices: names of the devices that it has; None: all.
        refuse: why it does not take a direction.
        keep: why it does not forget a direction.
        silent: why it does not tell the counters.
        needs: nanoseconds that a rule needs to be in effect.
        readings: what it counts next, by direction.
        calls: all that it was asked, with the time.
    """

    name: str = "nic0"
    devices: set[str] | None = None
    refuse: dict[int, Failure] = field(default_factory=dict)
    keep: Failure | None = None
    silent: Failure | None = None
    needs: int = 0
    readings: dict[int, Reading] = field(default_factory=dict)
    calls: list[tuple[str, int, int]] = field(default_factory=list)
    rules: dict[Cookie, Rule] = field(default_factory=dict)
    bound: set[str] = field(default_factory=set)

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(None, frozenset(), counters=True)

    def refuses(self, device: Device) -> Failure | None:
        if self.devices is None or device.name in self.devices:
            return None
        return Failure(OffloadFailure.NO_DRIVER, self.name)

    def bind(self, device: Device) -> Failure | None:
        refused = self.refuses(device)
        if refused is None:
            self.bound.add(device.name)
        return refused

    def unbind(self, device: Device) -> None:
        self.bound.discard(device.name)

    def replace(self, rule: Rule, now: int) -> Placing:
        self.calls.append(("replace", rule.cookie.direction, now))
        refused = self.refuse.get(rule.cookie.direction)
        if refused is not None:
            return refused
        self.rules[rule.cookie] = rule
        return Placed(self.name, now + self.needs)

    def destroy(self, cookie: Cookie, now: int) -> Placing:
        self.calls.append(("destroy", cookie.direction, now))
        if self.keep is not None:
            return self.keep
        if self.rules.pop(cookie, None) is None:
            return Failure(OffloadFailure.NOT_FOUND, self.name)
        return Placed(self.name, now + self.needs)

    def stats(self, cookie: Cookie, now: int) -> Reading | Failure:
        self.calls.append(("stats", cookie.direction, now))
        if self.silent is not None:
            return self.silent
        return self.readings.pop(cookie.direction, Reading(0, 0, 0))

    def asked(self, command: str) -> list[int]:
        """When it was asked for something, of the original direction."""
        return [now for said, d, now in self.calls if said == command and d == ORIGINAL]

    def asked_back(self, command: str) -> list[int]:
        """When it was asked for something, of the reply direction."""
        return [now for said, d, now in self.calls if said == command and d == REPLY]
