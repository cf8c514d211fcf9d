"""Two hosts and a router between them, in network namespaces of the running kernel.

The router is Linux; the topology that it is for the flowtable is written down by hand.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import ip_address
from struct import Struct
from typing import Any

from flowtable.clock import SECOND
from flowtable.conntrack.connection import Connection, Status, TcpState, TcpTracking
from flowtable.conntrack.core import Conntrack
from flowtable.conntrack.tuple import Tuple
from flowtable.datapath.xdp_datapath import XdpDatapath
from flowtable.flows.entry import FlowEntry
from flowtable.flows.flowtables import Flowtables
from flowtable.flows.offer import Offer
from flowtable.flows.teardown import Teardown
from flowtable.packet.packet import IPV4, IPV6, TCP, UDP
from flowtable.profile import DEFAULT
from flowtable.topology.device import Address, Device
from flowtable.topology.neighbour import NeighbourState
from flowtable.topology.pppoe import Pppoe
from flowtable.topology.sysctl import Sysctls
from flowtable.topology.topology import Topology
from flowtable.topology.vlan import Vlan
from scenarios.machine.namespace import Namespace
from tests.flows.support import declaration, packed

MACS = {"lan": "02:00:00:00:00:01", "wan": "02:00:00:00:00:02"}
HOST_MACS = {"lan": "02:00:00:00:00:c1", "wan": "02:00:00:00:00:fe"}
ADDRESSES = {"lan": ("10.0.1.", "2001:db8:1::"), "wan": ("192.0.2.", "2001:db8:2::")}
FORWARDING = (
    "net.ipv4.ip_forward",
    "net.ipv6.conf.all.forwarding",
    # What a live box says of each connection that it offloads.
    "net.netfilter.nf_conntrack_tcp_be_liberal",
)
ROUTER, HOST = "1", "99"
FORWARD = """
table inet t {
    chain forward { type filter hook forward priority 0; counter ct state new,established; }
    chain postrouting { type nat hook postrouting priority srcnat; %s }
}
"""
WITHIN = 5.0
"""Seconds in which a packet arrives."""
VID, SESSION = 10, 0x1234
ETH_P_ALL = 3
SOL_PACKET, PACKET_AUXDATA = 263, 8
AUXILIARY = Struct("=IIIHHHH")
"""Ref: include/uapi/linux/if_packet.h:struct tpacket_auxdata."""
TAGGED = 1 << 4
"""Ref: TP_STATUS_VLAN_VALID."""


def hardware(mac: str) -> bytes:
    """A MAC address as it stands in frames."""
    return bytes.fromhex(mac.replace(":", ""))


def received(wire: socket.socket, source: bytes) -> bytes:
    """The next frame from a MAC address to a single station, with the tag that the kernel took off it."""
    while True:
        frame, notes, _, address = wire.recvmsg(2000, socket.CMSG_SPACE(AUXILIARY.size))
        if frame[6:12] == source and not frame[0] & 1 and address[2] != socket.PACKET_OUTGOING:
            status, *_, tci, protocol = AUXILIARY.unpack(notes[0][2][: AUXILIARY.size])
            tag = protocol.to_bytes(2) + tci.to_bytes(2) if status & TAGGED else b""
            return frame[:12] + tag + frame[12:]


class Network:
    """The hosts, the router, and a flowtable on it.

    Attributes:
        router: its namespace; devices ``lan`` and ``wan``.
        hosts: the namespaces of the hosts, by the router's device that leads there; device ``eth0``.
        ended: flows that ended, and why.
    """

    def __init__(
        self,
        stack: ExitStack,
        *,
        masquerade: bool = False,
        offloads: bool = False,
        encapsulated: bool = False,
        sample: int = 0,
    ) -> None:
        """Build them.

        Args:
            stack: tears them down.
            masquerade: the router hides the client's address.
            offloads: the hosts leave checksums, and the cutting up of large packets, to their network
                cards. There are none: packets of sockets stay as they are on their way through a veth.
            sample: of so many forwarded packets one is copied.
            encapsulated: as far as the topology knows, a VLAN is on ``lan``, a PPPoE session on ``wan``.
        """
        self.router, client, server = (Namespace() for _ in range(3))
        self.hosts = {"lan": client, "wan": server}
        for namespace in (self.router, client, server):
            stack.callback(namespace.close)
        for name, host in self.hosts.items():
            far = f"peer name eth0 address {HOST_MACS[name]} netns {host.path}"
            self.router.ip([f"link add {name} address {MACS[name]} type veth {far}"])
            self._address(name, self.router, name, ROUTER)
            self._address(name, host, "eth0", HOST)
            host.ip(f"route add default via {net}{ROUTER}" for net in ADDRESSES[name])
            # XDP sends to a veth only whose other end polls, as it does for GRO.
            host.run("ethtool", "-K", "eth0", "tx", "on" if offloads else "off", "gro", "on")
        for name in FORWARDING:
            self.router.sysctl(name, 1)
        self.router.run("nft", "-f", "-", text=FORWARD % ('oifname "wan" masquerade;' if masquerade else ""))
        self.ended: list[tuple[FlowEntry, Teardown, int]] = []
        self._encapsulated = encapsulated
        self.topology = self._topology()
        self.conntrack = Conntrack(self.topology.sysctls)
        with self.router.inside():
            self.datapath = XdpDatapath(
                self.topology,
                DEFAULT,
                lambda entry, *end: entry.flowtable.teardown(entry, *end),
                capacity=64,
                sample=sample,
            )
        self.flowtables = Flowtables(
            self.topology,
            self.conntrack,
            DEFAULT,
            lambda *_: self.datapath,
            on_teardown=lambda *what: self.ended.append(what),
        )
        self.flowtable = self.flowtables.create(declaration())
        stack.callback(self.datapath.close)

    def _address(self, name: str, namespace: Namespace, device: str, host: str) -> None:
        sysctl = f"net.ipv6.conf.{device}"
        namespace.sysctl(f"{sysctl}.accept_dad", 0)
        namespace.sysctl(f"{sysctl}.router_solicitations", 0)
        far = HOST if host == ROUTER else ROUTER
        mac = HOST_MACS[name] if host == ROUTER else MACS[name]
        lines = [f"link set {device} up"]
        for net in ADDRESSES[name]:
            lines.append(f"address add {net}{host}/{64 if ':' in net else 24} dev {device}")
            lines.append(f"neighbour add {net}{far} lladdr {mac} nud permanent dev {device}")
        namespace.ip(lines)

    def _topology(self) -> Topology:
        topology = Topology(Sysctls())
        links = {link["ifname"]: link for link in json.loads(self.router.run("ip", "-json", "link"))}
        for name, mac in MACS.items():
            device = Device(name, links[name]["ifindex"], mac=hardware(mac))
            topology.add_device(device)
            far = hardware(HOST_MACS[name])
            if self._encapsulated:
                device = topology.add_device(self._upper(device, far))
            for net in ADDRESSES[name]:
                topology.add_address(device, Address.parse(f"{net}{ROUTER}/{64 if ':' in net else 24}"))
                if device.ethernet:
                    topology.neighbours.set(device, packed(f"{net}{HOST}"), far, NeighbourState.PERMANENT)
        return topology

    def _upper(self, device: Device, far: bytes) -> Device:
        name, index = f"{device.name}-upper", device.index + 1000
        if device.name == "lan":
            return Vlan(name, index, mac=device.mac, lower=device, vid=VID)
        return Pppoe(name, index, lower=device, mtu=1492, session=SESSION, peer=far)

    @property
    def entrance(self) -> Device:
        """The routed device on the client's side."""
        return self.device("lan-upper" if self._encapsulated else "lan")

    def device(self, name: str) -> Device:
        return self.topology.devices[name]

    def offload(self, l4proto: int, client: tuple[str, int], server: tuple[str, int]) -> FlowEntry:
        """Give a connection, whose address the router may have masqueraded, to the flowtable."""
        family = IPV6 if ":" in client[0] else IPV4
        seen = self.seen_from(server, client)
        original = Tuple(family, l4proto, packed(client[0]), packed(server[0]), client[1], server[1])
        reply = Tuple(family, l4proto, packed(server[0]), packed(seen), server[1], client[1])
        connection = Connection(original, reply, start=0)
        connection.status = Status.CONFIRMED | Status.SEEN_REPLY | Status.ASSURED
        if seen != client[0]:
            connection.status |= Status.SRC_NAT | Status.SRC_NAT_DONE
        if l4proto == TCP:
            connection.tcp = TcpTracking()
            connection.tcp.state = TcpState.ESTABLISHED
        connection.expires = 300 * SECOND
        self.conntrack.insert(connection, 0)
        lan = self.entrance
        route = self.topology.fib(family).lookup(packed(server[0]), iif=lan, source=packed(client[0]))
        assert route is not None
        with self.router.inside():
            assert self.flowtable.add_connection(Offer(connection, False, lan, route, 0, None), 0) is None
        entry = self.flowtables.entry(connection)
        assert entry is not None
        return entry

    def seen_from(self, server: tuple[str, int], client: tuple[str, int]) -> str:
        """The address that the server sees of the client."""
        ruleset = self.router.run("nft", "list", "ruleset")
        net = ADDRESSES["wan"][":" in client[0]]
        return str(ip_address(f"{net}{ROUTER}")) if "masquerade" in ruleset else client[0]

    def forwarded(self) -> int:
        """Packets that took the classic path."""
        ruleset = json.loads(self.router.run("nft", "-j", "list", "chain", "inet", "t", "forward"))
        (rule,) = (item["rule"] for item in ruleset["nftables"] if "rule" in item)
        (counter,) = (part["counter"] for part in rule["expr"] if "counter" in part)
        return int(counter["packets"])

    @contextmanager
    def sockets(self, l4proto: int, version: int) -> Iterator[tuple[socket.socket, socket.socket]]:
        """A connection from the client to the server, of which the classic path has seen both directions."""
        family = socket.AF_INET6 if version == 6 else socket.AF_INET
        kind = socket.SOCK_DGRAM if l4proto == UDP else socket.SOCK_STREAM
        with ExitStack() as stack:
            with self.hosts["lan"].inside():
                client = stack.enter_context(socket.socket(family, kind))
            with self.hosts["wan"].inside():
                server = stack.enter_context(socket.socket(family, kind))
            client.settimeout(WITHIN)
            server.settimeout(WITHIN)
            server.bind((f"{ADDRESSES['wan'][version == 6]}{HOST}", 0))
            if l4proto == TCP:
                server.listen()
                client.connect(server.getsockname())
                accepted, _ = server.accept()
                server = stack.enter_context(accepted)
                server.settimeout(WITHIN)
            else:
                client.connect(server.getsockname())
                client.send(b"first")
                _, peer = server.recvfrom(100)
                server.connect(peer)
                server.send(b"answer")
                client.recv(100)
            yield client, server

    @contextmanager
    def wire(self, name: str) -> Iterator[socket.socket]:
        """The frames that a host sends and receives."""
        with self.hosts[name].inside():
            wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        with wire:
            wire.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
            wire.bind(("eth0", ETH_P_ALL))
            wire.settimeout(WITHIN)
            yield wire

    def statistics(self):
        return self.datapath.statistics()


@contextmanager
def network(**options: Any) -> Iterator[Network]:
    with ExitStack() as stack:
        yield Network(stack, **options)
