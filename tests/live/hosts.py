"""A router of network namespaces with a client and a server, for tests of what runs on a host.

The test itself is on the router, in a process of its own. Its sockets in the hosts around it are
made by a visit to their namespace.
"""

from __future__ import annotations

import ctypes
import functools
import os
import shlex
import subprocess
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from socket import AF_INET, AF_INET6, SO_REUSEADDR, SOCK_DGRAM, SOCK_STREAM, SOL_SOCKET, socket
from typing import Any

import pytest

from tests.namespace import ROOT, require

_CLONE_NEWNET = 0x40000000
_CLONE_NEWUSER = 0x10000000
_libc = ctypes.CDLL(None, use_errno=True)


def _unshare(flags: int) -> None:
    if _libc.unshare(flags):
        raise OSError(ctypes.get_errno(), "unshare")


def in_namespace(test: Callable[..., None]) -> Callable[..., None]:
    """Run a test in a network namespace of its own; it needs nothing else of the machine."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        require()
        receiver, sender = os.pipe()
        child = os.fork()
        if not child:
            try:
                _enter()
                test(*args, **kwargs)
            except pytest.skip.Exception as skipped:
                os.write(sender, b"skip" + str(skipped).encode())
            except BaseException:
                os.write(sender, b"fail" + traceback.format_exc().encode()[:60000])
                raise
            finally:
                os._exit(0)
        os.close(sender)
        with os.fdopen(receiver, "rb") as stream:
            said = stream.read()
        _, status = os.waitpid(child, 0)
        if said.startswith(b"skip"):
            pytest.skip(said[4:].decode())
        if said or status:
            pytest.fail(said[4:].decode() or f"the test's process ended with {status}")

    return run


def _enter() -> None:
    if ROOT:
        _unshare(_CLONE_NEWNET)
    else:
        user, group = os.getuid(), os.getgid()
        _unshare(_CLONE_NEWUSER | _CLONE_NEWNET)
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {user} 1")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    sh("ip link set lo up")


def sh(command: str, stdin: str | None = None) -> str:
    """Run a command on the router; what it printed."""
    done = subprocess.run(shlex.split(command), input=stdin, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


def sysctl(name: str, value: int) -> None:
    """Set a sysctl of the router."""
    Path("/proc/sys", name.replace(".", "/")).write_text(str(value))


class Host:
    """A host with one device ``eth0``, whose other end is the router's device ``name``."""

    def __init__(self, name: str, *addresses: tuple[str, str]) -> None:
        """Make it; ``addresses`` are its own and the router's on the same link, with prefix lengths."""
        made: list[int] = []

        def make() -> None:
            _unshare(_CLONE_NEWNET)
            sysctl(_NO_DAD, 0)
            made.append(os.open(f"/proc/{os.getpid()}/task/{threading.get_native_id()}/ns/net", os.O_RDONLY))

        maker = threading.Thread(target=make)
        maker.start()
        maker.join()
        self._fd = made[0]
        self.path = f"/proc/{os.getpid()}/fd/{self._fd}"
        sh(f"ip link add {name} type veth peer name eth0 netns {self.path}")
        sh(f"ip link set {name} up")
        self.sh("ip link set lo up")
        self.sh("ip link set eth0 up")
        for own, router in addresses:
            sh(f"ip address add {router} dev {name} nodad")
            self.sh(f"ip address add {own} dev eth0 nodad")
            gateway = router.split("/")[0]
            self.sh(f"ip {'-6 ' if ':' in gateway else ''}route add default via {gateway}")

    def sh(self, command: str) -> str:
        """Run a command on it; what it printed."""
        return sh(f"nsenter --net={self.path} {command}")

    def open(self, family: int, kind: int, protocol: int = 0) -> socket:
        """A socket on it."""
        made: list[socket] = []

        def make() -> None:
            if _libc.setns(self._fd, _CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
            made.append(socket(family, kind, protocol))

        maker = threading.Thread(target=make)
        maker.start()
        maker.join()
        made[0].settimeout(10)
        return made[0]

    def udp(self, address: str, port: int) -> socket:
        """A UDP socket bound on it."""
        made = self.open(AF_INET6 if ":" in address else AF_INET, SOCK_DGRAM)
        made.bind((address, port))
        return made

    def server(self, address: str, port: int) -> socket:
        """A listening TCP socket on it."""
        made = self.open(AF_INET6 if ":" in address else AF_INET, SOCK_STREAM)
        made.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
        made.bind((address, port))
        made.listen()
        return made

    def connect(self, address: str, port: int, source: int = 0) -> socket:
        """A TCP connection from it."""
        made = self.open(AF_INET6 if ":" in address else AF_INET, SOCK_STREAM)
        made.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
        if source:
            made.bind(("", source))
        made.connect((address, port))
        return made


_NO_DAD = "net.ipv6.conf.default.accept_dad"
CLIENT, SERVER = "10.0.1.99", "10.0.2.99"
CLIENT6, SERVER6 = "2001:db8:1::99", "2001:db8:2::99"
WAN = "10.0.2.1"


def hosts() -> tuple[Host, Host]:
    """A client behind ``lan0`` and a server behind ``wan0`` of a router that forwards."""
    for name in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
        sysctl(name, 1)
    sysctl(_NO_DAD, 0)
    client = Host("lan0", (f"{CLIENT}/24", "10.0.1.1/24"), (f"{CLIENT6}/64", "2001:db8:1::1/64"))
    server = Host("wan0", (f"{SERVER}/24", f"{WAN}/24"), (f"{SERVER6}/64", "2001:db8:2::1/64"))
    return client, server
