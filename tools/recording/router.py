"""The router: a real one that is what a box file says."""

import re
from ipaddress import ip_address

from flowtable.topology.device import link_local
from flowtable.topology.route import RouteProtocol
from flowtable.topology.topology import Topology
from recording.lab import Lab

ROUTER = "router"


def connect_router(lab: Lab, box: Topology, ends: dict[str, str]) -> None:
    """Make the router what the box file says, its devices plugged in at the given other ends."""
    lab.host(ROUTER, dict(box.sysctls.stated()))
    for device in box.devices.values():
        if device is not box.lo:
            # The kernel adds the link-local addresses itself.
            own = [address for address in device.addresses if not link_local(address.address)]
            addresses = [f"{ip_address(address.address)}/{address.prefixlen}" for address in own]
            near = " ".join([ROUTER, device.name, device.mac.hex(":"), *addresses])
            lab.cable(near, ends[device.name], mtu=device.mtu)
    for route in (*box.fib4, *box.fib6):
        if route.protocol is RouteProtocol.STATIC and route.device and route.gateway:
            destination = f"{ip_address(route.destination)}/{route.prefixlen}"
            via = f"via {ip_address(route.gateway)} dev {route.device.name}"
            lab.run(ROUTER, f"ip route add {destination} {via}")


def without_flowtables(ruleset: str) -> str:
    """The ruleset for a kernel without flowtables: `flow add` is left with what it asks of a packet."""
    ruleset = re.sub(r"\n\s*flowtable\s+\w+\s*\{(?:[^{}]|\{[^{}]*\})*\}", "", ruleset)
    return re.sub(r"\bflow\s+(?:add|offload)\s+@\w+", "ct state established", ruleset)
