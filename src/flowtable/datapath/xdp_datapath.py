"""The fast path in the kernel, as flowtables drive it and devices meet it."""

from __future__ import annotations

from errno import E2BIG
from typing import TYPE_CHECKING

from flowtable.datapath.attach import Attachment, AttachMode, attach
from flowtable.datapath.bpf import BpfError
from flowtable.datapath.layout import ENDS, PORT_CLOSED, PORT_STATION, Ending, Port, Sample
from flowtable.datapath.netlink import XdpFeatures, xdp_features
from flowtable.datapath.tables import Installer, expressible, settings
from flowtable.datapath.xdp import CAPACITY, DEVICES, XdpTables
from flowtable.netlink.message import NetlinkError
from flowtable.packet.miss import Miss
from flowtable.ruleset.family import Family
from flowtable.topology.event import LinkChanged

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from flowtable.flows.datapath import OnEnd, Outcome
    from flowtable.flows.entry import FlowEntry
    from flowtable.profile import Profile
    from flowtable.topology.device import Device
    from flowtable.topology.event import Event
    from flowtable.topology.topology import Topology


class XdpDatapath:
    """Forwards packets of all flowtables of a network namespace, in the kernel.

    The same program runs on every device. The key of a flow has the device in it, so flowtables share the
    tables. Which flowtable an entry belongs to is for ``on_end`` to find out.

    Attributes:
        tables: the program and its tables.
        attachments: the devices on which it runs, by index.
    """

    def __init__(
        self,
        topology: Topology,
        profile: Profile,
        on_end: OnEnd,
        *,
        capacity: int = CAPACITY,
        sample: int = 0,
    ) -> None:
        """Load the program, attached to nothing.

        Args:
            topology: the devices of this thread's network namespace.
            profile: how the flowtables behave.
            on_end: called by ``poll`` with each packet that ended its flow.
            capacity: how many flows there may be.
            sample: of so many forwarded packets one is copied for ``samples``; 0 for none.

        Raises:
            BpfError: the kernel does not take it, or libbpf is missing.
            FileNotFoundError: the package was built without it.
        """
        config = settings(Family.INET, profile)
        config.sample = sample
        self.tables = XdpTables(config, capacity)
        self.attachments: dict[int, Attachment] = {}
        self._installer = Installer(self.tables, profile, on_end, hands_over=False)
        self._on_end = on_end
        self._tunnelled: set[FlowEntry] = set()
        self._exits: dict[int, bool] = {}
        topology.subscribe(self._changed)

    def attach(self, device: Device, mode: AttachMode) -> Attachment:
        """Run the program on a device, in place of what this did there before.

        Raises:
            BpfError: the device does not take it in this mode; ``strerror`` says why.
        """
        if device.index >= DEVICES:
            raise BpfError(E2BIG, f"index {device.index} of {device.name} is not below {DEVICES}")
        self.detach(device)
        self._set_station(device)
        program = self.tables.tc_program if mode is AttachMode.TC else self.tables.program
        attachment = attach(program, device.index, mode)
        self.attachments[device.index] = attachment
        for index in self._exits:
            self._open(index)
        return attachment

    def attached(self, device: Device) -> bool:
        """Whether the program runs on a device; somebody else may have taken it off."""
        attachment = self.attachments.get(device.index)
        return attachment is not None and attachment.holds

    def detach(self, device: Device) -> None:
        """Run the program on a device no more, if it does."""
        attachment = self.attachments.pop(device.index, None)
        if attachment is not None:
            attachment.close()
            self.tables.set_port(device.index, Port(state=PORT_CLOSED))

    def close(self) -> None:
        """Run the program on no device any more."""
        for attachment in self.attachments.values():
            attachment.close()
        self.attachments.clear()

    def opens(self, device: Device) -> bool:
        """Whether packets may leave through a device; else they take the classic path.

        Where XDP is native it takes a driver that sends frames of others. One end of a veth pair
        does that only while the other has GRO or XDP itself.
        """
        return self._exits.get(device.index) or self._open(device.index)

    def _open(self, ifindex: int) -> bool:
        """Let packets leave through a device if it can send them."""
        able = not any(attachment.mode is AttachMode.NATIVE for attachment in self.attachments.values())
        try:
            if not able:
                features = xdp_features(ifindex)
                able = features is None or XdpFeatures.NDO_XMIT in features
            if able:
                self.tables.allow(ifindex)
            else:
                self.tables.disallow(ifindex)
        except (BpfError, NetlinkError):
            able = False  # The device is gone, of which there will be news.
        self._exits[ifindex] = able
        return able

    def _set_station(self, device: Device) -> None:
        port = Port(state=PORT_STATION)
        port.mac[:] = device.mac
        self.tables.set_port(device.index, port)

    def _changed(self, event: Event) -> None:
        if not isinstance(event, LinkChanged):
            return
        device = event.device
        if event.removed:
            self.detach(device)
            self._exits.pop(device.index, None)
            return
        if device.index in self.attachments:
            self._set_station(device)
        if device.index in self._exits:
            self._open(device.index)

    def install(self, entry: FlowEntry) -> None:
        """Forward by an entry, or bring an installed one up to date after a change to it.

        Packets of an entry with a tunnel on its way take the classic path.

        Raises:
            BpfError: the kernel has no memory for it.
        """
        if not expressible(entry):
            if entry in self._installer:
                self._installer.remove(entry)
            self._tunnelled.add(entry)
            return
        self._tunnelled.discard(entry)
        for direction in entry.directions:
            self.opens(direction.device)
        self._installer.install(entry)

    def remove(self, entry: FlowEntry) -> None:
        """Forget an entry; an older one with the same key is found again."""
        if entry in self._tunnelled:
            self._tunnelled.remove(entry)
        else:
            self._installer.remove(entry)

    def stats(self, entry: FlowEntry) -> None:
        """Bring the entry's ``refreshed``, ``flags`` and its directions' counts up to date."""
        if entry not in self._tunnelled:
            self._installer.report(entry)

    def active(self, entries: Collection[FlowEntry]) -> Iterable[FlowEntry]:
        """Those of the entries that packets refreshed since their last ``stats``, but for that jiffy."""
        return self._installer.refreshed(entries, self.tables.refreshed())

    def process(self, frame: bytes, iif: int, now: int) -> Outcome:
        """A frame that comes as far as this process is one that the program left to the classic path."""
        return Miss.NO_ENTRY

    def fileno(self) -> int:
        """Readable when there is something to ``poll``."""
        return self.tables.events.fd

    def poll(self, now: int) -> None:
        """End the flows whose last packet the program met.

        Args:
            now: the time, nanoseconds.
        """
        for record in self.tables.events.read():
            event = Ending.from_buffer_copy(record)
            installed = self._installer.entries.get(event.entry)
            # The number may be another flow's by now, of which no packet said anything.
            if installed is not None and installed.shared.ended:
                self._on_end(installed.entry, ENDS[event.end - 1], now)

    def samples(self) -> Iterator[Sample]:
        """Forwarded packets that were copied since the last time, oldest first.

        Packet sockets (tcpdump) do not see what the program forwards. Some are lost while nobody asks.
        """
        return map(Sample.from_buffer_copy, self.tables.samples.read())

    def statistics(self) -> dict[Miss | None, int]:
        """Packets by why they took the classic path; those that were forwarded under None."""
        return self.tables.statistics()
