"""The devices of the flowtables: which of them run the fast path, and where."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from flowtable.datapath.attach import AttachMode
from flowtable.datapath.bpf import BpfError
from flowtable.topology.event import LinkChanged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from flowtable.datapath.xdp_datapath import XdpDatapath
    from flowtable.flows.refusal import Refusal
    from flowtable.live.checksum import Checksums
    from flowtable.live.doctor.ethtool import Ethtool
    from flowtable.topology.device import Device
    from flowtable.topology.event import Event
    from flowtable.topology.topology import Topology


class Choice(Enum):
    """Where an operator wants the fast path; the value is what is written."""

    NATIVE = "native"
    GENERIC = "generic"
    AUTO = "auto"
    OFF = "off"


MODES: Final = {
    Choice.NATIVE: (AttachMode.NATIVE,),
    Choice.GENERIC: (AttachMode.GENERIC,),
    Choice.AUTO: (AttachMode.NATIVE, AttachMode.TC, AttachMode.GENERIC),
    Choice.OFF: (AttachMode.TC,),
}
"""What is tried, in this order."""

VETH: Final = "veth"
"""The driver of veth pairs."""
PLACES: Final = {
    AttachMode.NATIVE: "xdp native",
    AttachMode.GENERIC: "xdp generic",
    AttachMode.TC: "tc ingress",
}


@dataclass(slots=True)
class Place:
    """Where packets of a device meet the fast path.

    Attributes:
        mode: where; None where they do not.
        trouble: why not, or why not in a better place.
    """

    mode: AttachMode | None
    trouble: str | None


class Devices:
    """Keeps the fast path on the devices that the flowtables name, as these come and go."""

    def __init__(
        self,
        topology: Topology,
        datapath: XdpDatapath,
        checksums: Checksums,
        ethtool: Ethtool,
        choice: Choice,
        on_trouble: Callable[[str], None],
    ) -> None:
        """Begin without devices.

        Args:
            topology: the host.
            datapath: the fast path.
            checksums: looks at what its devices receive.
            ethtool: asks them what they do by themselves.
            choice: where it is to run.
            on_trouble: told, in words, of what is not as the operator wants it.
        """
        self._topology = topology
        self._datapath = datapath
        self._checksums = checksums
        self._ethtool = ethtool
        self._choice = choice
        self._on_trouble = on_trouble
        self._wanted: dict[str, None] = {}
        self._places: dict[int, Place] = {}
        topology.subscribe(self._changed)

    def want(self, names: Iterable[str]) -> None:
        """Have the fast path on these devices, and on no others."""
        self._wanted = dict.fromkeys(names)
        for index in list(self._places):
            device = self._topology.indexes.get(index)
            if device is None or device.name not in self._wanted:
                self._leave(index, device)
        for name in self._wanted:
            device = self._topology.devices.get(name)
            if device is None:
                self._on_trouble(f"device {name} of the ruleset is not there; it joins when it comes")
            else:
                self._join(device)

    def __iter__(self) -> Iterator[tuple[str, Place]]:
        """The devices that are wanted, each with its place."""
        for name in self._wanted:
            device = self._topology.devices.get(name)
            place = None if device is None else self._places.get(device.index)
            yield name, Place(None, "not there") if place is None else place

    def mode(self, device: Device) -> AttachMode | None:
        """Where packets of a device meet the fast path, None where they do not."""
        place = self._places.get(device.index)
        return None if place is None else place.mode

    def opens(self, device: Device) -> bool:
        """Whether XDP can send through a device."""
        return self._datapath.opens(device)

    def hides_tags(self, device: Device) -> bool:
        """Whether a device takes VLAN tags off before XDP sees its frames; a veth pair never puts them on."""
        return self._ethtool.driver(device.name) == VETH or bool(self._ethtool.takes_tags_off(device.name))

    def whole(self, device: Device) -> bool:
        """Whether packets from a device have their checksums, as far as was seen."""
        return self._checksums.whole(device)

    def give_way(self, device: Device, reason: Refusal) -> bool:
        """Move from XDP to traffic control on a device, where that is as good to the operator.

        Returns:
            Whether it did.
        """
        if self._choice is not Choice.AUTO:
            return False
        place = self._places[device.index]
        if place.mode is not AttachMode.NATIVE:
            return False
        try:
            self._datapath.attach(device, AttachMode.TC)
        except BpfError:
            self._datapath.attach(device, place.mode)
            return False
        place.mode = AttachMode.TC
        place.trouble = f"not in XDP: {reason.text}; {reason.effect}"
        self._checksums.forget(device.index)
        self._on_trouble(f"{device.name}: {place.trouble}")
        return True

    def look(self) -> None:
        """Put the fast path back on devices from which somebody took it off."""
        for name, place in self:
            device = self._topology.devices.get(name)
            if device is None or place.mode is None or self._datapath.attached(device):
                continue
            self._on_trouble(f"{name}: somebody detached the fast path")
            del self._places[device.index]
            self._join(device)

    def place(self, device: Device) -> str:
        """Where packets of a device meet the fast path, in words."""
        mode = self.mode(device)
        return "classic path" if mode is None else PLACES[mode]

    def _join(self, device: Device) -> None:
        if device.index in self._places:
            return
        troubles = []
        place = Place(None, None)
        for mode in MODES[self._choice]:
            try:
                self._datapath.attach(device, mode)
            except BpfError as error:
                troubles.append(str(error.strerror))
            else:
                place.mode = mode
                if mode is not AttachMode.TC:
                    self._checksums.watch(device)
                break
        if troubles:
            place.trouble = "; ".join(troubles)
            self._on_trouble(f"{device.name}: {place.trouble}")
        self._places[device.index] = place

    def _leave(self, index: int, device: Device | None) -> None:
        del self._places[index]
        self._checksums.forget(index)
        if device is not None:
            self._datapath.detach(device)

    def _changed(self, event: Event) -> None:
        if not isinstance(event, LinkChanged):
            return
        device = event.device
        if event.removed:
            self._places.pop(device.index, None)
            self._checksums.forget(device.index)
        elif device.name in self._wanted:
            self._join(device)
        elif device.index in self._places:
            self._leave(device.index, device)
