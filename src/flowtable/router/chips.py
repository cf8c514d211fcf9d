"""The chips of a box on its wires: frames pass them before they come to the box, and after it.

A chip that has a rule for a frame forwards it; the box never sees it. What it has none for goes on to
the box: at the port itself, or, where the ports are those of a switch, tagged through its conduit.
Frames that the box sends through a conduit leave the switch by the port that their tag names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.packet import dsa_switch
from flowtable.packet.drop import Drop
from flowtable.packet.malformed import Malformed
from flowtable.router import ingress
from flowtable.topology.dsa import DsaPort, TagProtocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowtable.offload.switch.chip import Switch
    from flowtable.router.box import Box
    from flowtable.topology.device import Device

_ETHERNET: Final = 14
_TO_CPU: Final = {
    TagProtocol.DSA: dsa_switch.to_cpu_dsa,
    TagProtocol.EDSA: dsa_switch.to_cpu_edsa,
    TagProtocol.MTK: dsa_switch.to_cpu_mtk,
    TagProtocol.BRCM: dsa_switch.to_cpu_brcm,
}
_FROM_CPU: Final = {
    TagProtocol.DSA: dsa_switch.from_cpu_dsa,
    TagProtocol.EDSA: dsa_switch.from_cpu_edsa,
    TagProtocol.MTK: dsa_switch.from_cpu_mtk,
    TagProtocol.BRCM: dsa_switch.from_cpu_brcm,
}


class Chips:
    """The chips of a box.

    Attributes:
        switches: the chips.
        conduits: indexes of the devices that join a switch to the box.
    """

    def __init__(self, box: Box, switches: Sequence[Switch]) -> None:
        self._box = box
        self.switches = tuple(switches)
        self._ports = {port.index: switch for switch in switches for port in switch.chip.ports}
        self._users: dict[int, dict[int, DsaPort]] = {}
        for switch in switches:
            for port in switch.chip.ports:
                if isinstance(port, DsaPort) and port.lower is not None:
                    self._users.setdefault(port.lower.index, {})[port.port] = port
        self.conduits = frozenset(self._users)

    def lose(self, driver: str) -> None:
        """The driver of a chip went away: it has no rules any more."""
        for switch in self.switches:
            if switch.name == driver:
                for port in switch.chip.ports:
                    switch.unbind(port)

    def arrive(self, device: Device, frame: bytes, now: int) -> bool:
        """A frame comes off a wire; False if it goes on to the box as it is."""
        switch = self._ports.get(device.index)
        if switch is None or not device.up:
            return False
        box = self._box
        sent = switch.forward(device, frame, now)
        if sent is not None:
            box.statistics.hardware += 1
            box.transmit(sent[0], sent[1], now)
            return True
        if isinstance(device, DsaPort) and device.lower is not None and len(frame) >= _ETHERNET:
            ingress.receive(box, device.lower, _TO_CPU[device.tag](frame, device.port), now)
            return True
        return False

    def leave(self, conduit: Device, frame: bytes) -> None:
        """The box sends a frame through a conduit: it leaves by the port that its tag names."""
        box = self._box
        users = self._users[conduit.index]
        try:
            tagged = _FROM_CPU[next(iter(users.values())).tag](frame)
        except Malformed:
            tagged = None
        user = None if tagged is None else users.get(tagged.port)
        if tagged is None or user is None or not user.up:
            box.withhold(Drop.DSA_TAG)
            return
        box.statistics.transmit += 1
        box.transmit(user, tagged.frame, box.now)
