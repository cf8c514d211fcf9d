"""A laboratory of hosts: each is a network namespace that exists only while the laboratory does.

The machine's own network is not touched.
"""

import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Self

TIMEOUT = 30.0
"""Seconds that any one program may take."""
ROUTER = "router"

QUIET = {
    "net.ipv6.conf.default.accept_dad": 0,
    "net.ipv6.conf.default.accept_ra": 0,
    "net.ipv6.conf.default.dad_transmits": 0,
    "net.ipv6.conf.default.router_solicitations": 0,
}
"""What a host with fixed addresses has no use for, and would only add chance to the recording."""
FORWARDING = {"net.ipv4.ip_forward": 1, "net.ipv6.conf.all.forwarding": 1}
NO_OFFLOADS = "rx off tx off sg off tso off gso off gro off"
"""Checksums are filled in and segments cut before the wire, so that a wire could carry each frame."""


class RecordingError(Exception):
    """The recording is no good, and why."""


def wait_for(what: str, ready: Callable[[], bool]) -> None:
    """Wait until something that was just started is ready.

    Raises:
        RecordingError: It is not within five seconds.
    """
    for _ in range(100):
        if ready():
            return
        time.sleep(0.05)
    raise RecordingError(f"{what}: did not come up")


@dataclass(slots=True)
class Lab:
    """Hosts, cables and running programs; all of it goes away on exit."""

    folder: Path
    hosts: list[str] = field(default_factory=list)
    programs: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for program in self.programs:
            if program.poll() is None:
                os.killpg(program.pid, signal.SIGKILL)
                program.wait()
        for host in self.hosts:
            subprocess.run(["ip", "netns", "delete", self.namespace(host)], check=False)

    @property
    def environment(self) -> dict[str, str]:
        """No proxies and no locale: programs behave the same everywhere."""
        return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "HOME": str(self.folder)}

    def namespace(self, host: str) -> str:
        """The network namespace that is the host."""
        return f"record-{os.getpid()}-{host}"

    def host(self, name: str, sysctls: Mapping[str, object] = MappingProxyType({})) -> None:
        """Add a host."""
        self.hosts.append(name)
        subprocess.run(["ip", "netns", "add", self.namespace(name)], check=True)
        for key, value in {**QUIET, **sysctls}.items():
            self.run(name, f"sysctl -q -w {key}={value}")
        self.run(name, "ip link set lo up")

    def cable(self, one: str, other: str, *, mtu: int = 1500) -> None:
        """Plug a cable in at both ends, each given as `HOST DEVICE MAC [ADDRESS/LENGTH...]`."""
        near, far = one.split(), other.split()
        self.run(
            near[0],
            f"ip link add {near[1]} address {near[2]} mtu {mtu} type veth"
            f" peer name {far[1]} address {far[2]} mtu {mtu} netns {self.namespace(far[0])}",
        )
        for host, device, _, *addresses in (near, far):
            self.run(host, f"ethtool -K {device} {NO_OFFLOADS}")
            for address in addresses:
                self.run(host, f"ip address add {address} dev {device}")
            self.run(host, f"ip link set {device} up")

    def file(self, name: str, content: str) -> None:
        """Write a file that the programs find in their working directory."""
        (self.folder / name).write_text(content)

    def command(self, host: str, command: str) -> list[str]:
        """The arguments that run a command on a host, with the host's own resolver if it has one."""
        inside = ["ip", "netns", "exec", self.namespace(host)]
        resolver = self.folder / f"{host}.resolv.conf"
        if resolver.exists():
            inside += ["sh", "-c", 'mount --bind "$0" /etc/resolv.conf && exec "$@"', str(resolver)]
        return inside + shlex.split(command)

    def run(self, host: str, command: str, *, expect: int = 0, data: bytes = b"") -> bytes:
        """Run a program to its end and return what it printed.

        Args:
            host: Where it runs.
            command: Its command line.
            expect: The exit status without which the recording is no good.
            data: Its standard input.

        Raises:
            RecordingError: It ended with another exit status.
        """
        result = subprocess.run(
            self.command(host, command),
            input=data,
            capture_output=True,
            timeout=TIMEOUT,
            cwd=self.folder,
            env=self.environment,
            check=False,
        )
        if result.returncode != expect:
            said = (result.stderr + result.stdout).decode(errors="replace").strip()
            raise RecordingError(f"{host}: {command}: exit status {result.returncode}\n{said}")
        return result.stdout

    def start(self, host: str, command: str) -> subprocess.Popen[bytes]:
        """Start a program that runs beside what follows."""
        program = subprocess.Popen(
            self.command(host, command),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd=self.folder,
            env=self.environment,
            start_new_session=True,
        )
        self.programs.append(program)
        return program

    def serve(self, host: str, command: str, port: int) -> None:
        """Start a server and wait until it listens on the port."""
        program = self.start(host, command)
        try:
            wait_for(command, lambda: bool(self.run(host, f"ss -Hlntu sport = :{port}")))
        except RecordingError as error:
            program.kill()
            _, said = program.communicate()
            raise RecordingError(f"{host}: {error}\n{said.decode(errors='replace')}") from None

    def certificate(self) -> None:
        """Make the certificate and key that the web servers show."""
        key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout tls.key"
        self.run(self.hosts[0], f"openssl req -x509 {key} -days 3650 -subj /CN=server.example -out tls.crt")

    def web(self, host: str) -> None:
        """Start a web server for everything in the working directory, uploads included."""
        self.file(
            f"{host}.conf",
            f"""daemon off; master_process off; user root; pid {host}.pid; error_log stderr;
            events {{}}
            http {{
                access_log off; default_type text/plain; root {self.folder};
                client_body_temp_path {host}.body; client_max_body_size 1m; dav_methods PUT;
                ssl_certificate tls.crt; ssl_certificate_key tls.key;
                server {{
                    listen 80; listen [::]:80; listen 443 ssl; listen [::]:443 ssl;
                }}
            }}
            """,
        )
        self.serve(host, f"nginx -p {self.folder} -c {host}.conf", 443)


@dataclass(slots=True)
class Chat:
    """A connection that stays open and says in the capture what comes next."""

    program: subprocess.Popen[bytes]

    def say(self, text: str) -> None:
        """Send one line, which the other side echoes."""
        print(f"  {text}", flush=True)
        assert self.program.stdin is not None
        self.program.stdin.write(f"{text}\n".encode())
        self.program.stdin.flush()
        time.sleep(0.05)


def text_file(size: int) -> str:
    """Numbered lines: easy to follow in a capture, and small in a repository."""
    line = "{:06d} The quick brown fox takes the bypass over the lazy forward chain.\n"
    return "".join(line.format(number) for number in range(1, size // 73 + 1))


def datagrams(lab: Lab, host: str, command: str, count: int, size: int) -> None:
    """Send datagrams through a program that makes one of each line, 20 ms apart."""
    program = lab.start(host, command)
    assert program.stdin is not None
    for number in range(count):
        program.stdin.write(f"{number:04d}".encode().ljust(size - 1, b".") + b"\n")
        program.stdin.flush()
        time.sleep(0.02)
    program.stdin.close()
    program.wait(TIMEOUT)
