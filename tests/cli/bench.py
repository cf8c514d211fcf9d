"""Files for a command line: a box between a client and a server, rules, and what was captured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from click.testing import CliRunner, Result
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Packet as ScapyPacket

from flowtable.capture import Direction, PcapngWriter
from flowtable.cli import main
from flowtable.clock import MILLISECOND, SECOND

START = 1_700_000_000 * SECOND
CLIENT_MAC, LAN_MAC = "02:00:00:00:01:99", "02:00:00:00:01:01"
SERVER_MAC, WAN_MAC = "02:00:00:00:02:99", "02:00:00:00:02:01"
CLIENT, SERVER, WAN = "10.0.1.99", "10.0.2.99", "10.0.2.1"

BOX = f"""\
devices:
  - {{name: lan0, mac: "{LAN_MAC}", addresses: [10.0.1.1/24]}}
  - {{name: wan0, mac: "{WAN_MAC}", addresses: [10.0.2.1/24]}}
neighbours:
  - {{address: {CLIENT}, dev: lan0, mac: "{CLIENT_MAC}", state: permanent}}
  - {{address: {SERVER}, dev: wan0, mac: "{SERVER_MAC}", state: permanent}}
sysctls:
  net.ipv4.ip_forward: 1
  net.netfilter.nf_conntrack_acct: 1
"""

RULESET = """\
table inet x {
	flowtable f {
		hook ingress priority filter
		devices = { lan0, wan0 }
		counter
	}

	chain y {
		type filter hook forward priority filter; policy accept;
		flow add @f counter
	}

	chain z {
		type nat hook postrouting priority srcnat; policy accept;
		oifname "wan0" masquerade
	}
}
"""

Packet = tuple[str, bytes, int, Direction]
"""Interface, frame, time, direction."""


class Talk:
    """Packets between the client and the server, a millisecond apart, as the box receives them."""

    def __init__(self) -> None:
        self.packets: list[Packet] = []
        self._now = START

    @property
    def there(self) -> ScapyPacket:
        """Headers of a packet from the client."""
        return Ether(src=CLIENT_MAC, dst=LAN_MAC) / IP(src=CLIENT, dst=SERVER)

    @property
    def home(self) -> ScapyPacket:
        """Headers of a packet from the server, to the address the client is masqueraded with."""
        return Ether(src=SERVER_MAC, dst=WAN_MAC) / IP(src=SERVER, dst=WAN)

    def out(self, packet: ScapyPacket) -> None:
        """A packet from the client."""
        self.put("lan0", self.there / packet)

    def back(self, packet: ScapyPacket) -> None:
        """A packet from the server."""
        self.put("wan0", self.home / packet)

    def put(self, interface: str, frame: ScapyPacket | bytes, direction: Direction = Direction.IN) -> None:
        """A frame on a device of the box."""
        self.packets.append((interface, bytes(frame), self._now, direction))
        self._now += MILLISECOND

    def wait(self, time: int) -> None:
        """Nothing for some nanoseconds."""
        self._now += time


def tcp(talk: Talk, segments: int, *, close: bool = False) -> None:
    """A connection with some segments of 100 bytes, each acknowledged."""
    seq, ack = 1000, 9000
    talk.out(TCP(sport=40000, dport=443, flags="S", seq=seq, options=[("MSS", 1460)]))
    talk.back(TCP(sport=443, dport=40000, flags="SA", seq=ack, ack=seq + 1, options=[("MSS", 1460)]))
    seq, ack = seq + 1, ack + 1
    talk.out(TCP(sport=40000, dport=443, flags="A", seq=seq, ack=ack))
    for _ in range(segments):
        talk.out(TCP(sport=40000, dport=443, flags="PA", seq=seq, ack=ack) / (b"x" * 100))
        seq += 100
        talk.back(TCP(sport=443, dport=40000, flags="A", seq=ack, ack=seq))
    if close:
        talk.out(TCP(sport=40000, dport=443, flags="FA", seq=seq, ack=ack))
        talk.back(TCP(sport=443, dport=40000, flags="FA", seq=ack, ack=seq + 1))
        talk.out(TCP(sport=40000, dport=443, flags="A", seq=seq + 1, ack=ack + 1))


def udp(talk: Talk, datagrams: int) -> None:
    """Datagrams of 20 bytes, each answered."""
    there, back = talk.there / UDP(sport=5000, dport=53), talk.home / UDP(sport=53, dport=5000)
    frames = (("lan0", bytes(there / (b"x" * 20))), ("wan0", bytes(back / (b"x" * 20))))
    for _ in range(datagrams):
        for interface, frame in frames:
            talk.put(interface, frame)


class Desk:
    """A folder with the files of a run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.write("ruleset.nft", RULESET)
        self.write("box.yaml", BOX)

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text)
        return path

    def capture(self, packets: Sequence[Packet], name: str = "input.pcapng", *, tail: bytes = b"") -> Path:
        """Write a capture, with some damage behind it."""
        path = self.folder / name
        with path.open("wb") as stream:
            with PcapngWriter(stream, dict.fromkeys(packet[0] for packet in packets)) as writer:
                for interface, data, time, direction in packets:
                    writer.write(interface, time, data, direction)
            stream.write(tail)
        return path

    def run(self, *arguments: str, stdin: bytes | None = None) -> Result:
        """``flowtable run`` in the folder, on its ruleset and box file."""
        return self.command("run", "ruleset.nft", "--box", "box.yaml", *arguments, stdin=stdin)

    def command(self, *arguments: str, stdin: bytes | None = None) -> Result:
        """``flowtable`` in the folder; only a deliberate exit gets past."""
        return CliRunner(catch_exceptions=False).invoke(main, arguments, input=stdin)
