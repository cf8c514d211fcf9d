"""Writing into packets, with their checksums put right.

Ref: net/netfilter/nft_payload.c:nft_payload_set_eval, nft_payload_l4csum_update;
net/netfilter/nft_exthdr.c:nft_exthdr_tcp_set_eval, nft_exthdr_tcp_strip_eval.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.packet.checksum import CHECKSUM_OFFSETS, adjust, delta
from flowtable.packet.packet import ICMP, TCP, UDP
from flowtable.packet.parse import dissect_unchecked
from flowtable.packet.sctp import fill_checksum
from flowtable.ruleset.expressions.tcp_option import find, header_end
from flowtable.ruleset.selector import Layer

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowtable.packet.packet import Packet
    from flowtable.ruleset.expressions.headers import Field
    from flowtable.ruleset.expressions.payload import Payload
    from flowtable.ruleset.expressions.raw import Raw
    from flowtable.ruleset.expressions.tcp_option import TcpOption

    Store = Callable[[Packet, int], bool]
    """Writes a value; False if the packet has no place for it."""

_VLAN_TAG: Final = 4
_TAG_CONTROL: Final = 14
"""Where the priority and number of the outermost VLAN tag are in a frame."""
_TCP_CHECKSUM: Final = 16
_MAXSEG: Final = 2
_NOP: Final = 1
_WITH_PSEUDO_HEADER: Final = frozenset(
    (("ip", "saddr"), ("ip", "daddr"), ("ip6", "saddr"), ("ip6", "daddr"), ("ip6", "length"))
)
"""Fields after whose change the checksum of the transport header changes too.

Ref: nftables src/netlink_linearize.c:payload_needs_l4csum_update_pseudohdr.
"""
_PARSED: Final = frozenset(("version", "hdrlength", "frag-off", "protocol", "nexthdr"))
"""Fields of a network header that say where the transport header is, and what it is."""


def payload_store(target: Payload) -> Store:
    """A function that sets a field of a header."""
    header, field = target.of, target.field
    if header.layer is Layer.LINK:
        return _link_store(field, target.depth * _VLAN_TAG)
    network = header.layer is Layer.NETWORK
    checksum = header.checksum
    pseudo = (header.name, target.name) in _WITH_PSEUDO_HEADER
    parsed = network and target.name in _PARSED
    sctp = header.name == "sctp"
    guards = None if network else header.number

    def store(packet: Packet, value: int) -> bool:
        base = 0 if network else _transport(packet, guards)
        if base is None:
            return False
        written = _new(packet.data, base, field, value)
        if written is None:
            return False
        new, change = written
        if checksum is not None and not _replace(packet.data, base + checksum, change):
            return False
        if pseudo:
            _replace_transport(packet, change)
        packet.data[base + field.first : base + field.end] = new
        if sctp:
            fill_checksum(packet.data, packet.thoff)
        if parsed:
            dissect_unchecked(packet)
        return True

    return store


def raw_store(target: Raw) -> Store:
    """A function that sets bits; no checksum is put right."""
    field, base = target.field, target.base
    if base is Layer.LINK:
        return _link_store(field, 0)

    def store(packet: Packet, value: int) -> bool:
        start = 0 if base is Layer.NETWORK else _transport(packet, None)
        written = None if start is None else _new(packet.data, start, field, value)
        if start is None or written is None:
            return False
        packet.data[start + field.first : start + field.end] = written[0]
        return True

    return store


def _transport(packet: Packet, number: int | None) -> int | None:
    """Where the transport header begins; None where there is none, or of another protocol."""
    if not packet.thoff or packet.fragoff:
        return None
    if number is not None and number > 0 and packet.l4proto != number:
        return None
    return packet.thoff


def _new(data: bytearray, base: int, field: Field, value: int) -> tuple[bytes, int] | None:
    """The bytes that a field is to have, and what that does to a checksum over them.

    None where the packet ends before.
    """
    first, end = field.first & ~1, field.end + (field.end & 1)
    if base + field.end > len(data):
        return None
    old = bytes(data[base + first : base + end])
    inner = data[base + field.first : base + field.end]
    mask = field.datatype.maximum << field.shift
    written = (int.from_bytes(inner) & ~mask | value << field.shift & mask).to_bytes(len(inner))
    at = field.first - first
    new = old[:at] + written + old[at + len(written) :]
    odd = b"\0" * (len(old) & 1)
    return written, delta(old + odd, new + odd)


def _replace(data: bytearray, at: int, change: int) -> bool:
    """Update the checksum that stands there. Ref: nft_payload.c:nft_csum_replace."""
    if at + 2 > len(data):
        return False
    check = adjust(int.from_bytes(data[at : at + 2]), change) or 0xFFFF
    data[at : at + 2] = check.to_bytes(2)
    return True


def _replace_transport(packet: Packet, change: int) -> None:
    """Update a transport checksum that covers the pseudo header. Ref: nft_payload_l4csum_offset."""
    at = CHECKSUM_OFFSETS.get(packet.l4proto)
    if at is None or packet.l4proto == ICMP or not packet.thoff or packet.fragoff:
        return
    at += packet.thoff
    if packet.l4proto == UDP and not any(packet.data[at : at + 2]):
        return
    _replace(packet.data, at, change)


def _link_store(field: Field, shift: int) -> Store:
    """Linux keeps the outermost VLAN tag beside the frame, and changes it as a whole only.

    Ref: net/netfilter/nft_payload.c:nft_payload_set_vlan.
    """
    if shift + field.first == _TAG_CONTROL and field.end - field.first == 1:
        return lambda packet, value: False

    def store(packet: Packet, value: int) -> bool:
        if not packet.link:
            return False
        frame = bytearray(packet.link + packet.data)
        written = _new(frame, shift, field, value)
        if written is None:
            return False
        frame[shift + field.first : shift + field.end] = written[0]
        size = len(packet.link)
        packet.link = bytes(frame[:size])
        packet.data[:] = frame[size:]
        return True

    return store


def tcp_option_store(target: TcpOption) -> Store:
    """A function that sets a field of a TCP option; a packet without the option is left alone.

    The largest segment is never made larger: that could stall the connection.
    """
    kind, field = target.option.kind, target.field
    assert field is not None
    size = field.end - field.first

    def store(packet: Packet, value: int) -> bool:
        if header_end(packet) is None:
            return False
        found = find(packet, kind)
        if found is None:
            return True
        offset, length = found
        if field.end > length:
            return False
        at = offset + field.first
        old = int.from_bytes(packet.data[at : at + size])
        if old == value or (kind == _MAXSEG and old <= value):
            return True
        new = value.to_bytes(size)
        _change_tcp(packet, delta(old.to_bytes(size), new))
        packet.data[at : at + size] = new
        return True

    return store


def strip_tcp_option(packet: Packet, kind: int) -> bool:
    """Overwrite a TCP option with NOPs; False if there is no TCP header.

    Ref: net/netfilter/nft_exthdr.c:nft_exthdr_tcp_strip_eval.
    """
    if header_end(packet) is None:
        return False
    found = find(packet, kind)
    if found is None:
        return True
    data = packet.data
    for at in range(found[0], sum(found)):
        old, new = bytes((data[at],)), bytes((_NOP,))
        odd = at - packet.thoff & 1
        _change_tcp(
            packet, delta(b"\0" * odd + old + b"\0" * (1 - odd), b"\0" * odd + new + b"\0" * (1 - odd))
        )
        data[at] = _NOP
    return True


def _change_tcp(packet: Packet, change: int) -> None:
    """Ref: net/core/utils.c:inet_proto_csum_replace2."""
    assert packet.l4proto == TCP
    at = packet.thoff + _TCP_CHECKSUM
    packet.data[at : at + 2] = adjust(int.from_bytes(packet.data[at : at + 2]), change).to_bytes(2)
