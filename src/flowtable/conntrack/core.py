"""The two conntrack stations: where packets meet their connection, and where it is confirmed.

Ref: net/netfilter/nf_conntrack_core.c.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final

from flowtable.conntrack import generic, gre, icmp, icmpv6, sctp, tcp, udp, udplite
from flowtable.conntrack.connection import Connection, Status, TcpState
from flowtable.conntrack.generator import Generator
from flowtable.conntrack.removal import Removal
from flowtable.conntrack.settings import Settings
from flowtable.conntrack.table import Table, in_zone
from flowtable.conntrack.tracker import ACCEPT, DROP, REPEAT
from flowtable.conntrack.tuple import ORIGINAL, REPLY, from_key
from flowtable.conntrack.wire import PORTS, QUERIES, key_at
from flowtable.packet.drop import Drop
from flowtable.packet.packet import GRE, ICMP, ICMPV6, IPV4, IPV6, SCTP, TCP, UDP, UDPLITE, CtInfo

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowtable.conntrack.tracker import Tracker
    from flowtable.conntrack.tuple import Key, Tuple
    from flowtable.packet.packet import Packet
    from flowtable.topology.sysctl import Sysctls

# Protocol, addresses and ports of a packet whose transport header follows the IP header at once.
_key4 = Struct(">9xB2xQI").unpack_from
_key6 = Struct(">6xBxQQQQI").unpack_from

_ESTABLISHED: Final = int(CtInfo.ESTABLISHED)
_ESTABLISHED_REPLY: Final = int(CtInfo.ESTABLISHED_REPLY)
_RELATED: Final = int(CtInfo.RELATED)
_NEW: Final = int(CtInfo.NEW)
_UNTRACKED: Final = int(CtInfo.UNTRACKED)

_CONFIRMED: Final = Status.CONFIRMED
_OFFLOAD: Final = Status.OFFLOAD
_FIXED_TIMEOUT: Final = Status.FIXED_TIMEOUT
_SEEN_REPLY: Final = Status.SEEN_REPLY

_CLASHING: Final = frozenset({UDP, UDPLITE, GRE})
"""Protocols whose connections may clash and be resolved (``allow_clash``)."""
_CLASH_TIMEOUT: Final = 1_000_000_000

_OWN_TRACKERS: Final[dict[int, Tracker]] = {
    TCP: tcp.track,
    UDP: udp.track,
    ICMP: icmp.track,
    ICMPV6: icmpv6.track,
    GRE: gre.track,
    SCTP: sctp.track,
    UDPLITE: udplite.track,
}
_TRACKERS: Final = tuple(_OWN_TRACKERS.get(l4proto, generic.track) for l4proto in range(256))
"""By protocol number."""


class Conntrack(Table):
    """Connection tracking of a box.

    Attributes:
        settings: what the sysctls say.
        random: where numbers come from that are random in Linux.
        on_offloaded: called with an offloaded connection before a packet of it is tracked, so that
            whoever forwards the others can tell first what it saw.
    """

    def __init__(self, sysctls: Sysctls, seed: int = 0) -> None:
        super().__init__()
        self.settings = Settings.of(sysctls)
        self.random = Generator(seed)
        self.on_offloaded: Callable[[Connection], None] | None = None
        self._policies: dict[tuple[int, ...], Settings] = {}

    def configure(self, sysctls: Sysctls) -> None:
        """Go by what the sysctls say now; timeouts that run already stay."""
        self.settings = Settings.of(sysctls)

    def settings_of(self, connection: Connection) -> Settings:
        """The settings with the timeouts that a rule gave a connection."""
        timeouts = connection.timeouts
        if timeouts is None:
            return self.settings
        settings = self._policies.get(timeouts)
        if settings is None:
            settings = self._policies[timeouts] = self.settings.with_timeouts(timeouts)
        return settings

    def incoming(self, packet: Packet) -> int:
        """Find the connection of a packet at prerouting or output, or begin one.

        Sets ``packet.ct`` and ``packet.ctinfo``. A packet that is invalid goes on without a
        connection. The packet's ``hook`` and ``time`` say where and when.

        Returns:
            A ``Verdict``. With DROP, ``packet.drop`` says why.

        Ref: net/netfilter/nf_conntrack_core.c:nf_conntrack_in.
        """
        zone, directions = 0, 3
        template = packet.ct
        if template is not None or packet.ctinfo == _UNTRACKED:
            if template is None or not template.status & Status.TEMPLATE:
                return ACCEPT
            zone, directions = template.zone, template.zone_directions
            packet.ct = None

        data = packet.data
        thoff = packet.thoff
        l4proto = packet.l4proto
        hook = packet.hook
        key: Key | None
        if l4proto in PORTS:
            if packet.fragoff or len(data) < thoff + 4:
                return ACCEPT
            if thoff == 20 and packet.family == IPV4:
                key = _key4(data)
            elif thoff == 40 and packet.family == IPV6:
                key = _key6(data)
            else:
                key = key_at(data, 0, packet.family, l4proto, thoff)
        else:
            if packet.fragoff:
                return ACCEPT
            if l4proto in QUERIES:
                verdict = ACCEPT
                if l4proto == ICMP and packet.family == IPV4:
                    verdict = icmp.error(self, packet, zone, directions, hook)
                elif l4proto == ICMPV6 and packet.family == IPV6:
                    verdict = icmpv6.error(self, packet, zone, directions, hook)
                if verdict <= 0 or packet.ct is not None or packet.ctinfo == _UNTRACKED:
                    return ACCEPT
            key = key_at(data, 0, packet.family, l4proto, thoff)
        if key is None:
            return ACCEPT

        self.now = now = packet.time
        track = _TRACKERS[l4proto]
        while True:
            entry = self._entries.get(key) if not zone else self.find_key(key, zone, directions, now)
            if entry is not None and entry[0].expires > now:
                connection, direction = entry
                if connection.status & _OFFLOAD and self.on_offloaded is not None:
                    self.on_offloaded(connection)
            else:
                if entry is not None:
                    self.delete(entry[0], now, Removal.TIMEOUT)
                begun = self._begin(key, zone, directions, now)
                if begun is None:
                    return ACCEPT
                if self._full(now):
                    packet.drop = Drop.CONNTRACK_FULL
                    return DROP
                connection = begun
                direction = ORIGINAL
            verdict = track(self, connection, packet, direction, hook)
            if verdict > 0:
                break
            if verdict != REPEAT:
                return ACCEPT if verdict else DROP

        packet.ct = connection
        status = connection.status
        if direction == REPLY:
            packet.ctinfo = _ESTABLISHED_REPLY
            if not status & _SEEN_REPLY:
                connection.status = status | _SEEN_REPLY
        elif status & _SEEN_REPLY:
            packet.ctinfo = _ESTABLISHED
        else:
            packet.ctinfo = _RELATED if status & Status.EXPECTED else _NEW
        return ACCEPT

    def _full(self, now: int) -> bool:
        """Whether there is no room for one more connection, and none could be made."""
        limit = self.settings.limit
        if not limit or len(self._connections) < limit or self.early_drop(now):
            return False
        self.make_room(limit // 100 * 95)
        return True

    def _begin(self, key: Key, zone: int, directions: int, now: int) -> Connection | None:
        """Ref: net/netfilter/nf_conntrack_core.c:init_conntrack."""
        original = from_key(key)
        reply = original.invert()
        if reply is None:
            return None
        connection = Connection(original, reply, start=now, accounting=self.settings.accounting)
        connection.ident = self.random.u32()
        if zone:
            connection.zone = zone
            connection.zone_directions = directions
            connection.keys = (in_zone(key, connection.zone_of(ORIGINAL)), reply.key)
            self.set_reply(connection, reply)
        return connection

    def set_reply(self, connection: Connection, reply: Tuple) -> None:
        """Change what answers to a connection that is not confirmed will look like.

        Ref: include/net/netfilter/nf_conntrack.h:nf_conntrack_alter_reply.
        """
        connection.reply = reply
        connection.keys = (connection.keys[ORIGINAL], in_zone(reply.key, connection.zone_of(REPLY)))

    def taken(self, key: Key, connection: Connection) -> bool:
        """Whether answers to a new connection must not look like this, as those to another do.

        One of the same original tuple does not count: it is the same connection, about to be
        found out by ``confirm``.

        Ref: net/netfilter/nf_conntrack_core.c:nf_conntrack_tuple_taken.
        """
        entry = self.lookup(in_zone(key, connection.zone_of(REPLY)), connection.start)
        return entry is not None and entry[0].keys[ORIGINAL] != connection.keys[ORIGINAL]

    def answers_taken(self, connection: Connection) -> bool:
        """``taken``, of the answers that a new connection expects by now."""
        entry = self.lookup(connection.keys[REPLY], connection.start)
        return entry is not None and entry[0].keys[ORIGINAL] != connection.keys[ORIGINAL]

    def refresh(self, connection: Connection, packet: Packet, direction: int, timeout: int) -> None:
        """Begin the timeout anew and count the packet.

        Ref: net/netfilter/nf_conntrack_core.c:__nf_ct_refresh_acct.
        """
        status = connection.status
        if not status & _FIXED_TIMEOUT:
            if status & _CONFIRMED:
                connection.expires = expires = packet.time + timeout
                if expires < connection.due:
                    self.plan(connection, packet.time)
            else:
                connection.expires = timeout
        packets = connection.packets
        if packets is not None:
            packets[direction] += 1
            connection.bytes[direction] += len(packet.data)  # type: ignore[index]

    def set_closing(self, connection: Connection, now: int) -> None:
        """Close a TCP connection that the box itself has reset, if it is in the table.

        Ref: net/netfilter/nf_conntrack_proto_tcp.c:nf_conntrack_tcp_set_closing.
        """
        track = connection.tcp
        if track is None or not connection.status & _CONFIRMED:
            return
        before, track.state = track.state, TcpState.CLOSE
        if before != TcpState.CLOSE and not connection.status & _FIXED_TIMEOUT:
            self.set_timeout(connection, now + self.settings.tcp[TcpState.CLOSE])

    def count(self, connection: Connection, packet: Packet, direction: int) -> None:
        """Count a packet. Ref: net/netfilter/nf_conntrack_core.c:nf_ct_acct_add."""
        if connection.packets is not None and connection.bytes is not None:
            connection.packets[direction] += 1
            connection.bytes[direction] += len(packet.data)

    def confirm(self, packet: Packet) -> int:
        """Enter the connection of a packet that made it through the box into the table.

        Returns:
            A ``Verdict``. With DROP, ``packet.drop`` says why.

        Ref: include/net/netfilter/nf_conntrack_core.h:nf_conntrack_confirm.
        """
        connection = packet.ct
        if connection is None or connection.status & _CONFIRMED:
            return ACCEPT
        return self._confirm(connection, packet)

    def _confirm(self, connection: Connection, packet: Packet) -> int:
        """Ref: net/netfilter/nf_conntrack_core.c:__nf_conntrack_confirm."""
        if packet.reply:
            return ACCEPT
        now = packet.time
        connection.status |= _CONFIRMED
        if connection.status & Status.DYING:
            packet.drop = Drop.CONNTRACK_CLASH
            return DROP
        for key in connection.keys:
            entry = self.lookup(key, now)
            if entry is not None:
                if self._resolve_clash(connection, entry[0], packet):
                    return ACCEPT
                packet.drop = Drop.CONNTRACK_CLASH
                return DROP
        self.insert(connection, now)
        return ACCEPT

    def _resolve_clash(self, loser: Connection, winner: Connection, packet: Packet) -> bool:
        """Two packets began the same connection; or translation gave two the same answers.

        Returns:
            Whether the packet may go on: as part of the connection that is in the table, or of
            one that is found by its answers only, and shortly.

        Ref: net/netfilter/nf_conntrack_core.c:nf_ct_resolve_clash.
        """
        if winner.l4proto not in _CLASHING:
            return False
        if self._join(loser, winner, packet):
            return True
        entry = self.lookup(loser.keys[REPLY], packet.time)
        if entry is not None:
            return self._join(loser, entry[0], packet)
        loser.expires = _CLASH_TIMEOUT
        loser.status |= Status.FIXED_TIMEOUT | Status.NAT_CLASH
        self.insert_reply(loser, packet.time)
        return True

    def _join(self, loser: Connection, winner: Connection, packet: Packet) -> bool:
        """Ref: net/netfilter/nf_conntrack_core.c:__nf_ct_resolve_clash."""
        if winner.keys != loser.keys:
            return False
        if loser.packets is not None and winner.packets is not None:
            self.count(winner, packet, ORIGINAL)
        packet.ct = winner
        return True
