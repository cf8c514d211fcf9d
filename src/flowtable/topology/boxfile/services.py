"""``services``: what ``ss -lntu`` prints."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from flowtable.packet.packet import TCP, UDP
from flowtable.topology.boxfile import text
from flowtable.topology.boxfile.draft import Draft
from flowtable.topology.boxfile.reader import Field, UnreadableError
from flowtable.topology.topology import Service, Topology

_KEYS: Final = ("protocol", "port", "address")
_PROTOCOLS: Final = {"tcp": TCP, "udp": UDP}


def read(field: Field, draft: Draft) -> None:
    """Add the services."""
    for item in field.items():
        try:
            _read(item, draft)
        except UnreadableError:
            continue


def _read(item: Field, draft: Draft) -> None:
    section = item.section(_KEYS)
    protocol = section.need("protocol", lambda f: f.choice(_PROTOCOLS))
    port = section.need("port", lambda f: f.integer(1, 65535))
    address = section.get("address", draft.own_address, None)
    if protocol is None or port is None or not section.sound:
        return
    service = Service(protocol, port, address)
    if service in draft.topology.services:
        item.note("there is already such a service")
        return
    draft.topology.services.append(service)


def write(topology: Topology) -> Iterator[str]:
    """The section's lines."""
    if topology.services:
        yield "services:"
    for service in topology.services:
        name = next(name for name, number in _PROTOCOLS.items() if number == service.protocol)
        yield "  - " + text.inline(
            {
                "protocol": name,
                "port": str(service.port),
                "address": None if service.address is None else text.address(service.address),
            }
        )
