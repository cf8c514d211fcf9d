"""Finding the longest prefix: one dict per prefix length that is in use.

Plays the part of net/ipv4/fib_trie.c and net/ipv6/ip6_fib.c.
"""

from __future__ import annotations

from bisect import insort
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flowtable.topology.device import Device
    from flowtable.topology.route import Route


def covers(network: bytes, prefixlen: int, address: bytes) -> bool:
    """Whether an address is in a network of the same family."""
    shift = len(network) * 8 - prefixlen
    return int.from_bytes(network) >> shift == int.from_bytes(address) >> shift


class PrefixTable:
    """Routes by prefix length, then by network; of one network the lowest metric first."""

    def __init__(self, bits: int) -> None:
        self._bits = bits
        self._networks: dict[int, dict[int, list[Route]]] = {}
        self._levels: list[tuple[int, dict[int, list[Route]]]] = []

    def _refresh(self) -> None:
        every = (1 << self._bits) - 1
        self._levels = [
            (every ^ (every >> prefixlen), self._networks[prefixlen])
            for prefixlen in sorted(self._networks, reverse=True)
        ]

    def add(self, route: Route, behind: Route | None = None) -> None:
        """Keep a route, behind those of the same prefix and metric, or before the one given."""
        networks = self._networks.setdefault(route.prefixlen, {})
        routes = networks.setdefault(int.from_bytes(route.destination), [])
        if behind is None:
            insort(routes, route, key=lambda r: r.metric)
        else:
            routes.insert(routes.index(behind), route)
        if len(networks) == 1:
            self._refresh()

    def remove(self, route: Route) -> None:
        """Drop a route that is kept."""
        networks = self._networks[route.prefixlen]
        network = int.from_bytes(route.destination)
        networks[network].remove(route)
        if not networks[network]:
            del networks[network]
        if not networks:
            del self._networks[route.prefixlen]
            self._refresh()

    def find(self, destination: int, oif: Device | None, *, down: bool = False) -> Route | None:
        """The route with the longest prefix, then lowest metric, then first added.

        Args:
            destination: the address as a number.
            oif: only routes through this device.
            down: also routes through devices that are down.
        """
        for mask, networks in self._levels:
            routes = networks.get(destination & mask)
            if routes is None:
                continue
            for route in routes:
                if (oif is None or route.through(oif)) and (down or route.usable):
                    return route
        return None

    def at(self, route: Route) -> list[Route]:
        """The routes of the same prefix as this one."""
        networks = self._networks.get(route.prefixlen, {})
        return networks.get(int.from_bytes(route.destination), [])
