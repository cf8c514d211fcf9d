"""What the block of a flowtable asks of a driver.

Ref: include/net/flow_offload.h: struct flow_cls_offload, enum flow_cls_command, flow_block_cb.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from flowtable.flows.hardware import Failure, Placing, Reading
    from flowtable.offload.rule import Cookie, Rule
    from flowtable.topology.device import Device
    from flowtable.topology.hardware import Feature


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What hardware can do, as far as its driver knows.

    Attributes:
        entries: rules that fit in, a flow takes two; None: not known beforehand.
        lacks: what rules may not need.
        counters: whether it counts packets of single flows.
        notes: what else is worth knowing, a few words each.
    """

    entries: int | None
    lacks: frozenset[Feature]
    counters: bool
    notes: tuple[str, ...] = ()


class Driver(Protocol):
    """Hardware that takes rules.

    A rule is known by its cookie. To replace one that is there with an equal one changes nothing.
    """

    @property
    def name(self) -> str:
        """What messages and listings call it."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""
        ...

    def refuses(self, device: Device) -> Failure | None:
        """Why it would not take rules for frames that arrive at a device, None if it would."""
        ...

    def bind(self, device: Device) -> Failure | None:
        """Take rules for frames that arrive at a device from now on; or why not."""
        ...

    def unbind(self, device: Device) -> None:
        """Forget the rules for frames that arrive at a device, and take no more of them."""
        ...

    def replace(self, rule: Rule, now: int) -> Placing:
        """Forward by a rule, in place of one with the same cookie."""
        ...

    def destroy(self, cookie: Cookie, now: int) -> Placing:
        """Forget a rule: ``Placed`` tells when it is done."""
        ...

    def stats(self, cookie: Cookie, now: int) -> Reading | Failure:
        """The counters of a rule since they were read last."""
        ...
