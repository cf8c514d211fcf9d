"""The nat stations: the first packet decides on a translation, all packets undergo it.

Ref: net/netfilter/nf_nat_core.c, net/netfilter/nf_nat_proto.c.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from flowtable.conntrack.connection import Status
from flowtable.conntrack.masquerade import masquerade_address, redirect_address
from flowtable.conntrack.nat_icmp import translate_error
from flowtable.conntrack.nat_mangle import (
    DESTINATION,
    NAT_BIT,
    SIDES,
    SOURCE,
    Rewrite,
    rewrites,
    target_of,
)
from flowtable.conntrack.nat_tuple import unique_tuple
from flowtable.conntrack.removal import Removal
from flowtable.packet.drop import Drop
from flowtable.packet.packet import ICMP, ICMPV6, IPV4, CtInfo
from flowtable.ruleset.hook import Hook
from flowtable.ruleset.nat import NatKind, NatRange
from flowtable.ruleset.verdict import Verdict
from flowtable.topology.event import AddressChanged, LinkChanged

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flowtable.conntrack.connection import Connection
    from flowtable.conntrack.core import Conntrack
    from flowtable.packet.packet import Packet
    from flowtable.topology.event import Event
    from flowtable.topology.topology import Topology

    Chain = Callable[[Packet], int]

_ACCEPT: Final = int(Verdict.ACCEPT)
_DROP: Final = int(Verdict.DROP)

_ESTABLISHED: Final = int(CtInfo.ESTABLISHED)
_ESTABLISHED_REPLY: Final = int(CtInfo.ESTABLISHED_REPLY)
_NEW: Final = int(CtInfo.NEW)
_POSTROUTING: Final = int(Hook.POSTROUTING)

_DONE: Final = (Status.SRC_NAT_DONE, Status.DST_NAT_DONE)
_NAT: Final = (Status.SRC_NAT, Status.DST_NAT)

_TRANSLATED: Final = {
    NatKind.SNAT: SOURCE,
    NatKind.MASQUERADE: SOURCE,
    NatKind.DNAT: DESTINATION,
    NatKind.REDIRECT: DESTINATION,
}


class Nat:
    """Address translation of a box.

    In Linux the first nat chain of a family registers all four hooks (prerouting and output at
    priority -100, input and postrouting at 100); where there is none, packets do not come here.
    """

    def __init__(self, conntrack: Conntrack, topology: Topology) -> None:
        self._conntrack = conntrack
        self._topology = topology
        topology.subscribe(self._changed)

    def station(self, hook: int, chains: Sequence[Chain]) -> Chain:
        """The station that translates packets at prerouting, input, output or postrouting.

        The first packet of a connection goes through the nat chains, until one of them calls
        ``setup``; if none does it keeps its addresses, and its ports unless they are taken.

        Args:
            hook: where it stands.
            chains: nat base chains of the hook in the order of their priorities.

        Returns:
            What to call with each packet, whose ``hook`` is set. It returns a ``Verdict``. With
            DROP, ``packet.drop`` says why.

        Ref: net/netfilter/nf_nat_core.c:nf_nat_inet_fn.
        """
        side = SIDES[hook]
        leaving = hook == _POSTROUTING

        def translate(packet: Packet) -> int:
            connection = packet.ct
            if connection is None:
                return _ACCEPT
            ctinfo = packet.ctinfo
            if ctinfo == _ESTABLISHED or ctinfo == _ESTABLISHED_REPLY:  # noqa: SIM109 - twice as fast
                prepared = connection.rewrites
                if prepared is None:
                    return _ACCEPT
                if (
                    leaving
                    and connection.masquerade
                    and ctinfo == _ESTABLISHED
                    and self._moved(connection, packet)
                ):
                    return _DROP
                # Bit 1 of ctinfo is the direction: 0 in ESTABLISHED, 3 in ESTABLISHED_REPLY.
                rewrite = prepared[(ctinfo & 2) + side]
                translated = rewrite is None or rewrite.apply(packet)
            elif ctinfo != _NEW and packet.l4proto == (ICMP if packet.family == IPV4 else ICMPV6):
                translated = translate_error(connection, packet, hook)
            else:
                return self._begin(connection, packet, hook, chains)
            if translated:
                return _ACCEPT
            packet.drop = Drop.NAT
            return _DROP

        return translate

    def _begin(self, connection: Connection, packet: Packet, hook: int, chains: Sequence[Chain]) -> int:
        side = SIDES[hook]
        if connection.status & _DONE[side]:
            if hook == _POSTROUTING and connection.masquerade and self._moved(connection, packet):
                return _DROP
        else:
            for chain in chains:
                verdict = chain(packet)
                if verdict != _ACCEPT:
                    return verdict
                if connection.status & _DONE[side]:
                    break
            else:
                self._bind_null(connection, side)
        direction = int(packet.reply)
        if connection.status & NAT_BIT[direction][side]:
            prepared = connection.rewrites
            rewrite = None if prepared is None else prepared[direction * 2 + side]
            if rewrite is None:
                rewrite = Rewrite(target_of(connection, direction), side)
            if not rewrite.apply(packet):
                packet.drop = Drop.NAT
                return _DROP
        return _ACCEPT

    def setup(self, packet: Packet, kind: NatKind, chosen: NatRange) -> int:
        """Carry out a nat statement for the new connection of a packet.

        Returns:
            A ``Verdict``. With DROP, ``packet.drop`` says why.

        Ref: net/netfilter/nft_nat.c:nft_nat_eval, nft_masq.c, nft_redir.c.
        """
        connection = packet.ct
        if connection is None or connection.status & Status.CONFIRMED:
            return _ACCEPT
        side = _TRANSLATED[kind]
        if connection.status & _DONE[side]:
            packet.drop = Drop.NAT
            return _DROP
        match kind:
            case NatKind.MASQUERADE:
                if not any(connection.original.src) and packet.family == IPV4:
                    # The box's own packet, from before it had an address.
                    return _ACCEPT
                address = masquerade_address(self._topology, packet)
                if address is None or packet.oif is None:
                    packet.drop = Drop.NAT
                    return _DROP
                connection.masquerade = packet.oif.index
                chosen = replace(chosen, min_addr=address, max_addr=address)
            case NatKind.REDIRECT:
                address = redirect_address(packet, packet.hook)
                if address is None:
                    packet.drop = Drop.NAT
                    return _DROP
                chosen = replace(chosen, min_addr=address, max_addr=address)
            case NatKind.SNAT | NatKind.DNAT:
                if chosen.netmap and chosen.min_addr is not None and chosen.max_addr is not None:
                    address = _netmap(chosen.min_addr, chosen.max_addr, packet, side)
                    chosen = replace(chosen, min_addr=address, max_addr=address)
        self._bind(connection, chosen, side)
        return _ACCEPT

    def _bind(self, connection: Connection, chosen: NatRange, side: int) -> None:
        """Ref: net/netfilter/nf_nat_core.c:nf_nat_setup_info."""
        current = target_of(connection, 0)
        new = unique_tuple(self._conntrack, connection, current, chosen, side)
        if new != current:
            self._conntrack.set_reply(connection, new.inverse())
            connection.status |= _NAT[side]
        self._done(connection, side)

    def _bind_null(self, connection: Connection, side: int) -> None:
        """Leave a side as it is, unless answers could then not be told from another connection's.

        Ref: net/netfilter/nf_nat_core.c:nf_nat_alloc_null_binding.
        """
        if self._conntrack.answers_taken(connection):
            address = connection.reply.dst if side == SOURCE else connection.reply.src
            self._bind(connection, NatRange(min_addr=address, max_addr=address), side)
        else:
            self._done(connection, side)

    def _done(self, connection: Connection, side: int) -> None:
        connection.status |= _DONE[side]
        # The source is translated last: from now on the tuples stay what they are.
        if side == SOURCE and (connection.status & Status.NAT_MASK or connection.masquerade):
            connection.rewrites = rewrites(connection)

    def _moved(self, connection: Connection, packet: Packet) -> bool:
        """Whether a masqueraded connection leaves through another device; then it has to end.

        Ref: include/net/netfilter/nf_nat.h:nf_nat_oif_changed.
        """
        if packet.oif is None or packet.oif.index == connection.masquerade or packet.reply:
            return False
        self._conntrack.count(connection, packet, 0)
        self._conntrack.delete(connection, packet.time, Removal.ROUTE_CHANGED)
        packet.drop = Drop.NAT
        return True

    def _changed(self, event: Event) -> None:
        """Forget connections whose masquerade address is gone.

        Ref: net/netfilter/nf_nat_masquerade.c:masq_device_event, masq_inet_event.
        """
        address: bytes | None
        match event:
            case LinkChanged(device, removed) if removed or not device.up:
                address = None
            case AddressChanged(device, lost, removed) if removed:
                address = lost.address
            case _:
                return
        for connection in list(self._conntrack):
            if connection.masquerade == device.index and address in (None, connection.reply.dst):
                self._conntrack.delete(connection, self._conntrack.now, Removal.MASQUERADE)


def _netmap(first: bytes, last: bytes, packet: Packet, side: int) -> bytes:
    """The address that a prefix, given by its ends, translates to: host bits stay.

    Ref: net/netfilter/nft_nat.c:nft_nat_setup_netmap.
    """
    at = (12 if side == SOURCE else 16) if packet.family == IPV4 else (8 if side == SOURCE else 24)
    size = len(first)
    host = int.from_bytes(first) ^ int.from_bytes(last)
    old = int.from_bytes(packet.data[at : at + size])
    return (old & host | int.from_bytes(first) & ~host).to_bytes(size)
