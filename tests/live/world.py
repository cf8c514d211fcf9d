"""Hosts in network namespaces of the running kernel, a router between them, and its service.

Hosts are as hosts on wires: their devices work out checksums, and take frames from a fast path.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from signal import SIGKILL
from typing import Any, Self

import pytest

from flowtable.live.client import Client
from flowtable.live.control import AskStatus, Event, Monitor, Request, Status, Stop
from flowtable.live.place import RUN
from tests.namespace import ROOT, require

_NUMBERS = count()
_TIMEOUT = 60


def require_root() -> None:
    """Skip the test for an ordinary user: programs in the kernel take root."""
    require("nft", "ethtool", "conntrack")
    if not ROOT:
        pytest.skip("BPF programs take root")


@dataclass
class Host:
    """A network namespace, and what runs in it."""

    name: str
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.namespace = f"ft-{os.getpid()}-{next(_NUMBERS)}-{self.name}"
        subprocess.run(["ip", "netns", "add", self.namespace], check=True)
        self.run("ip", "link", "set", "lo", "up")

    def command(self, *command: str) -> list[str]:
        return ["ip", "netns", "exec", self.namespace, *command]

    def run(self, *command: str, check: bool = True, text: str | None = None) -> str:
        """What a program prints."""
        done = subprocess.run(
            self.command(*command), input=text, capture_output=True, text=True, check=False, timeout=_TIMEOUT
        )
        assert done.returncode == 0 or not check, f"{command}: {done.stderr}{done.stdout}"
        return done.stdout

    def ip(self, line: str) -> None:
        """A command of ip."""
        self.run("ip", *line.split())

    def sysctl(self, **values: int) -> None:
        for name, value in values.items():
            self.run("sysctl", "-qw", f"{name.replace('__', '.')}={value}")

    def start(self, *command: str, **options: Any) -> subprocess.Popen[str]:
        """Start a program; it is ended with the host."""
        process = subprocess.Popen(
            self.command(*command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options
        )
        self.processes.append(process)
        return process

    def python(self, program: str, *arguments: object) -> subprocess.Popen[str]:
        """Start a program in Python."""
        return self.start(sys.executable, "-u", "-c", program, *map(str, arguments))

    def flowtable(self, *arguments: str) -> str:
        """What ``flowtable`` prints."""
        return self.run(sys.executable, "-m", "flowtable", *arguments)

    def rows(self, *arguments: str) -> list[dict[str, Any]]:
        """What ``flowtable ... --json`` prints, a line each."""
        return [json.loads(line) for line in self.flowtable(*arguments, "--json").splitlines()]

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.communicate()
        # A service that was started in the background is nobody's child.
        left = subprocess.run(["ip", "netns", "pids", self.namespace], capture_output=True, check=False)
        for pid in left.stdout.split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), SIGKILL)
        subprocess.run(["ip", "netns", "del", self.namespace], check=False)


class Events:
    """Events, awaited one by one."""

    def __init__(self, events: Iterator[Any]) -> None:
        self._events = events
        self.past: list[Event] = []
        self.until("watching")

    def until(self, what: str, reason: str = "") -> Event:
        """The next event of a kind."""
        for event in self._events:
            assert isinstance(event, Event)
            self.past.append(event)
            if event.what == what and reason in ("", event.reason):
                return event
        raise AssertionError(f"no {what} {reason} among {self.past}")


def control_socket(host: Host) -> Path:
    """Where the service of a host listens."""
    return RUN / f"{Path('/run/netns', host.namespace).stat().st_ino}.sock"


class Service:
    """``flowtable up`` on a host."""

    def __init__(self, host: Host, *arguments: str, run: Path) -> None:
        self.host = host
        self.socket = control_socket(host)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
            listener.settimeout(_TIMEOUT)
            # One without a path would be of this network namespace.
            address = run / f"{next(_NUMBERS)}.notify"
            listener.bind(str(address))
            environment = {**os.environ, "NOTIFY_SOCKET": str(address)}
            self.process = host.start(
                sys.executable, "-m", "flowtable", "up", *arguments, env=environment, stderr=subprocess.PIPE
            )
            listener.settimeout(0.2)
            for _ in range(_TIMEOUT * 5):
                try:
                    if b"READY=1" in listener.recv(4096):
                        return
                except TimeoutError:
                    if self.process.poll() is not None:
                        break
        self.process.kill()
        raise AssertionError(f"the service did not start: {self.process.communicate()[1]}")

    def ask(self, request: Request) -> list[Any]:
        """What it answers."""
        with Client(self.socket) as client:
            return list(client.ask(request))

    @property
    def status(self) -> Status:
        (status,) = self.ask(AskStatus())
        assert isinstance(status, Status)
        return status

    @contextmanager
    def events(self) -> Iterator[Events]:
        """What happens from now on."""
        with Client(self.socket) as client:
            yield Events(client.ask(Monitor()))

    def stop(self, *, keep_rules: bool = False) -> None:
        self.ask(Stop(keep_rules))
        assert self.process.wait(_TIMEOUT) == 0

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(_TIMEOUT)


class World:
    """Hosts that are gone at the end of a test."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def host(self, name: str) -> Host:
        host = Host(name)
        self._stack.callback(host.close)
        return host

    def link(self, one: Host, first: str, other: Host, second: str, mtu: int = 1500) -> None:
        """A wire between two hosts."""
        subprocess.run(
            f"ip link add {first} netns {one.namespace} type veth"
            f" peer name {second} netns {other.namespace}".split(),
            check=True,
        )
        for host, device in ((one, first), (other, second)):
            host.ip(f"link set {device} mtu {mtu} up")
            host.run("ethtool", "-K", device, "tx", "off", "gro", "on")

    def up(self, host: Host, ruleset: str, *arguments: str) -> Service:
        """A service with rules."""
        path = self.directory / f"{next(_NUMBERS)}.nft"
        path.write_text(ruleset)
        return Service(host, "-f", str(path), *arguments, run=self.directory)


@dataclass
class Line:
    """A client, a router, a server, in a line."""

    world: World
    lan_mtu: int = 1500
    wan_mtu: int = 1500

    def __post_init__(self) -> None:
        world = self.world
        self.client, self.router, self.server = (world.host(name) for name in ("client", "router", "server"))
        world.link(self.client, "eth0", self.router, "lan", self.lan_mtu)
        world.link(self.router, "wan", self.server, "eth0", self.wan_mtu)
        for host, device, number, far in (
            (self.client, "eth0", 1, False),
            (self.router, "lan", 1, True),
            (self.router, "wan", 2, True),
            (self.server, "eth0", 2, False),
        ):
            end = 1 if far else 99
            host.ip(f"address add 10.0.{number}.{end}/24 dev {device}")
            host.ip(f"address add dead:{number}::{end}/64 dev {device} nodad")
        for host, number in ((self.client, 1), (self.server, 2)):
            host.ip(f"route add default via 10.0.{number}.1")
            host.ip(f"route add default via dead:{number}::1")
        self.router.sysctl(net__ipv4__ip_forward=1, net__ipv6__conf__all__forwarding=1)


EXCHANGE = Path(__file__).with_name("exchange.py")


class Exchange:
    """A connection over which both ends send each other as many bytes, each time they are told to."""

    def __init__(
        self, client: Host, server: Host, address: str, *, size: int, port: int = 5000, to: str | None = None
    ) -> None:
        """Connect, and have a byte go each way.

        Args:
            client: who connects.
            server: who listens.
            address: where the server listens.
            size: bytes in each direction.
            port: where the server listens.
            to: where the client connects to, as ``address port``; None for where the server listens.
        """
        target = (to or f"{address} {port}").split()
        self.server = server.start(sys.executable, str(EXCHANGE), "serve", address, str(port), str(size))
        assert self._say(self.server) == "listening"
        self.client = client.start(sys.executable, str(EXCHANGE), "connect", *target, str(size))
        assert self._say(self.client) == "connected"
        self.seen = self._say(self.server)
        """The client's address as the server sees it."""

    @staticmethod
    def _say(process: subprocess.Popen[str]) -> str:
        assert process.stdout is not None
        return process.stdout.readline().strip()

    def begin(self) -> None:
        """Have everything sent."""
        for process in (self.client, self.server):
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()

    def run(self) -> None:
        """Have everything sent, and hold what came against what was sent."""
        self.begin()
        assert (self._say(self.client), self._say(self.server)) == ("identical", "identical")

    def close(self) -> None:
        """Have the connection closed by both ends."""
        for process in (self.client, self.server):
            process.communicate()
