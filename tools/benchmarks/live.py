"""The service end to end: flows that it learns by itself, from rules, with address translation.

Packets per second are measured as in ``xdp_forwarding``, on the same road, with the classic path
and a bare redirect taking their turns. TCP goes between programs on two hosts, through the same
router. Learning is the time from the first packet of a flow to its entry.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from socket import if_nametoindex
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks.row import Aim, Row, Unit
from benchmarks.xdp_forwarding import (
    CONNTRACK,
    MASQUERADE,
    PUBLIC,
    REDIRECT,
    ROUNDS,
    RULES,
    SERVER,
    WAN,
    Road,
    on_one_processor,
    onward,
    road,
)
from flowtable.datapath.attach import AttachMode, attach
from flowtable.live.client import Client
from flowtable.live.control import AskStatus, Event, Monitor, Status, Stop
from flowtable.live.place import RUN
from scenarios.machine.namespace import Namespace

FLOWS: Final = (1, 1000)
LIVE: Final = "flowtable up, XDP"
LIVE_TC: Final = "flowtable up, tc"
LIVE_RULES: Final = """
table inet t {
    flowtable f { hook ingress priority filter; devices = { lan, wan }; }
    chain c {
        type filter hook forward priority filter
        meta l4proto { tcp, udp } flow add @f
        ct state established,related accept
    }
}
table ip n {
    chain p { type nat hook postrouting priority srcnat; oifname "wan" masquerade; }
}
"""
MEGABYTES: Final = 1000
STREAMS: Final = (1, 8)
WITHIN: Final = 30
"""Seconds that a service may take to learn what is asked of it."""
CLASSIC: Final = "kernel: + masquerade"
ROUNDS_TCP: Final = 3
LATENCIES: Final = 200
"""Connections whose way to the fast path is timed."""


class Service:
    """``flowtable up`` in a namespace, on every processor but that of the traffic."""

    def __init__(self, namespace: Namespace, folder: Path, *options: str) -> None:
        rules = folder / "rules.nft"
        rules.write_text(LIVE_RULES)
        with namespace.inside():
            here = Path("/proc/thread-self/ns/net").stat().st_ino
            every = range(os.cpu_count() or 1)
            subprocess.run(
                [sys.executable, "-m", "flowtable", "up", "--detach", "-f", str(rules), *options],
                check=True,
                preexec_fn=lambda: os.sched_setaffinity(0, every),
            )
        self._path = RUN / f"{here}.sock"

    def client(self) -> Client:
        """A connection to it."""
        return Client(self._path)

    @property
    def status(self) -> Status:
        """How it is."""
        with self.client() as client:
            (status,) = client.ask(AskStatus())
            assert isinstance(status, Status)
            return status

    def learns(self, flows: int) -> None:
        """Wait until it has so many flows."""
        end = time.monotonic() + WITHIN
        while self.status.flows < flows:
            if time.monotonic() > end:
                raise TimeoutError(f"{self.status.flows} of {flows} flows; {self.status}")
            time.sleep(0.05)

    def close(self) -> None:
        """End it."""
        with self.client() as client:
            list(client.ask(Stop()))


@contextmanager
def serving(way: Road, flows: int, *options: str) -> Iterator[Service]:
    """The service is in the router, and knows the flows that go there."""
    with TemporaryDirectory() as folder, closing(Service(way.router, Path(folder), *options)) as service:
        # Only what has come in from a device tells whether it comes with checksums.
        way.sink.run(sys.executable, "-c", _KNOCK)
        # Connections from before the rules have no labels.
        way.router.run("conntrack", "-F")
        for _ in range(2):
            way.rate()
        service.learns(flows)
        yield service


_KNOCK: Final = f"""
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as knocking:
    knocking.bind(("{SERVER}", 0))
    knocking.sendto(b"x", ("{PUBLIC}", 9))
"""


def rows() -> Iterator[Row]:
    """Packets, TCP, and learning."""
    yield from forwarding()
    yield from latency()
    yield from tcp()


def forwarding() -> Iterator[Row]:
    """Packets per second of processor time."""
    with on_one_processor():
        for flows in FLOWS:
            yield from _forwarding(flows)


def _forwarding(flows: int) -> Iterator[Row]:
    best: dict[str, float] = {}
    with road(flows) as way:
        for namespace, device in ((way.source, "out"), (way.sink, "in")):
            namespace.run("ethtool", "-K", device, "tx", "off", "gro", "on")
        way.sink.ip(
            [f"address add {SERVER}/24 dev in", f"neighbour add {PUBLIC} lladdr {WAN} nud permanent dev in"]
        )
        with way.router.inside():
            lan, others = if_nametoindex("lan"), onward(flows)

        def take(name: str) -> None:
            way.rate()
            best[name] = max(best.get(name, 0.0), way.rate())

        for _ in range(ROUNDS):
            for name in (CONNTRACK, MASQUERADE):
                with way.with_rules(RULES[name]):
                    take(name)
            for name, place in ((LIVE, "native"), (LIVE_TC, "off")):
                with serving(way, flows, "--xdp", place):
                    take(name)
            with way.attached(lambda: attach(others.redirect, lan, AttachMode.NATIVE)):
                take(REDIRECT)
    subject = f"Packets through a host, {flows:,} flow{'s' if flows > 1 else ''}"
    for name, rate in best.items():
        yield Row(subject, name, rate, Unit.PACKETS_PER_SECOND, size=flows)
    for name, aim in ((MASQUERADE, Aim(">=", 3.3)), (REDIRECT, None)):
        yield Row(
            subject, LIVE, best[LIVE], Unit.PACKETS_PER_SECOND, name, best[LIVE] / best[name], flows, aim
        )


@contextmanager
def hosts(*, whole: bool) -> Iterator[tuple[Namespace, Namespace, Namespace]]:
    """A client, a router and a server.

    Args:
        whole: hosts work out checksums themselves, as on wires; else the last device does.
    """
    with ExitStack() as stack:
        client, router, server = (stack.enter_context(closing(Namespace())) for _ in range(3))
        router.ip(
            [
                f"link add lan type veth peer name eth0 netns {client.path}",
                f"link add wan type veth peer name eth0 netns {server.path}",
                "link set lan up",
                "link set wan up",
                "address add 10.1.0.254/24 dev lan",
                f"address add {PUBLIC}/24 dev wan",
            ]
        )
        router.sysctl("net.ipv4.ip_forward", 1)
        client.ip(
            ["link set eth0 up", "address add 10.1.0.1/24 dev eth0", "route add default via 10.1.0.254"]
        )
        server.ip(["link set eth0 up", f"address add {SERVER}/24 dev eth0"])
        for namespace, devices in ((client, ["eth0"]), (router, ["lan", "wan"]), (server, ["eth0"])):
            for device in devices:
                namespace.run("ethtool", "-K", device, "gro", "on", *(("tx", "off") if whole else ()))
        yield client, router, server


def tcp() -> Iterator[Row]:
    """Bits per second of TCP connections that a program in Python sends as fast as it can."""
    for streams in STREAMS:
        yield from _tcp(streams)


def _tcp(streams: int) -> Iterator[Row]:
    best: dict[str, float] = {}
    for name, place, whole in (
        (CLASSIC, None, True),
        (LIVE, "native", True),
        (f"{CLASSIC}, checksums by devices", None, False),
        (f"{LIVE_TC}, checksums by devices", "off", False),
    ):
        with hosts(whole=whole) as (client, router, server), ExitStack() as stack:
            if place is None:
                router.run("nft", "-f", "-", text=RULES[MASQUERADE])
            else:
                folder = Path(stack.enter_context(TemporaryDirectory()))
                stack.enter_context(closing(Service(router, folder, "--xdp", place)))
            for _ in range(ROUNDS_TCP):
                best[name] = max(best.get(name, 0.0), _stream(client, server, streams))
    subject = f"TCP through a host, {streams} stream{'s' if streams > 1 else ''}"
    classic = ""
    for name, rate in best.items():
        if name.startswith(CLASSIC):
            classic = name
            yield Row(subject, name, rate / 1e6, Unit.MEGABITS_PER_SECOND, size=streams)
        else:
            yield Row(
                subject, name, rate / 1e6, Unit.MEGABITS_PER_SECOND, classic, rate / best[classic], streams
            )


def _stream(client: Namespace, server: Namespace, streams: int) -> float:
    """Bits per second of so many connections at once, from the first to the last byte."""
    arguments = (SERVER, str(streams), str(MEGABYTES // streams))
    with server.inside():
        receiving = subprocess.Popen(
            [sys.executable, "-c", _RECEIVE, *arguments], stdout=subprocess.PIPE, text=True
        )
    assert receiving.stdout is not None
    receiving.stdout.readline()
    client.run(sys.executable, "-c", _SEND, *arguments)
    took = float(receiving.communicate()[0])
    return MEGABYTES // streams * streams * (1 << 20) * 8 / took


_RECEIVE: Final = """
import selectors, socket, sys, time
address, streams, megabytes = sys.argv[1], *map(int, sys.argv[2:])
buffer = bytearray(1 << 20)
with socket.create_server((address, 9)) as server, selectors.DefaultSelector() as waiting:
    print("ready", flush=True)
    for _ in range(streams):
        waiting.register(server.accept()[0], selectors.EVENT_READ)
    left = streams * megabytes << 20
    started = None
    while left:
        for key, _ in waiting.select():
            left -= key.fileobj.recv_into(buffer)
            started = started or time.monotonic()
    print(time.monotonic() - started)
"""
_SEND: Final = """
import socket, sys, threading, time
address, streams, megabytes = sys.argv[1], *map(int, sys.argv[2:])
def send(connection):
    for _ in range(megabytes):
        connection.sendall(bytes(1 << 20))
connections = [socket.create_connection((address, 9)) for _ in range(streams)]
time.sleep(0.2)  # The service takes some milliseconds to learn them.
senders = [threading.Thread(target=send, args=(each,)) for each in connections]
for sender in senders:
    sender.start()
for sender in senders:
    sender.join()
for connection in connections:
    connection.shutdown(socket.SHUT_WR)
"""


def latency() -> Iterator[Row]:
    """Milliseconds from the end of a connection's handshake to its entry on the fast path, when idle."""
    with (
        hosts(whole=True) as (client, router, server),
        TemporaryDirectory() as folder,
        closing(Service(router, Path(folder))) as service,
        service.client() as watching,
    ):
        events = watching.ask(Monitor())
        next(events)
        with server.inside():
            accepting = subprocess.Popen(
                [sys.executable, "-c", _ACCEPT, SERVER], stdout=subprocess.PIPE, text=True
            )
        assert accepting.stdout is not None
        accepting.stdout.readline()
        connected = client.run(sys.executable, "-c", _CONNECT, SERVER, str(LATENCIES)).split()
        added: dict[int, float] = {}
        while len(added) < LATENCIES:
            event = next(events)
            assert isinstance(event, Event)
            if event.what == "added" and event.original is not None:
                added[event.original.sport] = event.time
        accepting.kill()
        accepting.communicate()
    pairs = (each.split(":") for each in connected)
    took = sorted((added[int(port)] - float(when)) * 1000 for port, when in pairs)
    for name, place in (("median", 0.5), ("99 of 100", 0.99)):
        yield Row(
            "From handshake to entry, when idle",
            name,
            took[int(len(took) * place)],
            Unit.MILLISECONDS,
            aim=Aim("<=", 50) if place > 0.9 else None,
        )


_ACCEPT: Final = """
import socket, sys
with socket.create_server((sys.argv[1], 9), backlog=1024) as server:
    print("ready", flush=True)
    kept = []
    while True:
        kept.append(server.accept())
"""
_CONNECT: Final = """
import socket, sys, time
kept = []
for _ in range(int(sys.argv[2])):
    connection = socket.create_connection((sys.argv[1], 9))
    print(f"{connection.getsockname()[1]}:{time.time()}")
    kept.append(connection)
    time.sleep(0.01)
time.sleep(1)
"""
