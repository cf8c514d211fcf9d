"""From a direction of a flow entry to its rule.

Rules are Linux's, key by key and action by action. Sound ones hold besides what the software path
looks at and Linux leaves out: tags of 802.1ad, PPPoE sessions, to whom a frame is addressed, the MTU
of the route; and they push headers from the inside to the outside.

Ref: net/netfilter/nf_flow_table_offload.c:nf_flow_rule_match, nf_flow_rule_route_common,
nf_flow_rule_route_ipv4, nf_flow_rule_route_ipv6.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.flows.entry import FlowFlag
from flowtable.flows.hardware import OffloadFailure
from flowtable.offload.rule import (
    MAX_ACTIONS,
    Accept,
    Checksum,
    Cookie,
    Header,
    Mangle,
    Match,
    PppoePush,
    Redirect,
    Rule,
    Tag,
    VlanPop,
    VlanPush,
)
from flowtable.packet.packet import (
    ETHERTYPE_IPV4,
    ETHERTYPE_IPV6,
    ETHERTYPE_PPPOE_SESSION,
    ETHERTYPE_QINQ,
    ETHERTYPE_VLAN,
    GRE,
    IPV4,
    TCP,
    UDP,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowtable.flows.entry import Direction, FlowEntry
    from flowtable.flows.side import Side
    from flowtable.offload.rule import Action
    from flowtable.packet.flowkey import Encap
    from flowtable.profile import Profile

FIN_RST: Final = 0x05
_MAX_ENCAP: Final = 2
_KEEP_NONE: Final = 0x00000000
_KEEP_FIRST: Final = 0xFFFF0000
_KEEP_SECOND: Final = 0x0000FFFF
_TAGS: Final = frozenset({ETHERTYPE_VLAN, ETHERTYPE_QINQ})
_L4: Final = {TCP: Header.TCP, UDP: Header.UDP}
_ADDRESS: Final = {Header.IPV4: (12, 16), Header.IPV6: (8, 24)}
"""Where source and destination address stand in the header."""


def build(entry: FlowEntry, d: int, profile: Profile) -> Rule | OffloadFailure:
    """The rule for one direction of a flow in hardware.

    Args:
        entry: the flow; it has a cookie.
        d: ``ORIGINAL`` or ``REPLY``.
        profile: whether the rule is sound.

    Returns:
        The rule; or why there is none.
    """
    direction = entry.directions[d]
    entrance, exit_ = direction.entrance, direction.exit
    sound = profile.sound_offload
    if entrance.tunnel is not None or exit_.tunnel is not None:
        return OffloadFailure.TUNNEL
    if max(len(entrance.encap), len(exit_.encap)) > _MAX_ENCAP:
        return OffloadFailure.ENCAPSULATION
    if direction.key.l4proto not in (TCP, UDP, GRE):
        return OffloadFailure.PROTOCOL
    if not exit_.port.ethernet:
        return OffloadFailure.NO_DEVICE
    # Linux before 6.19 gives packets of a session to the PPP device, which has no addresses.
    source = direction.source if any(direction.source) else exit_.source
    destination = exit_.peer or direction.destination
    if not destination:
        return OffloadFailure.NO_NEIGHBOUR
    actions = (*_macs(source, destination), *_actions(entry, direction, sound=sound))
    if len(actions) > MAX_ACTIONS:
        return OffloadFailure.ACTIONS
    assert entry.hardware is not None
    return Rule(
        Cookie(entry.hardware.cookie, d),
        entry.flowtable.declaration.priority,
        _match(direction, profile),
        actions,
        direction.mtu if sound else None,
    )


def _match(direction: Direction, profile: Profile) -> Match:
    key, entrance = direction.key, direction.entrance
    sound = profile.sound_offload
    tags = [Tag(*each) for each in entrance.encap if _expressible(each[1], sound=sound)]
    sessions = [number for number, protocol in entrance.encap if protocol == ETHERTYPE_PPPOE_SESSION]
    return Match(
        ingress=entrance.port,
        ethertype=ETHERTYPE_IPV4 if key.l3proto == IPV4 else ETHERTYPE_IPV6,
        protocol=key.l4proto,
        source=key.source,
        destination=key.destination,
        ports=None if key.l4proto == GRE else (key.sport, key.dport),
        tcp_flags=FIN_RST if key.l4proto == TCP else 0,
        vlan=tags[0] if tags else None,
        cvlan=tags[1] if len(tags) > 1 else None,
        session=(sessions[0] if sessions else 0) if sound else None,
        station=(entrance.source if any(entrance.source) else entrance.port.mac) if sound else None,
        peer=entrance.peer if sound else None,
        no_priority=sound and bool(tags) and _tagged(direction.exit) and profile.keep_vlan_priority,
    )


def _expressible(protocol: int, *, sound: bool) -> bool:
    """Whether a tag can be matched and taken off."""
    return protocol == ETHERTYPE_VLAN or (sound and protocol == ETHERTYPE_QINQ)


def _tagged(side: Side) -> bool:
    return any(protocol in _TAGS for _, protocol in side.encap)


def _actions(entry: FlowEntry, direction: Direction, *, sound: bool) -> Iterator[Action]:
    for _, protocol in direction.entrance.encap:
        if _expressible(protocol, sound=sound):
            yield VlanPop()
    yield from _pushes(direction.exit.encap, sound=sound)
    yield from _translation(entry, direction)
    yield Redirect(direction.exit.port)


def _macs(source: bytes, destination: bytes) -> Iterator[Mangle]:
    """Ref: flow_offload_eth_src, flow_offload_eth_dst."""
    yield Mangle(Header.ETHERNET, 4, _KEEP_FIRST, int.from_bytes(source[:2]))
    yield Mangle(Header.ETHERNET, 8, _KEEP_NONE, int.from_bytes(source[2:]))
    yield Mangle(Header.ETHERNET, 0, _KEEP_NONE, int.from_bytes(destination[:4]))
    yield Mangle(Header.ETHERNET, 4, _KEEP_SECOND, int.from_bytes(destination[4:]) << 16)


def _pushes(encap: Encap, *, sound: bool) -> Iterator[Action]:
    """Linux pushes the outermost first, and so in the wrong order where there are two tags."""
    for number, protocol in reversed(encap) if sound else encap:
        if protocol == ETHERTYPE_PPPOE_SESSION:
            yield PppoePush(number)
        elif _expressible(protocol, sound=sound):
            yield VlanPush(number, protocol)
        else:
            yield Accept()


def _translation(entry: FlowEntry, direction: Direction) -> Iterator[Action]:
    """Source translation, then destination translation; of each the address, then the port.

    What is translated of a connection are both directions: the source of one is the destination of
    the other. Ref: flow_offload_ipv4_snat, flow_offload_port_snat and their like.
    """
    key, leaving = direction.key, direction.rewritten
    reply = direction is entry.directions[1]
    header = Header.IPV4 if key.l3proto == IPV4 else Header.IPV6
    source = leaving[: len(key.source)], int.from_bytes(leaving[-4:-2])
    destination = direction.target, int.from_bytes(leaving[-2:])
    first, second = _ADDRESS[header]
    for flag, of_source in ((FlowFlag.SNAT, not reply), (FlowFlag.DNAT, reply)):
        if not entry.flags & flag:
            continue
        address, port = source if of_source else destination
        yield from _address(header, first if of_source else second, address)
        l4 = _L4.get(key.l4proto)
        if l4 is not None:
            yield (Mangle(l4, 0, _KEEP_SECOND, port << 16) if of_source else Mangle(l4, 0, _KEEP_FIRST, port))
    if entry.flags & (FlowFlag.SNAT | FlowFlag.DNAT) and header is Header.IPV4:
        yield Checksum(True, key.l4proto if key.l4proto in _L4 else None)


def _address(header: Header, offset: int, address: bytes) -> Iterator[Mangle]:
    for at in range(0, len(address), 4):
        yield Mangle(header, offset + at, _KEEP_NONE, int.from_bytes(address[at : at + 4]))
