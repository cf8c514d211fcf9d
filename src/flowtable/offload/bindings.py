"""Which driver a device has, and what happens where it has none.

Ref: net/netfilter/nf_flow_table_offload.c:nf_flow_table_offload_setup.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from flowtable.flows.hardware import Failure, OffloadFailure
from flowtable.offload.block import Block
from flowtable.ruleset.source import Diagnostic, RulesetError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowtable.offload.driver import Driver
    from flowtable.profile import Profile
    from flowtable.ruleset import model
    from flowtable.topology.device import Device
    from flowtable.topology.topology import Topology


class OffloadPolicy(Enum):
    """What ``flags offload`` comes to; the value is what ``--offload`` calls it."""

    REQUIRE = "require"
    """As in Linux: a device that cannot be bound fails the whole ruleset."""
    PREFER = "prefer"
    """Devices that cannot be bound are left to software."""
    OFF = "off"
    """All flows stay in software."""


class Refused(NamedTuple):
    """A device of a flowtable that no driver took.

    Attributes:
        flowtable: the flowtable.
        device: the device's name.
        failure: why.
    """

    flowtable: model.Flowtable
    device: str
    failure: Failure


class Bindings:
    """The drivers of a box.

    Attributes:
        policy: what ``flags offload`` comes to.
        drivers: in the order in which devices are offered to them.
        refused: devices that were left to software.
    """

    def __init__(
        self, topology: Topology, profile: Profile, policy: OffloadPolicy, drivers: Sequence[Driver]
    ) -> None:
        self.policy = policy
        self.drivers = list(drivers)
        self.refused: list[Refused] = []
        self._topology = topology
        self._profile = profile

    def check(self, ruleset: model.Ruleset) -> None:
        """Check that every flowtable with ``flags offload`` can have its devices bound.

        Raises:
            RulesetError: one cannot, and the policy insists. As with nft, it is about the flowtable;
                the hint tells the devices.
        """
        if self.policy is not OffloadPolicy.REQUIRE:
            return
        errors = []
        for flowtable in ruleset.flowtables():
            refused = self._try(flowtable)
            if refused:
                errors.append(
                    Diagnostic(
                        "Could not process rule: Operation not supported",
                        flowtable.span,
                        hint=self._hint(flowtable, refused),
                    )
                )
        if errors:
            raise RulesetError(errors)

    def _try(self, flowtable: model.Flowtable) -> list[Refused]:
        """The devices of a flowtable that no driver takes."""
        if not flowtable.offload:
            return []
        refused = []
        for name in flowtable.devices:
            device = self._topology.devices.get(name)
            if device is None:
                continue
            failures = [driver.refuses(device) for driver in self.drivers]
            if None not in failures:
                failure = next(filter(None, failures), Failure(OffloadFailure.NO_DRIVER))
                refused.append(Refused(flowtable, name, failure))
        return refused

    def _hint(self, flowtable: model.Flowtable, refused: list[Refused]) -> str:
        names = ", ".join(f"'{each.device}'" for each in refused)
        verb = "has" if len(refused) == 1 else "have"
        rest = "" if len(refused) == len(flowtable.devices) else " (the other devices of the flowtable have)"
        return (
            f"{names} {verb} no hardware that takes flows{rest}; leave 'flags offload' out,"
            " or let software have those devices: --offload=prefer"
        )

    def _bind(self, device: Device) -> Driver | Failure:
        failure = Failure(OffloadFailure.NO_DRIVER)
        for driver in self.drivers:
            refused = driver.bind(device)
            if refused is None:
                return driver
            failure = refused
        return failure

    def forget(self, name: str) -> None:
        """A driver went away: nothing binds to it any more."""
        self.drivers = [driver for driver in self.drivers if driver.name != name]

    def block(self, flowtable: model.Flowtable) -> Block | None:
        """Bind the devices of a flowtable; None if its flows stay in software."""
        if not flowtable.offload or self.policy is OffloadPolicy.OFF:
            return None
        block = Block({}, self._profile, self._topology.hardware.queue_latency, self._rebind)
        self._rebind(flowtable, block)
        return block if block.bound else None

    def _rebind(self, flowtable: model.Flowtable, block: Block) -> None:
        devices = [self._topology.devices[name] for name in flowtable.devices]
        for device in [device for device in block.bound if device not in devices]:
            block.bound.pop(device).unbind(device)
        for device in devices:
            if device in block.bound:
                continue
            driver = self._bind(device)
            if isinstance(driver, Failure):
                self.refused.append(Refused(flowtable, device.name, driver))
            else:
                block.bound[device] = driver
