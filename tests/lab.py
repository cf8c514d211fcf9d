"""A box on the bench: frames in on its devices, frames out, its connections and its clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Packet as ScapyPacket

from flowtable.clock import SECOND
from flowtable.conntrack.listing import conntrack_line, live
from flowtable.datapath.reference import ReferenceDatapath
from flowtable.packet.drop import Drop
from flowtable.profile import PROFILES
from flowtable.router import Box
from flowtable.ruleset import parse, print_ruleset
from flowtable.topology.boxfile import load

if TYPE_CHECKING:
    from flowtable.datapath.native import NativeDatapath

LAN_MAC = "02:00:00:00:01:01"
WAN_MAC = "02:00:00:00:02:01"
CLIENT_MAC = "02:00:00:00:01:99"
SERVER_MAC = "02:00:00:00:02:99"
CLIENT = "10.0.1.99"
SERVER = "10.0.2.99"
CLIENT6 = "2001:db8:1::99"
SERVER6 = "2001:db8:2::99"
START = 1_000_000 * SECOND

BOX = f"""
devices:
  - {{name: lan0, mac: "{LAN_MAC}", addresses: [10.0.1.1/24, "2001:db8:1::1/64"]}}
  - {{name: wan0, mac: "{WAN_MAC}", addresses: [10.0.2.1/24, "2001:db8:2::1/64"]}}
neighbours:
  - {{address: {CLIENT}, dev: lan0, mac: "{CLIENT_MAC}", state: permanent}}
  - {{address: {SERVER}, dev: wan0, mac: "{SERVER_MAC}", state: permanent}}
  - {{address: "{CLIENT6}", dev: lan0, mac: "{CLIENT_MAC}", state: permanent}}
  - {{address: "{SERVER6}", dev: wan0, mac: "{SERVER_MAC}", state: permanent}}
sysctls:
  net.ipv4.ip_forward: 1
  net.ipv6.conf.all.forwarding: 1
"""


def box_with(*routes: str, services: Any = (), **sysctls: int) -> str:
    """The box with more routes and services (in the box file's words), and sysctls.

    Of a sysctl's name the dots are two underscores.
    """
    more = [f"  {name.replace('__', '.')}: {value}" for name, value in sysctls.items()]
    text = "\n".join([BOX.rstrip(), *more])
    for title, entries in (("routes", routes), ("services", services)):
        if entries:
            text += f"\n{title}:\n" + "".join(f"  - {{{entry}}}\n" for entry in entries)
    return text + "\n"


FORWARD = """
table inet x {
    flowtable f {
        hook ingress priority filter; devices = { lan0, wan0 };
    }
    chain y {
        type filter hook forward priority filter; policy accept;
        flow add @f
        counter
    }
}
"""


@dataclass
class Sent:
    """A frame that left the box."""

    device: str
    frame: bytes
    time: int

    @property
    def ether(self) -> ScapyPacket:
        return Ether(self.frame)


@dataclass
class Lab:
    """A box with a client on lan0 and a server on wan0."""

    datapath: ClassVar[type[ReferenceDatapath | NativeDatapath]] = ReferenceDatapath

    ruleset: str = FORWARD
    profile: str = "default"
    box_file: str = BOX
    now: int = START
    sent: list[Sent] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.box = Box(
            load(self.box_file, "box.yaml"),
            parse(self.ruleset, "ruleset.nft"),
            profile=PROFILES[self.profile],
            datapath=self.datapath,
            transmit=lambda device, frame, time: self.sent.append(Sent(device.name, bytes(frame), time)),
        )
        self.box.advance(self.now)

    @property
    def statistics(self):
        return self.box.statistics

    @property
    def drops(self) -> dict[Drop, int]:
        """Why packets ended so far."""
        return dict(self.box.statistics.drops)

    def wait(self, seconds: float) -> None:
        """Let time pass without packets."""
        self.now += int(seconds * SECOND)
        self.box.advance(self.now)

    def receive(self, device: str, frame: ScapyPacket | bytes) -> list[Sent]:
        """Put a frame on a device's wire; what the box sends in answer."""
        before = len(self.sent)
        self.box.receive(self.box.topology.devices[device], bytes(frame), self.now)
        return self.sent[before:]

    def client(self, packet: ScapyPacket) -> list[Sent]:
        """A packet from the client's side."""
        return self.receive("lan0", Ether(src=CLIENT_MAC, dst=LAN_MAC) / packet)

    def server(self, packet: ScapyPacket) -> list[Sent]:
        """A packet from the server's side."""
        return self.receive("wan0", Ether(src=SERVER_MAC, dst=WAN_MAC) / packet)

    def connections(self) -> list[str]:
        """The lines of ``conntrack -L``."""
        self.box.flowtables.synchronise_all()
        return [conntrack_line(connection, self.now) for connection in live(self.box.conntrack, self.now)]

    def listing(self) -> str:
        """What ``nft list ruleset`` prints."""
        return print_ruleset(self.box.ruleset, now=self.now)

    def entries(self) -> int:
        """Live flow entries in all flowtables."""
        return sum(not entry.torn_down for entry in self.box.flowtables.entries())


def udp(source: str = CLIENT, destination: str = SERVER, sport: int = 5000, dport: int = 53, size: int = 10):
    """A UDP datagram from the client to the server."""
    return IP(src=source, dst=destination) / UDP(sport=sport, dport=dport) / (b"x" * size)


def udp_reply(
    source: str = SERVER, destination: str = CLIENT, sport: int = 53, dport: int = 5000, size: int = 10
):
    """Its answer."""
    return udp(source, destination, sport, dport, size)


@dataclass
class Tcp:
    """A TCP connection between the client and the server, kept in sequence."""

    lab: Lab
    client: str = CLIENT
    server: str = SERVER
    sport: int = 40000
    dport: int = 443
    client_sees: str | None = None
    server_sees: str | None = None
    seq: int = 1000
    ack: int = 5000

    def out(self, flags: str, payload: bytes = b"", **fields: Any) -> list[Sent]:
        """A segment from the client."""
        segment = TCP(
            sport=self.sport,
            dport=self.dport,
            flags=flags,
            seq=self.seq,
            ack=self.ack if "A" in flags else 0,
            window=65000,
        )
        sent = self.lab.client(IP(src=self.client, dst=self.server, **fields) / segment / payload)
        self.seq += len(payload) + ("S" in flags) + ("F" in flags)
        return sent

    def back(self, flags: str, payload: bytes = b"", **fields: Any) -> list[Sent]:
        """A segment from the server."""
        segment = TCP(
            sport=self.dport,
            dport=self.sport,
            flags=flags,
            seq=self.ack,
            ack=self.seq if "A" in flags else 0,
            window=65000,
        )
        sent = self.lab.server(IP(src=self.server, dst=self.client, **fields) / segment / payload)
        self.ack += len(payload) + ("S" in flags) + ("F" in flags)
        return sent

    def open(self) -> None:
        """The three-way handshake."""
        self.out("S")
        self.back("SA")
        self.out("A")
