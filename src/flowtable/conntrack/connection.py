"""A connection and everything the box remembers of it."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Final

from flowtable.clock import MILLISECOND
from flowtable.conntrack.tuple import REPLY, Tuple
from flowtable.packet.packet import IPV4

if TYPE_CHECKING:
    from flowtable.conntrack.nat_mangle import Rewrite
    from flowtable.conntrack.tuple import Key


class Status:
    """Bits of ``Connection.status``. Ref: include/uapi/linux/netfilter/nf_conntrack_common.h.

    Plain integers and not an ``IntFlag``: they are tested for every packet.
    """

    EXPECTED: Final = 1 << 0
    SEEN_REPLY: Final = 1 << 1
    ASSURED: Final = 1 << 2
    CONFIRMED: Final = 1 << 3
    SRC_NAT: Final = 1 << 4
    DST_NAT: Final = 1 << 5
    NAT_MASK: Final = SRC_NAT | DST_NAT
    SEQ_ADJUST: Final = 1 << 6
    SRC_NAT_DONE: Final = 1 << 7
    DST_NAT_DONE: Final = 1 << 8
    NAT_DONE_MASK: Final = SRC_NAT_DONE | DST_NAT_DONE
    DYING: Final = 1 << 9
    FIXED_TIMEOUT: Final = 1 << 10
    TEMPLATE: Final = 1 << 11
    NAT_CLASH: Final = 1 << 12
    HELPER: Final = 1 << 13
    OFFLOAD: Final = 1 << 14
    HW_OFFLOAD: Final = 1 << 15


class TcpState(IntEnum):
    """The state of a TCP connection as ``conntrack -L`` names it.

    Ref: include/uapi/linux/netfilter/nf_conntrack_tcp.h:tcp_conntrack.
    """

    NONE = 0
    SYN_SENT = 1
    SYN_RECV = 2
    ESTABLISHED = 3
    FIN_WAIT = 4
    CLOSE_WAIT = 5
    LAST_ACK = 6
    TIME_WAIT = 7
    CLOSE = 8
    SYN_SENT2 = 9


class SctpState(IntEnum):
    """The state of an SCTP association as ``conntrack -L`` names it.

    Ref: include/uapi/linux/netfilter/nf_conntrack_sctp.h:sctp_conntrack.
    """

    NONE = 0
    CLOSED = 1
    COOKIE_WAIT = 2
    COOKIE_ECHOED = 3
    ESTABLISHED = 4
    SHUTDOWN_SENT = 5
    SHUTDOWN_RECD = 6
    SHUTDOWN_ACK_SENT = 7
    HEARTBEAT_SENT = 8


class TcpFlag:
    """Bits of ``TcpWindow.flags``. Ref: include/uapi/linux/netfilter/nf_conntrack_tcp.h."""

    WINDOW_SCALE: Final = 0x01
    SACK_PERM: Final = 0x02
    CLOSE_INIT: Final = 0x04
    BE_LIBERAL: Final = 0x08
    DATA_UNACKNOWLEDGED: Final = 0x10
    MAXACK_SET: Final = 0x20
    CHALLENGE_ACK: Final = 0x40
    SIMULTANEOUS_OPEN: Final = 0x80


class TcpWindow:
    """What one side of a TCP connection has sent and may send; sequence numbers are 32 bit.

    Attributes:
        end: highest sequence number sent, plus length (``td_end``).
        maxend: highest acknowledgement of the other side plus its window (``td_maxend``).
        maxwin: largest window seen, scaled (``td_maxwin``); 0 while the side is unknown.
        maxack: highest acknowledgement (``td_maxack``), valid with ``TcpFlag.MAXACK_SET``.
        scale: window scale shift (``td_scale``).
        flags: bits of ``TcpFlag``.

    Ref: include/linux/netfilter/nf_conntrack_tcp.h:ip_ct_tcp_state.
    """

    __slots__ = ("end", "flags", "maxack", "maxend", "maxwin", "scale")

    def __init__(self) -> None:
        self.end = 0
        self.maxend = 0
        self.maxwin = 0
        self.maxack = 0
        self.scale = 0
        self.flags = 0

    def reset(self) -> None:
        """Forget everything but whether to be liberal. Ref: nf_ct_tcp_state_reset."""
        self.end = self.maxend = self.maxwin = self.maxack = self.scale = 0
        self.flags &= TcpFlag.BE_LIBERAL


class TcpTracking:
    """What conntrack remembers of a TCP connection beyond its tuples.

    Attributes:
        state: its ``TcpState``, as a plain integer.
        seen: the windows of the original and of the reply direction.
        last_dir: direction of the last packet that moved the state or was let pass.
        retrans: how often that packet has been repeated.
        last_index: its class (a column of the state table).
        last_seq: its sequence number.
        last_ack: its acknowledgement.
        last_end: its sequence number plus length.
        last_win: its window.
        last_wscale: window scale of an ignored SYN.
        last_flags: ``TcpFlag`` bits of an ignored SYN.

    Ref: include/linux/netfilter/nf_conntrack_tcp.h:ip_ct_tcp.
    """

    __slots__ = (
        "last_ack",
        "last_dir",
        "last_end",
        "last_flags",
        "last_index",
        "last_seq",
        "last_win",
        "last_wscale",
        "retrans",
        "seen",
        "state",
    )

    def __init__(self, seen: tuple[TcpWindow, TcpWindow] | None = None) -> None:
        self.state: int = TcpState.NONE
        self.seen = (TcpWindow(), TcpWindow()) if seen is None else seen
        self.last_dir = 0
        self.retrans = 0
        self.last_index = 0
        self.last_seq = 0
        self.last_ack = 0
        self.last_end = 0
        self.last_win = 0
        self.last_wscale = 0
        self.last_flags = 0

    @property
    def closing(self) -> bool:
        """Whether its end has begun. Ref: nf_conntrack_proto_tcp.c:tcp_can_early_drop."""
        return TcpState.FIN_WAIT <= self.state <= TcpState.CLOSE

    def make_liberal(self) -> None:
        """Accept segments outside of the window from now on, in both directions."""
        for window in self.seen:
            window.flags |= TcpFlag.BE_LIBERAL

    def forget_windows(self) -> None:
        """Learn the windows anew from the next packets, as after the fast path had the connection.

        Ref: net/netfilter/nf_flow_table_core.c:flow_offload_fixup_tcp.
        """
        for window in self.seen:
            window.maxwin = 0
            window.flags &= ~TcpFlag.MAXACK_SET


class SctpTracking:
    """What conntrack remembers of an SCTP association beyond its tuples.

    Attributes:
        state: its ``SctpState``, as a plain integer.
        tags: the verification tag that packets of each direction have to carry, 0 while unknown.
        opened: whether each direction has sent an INIT that no COOKIE ACK followed yet.
        doubted: direction of a HEARTBEAT whose tag was wrong, None without: if the answer
            carries another tag, too, the path belongs to an association that began elsewhere.

    Ref: include/linux/netfilter/nf_conntrack_sctp.h:ip_ct_sctp.
    """

    __slots__ = ("doubted", "opened", "state", "tags")

    def __init__(self) -> None:
        self.state: int = SctpState.NONE
        self.tags = [0, 0]
        self.opened = [False, False]
        self.doubted: int | None = None

    @property
    def closing(self) -> bool:
        """Whether its end has begun. Ref: nf_conntrack_proto_sctp.c:sctp_can_early_drop."""
        return SctpState.SHUTDOWN_SENT <= self.state <= SctpState.SHUTDOWN_ACK_SENT


_UNCONFIRMED: Final = 8 * MILLISECOND
"""How long one counts that is not confirmed yet: two ticks of a kernel with 250 of them a second."""


class Connection:
    """A connection (``struct nf_conn``).

    Attributes:
        original: tuple of the direction that created it, before any translation.
        reply: tuple of the answers as they arrive, so before translation is undone.
        status: bits of ``Status``.
        mark: the connection mark, unsigned 32 bit.
        zone: conntrack zone, 0 by default.
        zone_directions: bit 0: the zone holds for the original tuple, bit 1: for the reply.
        labels: its labels, one bit for each (``ct label``), unsigned 128 bit.
        helper: name of the helper a rule assigned, None without.
        timeouts: seconds of each state that a rule assigned, instead of the sysctls'; None without.
        expires: when it times out, nanoseconds; a duration until it is confirmed.
        due: when the table looks next whether it timed out.
        start: when its first packet was received, nanoseconds.
        ident: the number that ``ct id`` and ``conntrack -L -o id`` show.
        packets: packets of the original and of the reply direction; None where
            ``nf_conntrack_acct`` was off when it was created.
        bytes: their sizes from the network header on, in the same way.
        tcp: what only TCP has, None for other protocols.
        sctp: what only SCTP has, None for other protocols.
        keys: the two tuples as the table is keyed, zone included.
        rewrites: what NAT does to its packets, see ``nat_mangle.rewrites``; None without NAT.
        references: how many hold it: the table, and each flow entry (``use=`` in listings).
        masquerade: index of the device whose address it is masqueraded with, 0 without.

    Ref: include/net/netfilter/nf_conntrack.h.
    """

    __slots__ = (
        "bytes",
        "due",
        "expires",
        "helper",
        "ident",
        "keys",
        "labels",
        "mark",
        "masquerade",
        "original",
        "packets",
        "references",
        "reply",
        "rewrites",
        "sctp",
        "start",
        "status",
        "tcp",
        "timeouts",
        "zone",
        "zone_directions",
    )

    def __init__(
        self,
        original: Tuple,
        reply: Tuple,
        *,
        start: int = 0,
        accounting: bool = False,
        keys: tuple[Key, Key] | None = None,
    ) -> None:
        """Begin without status and timeout; ``keys`` are worked out where they are not given."""
        self.original = original
        self.reply = reply
        self.keys = (original.key, reply.key) if keys is None else keys
        self.status = 0
        self.mark = 0
        self.zone = 0
        self.zone_directions = 3
        self.labels = 0
        self.helper: str | None = None
        self.timeouts: tuple[int, ...] | None = None
        self.expires = 0
        self.due = 0
        self.start = start
        self.ident = 0
        self.packets: list[int] | None = [0, 0] if accounting else None
        self.bytes: list[int] | None = [0, 0] if accounting else None
        self.tcp: TcpTracking | None = None
        self.sctp: SctpTracking | None = None
        self.rewrites: tuple[Rewrite | None, ...] | None = None
        self.masquerade = 0
        self.references = 1

    @property
    def l3proto(self) -> int:
        """``IPV4`` or ``IPV6``."""
        return self.original.l3proto

    @property
    def l4proto(self) -> int:
        """Transport protocol number."""
        return self.original.l4proto

    @property
    def dying(self) -> bool:
        """Whether it has been taken out of the table."""
        return self.status & Status.DYING != 0

    @property
    def confirmed(self) -> bool:
        """Whether it is in the table: its first packet has left the box."""
        return self.status & Status.CONFIRMED != 0

    def ended(self, now: int) -> bool:
        """Whether it no longer counts as a connection at a time, nanoseconds.

        Ref: net/netfilter/nf_conncount.c:find_or_evict, already_closed.
        """
        if self.tcp is not None and self.tcp.state in (TcpState.TIME_WAIT, TcpState.CLOSE):
            return True
        if self.dying:
            return True
        return self.expires <= now if self.confirmed else self.start + _UNCONFIRMED <= now

    @property
    def closing(self) -> bool:
        """Whether its end has begun, in a protocol that has one (``can_early_drop``)."""
        tracking = self.tcp or self.sctp
        return tracking is not None and tracking.closing

    @property
    def state_name(self) -> str:
        """Its state as listings name it, empty where its protocol has none."""
        if self.tcp is not None:
            return TcpState(self.tcp.state).name
        return "" if self.sctp is None else SctpState(self.sctp.state).name

    @property
    def offloaded(self) -> bool:
        """Whether the fast path has it."""
        return self.status & Status.OFFLOAD != 0

    def tuple(self, direction: int) -> Tuple:
        """The tuple of a direction, ``ORIGINAL`` or ``REPLY``."""
        return self.reply if direction == REPLY else self.original

    def zone_of(self, direction: int) -> int:
        """The zone that holds for a direction, 0 where none does. Ref: nf_ct_zone_id."""
        return self.zone if self.zone_directions >> direction & 1 else 0


def template(zone: int, directions: int = 3) -> Connection:
    """A stand-in that, attached to a packet before conntrack, chooses the zone it is tracked in.

    Args:
        zone: 0..65535.
        directions: bit 0 for the original, bit 1 for the reply tuple (``zone_directions``).

    Ref: net/netfilter/nf_conntrack_core.c:nf_ct_tmpl_alloc.
    """
    nowhere = Tuple(IPV4, 0, bytes(4), bytes(4))
    connection = Connection(nowhere, nowhere)
    connection.status = Status.TEMPLATE
    connection.zone = zone
    connection.zone_directions = directions
    return connection
