"""What an engine has, as rows of the control socket."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from flowtable.clock import SECOND
from flowtable.conntrack.connection import TcpState
from flowtable.flows.entry import FlowFlag
from flowtable.live.control import ConnectionRow, EndedRow, FlowRow, RefusedRow, TupleRow, WayRow
from flowtable.packet.flowkey import IPPROTO_IPIP, IPPROTO_IPV6
from flowtable.packet.packet import ETHERTYPE_PPPOE_SESSION, ETHERTYPE_QINQ, ETHERTYPE_VLAN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowtable.conntrack.connection import Connection
    from flowtable.conntrack.tuple import Tuple
    from flowtable.flows.entry import Direction, FlowEntry
    from flowtable.flows.flowtable import Flowtable
    from flowtable.flows.side import Side
    from flowtable.flows.teardown import Teardown
    from flowtable.live.engine import Refused
    from flowtable.live.rates import Rate
    from flowtable.packet.flowkey import Encap

_AROUND: Final = {ETHERTYPE_VLAN: "vlan", ETHERTYPE_QINQ: "svlan", ETHERTYPE_PPPOE_SESSION: "pppoe"}
_TUNNELS: Final = (IPPROTO_IPIP, IPPROTO_IPV6)


def title(flowtable: Flowtable) -> str:
    """A flowtable by family, table and name."""
    declaration = flowtable.declaration
    return f"{declaration.family.value} {declaration.table} {declaration.name}"


def connection_tuples(connection: Connection) -> tuple[TupleRow, TupleRow]:
    """What packets of the two directions of a connection carry when they arrive."""
    return _tuple(connection.original), _tuple(connection.reply)


def flow_row(entry: FlowEntry, now: int, rates: Sequence[Rate | None], where: str) -> FlowRow:
    """A flow.

    Args:
        entry: the flow, its counts up to date.
        now: the time, nanoseconds.
        rates: of the original and of the reply direction.
        where: where its packets meet the fast path.
    """
    connection = entry.connection
    declaration = entry.flowtable.declaration
    original, reply = entry.directions
    used = max(original.used, reply.used, entry.created)
    return FlowRow(
        family=declaration.family.value,
        table=declaration.table,
        flowtable=declaration.name,
        protocol=connection.l4proto,
        zone=connection.zone,
        mark=connection.mark,
        state=None if connection.tcp is None else TcpState(connection.tcp.state).name,
        snat=bool(entry.flags & FlowFlag.SNAT),
        dnat=bool(entry.flags & FlowFlag.DNAT),
        original=_way(original, rates[0]),
        reply=_way(reply, rates[1]),
        age=(now - entry.created) / SECOND,
        idle=max(now - used, 0) / SECOND,
        left=max(entry.expires - now, 0) / SECOND,
        where=where,
    )


def connection_row(connection: Connection) -> ConnectionRow:
    """A connection that is or was on the fast path."""
    return ConnectionRow(
        protocol=connection.l4proto,
        zone=connection.zone,
        original=_tuple(connection.original),
        offloaded=connection.offloaded,
        packets=tuple(connection.packets or (0, 0)),
        bytes=tuple(connection.bytes or (0, 0)),
    )


def refused_row(refused: Refused, rules: tuple[str, ...], now: int) -> RefusedRow:
    """A connection that is refused, with the rules that want it offloaded."""
    original, reply = connection_tuples(refused.connection)
    return RefusedRow(
        flowtable=title(refused.flowtable),
        rules=rules,
        protocol=refused.connection.l4proto,
        original=original,
        reply=reply,
        reason=refused.reason.name,
        text=refused.reason.text,
        since=(now - refused.since) / SECOND,
        tries=refused.tries,
    )


def ended_row(entry: FlowEntry, reason: Teardown) -> EndedRow:
    """A flow that ended."""
    original, reply = connection_tuples(entry.connection)
    return EndedRow(
        flowtable=title(entry.flowtable),
        protocol=entry.connection.l4proto,
        original=original,
        reply=reply,
        reason=reason.name,
        text=reason.text,
        packets=sum(direction.packets for direction in entry.directions),
        bytes=sum(direction.bytes for direction in entry.directions),
    )


def _tuple(carried: Tuple) -> TupleRow:
    return TupleRow(str(ip_address(carried.src)), str(ip_address(carried.dst)), carried.sport, carried.dport)


def _way(direction: Direction, rate: Rate | None) -> WayRow:
    key, rewritten = direction.key, direction.rewritten
    size = (len(rewritten) - 4) // 2
    return WayRow(
        arrives=TupleRow(str(ip_address(key.source)), str(ip_address(key.destination)), key.sport, key.dport),
        leaves=TupleRow(
            str(ip_address(rewritten[:size])),
            str(ip_address(direction.target)),
            int.from_bytes(rewritten[-4:-2]),
            int.from_bytes(rewritten[-2:]),
        ),
        iif=direction.entrance.port.name,
        encapsulation=_around(direction.entrance.encap, direction.entrance),
        oif=direction.device.name,
        push=_around(direction.exit.push, direction.exit),
        next_hop=str(ip_address(direction.next_hop)),
        mtu=direction.mtu,
        packets=direction.packets,
        bytes=direction.bytes,
        packet_rate=None if rate is None else rate.packets,
        bit_rate=None if rate is None else rate.bits,
    )


def _around(encap: Encap, side: Side) -> tuple[str, ...]:
    around = []
    for identifier, protocol in encap:
        if protocol in _AROUND:
            around.append(f"{_AROUND[protocol]}={identifier}")
        elif side.tunnel is not None and protocol in _TUNNELS:
            tunnel = side.tunnel.device
            around.append(f"{tunnel.kind.value}={ip_address(tunnel.remote)}")
    return tuple(around)
