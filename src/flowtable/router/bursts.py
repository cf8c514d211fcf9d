"""Many frames at once: what the fast path forwards by itself passes the stations all together.

A flowtable that takes bursts forwards frame after frame, until one needs the classic path or a
timer is due. That one goes its way as any other, and the flowtable goes on behind it. So every
frame is judged once, in its turn, and meets what it would have met on its own.

That holds where a frame meets the flowtable and nothing else on its way in, and leaves by a wire
that nothing listens to. Devices are asked for that when their stacks or hooks change, not for
every frame; all other frames pass one by one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.flows.datapath import BurstDatapath, Door
from flowtable.packet.burst import Burst
from flowtable.router import ingress
from flowtable.topology.bridge import Bridge

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowtable.clock import Alarm
    from flowtable.router.box import Box
    from flowtable.topology.device import Device

    Receive = Callable[[Device, bytes, int], None]

_ROOM: Final = 4096
_SIZE: Final = 1 << 21
"""Frames that may leave together, and their bytes."""


class Doors:
    """Which flowtables take bursts on which devices, for as long as neither stacks nor hooks change.

    Attributes:
        devices: the devices of the box by their indexes.
        datapaths: what takes bursts, by the index of the device that they arrive on.
        left: where frames go that leave together.
    """

    __slots__ = ("datapaths", "devices", "left")

    def __init__(self, box: Box) -> None:
        self.devices = {device.index: device for device in box.topology.devices.values()}
        self.datapaths: dict[int, BurstDatapath] = {}
        self.left = Burst(bytearray(_SIZE), _ROOM)
        if box.chips is not None:
            return  # every frame meets the chips first
        for flowtable in box.flowtables:
            datapath = flowtable.datapath
            if not isinstance(datapath, BurstDatapath):
                continue
            mine = [index for index, port in box.ports.items() if port.process == flowtable.datapath.process]
            datapath.set_doors(
                {index: _door(box, device, index in mine) for index, device in self.devices.items()}
            )
            self.datapaths |= dict.fromkeys(mine, datapath)


def _door(box: Box, device: Device, mine: bool) -> Door:
    """What may be forwarded in bursts on a device; ``mine`` is whether the flowtable is all it meets."""
    if not device.up:
        return Door()
    wire = device.index not in box.stacked and device.index not in box.egress_hooks
    if not mine:
        return Door(wire=wire)
    addresses = [device.mac]
    above = box.ports[device.index].above
    if above is not None:
        # A bridge port takes all frames; those to the bridge are for the box.
        others = {device.master.mac} if isinstance(device.master, Bridge) else above.macs
        addresses += sorted(others - {device.mac})[:1]
    return Door(tuple(addresses), wire)


def receive(box: Box, burst: Burst, alarm: Alarm, receive: Receive) -> None:
    """Take frames off the wires, as ``Box.receive`` takes each.

    Args:
        box: the box.
        burst: the frames.
        alarm: the box's.
        receive: takes those that are not for a flowtable to judge in bursts.
    """
    times, devices = burst.times, burst.devices
    at = 0
    while at < burst.count:
        if times[at] >= alarm.due:
            box.advance(times[at])
        doors = box.doors
        datapath = doors.datapaths.get(devices[at])
        if datapath is None:
            receive(doors.devices[devices[at]], burst.frame(at), times[at])
            at += 1
            continue
        before = at
        at, looked_at = datapath.forward(burst, before, alarm.due, doors.left)
        if at > before:
            _leave(box, doors, times[at - 1])
        if looked_at:
            box.now = now = times[at]
            device = doors.devices[devices[at]]
            ingress.judged(box, device, burst.frame(at), datapath.outcome(burst, at), now)
            at += 1
        elif at == before:
            receive(doors.devices[devices[at]], burst.frame(at), times[at])
            at += 1


def _leave(box: Box, doors: Doors, now: int) -> None:
    """Frames took the fast path together, the last of them at that time."""
    left, statistics = doors.left, box.statistics
    count = left.count
    statistics.ingress += count
    statistics.bypass += count
    statistics.transmit += count
    if box.transmit_many is not None:
        box.now = now
        box.transmit_many(left)
        return
    transmit = box.transmit
    for place in range(count):
        box.now = time = left.times[place]
        transmit(doors.devices[left.devices[place]], left.frame(place), time)
