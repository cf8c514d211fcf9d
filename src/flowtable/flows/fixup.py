"""What being offloaded does to the timeout and state of a connection.

While the fast path has a connection, conntrack does not see its packets. It must neither time
out meanwhile, nor be judged by what it was before when its packets come back.

Ref: net/netfilter/nf_flow_table_core.c:flow_offload_add, nf_flow_table_extend_ct_timeout,
flow_offload_fixup_ct.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.clock import MILLISECOND, SECOND
from flowtable.conntrack.connection import Status, TcpFlag, TcpState
from flowtable.conntrack.tuple import ORIGINAL
from flowtable.flows.entry import FlowFlag
from flowtable.packet.packet import GRE, TCP, UDP
from flowtable.profile import FixUp, IdleTimeout, Lifetime

if TYPE_CHECKING:
    from flowtable.conntrack.connection import Connection
    from flowtable.conntrack.settings import Settings
    from flowtable.flows.entry import FlowEntry
    from flowtable.flows.tracking import Tracking
    from flowtable.profile import Profile
    from flowtable.topology.sysctl import Sysctls

IDLE: Final = 30 * SECOND
"""Ref: include/net/netfilter/nf_flow_table.h:NF_FLOW_TIMEOUT."""
DAY: Final = 86400 * SECOND
"""Ref: include/net/netfilter/nf_conntrack.h:NF_CT_DAY."""
_FIVE_MINUTES: Final = 300 * SECOND
_JIFFY: Final = 4 * MILLISECOND
"""Of a kernel with HZ=250."""


def idle_timeouts(profile: Profile, sysctls: Sysctls) -> dict[int, int]:
    """By protocol, after how many nanoseconds without a packet a flow ends.

    Ref: net/netfilter/nf_flow_table_core.c:flow_offload_get_timeout.
    """
    match profile.idle_timeout:
        case IdleTimeout.BUILT_IN:
            return {TCP: IDLE, UDP: IDLE, GRE: IDLE}
        case IdleTimeout.SYSCTL:
            return {
                TCP: sysctls.nf_flowtable_tcp_timeout * SECOND,
                UDP: sysctls.nf_flowtable_udp_timeout * SECOND,
                GRE: IDLE,
            }


def begin(entry: FlowEntry, conntrack: Tracking, profile: Profile, now: int) -> None:
    """A connection was offloaded: give it the timeout of an offloaded one."""
    match profile.lifetime:
        case Lifetime.HALF_DAY | Lifetime.FIVE_MINUTES:
            _extend_half_day(entry, conntrack, now)
        case Lifetime.ONE_DAY:
            conntrack.set_timeout(entry.connection, now + DAY)
        case Lifetime.ACTIVITY:
            pass


def extend(entry: FlowEntry, conntrack: Tracking, profile: Profile, now: int) -> None:
    """Garbage collection came by a live flow: keep its connection from timing out."""
    match profile.lifetime:
        case Lifetime.HALF_DAY:
            _extend_half_day(entry, conntrack, now)
        case Lifetime.FIVE_MINUTES:
            _extend_five_minutes(entry, conntrack, now)
        case Lifetime.ONE_DAY | Lifetime.ACTIVITY:
            pass


def _extend_five_minutes(entry: FlowEntry, conntrack: Tracking, now: int) -> None:
    """Ref: net/netfilter/nf_flow_table_core.c:nf_flow_table_extend_ct_timeout."""
    connection = entry.connection
    if not 0 < connection.expires - now < _FIVE_MINUTES:
        return
    if connection.l4proto == UDP or (
        connection.tcp is not None and connection.tcp.state == TcpState.ESTABLISHED
    ):
        conntrack.set_timeout(connection, now + DAY)
    elif connection.tcp is None:
        conntrack.set_timeout(connection, now + _JIFFY)
    elif TcpState.FIN_WAIT <= connection.tcp.state <= TcpState.TIME_WAIT:
        conntrack.set_timeout(connection, now + _FIVE_MINUTES)


def _extend_half_day(entry: FlowEntry, conntrack: Tracking, now: int) -> None:
    """Give a connection with less than half a day left a whole one.

    Ref: include/net/netfilter/nf_conntrack.h:nf_ct_offload_timeout.
    """
    if entry.connection.expires - now < DAY // 2:
        conntrack.set_timeout(entry.connection, now + DAY)


def follow(entry: FlowEntry, conntrack: Tracking, timeout: int) -> None:
    """Let a connection live as if conntrack had seen its last packet on the fast path.

    It lives no shorter than the flow itself, which an administrator may have given more time
    than conntrack gives the connection.

    Args:
        entry: the flow, its counts and ``expires`` up to date.
        conntrack: the connections.
        timeout: that the last packet would have given the connection, nanoseconds.
    """
    own = max(entry.used) + timeout
    entry.own = own if own < entry.expires else None
    expires = max(own, entry.expires)
    if expires > entry.connection.expires:
        conntrack.set_timeout(entry.connection, expires)


def end(entry: FlowEntry, conntrack: Tracking, profile: Profile, idle: int, now: int) -> None:
    """A flow was torn down: what its connection is left with.

    Args:
        entry: the flow, its counts and ``expires`` up to date.
        conntrack: the connections.
        profile: which rules apply.
        idle: the idle timeout of the flow, nanoseconds.
        now: the time.
    """
    connection = entry.connection
    tcp = connection.tcp
    settings = conntrack.settings
    if tcp is not None:
        if profile.forget_max_ack:
            tcp.forget_windows()
        else:
            for window in tcp.seen:
                window.maxwin = 0
    match profile.fix_up:
        case FixUp.PICKUP:
            if tcp is not None:
                tcp.state = TcpState.ESTABLISHED
        case FixUp.LESS_IDLE:
            if connection.l4proto in _FIXED_UP:
                _shorten(connection, conntrack, _state_timeout(connection, settings) - idle, now)
        case FixUp.LESS_IDLE_IF_EXPIRED:
            if tcp is not None and entry.flags & FlowFlag.CLOSING:
                tcp.state = TcpState.CLOSE
                tcp.seen[ORIGINAL].flags |= TcpFlag.CLOSE_INIT
                conntrack.set_timeout(connection, now + settings.tcp[TcpState.CLOSE])
            elif connection.l4proto in _FIXED_UP:
                timeout = _state_timeout(connection, settings)
                if entry.expires <= now:
                    timeout -= idle
                _shorten(connection, conntrack, timeout, now)
        case FixUp.REMAINING:
            if entry.own is not None and connection.expires == entry.expires:
                conntrack.set_timeout(connection, max(entry.own, now))


def freed(entry: FlowEntry, conntrack: Tracking, profile: Profile, now: int) -> None:
    """A flow that was torn down before left its table."""
    connection = entry.connection
    if profile.fix_up is FixUp.PICKUP and connection.l4proto in _PICKUP:
        _shorten(connection, conntrack, _PICKUP[connection.l4proto], now)


_FIXED_UP: Final = frozenset({TCP, UDP})
"""Protocols whose connections get another timeout. Ref: flow_offload_fixup_ct."""
_PICKUP: Final = {TCP: 120 * SECOND, UDP: 30 * SECOND}
"""Ref: net/netfilter/nf_flow_table_core.c of 5.13: NF_FLOWTABLE_TCP_PICKUP_TIMEOUT."""


def _state_timeout(connection: Connection, settings: Settings) -> int:
    """The timeout of the state that conntrack last saw, of one of the protocols ``_FIXED_UP``."""
    if connection.tcp is not None:
        return settings.tcp[connection.tcp.state]
    return settings.udp_stream if connection.status & Status.SEEN_REPLY else settings.udp


def _shorten(connection: Connection, conntrack: Tracking, timeout: int, now: int) -> None:
    expires = now + max(timeout, 0)
    if expires < connection.expires:
        conntrack.set_timeout(connection, expires)
