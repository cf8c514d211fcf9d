"""A box between two networks, connections made to measure, and their packets and frames."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import GRE, Ether
from scapy.packet import Packet as Scapy
from scapy.packet import Raw

from flowtable.clock import SECOND
from flowtable.conntrack.connection import Connection, Status, TcpState, TcpTracking
from flowtable.conntrack.core import Conntrack
from flowtable.conntrack.tuple import Tuple
from flowtable.datapath.reference import ReferenceDatapath
from flowtable.flows.entry import FlowEntry
from flowtable.flows.flowtables import Flowtables
from flowtable.flows.refusal import Refusal
from flowtable.flows.teardown import Teardown
from flowtable.offload.bindings import Bindings, OffloadPolicy
from flowtable.offload.driver import Driver
from flowtable.offload.switch.chip import Switch
from flowtable.packet import packet as wire
from flowtable.packet.packet import CtInfo, Packet
from flowtable.profile import DEFAULT, Profile
from flowtable.ruleset import model
from flowtable.ruleset.family import Family
from flowtable.ruleset.source import Source, Span
from flowtable.topology.device import Address
from flowtable.topology.hardware import Chip, ChipModel
from flowtable.topology.neighbour import NeighbourState
from flowtable.topology.route import Route
from flowtable.topology.sysctl import Sysctls
from flowtable.topology.topology import Topology
from tests.flows.stacks import Builder, Stack, nic

NOWHERE = Span(Source("test", ""), 1, 1, 1)

LAN_MAC, WAN_MAC = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")
CLIENT_MAC, GATEWAY_MAC = bytes.fromhex("0200000000c1"), bytes.fromhex("0200000000fe")

CLIENT, SERVER, PUBLIC = "10.0.1.99", "198.51.100.7", "192.0.2.1"
CLIENT6, SERVER6, PUBLIC6 = "2001:db8:1::99", "2001:db8:ffff::7", "2001:db8:2::1"
GATEWAY, GATEWAY6 = "192.0.2.254", "2001:db8:2::fe"

START = 1000 * SECOND
"""When the tests begin; a flowtable made then collects garbage at every whole second."""


def packed(address: str) -> bytes:
    return ip_address(address).packed


def declaration(
    name: str = "f",
    *,
    family: Family = Family.INET,
    devices: tuple[str, ...] = ("lan", "wan"),
    counter: bool = False,
    offload: bool = False,
) -> model.Flowtable:
    return model.Flowtable(family, "t", name, NOWHERE, 0, devices, counter, offload)


class World:
    """The box, one flowtable in it, and everything that happened to the flows."""

    def __init__(
        self,
        profile: Profile = DEFAULT,
        *,
        family: Family = Family.INET,
        devices: tuple[str, ...] | None = None,
        counter: bool = False,
        lan: Callable[[Builder], Stack] = nic,
        wan: Callable[[Builder], Stack] = nic,
        chip: ChipModel | None = None,
        drivers: Callable[[Topology], list[Driver]] | None = None,
        queue_latency: int = 0,
        **sysctls: Any,
    ) -> None:
        """Put the box together; without ``devices`` the flowtable is where the frames arrive.

        With ``chip`` one of that model is on the wires of both sides, and the flowtable offloads to
        it; with ``drivers``, to those that it makes.
        """
        self.profile = profile
        self.topology = topology = Topology(Sysctls(**sysctls))
        self.lan_builder = Builder(topology, "lan", LAN_MAC, CLIENT_MAC)
        self.wan_builder = Builder(topology, "wan", WAN_MAC, GATEWAY_MAC)
        self.lan_stack, self.wan_stack = lan(self.lan_builder), wan(self.wan_builder)
        self.lan, self.wan = self.lan_stack.routed, self.wan_stack.routed
        if devices is None:
            devices = (self.lan_stack.port.name, self.wan_stack.port.name)
        for device, address in (
            (self.lan, "10.0.1.1/24"),
            (self.lan, "2001:db8:1::1/64"),
            (self.wan, "192.0.2.1/24"),
            (self.wan, "2001:db8:2::1/64"),
        ):
            topology.add_address(device, Address.parse(address))
        for fib, gateway in ((topology.fib4, GATEWAY), (topology.fib6, GATEWAY6)):
            hop = packed(gateway)
            fib.add(Route(fib.family, bytes(len(hop)), 0, gateway=hop, device=self.wan))
        for device, address, mac in (
            (self.lan, CLIENT, CLIENT_MAC),
            (self.lan, CLIENT6, CLIENT_MAC),
            (self.wan, GATEWAY, GATEWAY_MAC),
            (self.wan, GATEWAY6, GATEWAY_MAC),
        ):
            topology.neighbours.set(device, packed(address), mac, NeighbourState.REACHABLE)
        self.switch: Switch | None = None
        hardware: list[Driver] = []
        topology.hardware.queue_latency = queue_latency
        if chip is not None:
            ports = (self.lan_stack.port, self.wan_stack.port)
            self.switch = Switch(Chip("chip0", ports, chip))
            hardware = [self.switch]
        elif drivers is not None:
            hardware = drivers(topology)
        self.bindings = Bindings(topology, profile, OffloadPolicy.PREFER, hardware)
        self.conntrack = Conntrack(topology.sysctls)
        self.ended: list[tuple[FlowEntry, Teardown, int]] = []
        self.flowtables = Flowtables(
            topology,
            self.conntrack,
            profile,
            ReferenceDatapath,
            on_teardown=lambda *what: self.ended.append(what),
            hardware=self.bindings.block,
            now=START,
        )
        declared = declaration(family=family, devices=devices, counter=counter, offload=bool(hardware))
        self.flowtable = self.flowtables.create(declared)

    @property
    def reasons(self) -> list[Teardown]:
        return [reason for _, reason, _ in self.ended]

    def connect(
        self,
        l4proto: int = wire.TCP,
        *,
        ipv6: bool = False,
        snat: str | tuple[str, int] | None = None,
        dnat: tuple[str, int] | None = None,
        sport: int = 40000,
        dport: int = 443,
        status: int = Status.CONFIRMED | Status.SEEN_REPLY | Status.ASSURED,
        state: TcpState = TcpState.ESTABLISHED,
        start: int = START - 10 * SECOND,
        timeout: int = 300 * SECOND,
        accounting: bool = False,
    ) -> Connection:
        """A connection from the client; its last packet on the classic path was at ``START``.

        ``dnat`` gives what the client talks to, ``snat`` what the server sees.
        """
        if l4proto == wire.GRE:
            sport = dport = 0
        client, server = (CLIENT6, SERVER6) if ipv6 else (CLIENT, SERVER)
        target, tport = dnat or (server, dport)
        seen, port = (snat, sport) if isinstance(snat, str) else snat or (client, sport)
        family = wire.IPV6 if ipv6 else wire.IPV4
        original = Tuple(family, l4proto, packed(client), packed(target), sport, tport)
        reply = Tuple(family, l4proto, packed(server), packed(seen), dport, port)
        connection = Connection(original, reply, start=start, accounting=accounting)
        if snat:
            status |= Status.SRC_NAT | Status.SRC_NAT_DONE
        if dnat:
            status |= Status.DST_NAT | Status.DST_NAT_DONE
        connection.status = status
        if l4proto == wire.TCP:
            connection.tcp = TcpTracking()
            connection.tcp.state = state
        connection.expires = timeout
        if status & Status.CONFIRMED:
            self.conntrack.insert(connection, START)
        return connection

    def packet(
        self, connection: Connection, *, reply: bool = False, flags: str = "A", now: int = START
    ) -> Packet:
        """A packet of the connection at the forward hook: routed and translated to its target."""
        this, other = connection.tuple(reply), connection.tuple(not reply)
        l3 = (IP if this.l3proto == wire.IPV4 else IPv6)(
            src=str(ip_address(this.src)), dst=str(ip_address(other.src))
        )
        iif = self.wan if reply else self.lan
        packet = Packet(bytearray(bytes(l3 / l4(this, flags))), this.l3proto, iif=iif, time=now)
        packet.thoff = 20 if this.l3proto == wire.IPV4 else 40
        packet.l4proto = this.l4proto
        packet.dst = self.topology.fib(this.l3proto).lookup(other.src, iif=iif, source=this.src)
        packet.oif = None if packet.dst is None else packet.dst.device
        packet.ct = connection
        packet.ctinfo = CtInfo.ESTABLISHED_REPLY if reply else CtInfo.ESTABLISHED
        return packet

    def add(self, connection: Connection, now: int = START, **packet: Any) -> Refusal | None:
        return self.flowtable.add(self.packet(connection, now=now, **packet), now)

    def offload(self, connection: Connection | None = None, now: int = START, **packet: Any) -> FlowEntry:
        connection = connection or self.connect()
        refusal = self.add(connection, now, **packet)
        assert refusal is None, refusal
        entry = self.flowtables.entry(connection)
        assert entry is not None
        return entry

    def frame(self, connection: Connection, *, reply: bool = False, **fields: Any) -> bytes:
        return frame(connection, reply=reply, **fields)

    def pass_frame(
        self, connection: Connection, now: int = START, *, reply: bool = False, **fields: Any
    ) -> Any:
        """Hand a frame of the connection to the fast path, and say what became of it."""
        raw = frame(connection, reply=reply, **fields)
        return self.flowtable.datapath.process(raw, 3 if reply else 2, now)


def l4(this: Tuple, flags: str = "A") -> Scapy:
    if this.l4proto == wire.TCP:
        return TCP(sport=this.sport, dport=this.dport, flags=flags, seq=1, ack=1, window=500)
    if this.l4proto == wire.UDP:
        return UDP(sport=this.sport, dport=this.dport)
    return GRE(proto=0x0800)


def frame(
    connection: Connection,
    *,
    reply: bool = False,
    flags: str = "A",
    size: int = 0,
    ttl: int = 64,
    edit: Callable[[Scapy], Scapy] = lambda layers: layers,
) -> bytes:
    """A frame of the connection as it arrives, with ``size`` bytes of payload."""
    this = connection.tuple(reply)
    ether = Ether(
        dst=(WAN_MAC if reply else LAN_MAC).hex(":"),
        src=(GATEWAY_MAC if reply else CLIENT_MAC).hex(":"),
    )
    source, destination = str(ip_address(this.src)), str(ip_address(this.dst))
    l3: Scapy
    if this.l3proto == wire.IPV4:
        l3 = IP(src=source, dst=destination, ttl=ttl, id=7, flags="DF")
    else:
        l3 = IPv6(src=source, dst=destination, hlim=ttl, fl=5)
    return bytes(edit(ether / l3 / l4(this, flags) / Raw((bytes(range(256)) * 256)[:size])))
