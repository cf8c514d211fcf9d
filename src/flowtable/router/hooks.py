"""What runs at each hook of the IP path, in the order of the priorities.

Base chains of the ruleset stand between what the box itself registers: defragmentation,
connection tracking, address translation and confirmation. Connection tracking takes part only
where the ruleset makes use of it, as in the kernel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flowtable.packet.packet import IPV4
from flowtable.ruleset.hook import Hook, Priority
from flowtable.ruleset.model import ChainType
from flowtable.ruleset.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowtable.flows.datapath import Outcome
    from flowtable.packet.packet import Packet
    from flowtable.router.box import Box
    from flowtable.ruleset.evaluate import BaseChain
    from flowtable.ruleset.model import Ruleset
    from flowtable.topology.device import Device

    Stage = Callable[[Packet], int]
    Stages = tuple[Stage, ...]
    Process = Callable[[bytes, int, int], Outcome]
    IngressHook = Process | BaseChain

_ACCEPT: Final = int(Verdict.ACCEPT)


@dataclass(slots=True, frozen=True)
class Pipeline:
    """What one address family meets at each hook: called with a packet, it returns a ``Verdict``."""

    prerouting: Stage
    input: Stage
    forward: Stage
    output: Stage
    postrouting: Stage


def pipeline(box: Box, family: int) -> Pipeline:
    """The pipeline of a family, ``IPV4`` or ``IPV6``."""
    return Pipeline(*(_in_turn(_stages(box, family, hook)) for hook in _IP_HOOKS))


_IP_HOOKS: Final = (Hook.PREROUTING, Hook.INPUT, Hook.FORWARD, Hook.OUTPUT, Hook.POSTROUTING)
_FIRST_SEEN: Final = (Hook.PREROUTING, Hook.OUTPUT)
_LAST_SEEN: Final = (Hook.INPUT, Hook.POSTROUTING)

_NAT_PRIORITY: Final = {
    Hook.PREROUTING: Priority.NAT_DST,
    Hook.INPUT: Priority.NAT_SRC,
    Hook.OUTPUT: Priority.NAT_DST,
    Hook.POSTROUTING: Priority.NAT_SRC,
}
"""Ref: net/netfilter/nf_nat_proto.c:nf_nat_ipv4_ops."""


def at_ingress(box: Box, device: Device, ruleset: Ruleset) -> tuple[IngressHook, ...]:
    """What frames meet on arrival at a device, before anything else looks at them.

    Of equal priority, what was registered last runs first. Tables register in the order of the
    ruleset, each its chains and then its flowtables (nftables ``nft_cmd_expand``).

    Ref: net/netfilter/core.c:nf_hook_entries_grow.
    """
    place = {key: -number for number, key in enumerate(ruleset.tables)}
    hooks: list[tuple[int, int, IngressHook]] = []
    for flowtable in box.flowtables:
        declaration = flowtable.declaration
        if device.name in declaration.devices:
            table = place[declaration.family, declaration.table]
            hooks.append((declaration.priority, table, flowtable.datapath.process))
    hooks += (
        (chain.priority, place[chain.family, chain.table], chain)
        for chain in box.program.device_chains(device.name, Hook.INGRESS)
    )
    hooks.sort(key=lambda hook: hook[:2])
    return tuple(hook for *_, hook in hooks)


def _stages(box: Box, family: int, hook: Hook) -> Stages:
    chains = box.program.chains(family, hook)
    stages: list[tuple[int, Stage]] = []
    if box.program.uses_conntrack(family):
        if hook in _FIRST_SEEN:
            reassembly = box.reassembly4 if family == IPV4 else box.reassembly6
            stages.append((Priority.CONNTRACK_DEFRAG, reassembly.gather))
            stages.append((Priority.CONNTRACK, box.conntrack.incoming))
        if hook in _LAST_SEEN:
            stages.append((Priority.CONNTRACK_CONFIRM, box.conntrack.confirm))
    if hook in _NAT_PRIORITY and _translates(box, family):
        nat_chains = tuple(chain for chain in chains if chain.type is ChainType.NAT)
        stages.append((_NAT_PRIORITY[hook], box.nat.station(int(hook), nat_chains)))
    # The bound method: to call an object costs twice as much.
    stages += ((chain.priority, chain.__call__) for chain in chains if chain.type is not ChainType.NAT)
    stages.sort(key=lambda stage: stage[0])
    return tuple(stage for _, stage in stages)


def _accept(packet: Packet) -> int:
    """What a hook without stages says."""
    return _ACCEPT


def _in_turn(stages: Stages) -> Stage:
    """One stage of many: each in turn until one does not accept.

    Ref: net/netfilter/core.c:nf_hook_slow.
    """
    # A loop over the stages would take longer than what most of them do.
    match stages:
        case ():
            return _accept
        case (only,):
            return only
        case (first, second):
            return _two(first, second)
        case (first, second, *others):
            return _three(first, second, _in_turn(tuple(others)))
        case _:
            raise AssertionError


def _two(first: Stage, second: Stage) -> Stage:
    def run(packet: Packet) -> int:
        verdict = first(packet)
        return second(packet) if verdict == _ACCEPT else verdict

    return run


def _three(first: Stage, second: Stage, third: Stage) -> Stage:
    def run(packet: Packet) -> int:
        verdict = first(packet)
        if verdict == _ACCEPT:
            verdict = second(packet)
            if verdict == _ACCEPT:
                return third(packet)
        return verdict

    return run


def _translates(box: Box, family: int) -> bool:
    """Whether a nat chain of the family exists: the first one registers all four hooks.

    Ref: net/netfilter/nf_nat_core.c:nf_nat_register_fn.
    """
    return any(
        chain.type is ChainType.NAT for hook in _NAT_PRIORITY for chain in box.program.chains(family, hook)
    )
