"""What the box counted: packets at every station of the figure, and every reason by its name."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flowtable.flows.refusal import Refusal
    from flowtable.flows.teardown import Teardown
    from flowtable.packet.drop import Drop
    from flowtable.packet.miss import Miss


@dataclass(slots=True)
class Statistics:
    """Counts of one run.

    A packet is counted at a station when it arrives there. Fragments are packets of their own
    up to ``prerouting``, where conntrack defragmentation makes one packet of them.

    Nothing is lost: ``unended`` is what still waits in the box (``Box.waiting``), always.

    Attributes:
        ingress: frames received on a device of the box.
        hardware: frames that hardware forwarded; the box never saw them, ``ingress`` counts the others.
        bypass: frames that took the fast path from ingress to the output device.
        bridged: frames that a bridge sent from one port to others; no IP station sees them.
        copied: copies of frames beyond the first, for several ports of a bridge or several macvlans.
        arp: ARP messages received.
        arp_sent: ARP messages that the box made itself.
        prerouting: packets that entered the classic path.
        reassembled: fragments that became part of a packet that another fragment completed.
        routing: packets that reached the routing decision.
        input: packets for the box itself.
        delivered: packets that a service of the box, or the box's own stack, took.
        decapsulated: packets that arrived inside of others; those were delivered to the box.
        output: packets the box made itself, those that carry others through a tunnel included.
        encapsulated: packets that left inside of others.
        forward: packets routed through.
        offloadable: those of ``forward`` that were TCP, UDP or GRE, which a flowtable can take.
        postrouting: packets on their way out by the classic path.
        fragmented: fragments that packets were cut into, beyond the first of each.
        transmit: frames that left the box, by either path.
        withheld: frames handed to a device that did not leave: it was down, or a rule dropped them.
        duplicated: copies of frames that a rule sent out of a device.
        offloaded: flows that ``flow add`` put into a flowtable.
        misses: why a frame looked up in a flowtable went up the classic path.
        refusals: why ``flow add`` did not add, counted each time a packet asked.
        drops: why packets ended in the box.
        teardowns: why flow entries ended.
        opaque: packets that reached a rule which cannot be evaluated, by its file and line.
    """

    ingress: int = 0
    hardware: int = 0
    bypass: int = 0
    bridged: int = 0
    copied: int = 0
    arp: int = 0
    arp_sent: int = 0
    prerouting: int = 0
    reassembled: int = 0
    routing: int = 0
    input: int = 0
    delivered: int = 0
    decapsulated: int = 0
    output: int = 0
    encapsulated: int = 0
    forward: int = 0
    offloadable: int = 0
    postrouting: int = 0
    fragmented: int = 0
    transmit: int = 0
    withheld: int = 0
    duplicated: int = 0
    offloaded: int = 0
    misses: Counter[Miss] = field(default_factory=Counter)
    refusals: Counter[Refusal] = field(default_factory=Counter)
    drops: Counter[Drop] = field(default_factory=Counter)
    teardowns: Counter[Teardown] = field(default_factory=Counter)
    opaque: Counter[str] = field(default_factory=Counter)

    @property
    def flowtable(self) -> int:
        """Frames looked up in a flowtable, once for each flowtable on their device."""
        return self.bypass + self.misses.total()

    @property
    def unended(self) -> int:
        """Packets that came into being and neither left the box nor ended in it."""
        begun = self.ingress + self.copied + self.decapsulated + self.output + self.arp_sent + self.fragmented
        begun += self.duplicated
        ended = self.transmit + self.delivered + self.arp + self.reassembled + self.drops.total()
        return begun - ended - self.encapsulated

    @property
    def egress(self) -> int:
        """Frames handed to a device, by either path."""
        return self.transmit + self.withheld

    @property
    def hit_rate(self) -> float:
        """Share of the forwarded TCP, UDP and GRE packets that took the fast path, 0.0 to 1.0."""
        forwarded = self.offloadable + self.bypass
        return self.bypass / forwarded if forwarded else 0.0
