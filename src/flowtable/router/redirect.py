"""Redirects: a sender whose packets leave by the device they came in on knows no shorter way.

Ref: net/ipv4/route.c:ip_rt_send_redirect; net/ipv6/ip6_output.c:ip6_forward.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.clock import SECOND
from flowtable.packet import icmp, icmpv6, ipv6, nd
from flowtable.packet.packet import ICMPV6, IPV6
from flowtable.router.reply import local_packet
from flowtable.topology.device import link_local
from flowtable.topology.route import REJECTING

if TYPE_CHECKING:
    from flowtable.packet.packet import Packet
    from flowtable.router.icmp import Icmp, Output
    from flowtable.router.peer import Peers
    from flowtable.topology.route import Route
    from flowtable.topology.topology import Topology

NUMBER: Final = 9
"""Redirects after which a sender that does not heed them is left alone (ip_rt_redirect_number)."""
LOAD: Final = SECOND // 50
"""Time after the first redirect; it doubles with each (ip_rt_redirect_load)."""
SILENCE: Final = LOAD << NUMBER + 1
"""Time without redirected packets after which all begins anew (ip_rt_redirect_silence)."""
_INTERVAL6: Final = SECOND


class Redirects:
    """Who has been redirected, and whether to do it again.

    Whether a packet calls for one is the routing decision's to say (``__mkroute_input``).
    """

    __slots__ = ("_icmp", "_output", "_peers", "_topology")

    def __init__(self, topology: Topology, peers: Peers, icmp: Icmp, output: Output) -> None:
        """Start with nobody redirected.

        Args:
            topology: the box.
            peers: the hosts that are redirected.
            icmp: sends the IPv4 redirects.
            output: takes an IPv6 redirect, whose ``dst`` and ``oif`` are set.
        """
        self._topology = topology
        self._peers = peers
        self._icmp = icmp
        self._output = output

    def ipv4(self, packet: Packet, route: Route, now: int) -> bool:
        """Redirect the sender of a packet that is forwarded along ``route``, back where it came from.

        Returns:
            Whether a redirect was due; ``Icmp.error`` may still have kept it.
        """
        peer = self._peers.get(bytes(packet.data[12:16]), now)
        if now > peer.last + SILENCE:
            peer.tokens = 0
            peer.redirects = 0
        if peer.redirects >= NUMBER:
            peer.last = now
            return False
        if peer.redirects and now <= peer.last + (LOAD << peer.redirects):
            return False
        gateway = route.gateway or bytes(packet.data[16:20])
        self._icmp.error(packet, icmp.REDIRECT, icmp.REDIRECT_HOST, int.from_bytes(gateway), now=now)
        peer.last = now
        peer.redirects += 1
        return True

    def ipv6(self, packet: Packet, route: Route, now: int) -> bool:
        """Redirect the sender of a packet that is forwarded along ``route``, back where it came from.

        Limited by destination and by sender, to one a second each.

        Returns:
            Whether a redirect was sent.

        Ref: net/ipv6/ip6_output.c:ip6_forward, net/ipv6/ndisc.c:ndisc_send_redirect.
        """
        data = packet.data
        sender, destination = bytes(data[8:24]), bytes(data[24:40])
        if not self._peers.get(destination, now).allow(_INTERVAL6, now):
            return False
        target = route.gateway or destination
        device = packet.iif
        if device is None:
            return False
        source = next((own.address for own in device.addresses if link_local(own.address)), None)
        if source is None or (target != destination and not link_local(target)):
            return False
        back = self._topology.fib6.lookup_preferring(sender, device, source)
        if back is None or back.type in REJECTING or back.gateway is not None or back.device is None:
            return False
        if not self._peers.get(sender, now).allow(_INTERVAL6, now):
            return False
        options = []
        neighbour = self._topology.neighbours.get(device, target)
        if neighbour is not None and neighbour.valid and neighbour.mac is not None:
            options.append(nd.lladdr_option(nd.TARGET_LLADDR, neighbour.mac))
        room = icmpv6.MAX_ERROR - 40 - nd.Redirect.SIZE - 8 * len(options)
        options.append(nd.redirected_option(data, room))
        message = nd.build_redirect(target, destination, *options, addresses=source + sender)
        data6 = ipv6.build(source, sender, ICMPV6, message, hop_limit=nd.HOP_LIMIT)
        self._output(local_packet(data6, IPV6, now, back), now)
        return True
