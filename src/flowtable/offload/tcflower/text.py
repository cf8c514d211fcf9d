"""A rule as a filter of tc.

Other than for drivers, all is said: tc decrements no TTL by itself and checks no length. Tags come
off before anything else, since what is behind a second tag is out of reach until then.

Ref: tc-flower(8), tc-pedit(8), tc-vlan(8), tc-csum(8), tc-police(8), tc-mirred(8).
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Final, NamedTuple

from flowtable.offload.rule import Accept, Header, PppoePush, Redirect, VlanPop, VlanPush
from flowtable.offload.words import edits
from flowtable.packet.packet import (
    ETHERTYPE_IPV4,
    ETHERTYPE_IPV6,
    ETHERTYPE_QINQ,
    ETHERTYPE_VLAN,
    GRE,
    TCP,
    UDP,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowtable.offload.rule import Match, Rule

_ETHERNET: Final = 14
_TAG: Final = 4
_PROTOCOL: Final = {
    ETHERTYPE_IPV4: "ip",
    ETHERTYPE_IPV6: "ipv6",
    ETHERTYPE_VLAN: "802.1Q",
    ETHERTYPE_QINQ: "802.1ad",
}
_ETHERTYPE: Final = {**_PROTOCOL, ETHERTYPE_IPV4: "ipv4"}
_TAGS: Final = ("vlan", "cvlan")
_L4: Final = {TCP: "tcp", UDP: "udp", GRE: "gre"}
_FIELDS: Final = {
    (Header.ETHERNET, 0): "eth dst",
    (Header.ETHERNET, 6): "eth src",
    (Header.IPV4, 12): "ip src",
    (Header.IPV4, 16): "ip dst",
    (Header.IPV6, 8): "ip6 src",
    (Header.IPV6, 24): "ip6 dst",
    (Header.TCP, 0): "tcp sport",
    (Header.TCP, 2): "tcp dport",
    (Header.UDP, 0): "udp sport",
    (Header.UDP, 2): "udp dport",
}


class Shape(NamedTuple):
    """What filters have to have in common to share a preference: the ethertypes, outermost first."""

    ethertypes: tuple[int, ...]

    @property
    def protocol(self) -> str:
        """As ``tc filter add ... protocol`` takes it."""
        return _PROTOCOL[self.ethertypes[0]]

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of flower that look behind each of the tags."""
        behind = (_ETHERTYPE[ethertype] for ethertype in self.ethertypes[1:])
        return tuple(f"{tag}_ethtype {ethertype}" for tag, ethertype in zip(_TAGS, behind, strict=False))


def shape_of(match: Match) -> Shape:
    """The shape of a rule."""
    tags = [tag.protocol for tag in (match.vlan, match.cvlan) if tag is not None]
    return Shape((*tags, match.ethertype))


def lacks(rule: Rule) -> str | None:
    """What of a rule tc has no words for, None if it has for all."""
    if rule.match.session or any(isinstance(action, PppoePush) for action in rule.actions):
        return "pppoe"
    if any(isinstance(action, Accept) for action in rule.actions):
        return "action accept"
    return None


def flower(rule: Rule, skip: str) -> str:
    """Keys and actions of the filter: what stands behind its handle.

    Args:
        rule: a rule that ``lacks`` nothing.
        skip: ``skip_sw`` for hardware only, ``skip_hw`` for software only.
    """
    return " ".join(["flower", skip, *_keys(rule.match), *_actions(rule)])


def guard(shape: Shape, skip: str) -> str:
    """The filter in front of the rules of a shape: packets with TTL 1 or 0 go to the box."""
    return " ".join(["flower", skip, *shape.keys, "ip_ttl 0/0xfe", "action pass"])


def _keys(match: Match) -> Iterator[str]:
    if match.station is not None:
        yield f"dst_mac {match.station.hex(':')}"
    if match.peer is not None:
        yield f"src_mac {match.peer.hex(':')}"
    # What is behind a tag has to be said before the next tag.
    behind = iter(shape_of(match).keys)
    for name, tag in zip(_TAGS, (match.vlan, match.cvlan), strict=True):
        if tag is not None:
            yield f"{name}_id {tag.vid}"
            if match.no_priority:
                yield f"{name}_prio 0"
            yield next(behind)
    yield f"ip_proto {_L4[match.protocol]}"
    yield f"src_ip {ip_address(match.source)} dst_ip {ip_address(match.destination)}"
    if match.ports is not None:
        yield f"src_port {match.ports[0]} dst_port {match.ports[1]}"
    if match.tcp_flags:
        yield f"tcp_flags 0x0/{match.tcp_flags:#x}"
    if match.ethertype == ETHERTYPE_IPV4:
        yield "ip_flags nofrag"


def _actions(rule: Rule) -> Iterator[str]:
    ipv4 = rule.match.ethertype == ETHERTYPE_IPV4
    if rule.mtu is not None:
        # The outermost tag is not counted, for the kernel has moved it aside.
        limit = rule.mtu + _ETHERNET + (_TAG if rule.match.cvlan is not None else 0)
        yield f"action police mtu {limit} conform-exceed ok/pipe"
    yield from ("action vlan pop pipe" for action in rule.actions if isinstance(action, VlanPop))
    changes = list(edits(rule.actions))
    munges = [f"munge {_FIELDS[place]} set {_value(*place, value)}" for place, value, _ in changes]
    munges.append("munge ip ttl add 0xff" if ipv4 else "munge ip6 hoplimit add 0xff")
    yield f"action pedit ex {' '.join(munges)} pipe"
    translated = any(header is not Header.ETHERNET for (header, _), _, _ in changes)
    sums = ["ip4h"] if ipv4 else []
    if translated and rule.match.protocol != GRE:
        sums.append(_L4[rule.match.protocol])
    if sums:
        yield f"action csum {' and '.join(sums)} pipe"
    for action in rule.actions:
        match action:
            case VlanPush(vid, protocol):
                yield f"action vlan push id {vid} protocol {_PROTOCOL[protocol]} priority 0 pipe"
            case Redirect(device):
                yield f"action mirred egress redirect dev {device.name}"
            case _:
                pass


def _value(header: Header, offset: int, value: bytes) -> str:
    match header:
        case Header.ETHERNET:
            return value.hex(":")
        case Header.IPV4 | Header.IPV6:
            return str(ip_address(value))
        case Header.TCP | Header.UDP:
            return str(int.from_bytes(value))
