"""Which devices a flowtable has to list.

A flowtable sees frames where they arrive, which is the device at the bottom of a stack and not the
one that routing names. Everything here follows from the box alone: no packet is needed.

Ref: net/netfilter/nft_flow_offload.c:nft_dev_forward_path (the device that has to be hooked);
net/netfilter/nf_flow_table_offload.c:nf_flow_table_offload_setup (the devices that can be bound).
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from enum import Enum
from typing import TYPE_CHECKING

from flowtable.topology.bond import Bond
from flowtable.topology.bridge import Bridge
from flowtable.topology.device import Device, DeviceKind, link_local
from flowtable.topology.dsa import DsaPort
from flowtable.topology.macvlan import Macvlan
from flowtable.topology.pppoe import Pppoe
from flowtable.topology.route import RouteProtocol, RouteType
from flowtable.topology.tunnel import Tunnel
from flowtable.topology.vlan import Vlan
from flowtable.topology.vrf import Vrf

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowtable.ruleset.model import Flowtable
    from flowtable.topology.topology import Topology


@dataclass(frozen=True, slots=True)
class Side:
    """A device that routing knows, and what to list for the packets that come and go there.

    Attributes:
        routed: the device.
        software: the devices at which a flowtable sees its frames.
        hardware: those of them that ``flags offload`` can be about.
        why: why these and not ``routed``.
    """

    routed: Device
    software: tuple[Device, ...]
    hardware: tuple[Device, ...]
    why: str


class Mistake(Enum):
    """What may be wrong with the list of a flowtable; the value is its id."""

    UNKNOWN = "unknown-device"
    UPPER = "wrong-layer"
    TWICE = "twice-in-a-stack"
    MISSING = "missing-device"
    ONE_SIDED = "one-sided"
    NOT_ROUTED = "not-routed"
    NO_HARDWARE = "no-hardware"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong with the list of a flowtable.

    Attributes:
        mistake: what kind of thing.
        device: the name that it is about, None for the list as a whole.
        text: what it is and what to do, one line.
    """

    mistake: Mistake
    device: str | None
    text: str


def sides(topology: Topology) -> list[Side]:
    """The routed devices of a box, in the order of the box, each with what to list for it."""
    return [_side(device, topology) for device in topology.devices.values() if _routed(device, topology)]


def _routed(device: Device, topology: Topology) -> bool:
    """Whether the box routes packets in or out of a device."""
    if device.loopback or isinstance(device, Vrf) or isinstance(device.master, Bridge | Bond):
        return False
    if any(not link_local(address.address) for address in device.addresses):
        return True
    return any(
        route.oif is device and route.protocol is RouteProtocol.STATIC and route.type is RouteType.UNICAST
        for fib in (topology.fib4, topology.fib6)
        for route in fib
    )


def _side(device: Device, topology: Topology) -> Side:
    software = tuple(dict.fromkeys(bottoms(device, topology)))
    hardware = tuple(port for port in software if _may_offload(port, topology))
    return Side(device, software, hardware, _why(device, software))


def _may_offload(device: Device, topology: Topology) -> bool:
    """Whether a device can be in a flowtable with ``flags offload``, as far as the box file tells."""
    chips = topology.hardware.chips
    if chips:
        return any(device in chip.ports for chip in chips)
    return device.kind in (DeviceKind.ETHERNET, DeviceKind.DSA)


def bottoms(device: Device, topology: Topology, vid: int | None = None) -> Iterator[Device]:
    """The devices at which frames for a device arrive.

    Args:
        device: the device.
        topology: the box.
        vid: the VLAN in which they cross the bridge that ``device`` is, None for its own.
    """
    match device:
        case Bridge() as bridge:
            number = bridge.vlans.pvid if vid is None else vid
            for port in bridge.ports.values():
                if not bridge.vlan_filtering or number in port.vlans.members:
                    yield from bottoms(port.device, topology)
        case Vlan(lower=Bridge() as bridge) as vlan:
            yield from bottoms(bridge, topology, vlan.vid)
        case Vlan(lower=Device() as lower) | Pppoe(lower=Device() as lower):
            yield from bottoms(lower, topology)
        case Tunnel() as tunnel if tunnel.kind is not DeviceKind.SIT and tunnel.encaplimit is None:
            route = (topology.fib4 if len(tunnel.remote) == 4 else topology.fib6).lookup(tunnel.remote)
            if route is None or route.device is None or route.device.loopback:
                yield tunnel
            else:
                yield from bottoms(route.device, topology)
        case _:
            yield device


def _why(device: Device, software: tuple[Device, ...]) -> str:
    """One sentence."""
    names = ", ".join(port.name for port in software)
    match device:
        case _ if software == (device,):
            return _itself(device)
        case _ if not software:
            return "no port of the bridge carries its VLAN: nothing arrives here"
        case Bridge():
            return f"frames of stations on the bridge arrive at its ports, {names}"
        case Vlan(lower=Bridge()):
            return f"frames of VLAN {device.vid} arrive at the ports of the bridge, {names}"
        case Vlan():
            return f"frames arrive tagged at {names}; the flowtable takes the tag off itself"
        case Pppoe():
            return f"frames of the session arrive at {names}; the flowtable takes PPPoE off itself"
        case Tunnel():
            return f"packets of the tunnel arrive at {names}; before Linux 6.19 list {device.name}"
        case _:
            return f"frames arrive at {names}"


def _itself(device: Device) -> str:
    match device:
        case DsaPort():
            return "the port of the switch; its conduit carries the tags of the switch"
        case Bond():
            return "the bond, not its slaves: path discovery does not look below a bond"
        case Macvlan():
            return "the macvlan: path discovery does not look below it"
        case Tunnel():
            return "path discovery does not look below this kind of tunnel"
        case _:
            return "frames arrive here"


def look_over(flowtable: Flowtable, topology: Topology) -> list[Finding]:
    """What is wrong with the devices that a flowtable lists, in the order of the list."""
    return list(_findings(flowtable, topology))


def _findings(flowtable: Flowtable, topology: Topology) -> Iterator[Finding]:
    known = sides(topology)
    wanted = {port.name: side for side in known for port in side.software}
    listed = set(flowtable.devices)
    for name in flowtable.devices:
        device = topology.devices.get(name)
        if device is None:
            yield _unknown(name, topology)
        elif name not in wanted:
            yield _not_wanted(device, known, listed)
        elif flowtable.offload and not _may_offload(device, topology):
            what = f"no {device.kind.value} takes flows into hardware"
            if topology.hardware.chips:
                what = f"{name} is no port of a chip that takes flows"
            text = f"{what}: the kernel refuses the whole ruleset"
            yield Finding(Mistake.NO_HARDWARE, name, text)
    for side in known:
        absent = [port.name for port in side.software if port.name not in listed]
        if absent and len(absent) < len(side.software):
            text = f"packets that arrive at {', '.join(absent)} for {side.routed.name} take the classic path"
            yield Finding(Mistake.MISSING, absent[0], text)
    covered = [side for side in known if any(port.name in listed for port in side.software)]
    if len(covered) == 1 and len(known) > 1:
        others = " or ".join(side.routed.name for side in known if side is not covered[0])
        text = f"only {covered[0].routed.name} is covered: what answers from {others} takes the classic path"
        yield Finding(Mistake.ONE_SIDED, None, text)


def _unknown(name: str, topology: Topology) -> Finding:
    close = get_close_matches(name, topology.devices, 1)
    hint = f"; did you mean '{close[0]}'?" if close else ""
    text = f"the box has no device '{name}'; before Linux 6.16 the whole ruleset is refused{hint}"
    return Finding(Mistake.UNKNOWN, name, text)


def _not_wanted(device: Device, known: list[Side], listed: set[str]) -> Finding:
    name = device.name
    side = next((side for side in known if side.routed is device), None)
    if side is None:
        above = next((side for side in known if device in _between(side.routed)), None)
        if above is None:
            return Finding(Mistake.NOT_ROUTED, name, f"the box routes nothing through {name}")
        side = above
    ports = [port.name for port in side.software]
    if listed.issuperset(ports):
        text = f"{name} stands on {', '.join(ports)}, which are listed: one layer of a stack is enough"
        return Finding(Mistake.TWICE, name, text)
    return Finding(Mistake.UPPER, name, f"list {', '.join(ports)} instead of {name}: {side.why}")


def _between(routed: Device) -> Iterator[Device]:
    """What a routed device stands on, ports and slaves included."""
    below = [routed.lower] if routed.lower is not None else []
    match routed:
        case Bridge() as bridge:
            below += [port.device for port in bridge.ports.values()]
        case Bond() as bond:
            below += bond.slaves
        case _:
            pass
    for device in below:
        yield device
        yield from _between(device)
