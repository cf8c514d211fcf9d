"""What a rule needs of hardware."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.offload.rule import Header, Mangle, PppoePush, VlanPush
from flowtable.packet.packet import ETHERTYPE_IPV6, ETHERTYPE_QINQ, GRE
from flowtable.topology.hardware import Feature

if TYPE_CHECKING:
    from flowtable.offload.rule import Rule

_TRANSLATED: Final = frozenset({Header.IPV4, Header.IPV6, Header.TCP, Header.UDP})


def needs(rule: Rule) -> frozenset[Feature]:
    """The features that hardware has to have for a rule."""
    match = rule.match
    found: set[Feature] = set()
    ipv6 = match.ethertype == ETHERTYPE_IPV6
    if ipv6:
        found.add(Feature.IPV6)
    if match.protocol == GRE:
        found.add(Feature.GRE)
    if any(isinstance(action, Mangle) and action.header in _TRANSLATED for action in rule.actions):
        found.add(Feature.IPV6_NAT if ipv6 else Feature.NAT)
    pushed = [action.protocol for action in rule.actions if isinstance(action, VlanPush)]
    taken = [tag.protocol for tag in (match.vlan, match.cvlan) if tag is not None]
    for tags in (pushed, taken):
        if tags:
            found.add(Feature.VLAN)
        if len(tags) > 1:
            found.add(Feature.QINQ)
        if ETHERTYPE_QINQ in tags:
            found.add(Feature.DOT1AD)
    if match.session or any(isinstance(action, PppoePush) for action in rule.actions):
        found.add(Feature.PPPOE)
    return frozenset(found)
