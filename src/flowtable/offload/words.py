"""A rule in words, as an operator would tell it."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from flowtable.offload.rule import (
    Accept,
    Checksum,
    Header,
    Mangle,
    PppoePush,
    Redirect,
    VlanPop,
    VlanPush,
)
from flowtable.packet.packet import ETHERTYPE_QINQ, GRE, TCP, UDP

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from flowtable.offload.rule import Action, Match, Rule, Tag

_NAMES: Final = {TCP: "tcp", UDP: "udp", GRE: "gre"}


def words(rule: Rule) -> str:
    """One line: what has to match, an arrow, and what is done."""
    done = ", ".join(_actions(rule.actions))
    if rule.mtu is not None:
        done = f"up to {rule.mtu} bytes: {done}"
    return f"{', '.join(_match(rule.match))} -> {done}"


def _match(match: Match) -> Iterator[str]:
    yield f"from {match.ingress.name}"
    for tag in (match.vlan, match.cvlan):
        if tag is not None:
            yield _tag(tag)
    if match.no_priority:
        yield "no priority"
    if match.session:
        yield f"session {match.session}"
    if match.station is not None:
        yield f"to {match.station.hex(':')}"
    if match.peer is not None:
        yield f"by {match.peer.hex(':')}"
    source, destination = str(ip_address(match.source)), str(ip_address(match.destination))
    if match.ports is not None:
        ipv6 = len(match.source) == 16
        source, destination = (
            f"[{address}]:{port}" if ipv6 else f"{address}:{port}"
            for address, port in zip((source, destination), match.ports, strict=True)
        )
    yield f"{_NAMES[match.protocol]} {source} > {destination}"
    if match.tcp_flags:
        yield "no FIN or RST"


def _tag(tag: Tag) -> str:
    return f"{'svlan' if tag.protocol == ETHERTYPE_QINQ else 'vlan'} {tag.vid}"


def _actions(actions: Sequence[Action]) -> Iterator[str]:
    for (header, offset), value, size in edits(actions):
        yield f"{_FIELDS[header, offset]} {_value(header, value, size)}"
    for action in actions:
        match action:
            case VlanPop():
                yield "tag off"
            case VlanPush(vid, protocol):
                yield f"{'svlan' if protocol == ETHERTYPE_QINQ else 'vlan'} {vid} on"
            case PppoePush(session):
                yield f"session {session} on"
            case Accept():
                yield "accept"
            case Redirect(device):
                yield f"out of {device.name}"
            case Mangle() | Checksum():
                pass


_FIELDS: Final = {
    (Header.ETHERNET, 0): "to",
    (Header.ETHERNET, 6): "from",
    (Header.IPV4, 12): "source",
    (Header.IPV4, 16): "destination",
    (Header.IPV6, 8): "source",
    (Header.IPV6, 24): "destination",
    (Header.TCP, 0): "sport",
    (Header.TCP, 2): "dport",
    (Header.UDP, 0): "sport",
    (Header.UDP, 2): "dport",
}


def _value(header: Header, value: bytes, size: int) -> str:
    if header is Header.ETHERNET:
        return value.hex(":")
    return str(int.from_bytes(value)) if size == 2 else str(ip_address(value))


def edits(actions: Sequence[Action]) -> Iterator[tuple[tuple[Header, int], bytes, int]]:
    """The fields that the mangled words make up: header and offset, new value, size in bytes.

    Words are of 32 bits, fields are not: MAC addresses are one and a half, ports half a word, IPv6
    addresses four.
    """
    order: list[Header] = []
    written: dict[Header, dict[int, int]] = {}
    for action in actions:
        if not isinstance(action, Mangle):
            continue
        if action.header not in written:
            order.append(action.header)
        octets = written.setdefault(action.header, {})
        for place in range(4):
            shift = 24 - 8 * place
            if not action.mask >> shift & 0xFF:
                octets[action.offset + place] = action.value >> shift & 0xFF
    for header in order:
        octets = written[header]
        for known, offset in _FIELDS:
            if known is header and offset in octets:
                size = field_size(header)
                yield (header, offset), bytes(octets[offset + place] for place in range(size)), size


def field_size(header: Header) -> int:
    """How long the fields of a header are that rules change, bytes."""
    match header:
        case Header.ETHERNET:
            return 6
        case Header.IPV4:
            return 4
        case Header.IPV6:
            return 16
        case Header.TCP | Header.UDP:
            return 2
