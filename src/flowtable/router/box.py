"""The box: what its stations share, and the way in for frames and time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from flowtable.clock import NEVER, Alarm
from flowtable.conntrack.core import Conntrack
from flowtable.conntrack.nat import Nat
from flowtable.datapath.preferred import preferred
from flowtable.flows.flowtables import Flowtables
from flowtable.offload.bindings import Bindings, OffloadPolicy
from flowtable.offload.switch.chip import Switch
from flowtable.packet import icmp, icmpv6
from flowtable.packet.drop import Drop
from flowtable.packet.packet import IPV4, IPV6
from flowtable.profile import DEFAULT
from flowtable.router import arp_hooks, bursts, egress, hooks, ingress, output, prerouting, stack
from flowtable.router.ageing import Ageing
from flowtable.router.arp import Arp
from flowtable.router.bursts import Doors
from flowtable.router.chips import Chips
from flowtable.router.environment import BoxEnvironment
from flowtable.router.icmp import Icmp
from flowtable.router.icmpv6 import Icmpv6
from flowtable.router.ident import Identifiers
from flowtable.router.local import Local
from flowtable.router.nd import NeighbourDiscovery
from flowtable.router.neighbour import Resolver
from flowtable.router.peer import IcmpBudget, Peers
from flowtable.router.reassembly import Reassembly4, Reassembly6
from flowtable.router.redirect import Redirects
from flowtable.router.reject import Reject
from flowtable.router.routing import Decisions
from flowtable.router.statistics import Statistics
from flowtable.router.tunnel import Tunnels
from flowtable.ruleset.evaluate import compile_ruleset
from flowtable.ruleset.hook import Hook
from flowtable.ruleset.verdict import Verdict
from flowtable.topology.event import FdbChanged, LinkChanged, PortChanged, SysctlChanged

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flowtable.flows.capacity import Capacity
    from flowtable.flows.datapath import OnEnd
    from flowtable.flows.entry import FlowEntry
    from flowtable.flows.flowtable import DatapathFactory
    from flowtable.flows.teardown import Teardown
    from flowtable.offload.driver import Driver
    from flowtable.packet.burst import Burst
    from flowtable.packet.packet import Packet
    from flowtable.profile import Profile
    from flowtable.ruleset.environment import LogEntry
    from flowtable.ruleset.model import Ruleset
    from flowtable.topology.device import Device
    from flowtable.topology.event import Event
    from flowtable.topology.neighbour import Neighbour
    from flowtable.topology.topology import Topology

    Transmit = Callable[[Device, bytes, int], None]
    TransmitMany = Callable[[Burst], None]
    Log = Callable[[Packet, LogEntry], None]


class Timed(Protocol):
    """Something that has to be told when its time has come."""

    @property
    def next_due(self) -> int | None:
        """When, in nanoseconds; None while it waits for nothing."""

    def advance(self, now: int) -> None:
        """Do what is due by ``now``."""


_DROP: Final = int(Verdict.DROP)
_HOST_UNREACHABLE: Final = (icmp.DESTINATION_UNREACHABLE, icmp.HOST_UNREACHABLE)
_FRAGMENTATION_NEEDED: Final = (icmp.DESTINATION_UNREACHABLE, icmp.FRAGMENTATION_NEEDED)
_REASSEMBLY_TIME: Final = (icmp.TIME_EXCEEDED, icmp.REASSEMBLY_EXCEEDED)
_ADDRESS_UNREACHABLE6: Final = (icmpv6.DESTINATION_UNREACHABLE, icmpv6.ADDRESS_UNREACHABLE)
_PACKET_TOO_BIG6: Final = (icmpv6.PACKET_TOO_BIG, 0)
_REASSEMBLY_TIME6: Final = (icmpv6.TIME_EXCEEDED, icmpv6.REASSEMBLY_EXCEEDED)


class Box:
    """A router made of a topology and a ruleset.

    A state machine without I/O: ``receive`` takes frames, ``advance`` takes the time, and
    frames leave through ``transmit``. The same calls give the same frames, every time.

    Attributes:
        topology: devices, addresses, routes, neighbours, sysctls.
        ruleset: its rules.
        program: the ruleset, ready to run.
        conntrack: the connections.
        nat: their translation.
        flowtables: the flowtables of the ruleset.
        statistics: what was counted so far.
        chips: the chips on its wires, None without any.
        bindings: the drivers of its hardware.
        now: the time of the last ``receive`` or ``advance``, nanoseconds.
        transmit: called with device, frame and time of every frame that leaves.
        transmit_many: called in its place with frames that leave together, None to have ``transmit``
            called with each. They are overwritten when it has returned.
        log: called with what ``log`` statements log.
        skip_opaque: packets pass rules that cannot be evaluated.
    """

    def __init__(
        self,
        topology: Topology,
        ruleset: Ruleset,
        *,
        transmit: Transmit,
        profile: Profile = DEFAULT,
        datapath: DatapathFactory = preferred,
        seed: int = 0,
        offload: OffloadPolicy = OffloadPolicy.REQUIRE,
        drivers: Sequence[Driver] = (),
        capacity: Capacity | None = None,
        log: Log | None = None,
        flow_ended: OnEnd | None = None,
        skip_opaque: bool = False,
    ) -> None:
        """Put a box together.

        Args:
            topology: what the box is; it belongs to the box from now on.
            ruleset: its rules; their counters count from now on.
            transmit: called with device, frame and time (nanoseconds) of every frame that leaves.
            profile: which flowtable it has.
            datapath: makes what forwards the packets of a flowtable: the fast path in C, if not said
                otherwise.
            seed: of all that is random in Linux.
            offload: what ``flags offload`` comes to.
            drivers: of hardware besides the chips of the topology.
            capacity: for how many flows each flowtable has room, None for any number.
            log: called with what ``log`` statements log, None to let it be.
            flow_ended: called with every flow entry that is torn down, why, and when.
            skip_opaque: what reaches a rule that cannot be evaluated goes on behind it; otherwise
                it ends there.

        Raises:
            RulesetError: the ruleset names devices that the box does not have, or offloads to ones
                without hardware.
        """
        self.topology = topology
        self.skip_opaque = skip_opaque
        self.transmit = transmit
        self.transmit_many: TransmitMany | None = None
        self.log = log or _forget
        self._flow_ended = flow_ended
        self.now = 0
        self._alarm = Alarm()
        self._alarm.set(0)
        self.statistics = Statistics()
        self.conntrack = Conntrack(topology.sysctls, seed)
        self.nat = Nat(self.conntrack, topology)
        switches = [Switch(chip) for chip in topology.hardware.chips]
        self.chips = Chips(self, switches) if switches else None
        self.bindings = Bindings(topology, profile, offload, [*switches, *drivers])
        self.flowtables = Flowtables(
            topology,
            self.conntrack,
            profile,
            datapath,
            on_teardown=self._torn_down,
            alarm=self._alarm,
            hardware=self.bindings.block,
            capacity=capacity,
        )
        self.ruleset = ruleset
        self._environment = BoxEnvironment(self, seed)
        self.program = compile_ruleset(ruleset, self._environment)
        self.bindings.check(ruleset)
        for declaration in ruleset.flowtables():
            self.flowtables.create(declaration)

        self.identifiers = Identifiers()
        peers = Peers()
        budget = IcmpBudget(topology.sysctls)
        self.icmp = Icmp(topology, peers, budget, self.identifiers, self._output)
        self.icmpv6 = Icmpv6(topology, peers, budget, self._output)
        self.redirects = Redirects(topology, peers, self.icmp, self._output)
        self.reassembly4 = Reassembly4(
            topology,
            peers,
            discard=self._discard,
            time_exceeded=self._reassembly_expired,
            joined=self._joined,
            alarm=self._alarm,
        )
        self.reassembly6 = Reassembly6(
            topology,
            conntrack=True,
            discard=self._discard,
            time_exceeded=self._reassembly_expired,
            joined=self._joined,
            alarm=self._alarm,
        )
        self.local_reassembly6 = Reassembly6(
            topology,
            conntrack=False,
            discard=self._discard,
            time_exceeded=self._reassembly_expired,
            joined=self._joined,
            alarm=self._alarm,
        )
        self.neighbours = Resolver(
            topology, deliver=self._deliver, fail=self._unreachable, discard=self._discard, alarm=self._alarm
        )
        self.arp = Arp(topology, self.neighbours, self._send_arp)
        self.nd = NeighbourDiscovery(topology, self.neighbours, self._output)
        self.tunnels = Tunnels(self)
        self.local = Local(topology, self.icmp, self.icmpv6, self.nd, self._output, self.tunnels)
        self.reject = Reject(topology, self.conntrack, self.icmp, self.icmpv6, self._output)

        self.decisions4 = Decisions(topology.fib4)
        self.decisions6 = Decisions(topology.fib6)
        self.ageing = Ageing(topology, self._alarm)
        self._register()
        topology.subscribe(self._changed)
        self._timed: tuple[Timed, ...] = (
            self.flowtables,
            self.neighbours,
            self.reassembly4,
            self.reassembly6,
            self.local_reassembly6,
            self.ageing,
        )

    @property
    def due(self) -> int:
        """When ``advance`` has something to do, if no frame comes before: nanoseconds, or ``NEVER``."""
        return self._alarm.due

    @property
    def waiting(self) -> int:
        """How many packets are in the box: fragments of a packet, and what waits for its next hop."""
        reassembly = self.reassembly4.waiting + self.reassembly6.waiting + self.local_reassembly6.waiting
        return reassembly + self.neighbours.waiting

    def load(self, ruleset: Ruleset) -> None:
        """Replace the rules, at the time that it is.

        What the old and the new ruleset share goes on: the state of rules and sets, the flows of
        flowtables. Connections stay, with their translations.

        Args:
            ruleset: the new rules, made of the old ones by ``ruleset.apply``.

        Raises:
            RulesetError: it names devices that the box does not have, or offloads to ones without
                hardware; nothing was changed.
        """
        program = compile_ruleset(ruleset, self._environment)
        self.bindings.check(ruleset)
        self.flowtables.follow(self.ruleset, ruleset, self.now)
        self.ruleset = ruleset
        self.program = program
        if self.now:
            ruleset.start(self.now)
        self._register()

    def lose(self, driver: str) -> None:
        """A driver of hardware goes away, and its rules with it; a chip forwards nothing any more."""
        self.bindings.forget(driver)
        if self.chips is not None:
            self.chips.lose(driver)
        self.flowtables.lose(driver, self.now)

    def _register(self) -> None:
        """Attach all that runs at hooks. Ref: net/netfilter/core.c:nf_register_net_hook."""
        self.ipv4 = hooks.pipeline(self, IPV4)
        self.ipv6 = hooks.pipeline(self, IPV6)
        self._stack()

    def _restack(self) -> None:
        """Work the stacks out anew before the next frame: one change brings many."""
        self._restacks = True
        self._alarm.set(0)

    def _stack(self) -> None:
        """Work out what frames meet on each device, and what is above and below it."""
        self._restacks = False
        devices = self.topology.devices.values()
        self.ports = {
            device.index: ingress.Port(hooks.at_ingress(self, device, self.ruleset), stack.above(device))
            for device in devices
        }
        self.stacked = frozenset(device.index for device in devices if stack.stands(device))
        if self.chips is not None:
            self.stacked |= self.chips.conduits
        self.unaddressed = frozenset(
            device.index for device in devices if not device.ethernet and not device.loopback
        )
        self.tunnels.follow(devices)
        self._doors: Doors | None = None
        self.egress_hooks = {
            device.index: chains
            for device in devices
            if (chains := self.program.device_chains(device.name, Hook.EGRESS))
        }

    def receive(self, device: Device, frame: bytes, now: int) -> None:
        """Take a frame off a device's wire.

        Args:
            device: one of the topology's devices.
            frame: from the destination MAC on, without the checksum.
            now: nanoseconds; at least that of the last call.
        """
        if now >= self._alarm.due:
            self.advance(now)
        self.now = now
        if self.chips is not None and self.chips.arrive(device, frame, now):
            return
        ingress.receive(self, device, frame, now)

    def receive_many(self, burst: Burst, receive: Transmit | None = None) -> None:
        """Take frames off wires, as ``receive`` takes each of them, and with the same effects.

        Args:
            burst: the frames, by the indexes of the topology's devices; no earlier than what came
                before.
            receive: called in the place of ``receive`` with the frames that are not simply for a
                flowtable to judge, None for ``receive`` itself.
        """
        bursts.receive(self, burst, self._alarm, receive or self.receive)

    @property
    def doors(self) -> Doors:
        """Where bursts may pass."""
        if self._doors is None:
            self._doors = Doors(self)
        return self._doors

    def advance(self, now: int) -> None:
        """Run the timers that are due by ``now``, each at its own time, in their order."""
        if not self.now:
            self.ageing.begin(now)
            self.ruleset.start(now)
        if self._restacks:
            self._stack()
        while (due := self._next_due()) is not None and due <= now:
            self.now = max(self.now, due)
            for timed in self._timed:
                if timed.next_due is not None and timed.next_due <= due:
                    timed.advance(due)
            self.conntrack.expire(self.now)
        self.now = max(self.now, now)
        self.conntrack.expire(self.now)
        self._alarm.due = NEVER if due is None else due

    def _next_due(self) -> int | None:
        return min((due for timed in self._timed if (due := timed.next_due) is not None), default=None)

    def ended(self, packet: Packet, verdict: int) -> None:
        """A station did not accept a packet: count it, unless the station has it now (STOLEN)."""
        if verdict == _DROP:
            self.statistics.drops[packet.drop or Drop.RULE] += 1

    def icmp_error(self, packet: Packet, kind: int, code: int, rest: int = 0) -> None:
        """Tell the sender of an IPv4 packet what became of it."""
        self.icmp.error(packet, kind, code, rest, now=self.now)

    def icmpv6_error(self, packet: Packet, kind: int, code: int, rest: int = 0) -> None:
        """Tell the sender of an IPv6 packet what became of it."""
        self.icmpv6.error(packet, kind, code, rest, now=self.now)

    def too_big(self, packet: Packet, mtu: int) -> None:
        """A packet does not fit its way out and may not be cut."""
        self.statistics.drops[Drop.TOO_BIG] += 1
        if packet.family == IPV4:
            self.icmp_error(packet, *_FRAGMENTATION_NEEDED, mtu)
        else:
            self.icmpv6_error(packet, *_PACKET_TOO_BIG6, mtu)

    def loop_back(self, packet: Packet) -> None:
        """A packet of the box to itself."""
        prerouting.looped(self, packet)

    def send(self, packet: Packet) -> None:
        """Send a packet of the box's own, which is routed already."""
        output.send(self, packet)

    def send_again(self, packet: Packet) -> None:
        """Send a packet that a VRF has routed once more."""
        output.leave(self, packet)

    def climb(self, device: Device, frame: bytes, pkttype: int) -> None:
        """A frame arrives on a device that stands on the one where it came from."""
        ingress.another_round(self, device, frame, pkttype)

    def take(self, device: Device, frame: bytes, pkttype: int) -> None:
        """A frame goes to the protocols of the box, whatever stands on its device."""
        ingress.take(self, device, frame, pkttype)

    def descend(self, device: Device, frame: bytes) -> None:
        """A frame leaves by a device that another stands on."""
        egress.transmit(self, device, frame)

    def withhold(self, reason: Drop) -> None:
        """A frame on its way down ends."""
        self.statistics.drops[reason] += 1
        self.statistics.withheld += 1

    def _changed(self, event: Event) -> None:
        match event:
            case LinkChanged(device):
                if event.removed or not device.up:
                    self.neighbours.flush(device, self.now)
                self._restack()
            case PortChanged():
                self._restack()
            case FdbChanged(entry) if not event.removed and self.now:
                self.ageing.heard(entry, self.now)
            case SysctlChanged():
                self.conntrack.configure(self.topology.sysctls)
                self.neighbours.configure()
            case _:
                pass

    def _output(self, packet: Packet, now: int) -> None:
        output.send(self, packet)

    def _send_arp(self, device: Device, frame: bytes, now: int) -> None:
        self.statistics.arp_sent += 1
        passed = arp_hooks.leaving(self, device, frame, now)
        if passed is not None:
            egress.transmit(self, device, passed)

    def _deliver(self, packet: Packet, neighbour: Neighbour, now: int) -> None:
        egress.to_neighbour(self, packet, neighbour)

    def _torn_down(self, entry: FlowEntry, reason: Teardown, now: int) -> None:
        self.statistics.teardowns[reason] += 1
        if self._flow_ended is not None:
            self._flow_ended(entry, reason, now)

    def _discard(self, packet: Packet, now: int) -> None:
        self.statistics.drops[packet.drop or Drop.RULE] += 1

    def _joined(self, packet: Packet, now: int) -> None:
        self.statistics.reassembled += len(packet.frag_sizes) - 1

    def _unreachable(self, packet: Packet, now: int) -> None:
        """Ref: net/ipv4/route.c:ipv4_link_failure, net/ipv6/route.c:ip6_link_failure."""
        self._discard(packet, now)
        if packet.family == IPV4:
            self.icmp_error(packet, *_HOST_UNREACHABLE)
        else:
            self.icmpv6_error(packet, *_ADDRESS_UNREACHABLE6)

    def _reassembly_expired(self, first: Packet, now: int) -> None:
        if first.family == IPV4:
            self.icmp_error(first, *_REASSEMBLY_TIME)
        else:
            self.icmpv6_error(first, *_REASSEMBLY_TIME6)


def _forget(packet: Packet, entry: LogEntry) -> None:
    pass
