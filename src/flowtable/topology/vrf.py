"""Routing domains. Ref: drivers/net/vrf.c."""

from __future__ import annotations

from dataclasses import dataclass

from flowtable.topology.device import Device


@dataclass(slots=True, eq=False, repr=False, kw_only=True)
class Vrf(Device):
    """A VRF; what its slaves receive is routed by its table.

    Attributes:
        table: number of the routing table.
    """

    table: int
