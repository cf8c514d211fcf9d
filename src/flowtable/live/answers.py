"""What a service answers to requests."""

from __future__ import annotations

import time
from collections import Counter
from importlib.metadata import version
from typing import TYPE_CHECKING

from flowtable.clock import SECOND
from flowtable.live.control import (
    AskConnections,
    AskFlows,
    AskRefused,
    AskStatus,
    CountRow,
    DeviceRow,
    FlowtableRow,
    Flush,
    Reload,
    Status,
)
from flowtable.live.devices import PLACES
from flowtable.live.rows import connection_row, ended_row, flow_row, refused_row

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowtable.live.control import Answer, ConnectionRow, FlowRow, RefusedRow
    from flowtable.live.service import Service


def answers(
    service: Service, request: AskStatus | AskFlows | AskConnections | AskRefused | Flush | Reload
) -> Iterator[Answer]:
    """The answers to a request that can be answered at once.

    Raises:
        LoadError: rules cannot be loaded; everything is as it was.
    """
    match request:
        case AskStatus():
            return iter((status(service),))
        case AskFlows():
            return _flows(service)
        case AskConnections():
            return _connections(service)
        case AskRefused():
            return _refused(service)
        case Flush():
            return (ended_row(entry, reason) for entry, reason in service.flush())
        case Reload(path):
            return (ended_row(entry, reason) for entry, reason in service.reload(path))


def status(service: Service) -> Status:
    """How a service is."""
    counts = service.datapath.statistics()
    return Status(
        version=version("flowtable"),
        pid=service.pid,
        uptime=(time.monotonic_ns() - service.started) / SECOND,
        mode="own",
        ruleset=None if service.rules is None else str(service.rules.path),
        flowtables=tuple(
            FlowtableRow(
                flowtable.declaration.family.value,
                flowtable.declaration.table,
                flowtable.declaration.name,
                flowtable.declaration.devices,
                flowtable.declaration.counter,
                flowtable.declaration.offload,
                len(flowtable),
            )
            for flowtable in service.engine.flowtables
        ),
        devices=tuple(
            DeviceRow(name, None if place.mode is None else PLACES[place.mode], place.trouble)
            for name, place in service.devices
        ),
        flows=sum(map(len, service.engine.flowtables)),
        capacity=service.options.capacity,
        refused=service.engine.refusals,
        refusals=tuple(
            CountRow(reason.name, count, reason.text)
            for reason, count in Counter(refused.reason for refused in service.engine.refused).most_common()
        ),
        added=service.engine.added,
        ended=service.journal.ended_rows,
        packets=tuple(
            CountRow("FORWARDED", count, "took the fast path")
            if miss is None
            else CountRow(miss.name, count, miss.text)
            for miss, count in counts.items()
        ),
        overruns=service.overruns,
        troubles=tuple(service.troubles),
    )


def _flows(service: Service) -> Iterator[FlowRow]:
    flowtables = service.engine.flowtables
    flowtables.synchronise_all()
    entries = [entry for entry in flowtables.entries() if not entry.torn_down]
    now = time.monotonic_ns()
    service.rates.look(entries, now)
    for entry in entries:
        where = service.devices.place(entry.directions[0].entrance.port)
        yield flow_row(entry, now, service.rates.of(entry), where)


def _connections(service: Service) -> Iterator[ConnectionRow]:
    service.engine.flowtables.synchronise_all()
    for connection in service.connections.known:
        if connection.offloaded or any(connection.packets or ()):
            yield connection_row(connection)


def _refused(service: Service) -> Iterator[RefusedRow]:
    now = time.monotonic_ns()
    for refused in service.engine.refused:
        declaration = refused.flowtable.declaration
        key = (declaration.family, declaration.table, declaration.name)
        rules = () if service.rules is None else service.rules.rules.get(key, ())
        yield refused_row(refused, rules, now)
