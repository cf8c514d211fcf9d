"""Bonds: which slave a frame may come in on, and which it leaves by.

Ref: drivers/net/bonding/bond_main.c:bond_handle_frame, bond_start_xmit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from flowtable.packet.drop import Drop
from flowtable.packet.packet import ICMP, ICMPV6, PacketType
from flowtable.router.vlan import TAGS, without_tag
from flowtable.topology.bond import Bond, BondMode, XmitHashPolicy

if TYPE_CHECKING:
    from flowtable.router.box import Box
    from flowtable.topology.device import Device

_HOST: Final = int(PacketType.HOST)
_ETHERNET: Final = 14


def receive(box: Box, slave: Device, frame: bytes, pkttype: int) -> bool:
    """Take a frame from a slave; False where the slave's own protocols get it."""
    bond = slave.master
    assert isinstance(bond, Bond)
    if bond.mode is BondMode.ACTIVE_BACKUP and slave is not bond.active:
        if link_local(frame):
            return False
        box.statistics.drops[Drop.BOND_INACTIVE] += 1
        return True
    box.climb(bond, frame, _HOST if frame[:6] == bond.mac else pkttype)
    return True


def transmit(box: Box, bond: Bond, frame: bytes) -> None:
    """Send a frame by one of the slaves."""
    slave = slave_of(bond, frame)
    if slave is None:
        box.withhold(Drop.BOND_NO_SLAVE)
        return
    statistics = bond.statistics
    statistics.tx_packets += 1
    statistics.tx_bytes += len(frame)
    box.descend(slave, frame)


def slave_of(bond: Bond, frame: bytes) -> Device | None:
    """The slave by which a frame leaves, None while none is up.

    Ref: bond_xmit_activebackup, bond_3ad_xor_xmit.
    """
    if bond.mode is BondMode.ACTIVE_BACKUP:
        return bond.active
    usable = [slave for slave in bond.slaves if slave.up]
    return usable[_hash(bond.policy, frame) % len(usable)] if usable else None


def _hash(policy: XmitHashPolicy, frame: bytes) -> int:
    """Ref: bond_xmit_hash, on a machine that stores the lowest byte first.

    The outermost VLAN tag is no part of what is hashed.
    """
    if frame[12:14] in TAGS:
        frame = without_tag(frame)
    ethernet = frame[5] ^ frame[11] ^ int.from_bytes(frame[12:14])
    flow = None if policy is XmitHashPolicy.LAYER2 else _dissect(frame)
    if flow is None:
        return ethernet
    value = flow.ports if policy is XmitHashPolicy.LAYER34 else ethernet
    for word in range(0, len(flow.addresses), 4):
        value ^= int.from_bytes(flow.addresses[word : word + 4], "little")
    value ^= value >> 16
    value ^= value >> 8
    return value >> 1 if policy is XmitHashPolicy.LAYER34 else value


class _Flow(NamedTuple):
    """What is hashed of a flow.

    Attributes:
        addresses: source and destination.
        ports: what tells flows between two hosts apart: ports, or the identifier of ICMP.
    """

    addresses: bytes
    ports: int


_IPV4: Final = b"\x08\x00"
_IPV6: Final = b"\x86\xdd"
_WITH_PORTS: Final = frozenset({6, 17, 33, 50, 132, 136})
"""TCP, UDP, DCCP, ESP, SCTP and UDP-Lite. Ref: net/core/utils.c:proto_ports_offset."""
_AUTHENTICATION: Final = 51


def _dissect(frame: bytes) -> _Flow | None:
    """The flow of a frame, of an ICMP error that of the packet it is about. Ref: bond_flow_dissect."""
    network = _network(frame, _ETHERNET)
    if network is None:
        return None
    addresses, protocol, at = network
    if protocol in (ICMP, ICMPV6) and len(frame) >= at + 8:
        kind = frame[at]
        if kind not in _ERRORS[protocol]:
            ident = (int.from_bytes(frame[at + 4 : at + 6]) or 1) if kind in _IDENTIFIED else 0
            return _Flow(addresses, kind | frame[at + 1] << 8 | ident << 16 if ident else 0)
        about = _network(frame, at + 8)
        if about is None:
            return None
        addresses, protocol, at = about
    if protocol == _AUTHENTICATION:
        at += 4
    elif protocol not in _WITH_PORTS:
        return _Flow(addresses, 0)
    return _Flow(addresses, int.from_bytes(frame[at : at + 4], "little"))


def _network(frame: bytes, at: int) -> tuple[bytes, int | None, int] | None:
    """Addresses, protocol (None of a fragment) and what follows the header. Ref: bond_flow_ip."""
    ethertype = frame[12:14]
    if ethertype == _IPV4 and len(frame) >= at + 20:
        fragment = (frame[at + 6] & 0x3F) | frame[at + 7]
        protocol = None if fragment else frame[at + 9]
        return frame[at + 12 : at + 20], protocol, at + (frame[at] & 15) * 4
    if ethertype == _IPV6 and len(frame) >= at + 40:
        return frame[at + 8 : at + 40], frame[at + 6], at + 40
    return None


_IDENTIFIED: Final = frozenset({0, 8, 13, 14, 128, 129})
"""Types with an identifier. Ref: net/core/flow_dissector.c:icmp_has_id."""
_ERRORS: Final = {ICMP: frozenset({3, 4, 5, 11, 12}), ICMPV6: frozenset({1, 2, 3, 4})}
"""Ref: include/linux/icmp.h:icmp_is_err, include/linux/icmpv6.h:icmpv6_is_err."""


def link_local(frame: bytes) -> bool:
    """Whether a frame is to a group address that stays on the link (IEEE 802.1D, 01:80:c2:00:00:0X)."""
    return frame[:5] == b"\x01\x80\xc2\x00\x00" and frame[5] < 0x10
