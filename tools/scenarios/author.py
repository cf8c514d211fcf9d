"""Writing scenarios: a few lines of Python each, in the modules of ``scenarios.topics``.

A scenario is a function that is told by ``scenario`` to be one: it sends packets, changes the
box and lets time pass. Its docstring is the scenario's title. The same function makes the same
files; ``tools/write-scenarios`` writes them.
"""

from __future__ import annotations

import copy
import json
import struct
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP
from scapy.packet import Packet

from flowtable.capture import Direction
from flowtable.clock import SECOND
from scenarios.folder import START, write_capture

LAN_MAC: Final = "02:00:00:00:01:01"
WAN_MAC: Final = "02:00:00:00:02:01"
CLIENT_MAC: Final = "02:00:00:00:01:99"
SERVER_MAC: Final = "02:00:00:00:02:99"
CLIENT, SERVER = "10.0.1.99", "10.0.2.99"
CLIENT6, SERVER6 = "2001:db8:1::99", "2001:db8:2::99"
LAN, WAN = "10.0.1.1", "10.0.2.1"
LAN6, WAN6 = "2001:db8:1::1", "2001:db8:2::1"

TOPICS: Final = "scenarios.topics"
"""The package of the topics' modules."""

STEP: Final = 0.02
"""Seconds between frames where nobody waits."""
_TICK: Final = bytes.fromhex("ffffffffffff 020000000199 88b5") + bytes(46)
"""A broadcast frame of a protocol that nobody speaks: it brings nothing but its time."""

Box = dict[str, Any]
Author = Callable[["Scenario"], None]


def router(*, lan_mtu: int = 1500, wan_mtu: int = 1500, **sysctls: int) -> Box:
    """A router with a client on lan0 and a server on wan0; dots of a sysctl's name are two underscores."""
    lan: Box = {"name": "lan0", "mac": LAN_MAC, "addresses": [f"{LAN}/24", f"{LAN6}/64"]}
    wan: Box = {"name": "wan0", "mac": WAN_MAC, "addresses": [f"{WAN}/24", f"{WAN6}/64"]}
    for device, mtu in ((lan, lan_mtu), (wan, wan_mtu)):
        if mtu != 1500:
            device["mtu"] = mtu
        if mtu < 1280:
            device["addresses"].pop()
    neighbours = [
        {"address": CLIENT, "dev": "lan0", "mac": CLIENT_MAC},
        {"address": SERVER, "dev": "wan0", "mac": SERVER_MAC},
        {"address": CLIENT6, "dev": "lan0", "mac": CLIENT_MAC},
        {"address": SERVER6, "dev": "wan0", "mac": SERVER_MAC},
    ]
    if min(lan_mtu, wan_mtu) < 1280:
        neighbours = neighbours[:2]
    return {
        "devices": [lan, wan],
        "routes": [],
        "neighbours": neighbours,
        "sysctls": {
            "net.ipv4.ip_forward": 1,
            "net.ipv6.conf.all.forwarding": 1,
            **{name.replace("__", "."): value for name, value in sysctls.items()},
        },
    }


@dataclass(frozen=True)
class Side:
    """Where packets of one side come in.

    Attributes:
        device: the device with the cable.
        src: the MAC address of the host.
        dst: that of the box.
        tags: VLAN tags, the outermost first: TPID and TCI.
        session: the PPPoE session, None without.
    """

    device: str
    src: str
    dst: str
    tags: tuple[tuple[int, int], ...] = ()
    session: int | None = None

    def frame(self, packet: Packet | bytes) -> bytes:
        """The frame that brings a packet."""
        data, kind = bytes(packet), _ethertype(packet)
        if self.session is not None:
            protocol = 0x21 if kind == 0x0800 else 0x57
            header = struct.pack(">BBHHH", 0x11, 0, self.session, len(data) + 2, protocol)
            data, kind = header + data, 0x8864
        tags = b"".join(struct.pack(">HH", *tag) for tag in self.tags)
        return mac(self.dst) + mac(self.src) + tags + kind.to_bytes(2, "big") + data


def mac(text: str) -> bytes:
    """A MAC address."""
    return bytes.fromhex(text.replace(":", ""))


LAN_SIDE: Final = Side("lan0", CLIENT_MAC, LAN_MAC)
WAN_SIDE: Final = Side("wan0", SERVER_MAC, WAN_MAC)


@dataclass
class Scenario:
    """A scenario that is being written.

    Attributes:
        text: what it shows, in a line.
        box: the box file.
        rules: the ruleset.
        client: where the client's packets come in.
        server: where the server's do.
        now: seconds since the first frame.
    """

    text: str
    box: Box = field(default_factory=router)
    rules: str = ""
    client: Side = LAN_SIDE
    server: Side = WAN_SIDE
    now: float = 0.0
    frames: list[tuple[str, float, bytes]] = field(default_factory=list)
    events: list[tuple[float, dict[str, Any]]] = field(default_factory=list)

    def frame(self, device: str, frame: Packet | bytes) -> None:
        """A frame comes in on a device."""
        self.frames.append((device, self.now, bytes(frame)))
        self.now += STEP

    def lan(self, packet: Packet | bytes, **changed: Any) -> None:
        """A packet from the client's side."""
        side = replace(self.client, **changed)
        self.frame(side.device, side.frame(packet))

    def wan(self, packet: Packet | bytes, **changed: Any) -> None:
        """A packet from the server's side."""
        side = replace(self.server, **changed)
        self.frame(side.device, side.frame(packet))

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds - STEP

    def end(self, seconds: float) -> None:
        """Let time pass at the end: the last frame brings nothing but its time."""
        self.wait(seconds)
        self.frame(self.box["devices"][0]["name"], _TICK)

    def event(self, **what: Any) -> None:
        """Something happens to the box."""
        self.events.append((self.now, what))
        self.now += STEP

    def write(self, folder: Path) -> None:
        """Write the files of the scenario that are not recorded."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "box.yaml").write_text(f"# {self.text}\n{_box(self.box)}")
        (folder / "ruleset.nft").write_text(self.rules.strip() + "\n" if self.rules else "")
        frames = [
            (device, START + round(at * SECOND), frame, Direction.IN) for device, at, frame in self.frames
        ]
        write_capture(folder / "input.pcapng", dict.fromkeys(device for device, _, _ in self.frames), frames)
        events = folder / "events.yaml"
        if self.events:
            events.write_text("".join(_event(at, what) for at, what in self.events))
        else:
            events.unlink(missing_ok=True)


@dataclass
class Tcp:
    """A TCP connection, kept in sequence.

    Attributes:
        s: where its segments go.
        src: the client's address.
        dst: the address that the client talks to.
        seen_src: the client's address as the server sees it.
        seen_dst: the server's own address.
    """

    s: Scenario
    sport: int = 40000
    dport: int = 443
    src: str = CLIENT
    dst: str = SERVER
    seen_src: str = ""
    seen_dst: str = ""
    seen_sport: int = 0
    seen_dport: int = 0
    seq: int = 1000
    ack: int = 5000
    window: int = 60000

    def __post_init__(self) -> None:
        self.seen_src = self.seen_src or self.src
        self.seen_dst = self.seen_dst or self.dst
        self.seen_sport = self.seen_sport or self.sport
        self.seen_dport = self.seen_dport or self.dport

    def segment_out(self, flags: str, data: bytes = b"", **fields: Any) -> Packet:
        """The client's next segment."""
        tcp: dict[str, Any] = {"seq": self.seq, "ack": self.ack if "A" in flags else 0, "window": self.window}
        tcp |= {key: fields.pop(key) for key in ("seq", "ack", "window", "options") if key in fields}
        tcp |= {key: tcp[key] % 2**32 for key in ("seq", "ack")}
        segment = TCP(sport=self.sport, dport=self.dport, flags=flags, **tcp)
        self.seq += len(data) + ("S" in flags) + ("F" in flags)
        return _network(self.src, self.dst, **fields) / segment / data

    def segment_back(self, flags: str, data: bytes = b"", **fields: Any) -> Packet:
        """The server's next segment."""
        tcp: dict[str, Any] = {"seq": self.ack, "ack": self.seq if "A" in flags else 0, "window": self.window}
        tcp |= {key: fields.pop(key) for key in ("seq", "ack", "window", "options") if key in fields}
        tcp |= {key: tcp[key] % 2**32 for key in ("seq", "ack")}
        segment = TCP(sport=self.seen_dport, dport=self.seen_sport, flags=flags, **tcp)
        self.ack += len(data) + ("S" in flags) + ("F" in flags)
        return _network(self.seen_dst, self.seen_src, **fields) / segment / data

    def out(self, flags: str, data: bytes = b"", **fields: Any) -> None:
        """The client sends its next segment."""
        self.s.lan(self.segment_out(flags, data, **fields))

    def back(self, flags: str, data: bytes = b"", **fields: Any) -> None:
        """The server sends its next segment."""
        self.s.wan(self.segment_back(flags, data, **fields))

    def open(self) -> None:
        """The three-way handshake."""
        self.out("S")
        self.back("SA")
        self.out("A")

    def talk(self, times: int = 1) -> None:
        """A question and its answer."""
        for _ in range(times):
            self.out("PA", b"question")
            self.back("PA", b"the answer")


def _network(src: str, dst: str, **fields: Any) -> Packet:
    if ":" in src:
        if "ttl" in fields:
            fields["hlim"] = fields.pop("ttl")
        return IPv6(src=src, dst=dst, **fields)
    return IP(src=src, dst=dst, **{"id": 0x4242, **fields})


def _ethertype(packet: Packet | bytes) -> int:
    if isinstance(packet, ARP):
        return 0x0806
    return 0x0800 if bytes(packet)[0] >> 4 == 4 else 0x86DD


@dataclass
class Udp:
    """A conversation of datagrams."""

    s: Scenario
    sport: int = 5000
    dport: int = 53
    src: str = CLIENT
    dst: str = SERVER
    seen_src: str = ""
    seen_dst: str = ""
    seen_sport: int = 0
    seen_dport: int = 0

    def out(self, data: bytes = b"question", **fields: Any) -> None:
        """The client sends a datagram."""
        self.s.lan(_network(self.src, self.dst, **fields) / UDP(sport=self.sport, dport=self.dport) / data)

    def back(self, data: bytes = b"the answer", **fields: Any) -> None:
        """The server sends a datagram."""
        network = _network(self.seen_dst or self.dst, self.seen_src or self.src, **fields)
        ports = UDP(sport=self.seen_dport or self.dport, dport=self.seen_sport or self.sport)
        self.s.wan(network / ports / data)

    def talk(self, times: int = 1) -> None:
        """A question and its answer."""
        for _ in range(times):
            self.out()
            self.back()


def traffic(s: Scenario) -> None:
    """What goes through every box: UDP and TCP, IPv4 and IPv6, each way often enough to be offloaded."""
    Udp(s).talk(3)
    connection = Tcp(s)
    connection.open()
    connection.talk(2)
    Udp(s, src=CLIENT6, dst=SERVER6).talk(3)


def flowtable(
    *devices: str, options: str = "", add: str = "flow add @f", before: str = "", more: str = ""
) -> str:
    """Rules with a flowtable; the last counter of the chain tells how much goes the classic path."""
    listed = ", ".join(devices or ("lan0", "wan0"))
    return f"""
table inet x {{
    flowtable f {{
        hook ingress priority filter
        devices = {{ {listed} }}
        {options}
    }}
    chain forward {{
        type filter hook forward priority filter; policy accept;
        {before}
        {add}
        counter
    }}
    {more}
}}
"""


WRITTEN: Final[dict[str, Scenario]] = {}
"""All scenarios that were described, by ``topic/name``."""


def scenario(author: Author) -> Author:
    """Describe a scenario: the function's module is the topic, its name the name, its docstring the text.

    Of a topic that is a package, all modules are of that topic.
    """
    topic = author.__module__.removeprefix(f"{TOPICS}.").partition(".")[0].replace("_", "-")
    describe(topic, author.__name__.replace("_", "-"), (author.__doc__ or "").strip(), author)
    return author


def describe(topic: str, name: str, text: str, author: Author) -> None:
    """Describe a scenario that is one of a series."""
    written = Scenario(text)
    author(written)
    key = f"{topic}/{name}"
    if key in WRITTEN:
        raise ValueError(f"there are two scenarios {key}")
    WRITTEN[key] = written


def changed(box: Box, **sections: Any) -> Box:
    """A copy of a box with more entries in its sections."""
    copied = copy.deepcopy(box)
    for name, entries in sections.items():
        if isinstance(entries, dict):
            copied[name] = {**copied.get(name, {}), **entries}
        else:
            copied[name] = [*copied.get(name, []), *entries]
    return copied


def _box(box: Box) -> str:
    lines = []
    for section, entries in box.items():
        if entries:
            lines.append(f"{section}:")
            if isinstance(entries, dict):
                lines += [f"  {name}: {value}" for name, value in entries.items()]
            else:
                lines += [f"  - {_flow(entry)}" for entry in entries]
    return "".join(f"{line}\n" for line in lines)


def _event(at: float, what: dict[str, Any]) -> str:
    [(kind, value)] = what.items()
    if isinstance(value, str) and "\n" in value.strip():
        block = "".join(f"    {line}\n" for line in value.strip().splitlines())
        return f"- at: {at:.6g}\n  {kind}: |\n{block}"
    return f"- {{at: {at:.6g}, {kind}: {_flow(value)}}}\n"


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, str) and all(each.isalnum() or each in "._-/" for each in value):
        return value
    return json.dumps(value)
